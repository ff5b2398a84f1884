#include "protect.h"

#include <lauxlib.h>

#include "coroutine.h"
#include "engine.h"
#include "memory.h"
#include "trace.h"

static rt_engine *engine(lua_State *L) { return lua_touserdata(L, lua_upvalueindex(1)); }

/* ---- what passes ---- */

lua_KContext rt_protect_enter(const rt_engine *e) { return e->told; }

/* A call that could not note when it was told, for want of memory, stops nothing. */
static bool told_since(const rt_call *c, uint32_t since) {
  return c && c->delivered && (!c->rare || (int32_t)(c->rare->told_at - since) > 0);
}

bool rt_protect_passes(lua_State *L, rt_engine *e, lua_KContext since) {
  rt_call *c = rt_call_current(e);
  if (c && rt_memory_refused(e)) {  // a heap over its limit ends the run, whoever catches it
    rt_memory_fail(c);
    c->fatal = true;
    rt_protect_tell(c);
  }
  if (e->told != (uint32_t)since && told_since(c, (uint32_t)since)) return true;
  return rt_coroutine_is_closing(L);
}

void rt_protect_tell(rt_call *c) {
  rt_engine *e = c->run->engine;
  rt_call_rare *rare = rt_call_rare_of(c);
  e->told++;
  if (rare) {
    rare->told_at = e->told;
    if (!c->delivered) rare->unwinding = rt_scheduler_now(&e->scheduler);
  }
  c->delivered = true;
}

/* ---- pcall ---- */

static int pcall_over(lua_State *L, int status, lua_KContext since) {
  if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L);
  if (rt_protect_passes(L, engine(L), since)) return lua_error(L);
  lua_pushboolean(L, false);
  lua_insert(L, -2);
  return 2;
}

int rt_protect_pcall(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, true);
  lua_insert(L, 1);
  lua_KContext since = rt_protect_enter(engine(L));
  int status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, since, pcall_over);
  return pcall_over(L, status, since);
}

/* ---- xpcall ---- */

/* Stands in for the handler, which is not to see what will pass anyway. Upvalues: the
 * engine, the handler, the count. */
static int handle(lua_State *L) {
  lua_settop(L, 1);
  if (rt_protect_passes(L, engine(L), lua_tointeger(L, lua_upvalueindex(3)))) return 1;
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

static int xpcall_over(lua_State *L, int status, lua_KContext since) {
  if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - 2;
  if (rt_protect_passes(L, engine(L), since)) return lua_error(L);
  lua_pushboolean(L, false);
  lua_insert(L, -2);
  return 2;
}

int rt_protect_xpcall(lua_State *L) {
  rt_engine *e = engine(L);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_KContext since = rt_protect_enter(e);
  if (e->scheduler.current) {
    lua_pushlightuserdata(L, e);
    lua_pushvalue(L, 2);
    lua_pushinteger(L, since);
    lua_pushcclosure(L, handle, 3);
    lua_replace(L, 2);
  }
  int count = lua_gettop(L) - 2;
  lua_pushboolean(L, true);
  lua_pushvalue(L, 1);
  lua_rotate(L, 3, 2);
  int status = lua_pcallk(L, count, LUA_MULTRET, 2, since, xpcall_over);
  return xpcall_over(L, status, since);
}

/* ---- cleanup ---- */

void rt_protect_register(rt_engine *e, lua_CFunction f, int body, rt_catches catches) {
  enum { MOST = sizeof e->protectors / sizeof *e->protectors };
  for (int i = 0; i < e->protector_count; i++)
    if (e->protectors[i].f == f) return;
  if (f && e->protector_count < MOST)
    e->protectors[e->protector_count++] = (rt_protector){f, body, catches};
}

/* What is known of the function of the frame; NULL: it protects nothing. */
static const rt_protector *protector(lua_State *co, const rt_engine *e, lua_Debug *ar) {
  static const rt_protector call = {.body = 2};
  lua_getinfo(co, "f", ar);
  lua_CFunction f = lua_tocfunction(co, -1);
  lua_pop(co, 1);
  if (!f) return NULL;
  for (int i = 0; i < e->protector_count; i++)
    if (e->protectors[i].f == f) return &e->protectors[i];
  return rt_trace_runs_call(co, ar) ? &call : NULL;
}

/* Whether what the frame protects has failed, and is being closed. A body stands where it
 * was put to be called; a closing function is called from further up, where the unwound
 * frames were. Only then is the body's slot a value. */
static bool closes(lua_State *co, const rt_protector *p, lua_Debug *ar) {
  if (!lua_getlocal(co, ar, p->body)) return false;
  lua_pop(co, 1);
  return true;
}

bool rt_protect_is_cleanup(lua_State *L, rt_call *c) {
  const rt_engine *e = c->run->engine;
  lua_State *chain[RT_COROUTINES_DEEP];
  int count = rt_coroutine_chain(rt_task_base(&e->scheduler, &c->task), chain);
  while (count && chain[count - 1] != L) count--;
  while (count--) {
    lua_State *co = chain[count];
    lua_Debug ar;
    for (int level = 0; lua_checkstack(co, 4) && lua_getstack(co, level, &ar); level++) {
      const rt_protector *p = protector(co, e, &ar);
      if (!p) continue;
      if (closes(co, p, &ar)) return true;
      if (co == c->task.co && rt_trace_runs_call(co, &ar)) return false;
    }
  }
  return false;
}

/* Whether pcall on L lets pass what unwinds it: L is being closed, or the call was told to
 * end, and not in cleanup that has resumed L. */
static bool pcall_passes(lua_State *L, rt_call *c) {
  if (rt_coroutine_closing(L)) return true;
  if (!c->delivered) return false;
  lua_State *chain[RT_COROUTINES_DEEP];
  int at = rt_coroutine_chain(rt_task_base(&c->run->engine->scheduler, &c->task), chain);
  while (at && chain[at - 1] != L) at--;
  return at < 2 || !rt_protect_is_cleanup(chain[at - 2], c);
}

bool rt_protect_is_leaving(lua_State *L, rt_call *c) {
  bool passes = pcall_passes(L, c), leaving = false;
  lua_Debug ar;
  for (int level = 0; lua_checkstack(L, 4) && lua_getstack(L, level, &ar); level++) {
    const rt_protector *p = protector(L, c->run->engine, &ar);
    if (!p) continue;
    leaving = leaving || closes(L, p, &ar);
    if (p->catches == RT_CATCHES_ALL || (p->catches == RT_CATCHES_USUAL && !passes))
      leaving = false;
  }
  return leaving;
}
