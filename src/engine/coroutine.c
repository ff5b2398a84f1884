#include "coroutine.h"

#include <lauxlib.h>

#include "engine.h"
#include "protect.h"
#include "trace.h"

static rt_engine *engine(lua_State *L) { return lua_touserdata(L, lua_upvalueindex(1)); }

/* ---- the bottom of a coroutine that is resumed in a task ----
 *
 * Its <close> variables may only wait if a protected call that can yield stands below them;
 * Lua itself would leave them to whoever closes the dead coroutine.
 */

static const char failed_key = 'f';    // registry: a weak table, failed coroutine -> frames

/* What closes a variable gets no error then, as in Lua. */
bool rt_coroutine_is_closing(lua_State *L) { return rt_coroutine_closing(L) && lua_isnil(L, -1); }

static int body_over(lua_State *L, int status, lua_KContext context) {
  (void)context;
  if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - 1;
  if (rt_coroutine_is_closing(L)) return 0;
  return lua_error(L);
}

/* Remembers the frames for debug.traceback, and where the error began. */
static int body_failed(lua_State *L) {
  rt_engine *e = rt_engine_of(L);
  rt_call *c = rt_call_current(e);
  lua_settop(L, 1);
  rt_coroutine_set_failed(L);
  if (!c || rt_coroutine_is_closing(L)) return 1;
  rt_call_note_failure(L, c, 1);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &failed_key) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &failed_key);
  }
  lua_pushthread(L);
  rt_trace_push_frames(L);
  lua_rawset(L, 2);
  lua_settop(L, 1);
  return 1;
}

int rt_coroutine_body(lua_State *L) {
  lua_pushcfunction(L, body_failed);
  lua_insert(L, 1);
  return body_over(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, 0, body_over), 0);
}

/* ---- resuming ---- */

enum { FAILED = -1, WAITS = -2 };

/* Resumes 'co' with 'count' values that stand on it. Returns the number of results, now on
 * L; or FAILED with the error on L; or WAITS: a task waits inside, so L must yield. */
static int step(lua_State *L, rt_engine *e, lua_State *co, int count) {
  rt_scheduler *s = &e->scheduler;
  lua_State *active = s->active, *stuck = s->stuck;
  int results;
  s->active = co;
  if (!stuck && !lua_isyieldable(L)) s->stuck = L;
  int status = lua_resume(co, L, count, &results);
  s->active = active;
  s->stuck = stuck;
  if (s->hooked == co) rt_scheduler_move_hook(s);
  if (status == LUA_YIELD && s->current && s->current->kind) {
    rt_coroutine_mark(co, true);
    return WAITS;
  }
  if (status == LUA_OK || status == LUA_YIELD) {
    if (lua_checkstack(L, results + 1)) {
      lua_xmove(co, L, results);
      return results;
    }
    lua_pop(co, results);
    lua_pushliteral(L, "too many results to resume");
    return FAILED;
  }
  lua_xmove(co, L, 1);
  return FAILED;
}

/* The same for the 'count' values at the top of L, after what Lua checks. */
static int start(lua_State *L, rt_engine *e, lua_State *co, int count) {
  lua_Debug ar;
  if (rt_coroutine_marked(co) && co != L) {
    lua_pushliteral(L, "cannot resume non-suspended coroutine");
    return FAILED;
  }
  if (!lua_checkstack(co, count + 2)) {
    lua_pushliteral(L, "too many arguments to resume");
    return FAILED;
  }
  if (lua_status(co) == LUA_OK && e->scheduler.current && lua_gettop(co) == 1 &&
      !lua_getstack(co, 0, &ar)) {
    lua_pushcfunction(co, rt_coroutine_body);
    lua_insert(co, 1);
    lua_xmove(L, co, count);
    return step(L, e, co, count + 1);
  }
  lua_xmove(L, co, count);
  return step(L, e, co, count);
}

static lua_State *check_coroutine(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  if (!co) luaL_typeerror(L, 1, "thread");
  return co;
}

/* ---- coroutine.create, coroutine.resume ---- */

int rt_coroutine_create(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_State *co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  return 1;
}

static int resumed(lua_State *L, int status, lua_KContext since);

static int end_resume(lua_State *L, int results, lua_KContext since) {
  if (results == WAITS) {
    lua_settop(L, 1);
    return lua_yieldk(L, 0, since, resumed);
  }
  if (results == FAILED && rt_protect_passes(L, engine(L), since)) return lua_error(L);
  lua_pushboolean(L, results != FAILED);
  if (results == FAILED) results = 1;
  lua_insert(L, -(results + 1));
  return results + 1;
}

