/* run.c -- rt.run, what a flow gives it, and how the process is left from inside. */
#include <math.h>

#include "lib.h"

/* The file the body comes from, as a path; valid while the function lives. */
static const char *file_of_body(lua_State *L, int index) {
  lua_Debug ar;
  rt_node_push_body(L, index);
  lua_getinfo(L, ">S", &ar);
  return *ar.source == '@' ? ar.source + 1 : NULL;
}

/* ---- os.exit ---- */

/* core.exit(code, os.exit): cancels the run, which then ends the process. */
static int exit_run(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  rt_call *c = rt_call_current(e);
  e->exit_code = (int)luaL_checkinteger(L, 1);
  if (!e->exit_asked) {
    lua_settop(L, 2);
    e->exit_asked = rt_anchor_put(&e->scheduler, L);
  }
  rt_reason *reason = rt_reason_new("os.exit", 7);
  for (rt_run *r = e->runs; r; r = r->next)
    if (r->root) {
      rt_call_cancel(r->root, reason);
      rt_call_end_shields(r->root);
    }
  rt_reason_unref(reason);
  rt_call_raise_cancelled(L, c);
}

/* core.exit_code() -> what os.exit was called with in the run, or nil */
static int exit_code(lua_State *L) {
  const rt_engine *e = rt_lib_engine(L);
  if (e->exit_asked) lua_pushinteger(L, e->exit_code);
  else lua_pushnil(L);
  return 1;
}

/* Calls the os.exit that was there before ours. */
static int leave(lua_State *L, rt_engine *e) {
  rt_anchor_push(&e->scheduler, L, e->exit_asked);
  lua_pushinteger(L, e->exit_code);
  lua_pushboolean(L, true);
  lua_call(L, 2, 0);
  return 0;
}

/* ---- what rt.run has raised ---- */

static const char raised_key = 'r';  // registry: {error, failure} of the last one outside a run

/* For the error and the failure at the top of L. Does not raise. */
static void keep_raised(lua_State *L) {
  if (!lua_checkstack(L, 2)) return;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &raised_key);
  lua_pushvalue(L, -3);
  lua_rawseti(L, -2, 1);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, 2);
  lua_pop(L, 1);
}

void rt_lib_push_raised(lua_State *L, int index) {
  index = lua_absindex(L, index);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &raised_key);
  lua_rawgeti(L, -1, 1);
  bool same = lua_rawequal(L, -1, index);
  lua_rawgeti(L, -2, 2);
  const rt_failure *f = rt_failure_at(L, -1);
  if (same && f) lua_pushstring(L, f->traceback);
  else lua_pushnil(L);
}

/* ---- running ---- */

/* Runs 'node', whose body stands at 'first' with its arguments behind it up to the top of
 * L; returns its results or raises. */
static int run_and_wait(lua_State *L, rt_engine *e, rt_node *node, int first,
                        const rt_run_options *options, bool raise) {
  rt_call *waiter = rt_call_current(e);
  rt_run_options asked = *options;
  if (!asked.script) asked.script = file_of_body(L, first);
  rt_run *run = rt_run_start(L, e, node, first, &asked);
  if (waiter) {
    waiter->task.wait.other.on = run;
    waiter->task.wait.other.co = L;
    return rt_task_wait(L, &waiter->task, &rt_run_wait);
  }
  rt_engine_loop(e, L, &run->over);
  if (raise && e->exit_asked) return leave(L, e);
  int count = run->count;
  bool failed = run->failed;
  rt_status status = run->status;
  rt_run_unref(run);
  if (!raise) {
    // For the program: whether it went well, and the error with its traceback.
    const rt_failure *f = failed ? rt_failure_at(L, -1) : NULL;
    lua_pushstring(L, rt_status_name(status));
    lua_pushstring(L, f ? f->traceback : "");
    lua_pushvalue(L, failed ? -4 : -3);
    return 3;
  }
  if (!failed) return count;
  keep_raised(L);
  lua_pop(L, 1);
  return lua_error(L);
}

/* Whether a run may be started here; raises if not. */
static void check_run(lua_State *L, rt_engine *e) {
  if (!e->L) rt_error_raise(L, "usage", "rt.run: Lua is closing");
  if (rt_call_current(e)) rt_call_check(L, e, "rt.run");
  else if (e->scheduler.from)
    rt_error_raise(L, "usage", "rt.run inside a callback of the event loop");
}

static int run(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  check_run(L, e);
  rt_node *node = rt_lib_node(L, e, 1, "rt.run");
  return run_and_wait(L, e, node, 1, &(rt_run_options){0}, true);
}

/* core.run_with({name=, timeout=, context=, stop_on_error=}, node, ...): as rt.run. Called by
 * railtracks/flow.lua, which checks the options; the context becomes the run's own. */
static int run_with(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  rt_run_options options = {0};
  luaL_checktype(L, 1, LUA_TTABLE);
  check_run(L, e);
  rt_node *node = rt_lib_node(L, e, 2, "rt.run");
  luaL_checkstack(L, LUA_MINSTACK, "too many arguments");
  lua_getfield(L, 1, "name");
  options.name.data = lua_tolstring(L, -1, &options.name.size);  // stays in the table
  lua_getfield(L, 1, "timeout");
  lua_Number timeout = lua_tonumber(L, -1);
  options.timeout = timeout < HUGE_VAL ? timeout : 0;
  lua_getfield(L, 1, "stop_on_error");
  options.stop_on_error = lua_toboolean(L, -1);
  lua_pop(L, 3);
  if (lua_getfield(L, 1, "context") == LUA_TTABLE) options.context = 2;
  lua_insert(L, 2);
  return run_and_wait(L, e, node, 3, &options, true);
}

/* core.run_script(name, path or nil, function, ...) -> status, traceback, error */
static int run_script(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  rt_run_options options = {0};
  options.name.data = luaL_checklstring(L, 1, &options.name.size);
  options.script = lua_tostring(L, 2);
  luaL_checktype(L, 3, LUA_TFUNCTION);
  check_run(L, e);
  rt_node *node = rt_lib_push_node(L, options.name.data, options.name.size);
  lua_insert(L, 3);
  return run_and_wait(L, e, node, 4, &options, false);
}

/* ---- what the calls of a run share ---- */

/* core.context() -> the table of the current run, nil outside a run */
static int context(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  const rt_call *c = rt_call_current(e);
  if (!c) return lua_pushnil(L), 1;
  if (!c->run->context) {
    lua_createtable(L, 0, 0);
    c->run->context = rt_anchor_put(&e->scheduler, L);
  }
  rt_anchor_push(&e->scheduler, L, c->run->context);
  return 1;
}

void rt_lib_open_run(lua_State *L, rt_engine *e) {
  static const luaL_Reg functions[] = {
      {"context", context}, {"exit", exit_run}, {"exit_code", exit_code}, {"run", run},
      {"run_script", run_script}, {"run_with", run_with}, {NULL, NULL}};
  rt_lib_add(L, e, functions);
  lua_createtable(L, 2, 0);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &raised_key);
}
