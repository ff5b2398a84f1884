/* console.c -- the module railtracks.console: what the REPL needs of the engine.
 *
 *   console.poll(fd [, "w"])       a Poll: a descriptor to be waited for until it can be
 *                                  read (written); nil and why where that cannot be done
 *   poll:want("r" | "w" | "rw")    from its next wait on
 *   poll:wake()                    who waits for it returns, also if it is not ready
 *   console.wait(task, poll ...)   waits for the first of: the body of the task has returned,
 *                                  the task has ended, a poll is ready, something happens at
 *                                  the console -> events, then true or false for each poll
 *   console.begin()                the current run is a session: its root's children are lines,
 *                                  each of which fails alone
 *   console.returned()             called by the task itself: its body is about to return
 *   console.foreground(task)       Ctrl-C is for this task; nil: for nobody
 *   console.cut(task)              ends the grace of a task that was cancelled
 *   console.guard(f, ...)          pcall, which Ctrl-C ends by an error
 *   console.read(fd)               some of what can be read, "" at the end; nil where nothing
 *                                  can be read now, with the reason if it never can
 *   console.embedded(module)       the text of a file that is built in
 *   console.sync()                 what has happened so far can be read in the journal
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "console.h"
#include "embedded.h"
#include "lib.h"

#define POLL "railtracks.console.Poll"

enum {
  MOST = 8,        // polls that one task waits for at once
  PIECE = 65536,   // bytes read at once
};

/* Lives as long as libuv knows of it, its userdata may be gone before. */
typedef struct poll {
  uv_poll_t handle;
  rt_scheduler *scheduler;
  rt_task *task;   /* that waits for it; NULL: none does */
  int wanted;      /* UV_READABLE or UV_WRITABLE */
  bool ready;
} poll;

/* What one task waits for; stands on its stack. */
typedef struct watch {
  rt_call *line;
  bool console;    /* events of the console as well */
  int count;
  poll *polls[MOST];
} watch;

/* ---- descriptors ---- */

static void poll_fired(uv_poll_t *handle, int status, int events) {
  poll *p = handle->data;
  (void)status, (void)events;  // what is wrong with it, reading or writing will tell
  uv_poll_stop(handle);
  p->ready = true;
  if (p->task && !p->task->ready) rt_task_wake(p->scheduler, p->task);
}

static void poll_closed(uv_handle_t *handle) { free(handle->data); }

static int close_poll(lua_State *L) {
  poll **p = luaL_checkudata(L, 1, POLL);
  if (*p) uv_close((uv_handle_t *)&(*p)->handle, poll_closed);
  *p = NULL;
  return 0;
}

static int wanted_by(const char *mode) {
  return (strchr(mode, 'r') ? UV_READABLE : 0) | (strchr(mode, 'w') ? UV_WRITABLE : 0);
}

static int want(lua_State *L) {
  poll **p = luaL_checkudata(L, 1, POLL);
  if (*p) (*p)->wanted = wanted_by(luaL_checkstring(L, 2));
  return 0;
}

static int wake(lua_State *L) {
  poll **p = luaL_checkudata(L, 1, POLL);
  if (*p && (*p)->task && !(*p)->task->ready) rt_task_wake((*p)->scheduler, (*p)->task);
  return 0;
}

static int new_poll(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  int fd = (int)luaL_checkinteger(L, 1);
  int wanted = wanted_by(luaL_optstring(L, 2, "r"));
  poll **out = lua_newuserdatauv(L, sizeof *out, 0);
  *out = NULL;
  luaL_setmetatable(L, POLL);
  poll *p = calloc(1, sizeof *p);
  if (!p) return luaL_error(L, "not enough memory");
  // libuv makes it non-blocking, which others who share it (a terminal) would feel.
  int flags = fcntl(fd, F_GETFL);
  int status = uv_poll_init(&e->scheduler.loop, &p->handle, fd);
  if (flags >= 0) fcntl(fd, F_SETFL, flags);
  if (status < 0) {
    free(p);
    lua_pushnil(L);
    lua_pushstring(L, uv_strerror(status));
    return 2;
  }
  p->handle.data = p;
  p->scheduler = &e->scheduler;
  p->wanted = wanted;
  *out = p;
  return 1;
}

/* ---- waiting ---- */

static void stop_watch(rt_engine *e, watch *w) {
  for (int i = 0; i < w->count; i++) {
    uv_poll_stop(&w->polls[i]->handle);
    w->polls[i]->task = NULL;
  }
  if (w->console) e->console->waiter = NULL;
}

static void watch_unlink(rt_scheduler *s, rt_task *task) {
  stop_watch((rt_engine *)s, task->wait.other.on);
}

static int push_ready(lua_State *L, rt_engine *e, const watch *w) {
  if (w->console && !e->console->line) e->console->pressed = 0;
  lua_pushinteger(L, w->console ? atomic_exchange(&e->console->events, 0) : 0);
  for (int i = 0; i < w->count; i++) lua_pushboolean(L, w->polls[i]->ready);
  return w->count + 1;
}

static int watch_finish(lua_State *L, rt_task *task) {
  watch *w = task->wait.other.on;
  rt_engine *e = rt_call_of(task)->run->engine;
  stop_watch(e, w);
  return push_ready(L, e, w);
}

