/* life.c -- one call from its beginning to its end.
 *
 * A coroutine's stack holds, from the first slot of the C function that runs the call on:
 * the message handler, then the body and its arguments, later the results, or the error
 * and its failure. That function is call_main at the bottom of a coroutine of the pool, or
 * rt_call_nest when the caller's coroutine is used.
 */
#include <lauxlib.h>

#include "deadline.h"
#include "engine.h"
#include "life.h"
#include "memory.h"
#include "native.h"
#include "protect.h"

static int interrupted(lua_State *L, rt_task *task) {
  rt_call_raise_cancelled(L, rt_call_of(task));
}

static int after_children(lua_State *L, rt_task *task);

const rt_wait_kind rt_children_wait = {.name = "its children", .finish = after_children};

/* The body has returned or failed. False: the call is to wait for its children first. */
static bool leave_body(rt_call *c, int status) {
  rt_engine *e = c->run->engine;
  c->over = true;
  if (e->memory && rt_memory_refused(e)) {  // even if Lua's own pcall has caught it
    rt_memory_fail(c);
    c->fatal = true;
  }
  if (status != LUA_OK && status != LUA_YIELD) {
    c->unwound = true;
    c->outcome = c->delivered && !c->fatal ? RT_CANCELLED : RT_FAILED;
    rt_call_cancel_children(c, c->cancelled ? "the call that started it was cancelled"
                                            : "the call that started it has failed");
  } else if (c->cancelled && c->delivered) {
    // Lua's own pcall has caught what it was told.
    c->outcome = RT_CANCELLED;
    rt_call_cancel_children(c, "the call that started it was cancelled");
  } else if (c->cancelled && c->live) {
    c->outcome = RT_CANCELLED;
  } else if (c->live) {
    rt_call_tell_orphans(c, 0);
  }
  return c->live == 0;
}

/* Writes the beginning down. False if the body shall not run: then the stack is as after a
 * failed body. */
static bool enter_body(lua_State *L, rt_call *c) {
  int count = lua_gettop(L) - 2;
  if (!c->unrun) rt_call_record_begin(L, c, 3, count, !c->cancelled);
  if (c->cancelled) {
    c->outcome = RT_CANCELLED;
    return false;
  }
  bool fits = !c->node->param_count || rt_node_check(L, c->node, 3, count);
  if (fits) {
    if (!(c->node->timeout > 0)) return true;
    if (rt_deadline_set(c, c->node->timeout, c->site, "by its node")) return true;
    rt_anchor_push(&c->run->engine->scheduler, L, c->run->engine->no_memory);
  }
  lua_replace(L, 2);
  lua_settop(L, 2);
  c->unwound = true;
  c->outcome = RT_FAILED;
  return false;
}

/* ---- on a coroutine of the pool ---- */

static int run_calls(lua_State *L, rt_call *c);

/* The call has ended. The coroutine goes on with the next call that has not begun, if
 * that is what the scheduler would do with it. */
static int end_call(lua_State *L, rt_call *c) {
  rt_engine *e = c->run->engine;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  rt_call_conclude(L, c);
  c->use->deliver(L, c, 2);
  c->index = ++e->ended;
  if (c->parent) rt_call_child_ended(c);
  rt_task *next = rt_task_succeed(&e->scheduler, &c->task);
  rt_call_unref(c);
  return next ? run_calls(L, rt_call_of(next)) : 0;
}

static int body_over(lua_State *L, int status, lua_KContext context) {
  rt_call *c = rt_call_current(rt_engine_of(L));
  (void)context;
  if (!leave_body(c, status)) return rt_task_wait(L, &c->task, &rt_children_wait);
  return end_call(L, c);
}

static void push_call(rt_call *c, lua_State *co) {
  lua_pushcfunction(co, rt_call_on_error);
  c->use->push(c, co);
}

static int run_calls(lua_State *L, rt_call *c) {
  lua_settop(L, 0);
  if (c->over) {  // it has crashed, and its children have ended since
    lua_pushcfunction(L, rt_call_on_error);
    rt_anchor_push(&c->run->engine->scheduler, L, c->run->engine->no_memory);
    return end_call(L, c);
  }
  push_call(c, L);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (!enter_body(L, c)) return end_call(L, c);
  return body_over(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, 0, body_over), 0);
}

static int call_main(lua_State *L) {
  return run_calls(L, rt_call_current(rt_engine_of(L)));
}

/* ---- on the caller's coroutine ---- */

enum { NESTED = 6 };  // levels of the C stack: Lua has 200 of them, coroutines want most

bool rt_call_may_nest(rt_call *c) {
  return !c->run->engine->scheduler.first && c->parent->depth < NESTED &&
         rt_scheduler_in_slice(&c->run->engine->scheduler, c->spawned);
}

static int lost_over(lua_State *L, rt_task *task) {
  rt_call_raise_cancelled(L, rt_call_of(task));
}

static void lost_unlink(rt_scheduler *s, rt_task *task) { (void)s, (void)task; }

/* The caller was cancelled while it waited for a call that has ended; others of its children
 * have not. */
static const rt_wait_kind lost_wait = {
    .name = "its children", .unlink = lost_unlink, .finish = lost_over};

