/* main.c -- the program: opens Lua, hands its arguments to railtracks.cli. */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lualib.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "console.h"
#include "engine.h"
#include "measure.h"
#include "runaway.h"
#include "screen.h"
#include "terminal.h"
#include "viewer.h"

int luaopen_railtracks(lua_State *L);

/* What a signal handler needs to find. The program has one engine. */
static struct {
  rt_engine *volatile engine;  // NULL while there is nothing to interrupt
  pid_t thread;                // the loop's
  volatile sig_atomic_t count;
  volatile sig_atomic_t first;
} caught;

/* Whether the handler runs on the loop's thread; else the signal is sent there. */
static bool on_loop(int number) {
  if (gettid() == caught.thread) return true;
  tgkill(getpid(), caught.thread, number);
  return false;
}

static void on_ending(int number) {
  int error = errno;
  if (caught.engine && on_loop(number)) {
    if (!caught.first) caught.first = number;
    if (++caught.count >= 3) _exit(128 + caught.first);
    rt_engine_interrupt(caught.engine, caught.first);
    if (caught.count == 2) rt_engine_stop(caught.engine);
    // Where somebody types, the terminal is gone: nobody will insist.
    else if (number == SIGHUP && caught.engine->console) rt_engine_unwind(caught.engine);
  }
  errno = error;
}

static bool nobody_reads(void) {
  struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};
  return poll(&output, 1, 0) == 1 && output.revents & (POLLERR | POLLHUP);
}

/* A write met a closed pipe, which is an error of that write; only if it is standard
 * output that is closed, nobody is left to work for. */
static void on_pipe(int number) {
  int error = errno;
  if (caught.engine && on_loop(number) && nobody_reads()) {
    if (!caught.first) caught.first = number;
    rt_engine_interrupt(caught.engine, caught.first);
    rt_engine_unwind(caught.engine);
  }
  errno = error;
}

static void on_tick(int number) {
  int error = errno;
  if (caught.engine && on_loop(number)) rt_runaway_tick(caught.engine);
  errno = error;
}

/* ---- at a terminal ---- */

static void on_interrupt(int number) {
  int error = errno;
  if (caught.engine && on_loop(number)) {
    if (caught.engine->console->line) rt_screen_new_line();  // behind ^C
    if (!rt_console_interrupt(caught.engine)) _exit(128 + number);
  }
  errno = error;
}

/* At a prompt the terminal is given back first. */
static void on_stop(int number) {
  int error = errno;
  if (caught.engine && on_loop(number)) {
    const rt_console *console = caught.engine->console;
    if (console->waiter && !console->line) rt_console_notify(caught.engine, RT_CONSOLE_STOP);
    else raise(SIGSTOP);
  }
  errno = error;
}

static void on_resize(int number) {
  int error = errno;
  (void)number;
  if (caught.engine) rt_console_notify(caught.engine, RT_CONSOLE_RESIZE);
  errno = error;
}

/* ---- */

static void handle(int number, void (*handler)(int), bool even_if_ignored) {
  // Ctrl-C at a terminal is to end a read that waits for input.
  int flags = handler == on_interrupt ? 0 : SA_RESTART;
  struct sigaction action = {.sa_handler = handler, .sa_flags = flags}, before;
  sigfillset(&action.sa_mask);
  sigaction(number, NULL, &before);
  if (before.sa_handler != SIG_IGN || even_if_ignored) sigaction(number, &action, NULL);
}

/* As many open files as we may have. What we start gets what was usual. */
static void allow_files(rt_engine *e) {
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur == files.rlim_max) return;
  e->files = files.rlim_cur;
  files.rlim_cur = files.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &files) < 0) e->files = 0;
}

/* host.catch_signals([terminal]): from here on Ctrl-C, SIGTERM, SIGHUP and a closed pipe on
 * standard output cancel what runs, and code that runs away is noticed. All of it by handlers,
 * which the programs we start do not inherit; nor do they the files we allow ourselves. At a
 * terminal, Ctrl-C is for the line in the foreground, and what is written gives way to the
 * prompt. */
