/* resume.c -- rt.await(start): waits until a function it has given out is called.
 *
 *   local err, stat = rt.await(function(resume, fail)
 *     local request = uv.fs_stat(path, resume)
 *     return function() request:cancel() end
 *   end)
 *
 * 'resume' and 'fail' share one userdata with the one who waits. Whichever is called first
 * ends the wait, from wherever it is called: in a callback, by another task, or by 'start'
 * itself. What is called later does nothing, and returns false.
 */
#include "lib.h"
#include "log.h"

typedef enum state { STARTING, WAITING, OVER } state;

typedef struct await {
  rt_task *task;    /* while WAITING */
  rt_place site;    /* of the rt.await */
  state state;
  bool resumed;     /* with the values in its user value, before anybody waited */
  bool failed;      /* and what they are is an error */
} await;

/* On the stack of rt.await: start, the await, then what start has returned. */
enum { START = 1, AWAIT, CANCEL };

/* ---- resume(...) -> true if that has ended the wait; fail(error) likewise ---- */

static int end(lua_State *L, bool failed) {
  rt_engine *e = rt_lib_engine(L);
  await *a = lua_touserdata(L, lua_upvalueindex(2));
  int count = lua_gettop(L);
  if (a->state == OVER || a->resumed) {
    lua_pushboolean(L, false);
    return 1;
  }
  if (a->state == STARTING) {
    luaL_checkstack(L, 4, NULL);
    lua_createtable(L, count, 1);
    lua_insert(L, 1);
    for (int i = count; i > 0; i--) lua_rawseti(L, 1, i);
    lua_pushinteger(L, count);
    lua_setfield(L, 1, "n");
    lua_setiuservalue(L, lua_upvalueindex(2), 1);
    a->resumed = true;
  } else {
    rt_task *task = a->task;
    if (!lua_checkstack(task->wait.other.co, count + 4))
      return luaL_error(L, "not enough memory for %d values", count);
    lua_xmove(L, task->wait.other.co, count);
    task->wait.other.count = count;
    a->state = OVER;
    a->task = NULL;
    rt_task_wake(&e->scheduler, task);
  }
  a->failed = failed;
  lua_pushboolean(L, true);
  return 1;
}

static int resume(lua_State *L) { return end(L, false); }

static int fail(lua_State *L) {
  lua_settop(L, 1);
  return end(L, true);
}

/* ---- waiting ---- */

static int awaited(lua_State *L, rt_task *task) {
  const await *a = task->wait.other.on;
  return a->failed ? lua_error(L) : task->wait.other.count;
}

static void unlink_await(rt_scheduler *s, rt_task *task) {
  await *a = task->wait.other.on;
  (void)s;
  a->state = OVER;
  a->task = NULL;
}

/* Calls what start has returned. It cannot wait; what it raises does not stand in the way of
 * the cancellation that it is called for. */
static void call_cancel(lua_State *L, rt_call *c) {
  if (lua_isnil(L, CANCEL) || !lua_checkstack(L, LUA_MINSTACK)) return;
  lua_pushvalue(L, CANCEL);
  if (lua_pcall(L, 0, 0, 0) == LUA_OK) return;
  rt_buf text = {0};
  rt_error_text(L, -1, &text);
  rt_log(RT_LOG_WARNING, "the cancel function of an rt.await failed: %.*s", (int)text.size,
         text.data ? text.data : "");
  static const char begin[] = "\nand the cancel function of its rt.await failed: ";
  rt_call_add_second(c, begin, sizeof begin - 1);
  rt_call_add_second(c, text.data, text.size);
  rt_buf_free(&text);
  lua_pop(L, 1);
}

static void interrupted(lua_State *L, rt_task *task) {
  const rt_wait_kind *kind = task->kind;
  task->kind = NULL;  // it runs
  call_cancel(L, rt_call_of(task));
  task->kind = kind;
}

static void describe(const rt_task *task, rt_buf *out) {
  const await *a = task->wait.other.on;
  rt_text file = rt_place_file(&rt_call_of(task)->run->engine->places, a->site);
  rt_buf_text(out, "rt.await");
  if (file.data)
    rt_buf_printf(out, " (at %.*s:%u)", (int)file.size, file.data, a->site.line);
}

static const rt_wait_kind await_wait = {
    .name = "rt.await", .outside = true, .unlink = unlink_await, .finish = awaited,
    .interrupted = interrupted, .describe = describe};

static int push_values(lua_State *L) {
  lua_getiuservalue(L, AWAIT, 1);
  int table = lua_gettop(L);
  lua_getfield(L, table, "n");
  int count = (int)lua_tointeger(L, -1);
  luaL_checkstack(L, count + 1, "too many values");
  lua_settop(L, table);
  for (int i = 1; i <= count; i++) lua_rawgeti(L, table, i);
  return count;
}

/* start has returned. */
static int started(lua_State *L, int status, lua_KContext context) {
  rt_engine *e = rt_lib_engine(L);
  rt_call *c = rt_call_current(e);
  await *a = lua_touserdata(L, AWAIT);
  (void)status, (void)context;
  lua_settop(L, CANCEL);
  if (a->resumed) {
    a->state = OVER;
    int count = push_values(L);
    return a->failed ? lua_error(L) : count;
  }
  if (!lua_isnil(L, CANCEL) && lua_type(L, CANCEL) != LUA_TFUNCTION &&
      luaL_getmetafield(L, CANCEL, "__call") == LUA_TNIL) {
    a->state = OVER;
    rt_error_raise(L, "usage", "rt.await: the function must return a function that cancels, or "
                   "nothing, got %s", luaL_typename(L, CANCEL));
  }
  lua_settop(L, CANCEL);
  c->task.wait.other.on = a;
  c->task.wait.other.co = L;
  if (rt_call_unwinds(c)) {  // start has waited meanwhile, or cancelled its own call
    unlink_await(&e->scheduler, &c->task);
    call_cancel(L, c);
    c->task.kind = &await_wait;
    rt_call_raise_cancelled(L, c);
  }
  a->state = WAITING;
  a->task = &c->task;
  return rt_task_wait(L, &c->task, &await_wait);
}

static void push_end(lua_State *L, rt_engine *e, lua_CFunction f) {
  lua_pushlightuserdata(L, e);
  lua_pushvalue(L, AWAIT);
  lua_pushcclosure(L, f, 2);
}

static int await_callback(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  rt_call_check(L, e, "rt.await");
  if (lua_type(L, START) != LUA_TFUNCTION)
    rt_error_raise(L, "usage", "rt.await: argument 1: expected a function, got %s",
                   lua_isnone(L, START) ? "nothing" : luaL_typename(L, START));
  lua_settop(L, START);
  await *a = lua_newuserdatauv(L, sizeof *a, 1);
  *a = (await){.state = STARTING, .site = rt_place_here(&e->places, L)};
  lua_pushvalue(L, START);
  push_end(L, e, resume);
  push_end(L, e, fail);
  lua_callk(L, 2, 1, 0, started);
  return started(L, LUA_OK, 0);
}

void rt_lib_open_resume(lua_State *L, rt_engine *e) {
  static const luaL_Reg functions[] = {{"await", await_callback}, {NULL, NULL}};
  rt_lib_add(L, e, functions);
}
