/* gate.c -- may this coroutine wait, now? Asked before anything is started. */
#include <lauxlib.h>

#include "callback.h"

/* What to write instead, for those functions of Lua that are met most. */
static const struct {
  const char *name, *instead;
} advice[] = {
    {"table.sort", "make the values to compare first, sort afterwards"},
    {"string.gsub", "collect the matches with string.gmatch, wait, and replace from a table"},
    {"require", "use rt.require"},
    {"load", "collect the pieces first"},
    {"dofile", "use loadfile and call what it returns"},
    {"table.concat", "make the strings first"},
    {"print", "make the text first, not in __tostring"},
    {"tostring", "use a method of another name than __tostring"},
    {"error", "handlers of xpcall cannot wait: wait after xpcall has returned"},
    {"a finalizer (__gc)", "spawn a task that waits"},
};

static const char *advice_for(const char *name) {
  for (size_t i = 0; i < sizeof advice / sizeof *advice; i++)
    if (strcmp(name, advice[i].name) == 0) return advice[i].instead;
  return "collect first, wait afterwards";
}

/* Pushes the name of the C function that cannot be left: the innermost one on 'co' that is
 * not ours, with the place it was called at. */
static void push_culprit(lua_State *L, lua_State *co, const rt_engine *e) {
  lua_Debug ar;
  luaL_checkstack(L, 10, NULL);
  for (int level = co == L ? 1 : 0; lua_checkstack(co, 4) && lua_getstack(co, level, &ar);
       level++) {
    lua_getinfo(co, "Snf", &ar);
    if (strcmp(ar.namewhat, "metamethod") == 0 && strcmp(ar.name, "__gc") == 0) {
      lua_pop(co, 1);
      lua_pushliteral(L, "a finalizer (__gc)");
      return;
    }
    bool ours = *ar.what != 'C';
    if (!ours && lua_getupvalue(co, -1, 1)) {
      ours = lua_touserdata(co, -1) == e;
      lua_pop(co, 1);
    }
    if (ours) {
      lua_pop(co, 1);
      continue;
    }
    if (co != L) lua_xmove(co, L, 1);
    rt_place_push_name(L, -1);
    lua_remove(L, -2);
    if (lua_isstring(L, -1)) return;
    lua_pop(L, 1);
    lua_Debug caller;
    if (lua_getstack(co, level + 1, &caller)) {
      lua_getinfo(co, "Sl", &caller);
      if (caller.currentline > 0) {
        const char *file = *caller.source == '@' ? caller.source + 1 : caller.short_src;
        lua_pushfstring(L, "a C function called at %s:%d", file, caller.currentline);
        return;
      }
    }
    break;
  }
  lua_pushliteral(L, "a C function");
}

static _Noreturn void refuse(lua_State *L, const rt_engine *e, const char *what) {
  push_culprit(L, e->scheduler.stuck ? e->scheduler.stuck : L, e);
  const char *name = lua_tostring(L, -1);
  rt_error_raise(L, "usage", "%s cannot wait inside %s, which Lua cannot leave: %s", what, name,
                 advice_for(name));
}

_Noreturn void rt_call_refuse_outside(lua_State *L, const rt_engine *e, const char *what) {
  if (rt_callback_runs(e))
    rt_error_raise(L, "usage", "%s inside a callback of the event loop: no call runs there; let "
                   "a task wait for the callback with rt.await", what);
  rt_error_raise(L, "usage", "%s outside a run: start one with rt.run(node, ...)", what);
}

rt_call *rt_call_check(lua_State *L, rt_engine *e, const char *what) {
  rt_call *c = rt_call_current(e);
  if (!c) rt_call_refuse_outside(L, e, what);
  if (L != e->scheduler.active)
    rt_error_raise(L, "usage", "%s cannot wait in a coroutine resumed by Lua's own "
                   "coroutine.resume or wrap, kept before require 'railtracks'", what);
  if (e->scheduler.stuck || !lua_isyieldable(L)) refuse(L, e, what);
  if (c->cancelled) rt_call_check_cleanup(L, c);
  return c;
}
