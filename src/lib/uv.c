/* uv.c -- rt.uv: luv, which has all that libuv has, on the engine's own loop.
 *
 * luv is a library of its own, found as Lua finds modules and loaded when it is first
 * asked for. It keeps what it needs to know in the Lua state, so that each engine has its
 * own. Before it opens it is told our loop, and that its callbacks are run by us: its own
 * way with an error in one is to end the process.
 */
#include <dlfcn.h>
#include <signal.h>

#include "callback.h"
#include "lib.h"

/* Of luv.h, which only those need who build with it. */
typedef int (*call_back)(lua_State *L, int nargs, int nresults, int flags);

typedef struct luv {
  void (*set_loop)(lua_State *L, uv_loop_t *loop);
  void (*set_callback)(lua_State *L, call_back run);
  uv_loop_t *(*loop)(lua_State *L);
  lua_CFunction open;
} luv;

static int run_callback(lua_State *L, int nargs, int nresults, int flags) {
  int top = lua_gettop(L) - nargs - 1;
  (void)flags;
  if (!rt_callback_run(L, nargs, nresults)) return -LUA_ERRRUN;
  return lua_gettop(L) - top;
}

/* Never closed: its handles outlive everything else in the state. */
static void find_luv(lua_State *L, const char *path, luv *out) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  const char *problem = library ? NULL : dlerror();
  if (library) {
    static const char *const names[] = {"luv_set_loop", "luv_set_callback", "luv_loop",
                                        "luaopen_luv"};
    void *found[4];
    for (int i = 0; i < 4 && !problem; i++)
      if (!(found[i] = dlsym(library, names[i])))
        problem = lua_pushfstring(L, "it has no %s", names[i]);
    if (!problem) {
      memcpy(&out->set_loop, &found[0], sizeof found[0]);
      memcpy(&out->set_callback, &found[1], sizeof found[1]);
      memcpy(&out->loop, &found[2], sizeof found[2]);
      memcpy(&out->open, &found[3], sizeof found[3]);
      return;
    }
  }
  rt_error_raise(L, "usage", "rt.uv: %s cannot be used: %s", path, problem);
}

/* core.open_uv(path of luv) -> the module. Once. */
static int open_uv(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  uv_loop_t *loop = &e->scheduler.loop;
  luv functions;
  find_luv(L, luaL_checkstring(L, 1), &functions);
  uv_loop_t *other = functions.loop(L);
  if (other && other != loop)
    rt_error_raise(L, "usage", "rt.uv: luv was loaded before railtracks, with a loop of its own: "
                   "require 'railtracks' first");
  functions.set_loop(L, loop);
  functions.set_loop(e->scheduler.own, loop);  // callbacks run there
  functions.set_callback(L, run_callback);
  lua_pushcfunction(L, functions.open);
  lua_pushliteral(L, "luv");
  lua_call(L, 1, 1);
  // What writes to a pipe or socket that nobody reads is to get an error, as with any libuv.
  struct sigaction pipe;
  if (sigaction(SIGPIPE, NULL, &pipe) == 0 && pipe.sa_handler == SIG_DFL)
    signal(SIGPIPE, SIG_IGN);
  return 1;
}

/* core.error_message("ENOENT") -> "no such file or directory"; the name itself if libuv does
 * not know it. */
static int error_message(lua_State *L) {
  static const struct {
    const char *name, *message;
  } errors[] = {
#define ERROR(name, message) {#name, message},
      UV_ERRNO_MAP(ERROR)
#undef ERROR
  };
  const char *name = luaL_checkstring(L, 1);
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
    if (strcmp(errors[i].name, name) == 0) name = errors[i].message;
  lua_pushstring(L, name);
  return 1;
}

/* ---- what must not be luv's own ---- */

/* uv.run(mode), outside a run only: the loop is not to be run inside itself. Upvalues: the
 * engine, luv's own. */
static int run_loop(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  if (e->scheduler.from)
    rt_error_raise(L, "usage", "rt.uv.run inside a run: its loop runs already; wait with rt.await");
  if (!e->L) rt_error_raise(L, "usage", "rt.uv.run: Lua is closing");
  int count = lua_gettop(L);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  e->scheduler.from = L;
  int status = lua_pcall(L, count, LUA_MULTRET, 0);
  e->scheduler.from = NULL;
  if (status != LUA_OK || rt_callback_push_stray(L, e)) return lua_error(L);
  return lua_gettop(L);
}