static int catch_signals(lua_State *L) {
  caught.thread = gettid();
  bool terminal = lua_toboolean(L, 1);
  caught.engine = rt_engine_open(L);
  allow_files(caught.engine);
  if (terminal && (!rt_console_open(caught.engine) || !rt_screen_open(caught.engine, L)))
    return luaL_error(L, "not enough memory");
  // Who starts us with one of these ignored (nohup, a shell's background job) means it.
  handle(SIGINT, terminal ? on_interrupt : on_ending, false);
  if (terminal) handle(SIGTSTP, on_stop, false);
  if (terminal) handle(SIGWINCH, on_resize, false);
  handle(SIGTERM, on_ending, false);
  handle(SIGHUP, on_ending, false);
  handle(SIGPIPE, on_pipe, true);
  handle(SIGURG, on_tick, true);
  if (!rt_runaway_watch(caught.engine, SIGURG) && caught.engine->slice_limit)
    return luaL_error(L, "cannot watch for runaway code: %s", strerror(errno));
  return 0;
}

/* host.signal() -> the number of the first signal caught, or nil */
static int first_signal(lua_State *L) {
  if (caught.first) lua_pushinteger(L, caught.first);
  else lua_pushnil(L);
  return 1;
}

/* host.die_of_pipe(): writing to a closed pipe ends the program quietly. */
static int die_of_pipe(lua_State *L) {
  (void)L;
  signal(SIGPIPE, SIG_DFL);
  return 0;
}

/* Why writes fail, as far as it can still be found out: the one that failed was not ours,
 * and what it was to write is gone. */
static const char *reason(void) {
  struct statvfs disk;
  if (write(STDOUT_FILENO, "", 0) < 0) return strerror(errno);
  if (fstatvfs(STDOUT_FILENO, &disk) == 0 && disk.f_blocks && !disk.f_bavail)
    return strerror(ENOSPC);
  return "some of it was lost";
}

/* host.flush() -> nil, or why not all of the output could be written and whether that is
 * because nobody reads it */
static int flush(lua_State *L) {
  const char *why = fflush(stdout) == 0 ? NULL : strerror(errno);
  if (!why && !ferror(stdout)) return 0;
  lua_pushstring(L, why ? why : reason());
  lua_pushboolean(L, nobody_reads());
  return 2;
}

/* host.linger(seconds) -> whether nobody reads the output any more; else when they are over */
static int linger(lua_State *L) {
  struct pollfd output = {.fd = STDOUT_FILENO};
  int changed = poll(&output, 1, (int)(luaL_checknumber(L, 1) * 1000));
  lua_pushboolean(L, changed > 0);
  return 1;
}

static int open_host(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"catch_signals", catch_signals}, {"die_of_pipe", die_of_pipe},
      {"flush", flush}, {"linger", linger}, {"signal", first_signal}, {NULL, NULL}};
  luaL_newlib(L, functions);
  rt_screen_functions(L);
  rt_terminal_functions(L);
  rt_viewer_functions(L);
  rt_measure_functions(L);
  return 1;
}

static int start(lua_State *L) {
  int argc = (int)lua_tointeger(L, 1);
  char **argv = lua_touserdata(L, 2);
  luaL_openlibs(L);
  luaL_requiref(L, "railtracks", luaopen_railtracks, 0);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, open_host);
  lua_setfield(L, -2, "railtracks.host");
  lua_getglobal(L, "require");
  lua_pushliteral(L, "railtracks.cli");
  lua_call(L, 1, 1);
  lua_createtable(L, argc, 0);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i);
  }
  lua_call(L, 1, 1);
  return 1;
}

/* A standard stream that is closed would be the next file opened: the journal. In its
 * place stands one of which every use is an error, as if it were closed. */
static void fill_streams(void) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    if (fcntl(fd, F_GETFD) < 0) open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int main(int argc, char **argv) {
  fill_streams();
  lua_State *L = luaL_newstate();
  if (!L) {
    fprintf(stderr, "railtracks: not enough memory\n");
    return 1;
  }
  lua_pushcfunction(L, start);
  lua_pushinteger(L, argc);
  lua_pushlightuserdata(L, argv);
  int status = lua_pcall(L, 2, 1, 0);
  int code = 1;
  if (status == LUA_OK) code = (int)lua_tointeger(L, -1);
  else fprintf(stderr, "railtracks: %s\n", luaL_tolstring(L, -1, NULL));
  rt_screen_close();
  rt_engine *engine = caught.engine;
  caught.engine = NULL;  // what is left is to write the journal to its end
  if (engine && !rt_engine_settle(engine, engine->grace)) {
    rt_journal_close(engine->journal);
    fflush(NULL);
    _exit(code);
  }
  lua_close(L);
  return code;
}