static int end_nested(lua_State *L, rt_call *c) {
  rt_engine *e = c->run->engine;
  rt_call *parent = c->parent;
  rt_call_conclude(L, c);
  rt_status status = (rt_status)c->status;
  bool lost = rt_call_unwinds(parent) && !c->shielded;
  if (lost && status == RT_FAILED) rt_call_add_failed(parent, c, rt_failure_at(L, 3));
  c->index = ++e->ended;
  parent->task.kind = NULL;  // it goes on here, not by being woken
  rt_call_child_ended(c);
  e->scheduler.current = &parent->task;
  rt_call_unref(c);
  if (lost && parent->live) return rt_task_wait(L, &parent->task, &lost_wait);
  if (lost) rt_call_raise_cancelled(L, parent);
  if (status == RT_DONE) return lua_gettop(L) - 1;
  rt_call_raise_outcome(L, parent, status);
}

static int nested_over(lua_State *L, int status, lua_KContext context) {
  rt_call *c = rt_call_current(rt_engine_of(L));
  (void)context;
  if (!leave_body(c, status)) return rt_task_wait(L, &c->task, &rt_children_wait);
  return end_nested(L, c);
}

static int nested(lua_State *L, int status) { return nested_over(L, status, 0); }

/* An inline native node cannot raise, and needs no body: it is run where its arguments are. */
static int nest_native(lua_State *L, rt_call *c) {
  int count = lua_gettop(L) - 1;
  rt_call_record_begin(L, c, 2, count, true);
  int results = rt_native_try(L, c->run->engine, c->node->inlined);
  if (results >= 0) {
    for (int i = 2; count && i < 2 + results; i++) lua_copy(L, count + i, i);
    lua_settop(L, 1 + results);
    return nested(L, LUA_OK);
  }
  lua_pushcfunction(L, rt_call_on_error);
  lua_insert(L, 1);
  lua_pushcfunction(L, rt_native_resume);
  lua_replace(L, 2);
  return nested(L, lua_pcallk(L, count, LUA_MULTRET, 1, 0, nested_over));
}

int rt_call_nest(lua_State *L, rt_call *c, const rt_wait_kind *kind) {
  rt_call *parent = c->parent;
  c->instant = true;
  c->nested = true;
  c->depth = (uint8_t)(parent->depth + 1);
  c->task.co = L;
  c->task.base = parent->task.base;
  c->task.started = true;
  parent->task.kind = kind;
  parent->task.wait.other.co = L;
  c->run->engine->scheduler.current = &c->task;

  const rt_node *node = c->node;
  if (node->inlined && !c->cancelled && !node->param_count && !(node->timeout > 0))
    return nest_native(L, c);
  lua_pushcfunction(L, rt_call_on_error);
  lua_insert(L, 1);
  rt_node_push_body(L, 2);
  lua_replace(L, 2);
  if (!enter_body(L, c)) return end_nested(L, c);
  return nested_over(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, 0, nested_over), 0);
}

static int after_children(lua_State *L, rt_task *task) {
  rt_call *c = rt_call_of(task);
  return c->nested ? end_nested(L, c) : end_call(L, c);
}

_Noreturn void rt_call_raise_outcome(lua_State *L, rt_call *c, rt_status status) {
  if (status == RT_CANCELLED && rt_call_unwinds(c)) rt_call_raise_cancelled(L, c);
  rt_call_receive(L, c);
  lua_error(L);
  __builtin_unreachable();
}

/* Delivers without a coroutine of the call's own; for use under lua_pcall. */
static int deliver_crash(lua_State *L) {
  rt_call *c = lua_touserdata(L, 1);
  c->use->deliver(L, c, 2);
  return 0;
}

/* The coroutine of the call is lost: it ends with the error at 'error' of the scheduler's
 * own stack, when its children have ended. */
static void crash(rt_scheduler *s, rt_call *c, int error) {
  lua_State *L = s->own;
  int top = lua_gettop(L);
  if (rt_memory_refused(c->run->engine)) rt_memory_fail(c);
  c->outcome = RT_FAILED;
  c->unwound = true;
  rt_call_cancel_children(c, "the call that started it has failed");
  if (c->live) {
    c->over = true;
    c->nested = false;
    c->task.started = false;
    c->task.kind = &rt_children_wait;
    return;
  }
  c->status = RT_FAILED;
  rt_call_end_timers(c);
  uint8_t listening = c->run->engine->notices.listening;
  if (c->recorded && listening) rt_notice_end(c, RT_FAILED, NULL);
  if (c->recorded) rt_call_record_end(L, c, RT_FAILED, rt_call_written_error(c, NULL));
  else if (listening & RT_NOTICE_TALLY) rt_notice_drop_call(c);
  lua_pushcfunction(L, deliver_crash);
  lua_pushlightuserdata(L, c);
  lua_pushvalue(L, error);
  lua_pushnil(L);
  lua_pcall(L, 3, 0, 0);
  lua_settop(L, top);
  c->index = ++c->run->engine->ended;
  if (c->parent) rt_call_child_ended(c);
  rt_call_unref(c);
}

static void crash_nothing(lua_State *L, rt_call *c, int first) { (void)L, (void)c, (void)first; }

/* The caller's coroutine is lost as well. */
static const rt_use lost_use = {.verb = "called", .deliver = crash_nothing};

static void crashed(rt_scheduler *s, rt_task *task, lua_State *co) {
  lua_State *L = s->own;
  int top = lua_gettop(L);
  if (co && lua_gettop(co) > 0) lua_xmove(co, L, 1);
  else rt_anchor_push(s, L, rt_call_of(task)->run->engine->no_memory);
  for (rt_call *c = rt_call_of(task), *outer; c; c = outer) {
    outer = c->nested ? c->parent : NULL;
    if (outer) {
      c->use = &lost_use;
      outer->task.kind = NULL;
    }
    crash(s, c, top + 1);
  }
  lua_settop(L, top);
}

const rt_task_class rt_call_class = {
    .main = call_main,
    .interrupt = interrupted,
    .crashed = crashed,
};