/* uv.walk(fn): fn(handle) for each handle of rt.uv. Luv's own cannot tell them from those of
 * the engine; here they are found where luv keeps them. */
static int walk(lua_State *L) {
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  lua_getfield(L, LUA_REGISTRYINDEX, "uv_handle");  // 2: the classes of its handles
  lua_createtable(L, 0, 0);                         // 3: those found
  lua_Integer count = 0;
  for (lua_pushnil(L); lua_next(L, LUA_REGISTRYINDEX); lua_pop(L, 1)) {
    if (!lua_isinteger(L, -2) || lua_type(L, -1) != LUA_TUSERDATA || !lua_getmetatable(L, -1))
      continue;
    bool handle = lua_rawget(L, 2) != LUA_TNIL;
    lua_pop(L, 1);
    if (!handle) continue;
    lua_pushvalue(L, -1);
    lua_rawseti(L, 3, ++count);
  }
  for (lua_Integer i = 1; i <= count; i++) {
    lua_pushvalue(L, 1);
    lua_rawgeti(L, 3, i);
    lua_call(L, 1, 0);
  }
  return 0;
}

/* ---- the end ----
 *
 * Where Lua is closed, luv frees what libuv still uses: handles whose close callback has not
 * come yet, and the code of work that a thread is about to run. So we wait before that.
 */

enum { FOR_EVER = INT32_MAX };  // seconds

/* The __gc of a class of handles. Upvalues: the engine, luv's own. */
static int end_handle(lua_State *L) {
  enum { CLOSING = 1, CLOSED = 2 };  // of libuv's flags
  uv_handle_t *const *handle = lua_touserdata(L, 1);
  // Luv keeps it from the collector until its close callback has been called.
  if (*handle && ((*handle)->flags & (CLOSING | CLOSED)) == CLOSING)
    rt_engine_settle(rt_lib_engine(L), FOR_EVER * INT64_C(1000000000));
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  lua_call(L, 1, 0);
  return 0;
}

static const char guard_class = 'g';  // registry: the metatable of guards
static const char guard_key = 'k';    // and the newest guard

/* Not of a guard that a newer one has taken the place of. */
static int end_guard(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &guard_key);
  if (lua_rawequal(L, 1, -1))
    rt_engine_settle(*(rt_engine **)lua_touserdata(L, 1), FOR_EVER * INT64_C(1000000000));
  return 0;
}

/* uv.queue_work. What was made last is finalized first: a guard is. Upvalues: the engine,
 * luv's own. */
static int queue_work(lua_State *L) {
  rt_engine **guard = lua_newuserdatauv(L, sizeof *guard, 0);
  *guard = rt_lib_engine(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &guard_class);
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &guard_key);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

/* Puts 'f' in the place of a field of the table at the top, which is its second upvalue. */
static void replace(lua_State *L, const char *field, lua_CFunction f) {
  lua_pushlightuserdata(L, rt_lib_engine(L));
  if (lua_getfield(L, -2, field) == LUA_TNIL) luaL_error(L, "luv has no %s", field);
  lua_pushcclosure(L, f, 2);
  lua_setfield(L, -2, field);
}

/* core.guard_uv(uv): puts these in their places. */
static int guard_uv(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  replace(L, "run", run_loop);
  replace(L, "walk", walk);
  replace(L, "queue_work", queue_work);
  luaL_getmetatable(L, "luv_work_ctx");
  lua_getfield(L, -1, "__index");
  replace(L, "queue", queue_work);
  lua_getfield(L, LUA_REGISTRYINDEX, "uv_handle");  // its keys are the classes
  for (lua_pushnil(L); lua_next(L, -2);) {
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    replace(L, "__gc", end_handle);
    lua_pop(L, 1);
  }
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, end_guard);
  lua_setfield(L, -2, "__gc");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &guard_class);
  return 0;
}

void rt_lib_open_uv(lua_State *L, rt_engine *e) {
  static const luaL_Reg functions[] = {
      {"error_message", error_message}, {"guard_uv", guard_uv}, {"open_uv", open_uv}, {NULL, NULL}};
  rt_lib_add(L, e, functions);
}