static int resumed(lua_State *L, int status, lua_KContext since) {
  lua_State *co = lua_tothread(L, 1);
  (void)status;
  rt_coroutine_mark(co, false);
  return end_resume(L, step(L, engine(L), co, 0), since);
}

int rt_coroutine_resume(lua_State *L) {
  lua_State *co = check_coroutine(L);
  rt_engine *e = engine(L);
  lua_KContext since = rt_protect_enter(e);
  return end_resume(L, start(L, e, co, lua_gettop(L) - 1), since);
}

/* ---- coroutine.wrap ---- */

static int wrap_resumed(lua_State *L, int status, lua_KContext context);

static lua_State *wrapped(lua_State *L) { return lua_tothread(L, lua_upvalueindex(2)); }

static int end_wrap(lua_State *L, int results) {
  if (results == WAITS) {
    lua_settop(L, 0);
    return lua_yieldk(L, 0, 0, wrap_resumed);
  }
  if (results != FAILED) return results;
  lua_State *co = wrapped(L);
  int status = lua_status(co);
  if (status != LUA_OK && status != LUA_YIELD) {
    // What was not closed, because it was started outside tasks, is closed here.
    status = lua_resetthread(co);
    lua_xmove(co, L, 1);
  }
  if (!engine(L)->scheduler.current && status != LUA_ERRMEM &&
      lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int wrap_resumed(lua_State *L, int status, lua_KContext context) {
  (void)status, (void)context;
  rt_coroutine_mark(wrapped(L), false);
  return end_wrap(L, step(L, engine(L), wrapped(L), 0));
}

static int call_wrapped(lua_State *L) {
  return end_wrap(L, start(L, engine(L), wrapped(L), lua_gettop(L)));
}

int rt_coroutine_wrap(lua_State *L) {
  rt_coroutine_create(L);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, -2);
  lua_pushcclosure(L, call_wrapped, 2);
  return 1;
}

/* ---- coroutine.yield ---- */

/* Whether L is where the running call stands: there is no coroutine of the user's between. */
static bool is_home(lua_State *L, const rt_engine *e) {
  const rt_task *task = e->scheduler.current;
  return task && L == task->co;
}

static int yield_over(lua_State *L, int status, lua_KContext context) {
  (void)status, (void)context;
  if (!rt_coroutine_closing(L)) return lua_gettop(L);
  lua_pushnil(L);
  return lua_error(L);
}

/* Whether what closes variables runs on L, on the way out of it. Whoever has resumed it
 * would take a yield for a sign of life, and the error would be lost. */
static bool is_leaving(lua_State *L, rt_engine *e) {
  rt_call *c = rt_call_current(e);
  return c && (c->delivered || rt_coroutine_suspect(L)) && rt_protect_is_leaving(L, c);
}

int rt_coroutine_yield(lua_State *L) {
  rt_engine *e = engine(L);
  if (is_home(L, e))
    rt_error_raise(L, "usage", "coroutine.yield outside a coroutine: a task waits with "
                   "rt.sleep, rt.call and the like");
  if (is_leaving(L, e)) {
    lua_pushliteral(L, "attempt to yield across a C-call boundary");  // as in Lua
    return lua_error(L);
  }
  return lua_yieldk(L, lua_gettop(L), 0, yield_over);
}

/* ---- coroutine.close ---- */

static const char *status_of(lua_State *L, lua_State *co) {
  lua_Debug ar;
  if (L == co) return "running";
  if (rt_coroutine_marked(co)) return "normal";
  switch (lua_status(co)) {
    case LUA_YIELD: return "suspended";
    case LUA_OK:
      if (lua_getstack(co, 0, &ar)) return "normal";
      return lua_gettop(co) == 0 ? "dead" : "suspended";
    default: return "dead";
  }
}

static int close_now(lua_State *L, lua_State *co) {
  int status = lua_resetthread(co);
  bool closed = status == LUA_OK || rt_coroutine_is_closing(co);
  rt_coroutine_set_closing(co, false);
  lua_pushboolean(L, closed);
  if (lua_toboolean(L, -1)) {
    lua_settop(co, 0);
    return 1;
  }
  lua_xmove(co, L, 1);
  return 2;
}

static int close_resumed(lua_State *L, int status, lua_KContext since);

static int end_close(lua_State *L, int results, lua_KContext since) {
  lua_State *co = lua_tothread(L, 1);
  if (results == WAITS) {
    lua_settop(L, 1);
    return lua_yieldk(L, 0, since, close_resumed);
  }
  // It ended, or it has caught the error and yielded, or was started outside tasks.
  if (results != FAILED || lua_isnil(L, -1)) {
    lua_settop(L, 1);
    return close_now(L, co);
  }
  rt_coroutine_set_closing(co, false);
  lua_resetthread(co);
  lua_settop(co, 0);
  if (rt_protect_passes(L, engine(L), since)) return lua_error(L);
  lua_pushboolean(L, false);
  lua_insert(L, -2);
  return 2;
}

static int close_resumed(lua_State *L, int status, lua_KContext since) {
  lua_State *co = lua_tothread(L, 1);
  (void)status;
  rt_coroutine_mark(co, false);
  return end_close(L, step(L, engine(L), co, 0), since);
}

int rt_coroutine_close(lua_State *L) {
  rt_engine *e = engine(L);
  lua_State *co = check_coroutine(L);
  lua_Debug ar;
  const char *status = status_of(L, co);
  if (strcmp(status, "suspended") != 0 && strcmp(status, "dead") != 0)
    return luaL_error(L, "cannot close a %s coroutine", status);
  lua_settop(L, 1);
  if (!e->scheduler.current || lua_status(co) != LUA_YIELD || !lua_checkstack(co, 4) ||
      !lua_getstack(co, 0, &ar))
    return close_now(L, co);
  lua_getinfo(co, "f", &ar);
  bool ours = lua_tocfunction(co, -1) == rt_coroutine_yield;
  lua_pop(co, 1);
  if (!ours) return close_now(L, co);
  // It is unwound by an error of its own, so that what it closes may wait.
  rt_coroutine_set_closing(co, true);
  lua_KContext since = rt_protect_enter(e);
  return end_close(L, step(L, e, co, 0), since);
}

/* ---- coroutine.status, running, isyieldable ---- */

int rt_coroutine_status(lua_State *L) {
  lua_pushstring(L, status_of(L, check_coroutine(L)));
  return 1;
}

/* In a task and outside a coroutine of the user's it is as in the main program. */
int rt_coroutine_running(lua_State *L) {
  int main = lua_pushthread(L);
  lua_pushboolean(L, main || is_home(L, engine(L)));
  return 2;
}

int rt_coroutine_isyieldable(lua_State *L) {
  lua_State *co = lua_isnone(L, 1) ? L : check_coroutine(L);
  bool barred = co == L && (is_home(L, engine(L)) || is_leaving(L, engine(L)));
  lua_pushboolean(L, lua_isyieldable(co) && !barred);
  return 1;
}

/* ---- frames ---- */

int rt_coroutine_chain(lua_State *base, lua_State *chain[RT_COROUTINES_DEEP]) {
  lua_Debug ar;
  int count = 0;
  for (lua_State *co = base; co && count < RT_COROUTINES_DEEP;) {
    chain[count++] = co;
    if (!lua_checkstack(co, 4) || !lua_getstack(co, 0, &ar)) break;
    lua_getinfo(co, "f", &ar);
    lua_CFunction f = lua_tocfunction(co, -1);
    lua_State *inner = NULL;
    if (f == call_wrapped) {
      lua_getupvalue(co, -1, 2);
      inner = lua_tothread(co, -1);
      lua_pop(co, 1);
    } else if ((f == rt_coroutine_resume || f == rt_coroutine_close) &&
               lua_getlocal(co, &ar, 1)) {
      inner = lua_tothread(co, -1);
      lua_pop(co, 1);
    }
    lua_pop(co, 1);
    co = inner;
  }
  return count;
}

int rt_coroutine_traceback(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  int message = co ? 2 : 1;
  if (!lua_isnoneornil(L, message) && !lua_isstring(L, message)) {
    lua_pushvalue(L, message);  // as in Lua: returned untouched
    return 1;
  }
  int level = (int)luaL_optinteger(L, message + 1, co && co != L ? 0 : 1);
  const char *text = lua_tostring(L, message);
  lua_settop(L, 3);
  if (co && status_of(L, co)[0] == 'd' &&
      lua_rawgetp(L, LUA_REGISTRYINDEX, &failed_key) == LUA_TTABLE) {
    lua_pushvalue(L, 1);
    if (lua_rawget(L, -2) == LUA_TSTRING) {
      lua_pushfstring(L, "%s%s%s", text ? text : "", text ? "\n" : "", lua_tostring(L, -1));
      return 1;
    }
  }
  luaL_traceback(L, co ? co : L, text, level);
  return 1;
}
