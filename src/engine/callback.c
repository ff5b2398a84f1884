#include "callback.h"

#include <lauxlib.h>
#include <stdatomic.h>

#include "log.h"
#include "memory.h"
#include "runaway.h"
#include "trace.h"

static const char failure_key = 'f';  // registry: the failure of the last error in a callback

/* The message handler: writes the frames down before they unwind. */
static int on_error(lua_State *L) {
  lua_settop(L, 1);
  rt_trace_push_failure(L, 1, "in a callback of the event loop");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &failure_key);
  lua_settop(L, 1);
  return 1;
}

/* Pushes the failure of the error at the top, or nil: there was no memory to note it. */
static void push_failure(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &failure_key) == LUA_TUSERDATA) {
    lua_getiuservalue(L, -1, 1);
    bool same = lua_rawequal(L, -1, -3);
    lua_pop(L, 1);
    if (same) return;
  }
  lua_pop(L, 1);
  lua_pushnil(L);
}

static void tell(lua_State *L, const char *why) {
  const rt_failure *f = rt_failure_at(L, -1);
  rt_log(RT_LOG_WARNING, "a callback of the event loop failed%s: %s", why,
         f ? f->message : "not enough memory");
}

/* The error is at the top of L, which is left without it. */
static void fail_runs(lua_State *L, rt_engine *e) {
  bool refused = rt_memory_refused(e), told = false, typed = false;
  push_failure(L);
  rt_failure *f = rt_failure_at(L, -1);
  for (rt_run *run = e->runs; run; run = run->next) {
    if (run->waiter || !run->root) continue;
    if (run->lines && !refused) {
      typed = true;
      continue;
    }
    told = true;
    if (refused) rt_memory_fail(run->root);
    if (run->fatal) {
      if (!run->over_limit) tell(L, " as well");
      continue;
    }
    if (f) f->began_in = rt_call_identity(run->root);  // it is told whole there
    rt_run_fail_with(run, L, -2);
  }
  if (!told && typed) {
    tell(L, "");
  } else if (!told && e->scheduler.from) {
    if (!e->stray) {
      lua_pushvalue(L, -2);
      e->stray = rt_anchor_put(&e->scheduler, L);
    }
    uv_stop(&e->scheduler.loop);
  }
  lua_pop(L, 2);
}

bool rt_callback_push_stray(lua_State *L, rt_engine *e) {
  if (!e->stray) return false;
  rt_anchor_push(&e->scheduler, L, e->stray);
  rt_anchor_drop(&e->scheduler, e->stray);
  e->stray = 0;
  return true;
}

/* For what watches over code that does not give way, the callback is a turn of its own. */
static void begin(rt_scheduler *s, lua_State *L) {
  s->active = L;
  s->turn++;
  atomic_signal_fence(memory_order_seq_cst);
  if (s->dozing) s->class->awake(s);
}

static void end(rt_scheduler *s) {
  s->active = NULL;
  atomic_signal_fence(memory_order_seq_cst);
  if (!s->hooked) return;
  lua_sethook(s->hooked, NULL, 0, 0);
  s->hooked = NULL;
}

/* As lua_pcall, with the handler above, on the loop. */
static int call(lua_State *L, rt_scheduler *s, int nargs, int nresults) {
  bool outermost = !s->active;  // else a function of rt.uv has called it at once
  lua_pushcfunction(L, on_error);
  int handler = lua_gettop(L) - nargs - 1;
  lua_insert(L, handler);
  if (outermost) begin(s, L);
  int status = lua_pcall(L, nargs, nresults, handler);
  if (outermost) end(s);
  lua_remove(L, handler);
  return status;
}

void rt_callback_try(lua_State *L, int nargs, const char *what) {
  rt_engine *e = rt_engine_of(L);
  if (e->closing) {
    lua_pop(L, nargs + 1);
    return;
  }
  if (call(L, &e->scheduler, nargs, 0) == LUA_OK) return;
  push_failure(L);
  const rt_failure *f = rt_failure_at(L, -1);
  rt_log(RT_LOG_WARNING, "%s failed: %s", what, f ? f->message : "not enough memory");
  lua_pop(L, 2);
}

bool rt_callback_run(lua_State *L, int nargs, int nresults) {
  rt_engine *e = rt_engine_of(L);
  if (e->closing) {
    lua_pop(L, nargs + 1);
    return false;
  }
  if (call(L, &e->scheduler, nargs, nresults) == LUA_OK) return true;
  // Once the second signal has stopped what runs, that is why.
  if (e->stopped) lua_pop(L, 1);
  else fail_runs(L, e);
  return false;
}