static bool watch_over(const rt_task *task) {
  const watch *w = task->wait.other.on;
  return w->line && w->line->gone;
}

static void watch_describe(const rt_task *task, rt_buf *out) {
  const watch *w = task->wait.other.on;
  if (!w->line) {
    rt_buf_text(out, "input");
    return;
  }
  rt_buf_text(out, "the line of call ");
  rt_call_id(w->line, out);
}

static const rt_wait_kind watch_wait = {
    .name = "input", .outside = true, .unlink = watch_unlink, .finish = watch_finish,
    .over = watch_over, .describe = watch_describe};

static int wait_for(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  rt_call *c = rt_call_check(L, e, "console.wait");
  int count = lua_gettop(L) - 1;
  if (count < 0 || count > MOST) return luaL_error(L, "console.wait: too many polls");
  rt_call *line = lua_isnil(L, 1) ? NULL : rt_task_at(L, 1);
  if (line) rt_call_observe(line);
  watch *w = lua_newuserdatauv(L, sizeof *w, 0);
  *w = (watch){.line = line, .console = e->console != NULL && !e->console->waiter};
  bool over = line && line->gone;
  for (int i = 0; i < count; i++) {
    poll **p = luaL_checkudata(L, i + 2, POLL);
    if (!*p || (*p)->task) return luaL_error(L, "console.wait: a poll is closed or waited for");
    (*p)->ready = false;
    w->polls[w->count++] = *p;
  }
  if (over || (w->console && e->console->events)) return push_ready(L, e, w);
  for (int i = 0; i < w->count; i++) {
    poll *p = w->polls[i];
    int status = uv_poll_start(&p->handle, p->wanted, poll_fired);
    if (status < 0) {
      stop_watch(e, w);
      return luaL_error(L, "console.wait: %s", uv_strerror(status));
    }
    p->task = &c->task;
  }
  if (w->console) e->console->waiter = &c->task;
  c->task.wait.other.on = w;
  return rt_task_wait(L, &c->task, &watch_wait);
}

static int begin(lua_State *L) {
  rt_call_check(L, rt_lib_engine(L), "console.begin")->run->lines = true;
  return 0;
}

static int returned(lua_State *L) {
  rt_call *c = rt_call_current(rt_lib_engine(L));
  rt_task *host = c && c->parent ? &c->parent->task : NULL;
  if (!host || host->kind != &watch_wait || host->ready) return 0;
  const watch *w = host->wait.other.on;
  if (w->line == c) rt_task_wake(&c->run->engine->scheduler, host);
  return 0;
}

int rt_lib_read(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1);
  luaL_Buffer buffer;
  char *room = luaL_buffinitsize(L, &buffer, PIECE);
  ssize_t size = read(fd, room, PIECE);
  if (size < 0) {
    lua_pushnil(L);
    if (errno == EAGAIN || errno == EINTR) return 1;
    lua_pushstring(L, strerror(errno));
    return 2;
  }
  luaL_pushresultsize(&buffer, (size_t)size);
  return 1;
}

/* ---- Ctrl-C ---- */

/* console.open(): from now on what happens at the terminal is noted. */
static int open_console(lua_State *L) {
  if (!rt_console_open(rt_lib_engine(L))) return luaL_error(L, "not enough memory");
  return 0;
}

static int foreground(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  lua_settop(L, 1);
  rt_call *c = lua_isnil(L, 1) ? NULL : rt_task_at(L, 1);
  if (e->console) rt_console_set_line(e, c);
  return 0;
}

static int cut(lua_State *L) {
  rt_call *c = rt_task_at(L, 1);
  if (c) rt_call_cut(c);
  return 0;
}

static int guard(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  luaL_checkany(L, 1);
  if (e->console) e->console->guarded = true;
  int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  if (e->console) e->console->guarded = false;
  lua_pushboolean(L, status == LUA_OK);
  lua_insert(L, 1);
  return lua_gettop(L);
}

static int sync_journal(lua_State *L) {
  const rt_engine *e = rt_lib_engine(L);
  if (e->journal) rt_journal_sync(e->journal);
  return 0;
}

static int embedded(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  for (const rt_embedded *file = rt_embedded_files; file->module; file++)
    if (strcmp(file->module, name) == 0)
      return lua_pushlstring(L, (const char *)file->text, file->size), 1;
  return 0;
}

int rt_open_console(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"begin", begin}, {"cut", cut}, {"embedded", embedded}, {"foreground", foreground},
      {"guard", guard}, {"open", open_console}, {"poll", new_poll}, {"read", rt_lib_read},
      {"returned", returned}, {"sync", sync_journal}, {"wait", wait_for}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"close", close_poll}, {"wake", wake}, {"want", want}, {NULL, NULL}};
  rt_engine *e = rt_engine_open(L);
  lua_pop(L, 1);
  luaL_newmetatable(L, POLL);
  lua_pushcfunction(L, close_poll);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, close_poll);
  lua_setfield(L, -2, "__close");
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  lua_createtable(L, 0, 24);
  rt_lib_add(L, e, functions);
  rt_lib_open_execute(L, e);
  rt_lib_open_socket(L, e);
  rt_lib_open_watch(L, e);
  return 1;
}
