#include "screen.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "console.h"

enum { MOST = 16 << 20 };  // bytes held back; past them the prompt is overwritten

/* The program has one. */
static struct {
  pthread_mutex_t lock;    // of what follows
  rt_engine *engine;
  rt_buf held;
  int fd;                  // the terminal
  bool holds;
  volatile bool in_line;   // the last byte was no newline
} screen = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* All of it. Returns 0, or -1 with errno. */
static int write_out(int fd, const char *data, size_t size) {
  if (size) screen.in_line = data[size - 1] != '\n';
  while (size) {
    ssize_t written = write(fd, data, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return -1;
    data += written;
    size -= (size_t)written;
  }
  return 0;
}

static ssize_t pass_on(void *cookie, const char *data, size_t size) {
  int fd = (int)(intptr_t)cookie, status = 0;
  pthread_mutex_lock(&screen.lock);
  if (size == 1 && *data == '\a') {  // Readline's bell leaves the prompt as it is
    if (write(fd, data, size) < 0) status = -1;
  } else if (screen.holds && screen.held.size + size <= MOST &&
             rt_buf_reserve(&screen.held, size)) {
    rt_buf_add(&screen.held, data, size);
    rt_console_notify(screen.engine, RT_CONSOLE_OUTPUT);
  } else {
    screen.held.failed = false;
    status = write_out(fd, data, size);
  }
  pthread_mutex_unlock(&screen.lock);
  return status < 0 ? 0 : (ssize_t)size;
}

/* Puts 'stream' behind the file object 'field' of the table io. */
static void replace(lua_State *L, const char *field, FILE *stream) {
  lua_getglobal(L, "io");
  if (lua_istable(L, -1)) {
    lua_getfield(L, -1, field);
    luaL_Stream *file = luaL_testudata(L, -1, LUA_FILEHANDLE);
    if (file && file->closef) file->f = stream;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

static FILE *open_stream(int fd, int mode) {
  cookie_io_functions_t functions = {.write = pass_on};
  FILE *stream = fopencookie((void *)(intptr_t)fd, "w", functions);
  if (stream) setvbuf(stream, NULL, mode, BUFSIZ);
  return stream;
}

bool rt_screen_open(rt_engine *e, lua_State *L) {
  screen.engine = e;
  screen.fd = isatty(STDOUT_FILENO) ? STDOUT_FILENO : STDERR_FILENO;
  if (isatty(STDOUT_FILENO)) {
    FILE *stream = open_stream(STDOUT_FILENO, _IOLBF);
    if (!stream) return false;
    fflush(stdout);
    stdout = stream;
    replace(L, "stdout", stdout);
  }
  if (isatty(STDERR_FILENO)) {
    FILE *stream = open_stream(STDERR_FILENO, _IONBF);
    if (!stream) return false;
    stderr = stream;
    replace(L, "stderr", stderr);
  }
  return true;
}

static void let_pass(void) {
  pthread_mutex_lock(&screen.lock);
  screen.holds = false;
  if (screen.held.size) write_out(screen.fd, screen.held.data, screen.held.size);
  rt_buf_free(&screen.held);
  pthread_mutex_unlock(&screen.lock);
}

void rt_screen_close(void) {
  fflush(stdout);
  let_pass();
  pthread_mutex_lock(&screen.lock);
  screen.engine = NULL;
  pthread_mutex_unlock(&screen.lock);
}

void rt_screen_new_line(void) {
  if (isatty(STDOUT_FILENO) && write(STDOUT_FILENO, "\n", 1) == 1) screen.in_line = false;
}

static int hold(lua_State *L) {
  fflush(stdout);
  if (!lua_toboolean(L, 1)) return let_pass(), 0;
  pthread_mutex_lock(&screen.lock);
  screen.holds = true;
  pthread_mutex_unlock(&screen.lock);
  return 0;
}

static int held(lua_State *L) {
  bool all = lua_toboolean(L, 1);
  rt_buf taken = {0}, rest = {0};
  pthread_mutex_lock(&screen.lock);
  size_t size = screen.held.size;
  while (!all && size && screen.held.data[size - 1] != '\n') size--;
  rt_buf_add(&rest, screen.held.data ? screen.held.data + size : "", screen.held.size - size);
  if (size && !rest.failed) {
    taken = screen.held;
    screen.held = rest;
  } else {
    rt_buf_free(&rest);
  }
  pthread_mutex_unlock(&screen.lock);
  lua_pushlstring(L, taken.data ? taken.data : "", taken.data ? size : 0);
  rt_buf_free(&taken);
  return 1;
}

static int write_through(lua_State *L) {
  size_t size;
  const char *text = luaL_checklstring(L, 1, &size);
  pthread_mutex_lock(&screen.lock);
  write_out(screen.fd, text, size);
  pthread_mutex_unlock(&screen.lock);
  return 0;
}

static int open_screen(lua_State *L) {
  if (!rt_screen_open(rt_engine_of(L), L)) luaL_error(L, "not enough memory");
  return 0;
}

static int at_line_start(lua_State *L) {
  fflush(stdout);
  lua_pushboolean(L, !screen.in_line);
  return 1;
}

void rt_screen_functions(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"at_line_start", at_line_start}, {"held", held}, {"hold", hold},
      {"screen", open_screen}, {"write", write_through}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
