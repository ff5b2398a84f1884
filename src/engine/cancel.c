/* cancel.c -- asking a call and all below it to end, telling it so, and the grace that its
 * cleanup has.
 *
 * Cancellation reaches the innermost calls first: a call is told when all below it have
 * ended, by an error raised at what it waits for. From then on it unwinds. Cleanup code may
 * wait; what it starts is sheltered, since its caller's grace is its bound.
 */
#include <lauxlib.h>
#include <stdlib.h>

#include "deadline.h"
#include "engine.h"
#include "log.h"
#include "protect.h"

struct rt_grace {
  rt_timer timer;
  rt_call *call;
};

/* ---- reasons ---- */

rt_reason *rt_reason_new(const char *text, size_t size) {
  rt_reason *reason = malloc(sizeof *reason + size + 1);
  if (!reason) return NULL;
  reason->refs = 1;
  reason->given = 0;
  memcpy(reason->text, text, size);
  reason->text[size] = '\0';
  return reason;
}

rt_reason *rt_reason_from(rt_buf *b, size_t given) {
  rt_reason *reason = b->failed ? NULL : rt_reason_new(b->size ? b->data : "", b->size);
  if (reason) reason->given = (uint32_t)given;
  rt_buf_free(b);
  return reason;
}

void rt_reason_unref(rt_reason *reason) {
  if (reason && --reason->refs == 0) free(reason);
}

/* ---- asking ---- */

void rt_call_describe_wait(const rt_call *c, rt_buf *out) {
  const rt_wait_kind *kind = c->task.kind;
  if (!c->task.started) rt_buf_text(out, "its turn");
  else if (!kind || c->task.ready) rt_buf_text(out, "nothing: it runs");
  else if (kind->describe) kind->describe(&c->task, out);
  else rt_buf_text(out, kind->name);
}

static bool arm_grace(rt_call *c, int64_t due);

static void cancel_one(rt_call *c, rt_reason *reason) {
  rt_scheduler *s = &c->run->engine->scheduler;
  if (!c->cancelled) {
    c->cancelled = true;
    if (reason && rt_call_rare_of(c)) {
      reason->refs++;
      c->rare->reason = reason;
    }
    // What a caller waits for will have gone when it is told.
    if (c->live && c->task.kind && !c->task.ready && rt_call_rare_of(c)) {
      rt_buf text = {0};
      rt_call_describe_wait(c, &text);
      rt_buf_char(&text, '\0');
      if (text.failed) rt_buf_free(&text);
      else c->rare->waited = text.data;
    }
    // It unwinds already, for another reason: from now on its cleanup has a bound.
    if (c->delivered) arm_grace(c, rt_scheduler_now(s) + c->run->engine->grace);
    // It has returned already and waits for its children, of which some live: it ends as
    // cancelled.
    if (c->over && c->live && c->outcome == RT_DONE) c->outcome = RT_CANCELLED;
  }
  if (c->task.kind == &rt_run_wait && !c->task.ready && rt_call_unwinds(c)) {
    rt_run *nested = c->task.wait.other.on;
    if (nested->root) rt_call_cancel(nested->root, reason);
  }
  if (c->live == 0 && rt_call_unwinds(c)) rt_task_interrupt(s, &c->task);
}

/* The call after 'at' in the tree below 'top', callers first; NULL: that was all. */
static rt_call *next_of(rt_call *at, const rt_call *top, bool below) {
  if (below && at->children) return at->children;
  while (at != top && !at->next) at = at->parent;
  return at == top ? NULL : at->next;
}

bool rt_call_cancel(rt_call *c, rt_reason *reason) {
  if (c->status != RT_RUNNING) return false;
  for (rt_call *at = c; at;) {
    bool reached = at == c || !at->shielded;
    if (reached) cancel_one(at, reason);
    at = next_of(at, c, reached);
  }
  return true;
}

void rt_call_cancel_for(rt_call *c, const char *why) {
  rt_reason *reason = rt_reason_new(why, strlen(why));
  rt_call_cancel(c, reason);
  rt_reason_unref(reason);
}

void rt_call_cancel_children(rt_call *c, const char *why) {
  if (!c->children) return;
  rt_reason *reason = rt_reason_new(why, strlen(why));
  for (rt_call *child = c->children; child; child = child->next)
    rt_call_cancel(child, reason);
  rt_reason_unref(reason);
}

/* ---- grace ---- */

static void grace_over(rt_scheduler *s, rt_timer *timer) {
  rt_call *c = ((rt_grace *)timer)->call;
  (void)s;
  if (c->cancelled) rt_call_cut(c);
  else rt_call_cancel(c, c->parent->rare ? c->parent->rare->reason : NULL);  // a shield
}

/* Cuts the call off at that moment, or cancels it if it was not. */
static bool arm_grace(rt_call *c, int64_t due) {
  rt_call_rare *rare = rt_call_rare_of(c);
  if (!rare) return false;
  if (!rare->grace) {
    rare->grace = malloc(sizeof *rare->grace);
    if (!rare->grace) return false;
    *rare->grace = (rt_grace){.timer = {.fire = grace_over}, .call = c};
  }
  rt_scheduler *s = &c->run->engine->scheduler;
  rt_timer_disarm(s, &rare->grace->timer);
  return rt_timer_arm(s, &rare->grace->timer, due);
}

void rt_call_cut(rt_call *c) {
  for (rt_call *at = c; at; at = next_of(at, c, true)) {
    if (at->status != RT_RUNNING) continue;
    at->cut = true;
    cancel_one(at, c->rare ? c->rare->reason : NULL);
    if (at->task.kind == &rt_run_wait && !at->task.ready) {
      rt_run *nested = at->task.wait.other.on;
      if (nested->root) rt_call_cut(nested->root);
    }
  }
}

void rt_call_end_shields(rt_call *c) {
  int64_t due = rt_scheduler_now(&c->run->engine->scheduler) + c->run->engine->grace;
  for (rt_call *at = c; at; at = next_of(at, c, true)) {
    if (at->shielded && !at->cancelled && !arm_grace(at, due)) rt_call_cut(at);
    if (at->task.kind == &rt_run_wait && !at->task.ready) {
      rt_run *nested = at->task.wait.other.on;
      if (nested->root) rt_call_end_shields(nested->root);
    }
  }
}

void rt_call_end_timers(rt_call *c) {
  rt_call_rare *rare = c->rare;
  if (!rare) return;
  if (rare->grace) rt_timer_disarm(&c->run->engine->scheduler, &rare->grace->timer);
  free(rare->grace);
  free(rare->waited);
  rt_deadline_free(rare->deadline);
  rare->grace = NULL;
  rare->waited = NULL;
  rare->deadline = NULL;
}

void rt_call_check_cleanup(lua_State *L, rt_call *c) {
  rt_scheduler *s = &c->run->engine->scheduler;
  if (rt_call_unwinds(c) || !rt_protect_is_cleanup(L, c)) rt_call_raise_cancelled(L, c);
  if (!c->run->engine->grace) {
    c->cut = true;
    rt_call_raise_cancelled(L, c);
  }
  if (c->rare && c->rare->grace && c->rare->grace->timer.at) return;
  int64_t since = c->rare ? c->rare->unwinding : rt_scheduler_now(s);
  if (!arm_grace(c, since + c->run->engine->grace)) luaL_error(L, "not enough memory");
}

/* ---- telling ---- */

void rt_call_add_second(rt_call *c, const char *line, size_t size) {
  enum { MOST = 4096 };  // bytes, and one failure
  if (!rt_call_rare_of(c)) return;
  size_t before = c->rare->second ? strlen(c->rare->second) : 0;
  if (before > MOST) return;
  rt_buf text = {0};
  rt_buf_add(&text, c->rare->second, before);
  rt_buf_add(&text, line, size);
  if (text.size > MOST) rt_buf_text(&text, "\n... (more are in the journal)");
  rt_buf_char(&text, '\0');
  if (text.failed) {
    rt_buf_free(&text);
    return;
  }
  free(c->rare->second);
  c->rare->second = text.data;
}

void rt_call_add_identity(lua_State *L, const rt_call *c) {
  char room[RT_ID_ROOM];
  rt_buf id = {.data = room, .capacity = sizeof room, .fixed = true};
  rt_call_id(c, &id);
  lua_pushlstring(L, id.data, id.size);
  lua_setfield(L, -2, "call");
  lua_pushlstring(L, c->node->name, c->node->name_size);
  lua_setfield(L, -2, "node");
}

void rt_call_push_cancelled(lua_State *L, rt_call *c, const rt_wait_kind *waited) {
  const rt_reason *why = c->rare ? c->rare->reason : NULL;
  rt_buf *text = rt_engine_text(c->run->engine);
  rt_buf_text(text, why && *why->text ? why->text : "no reason given");
  if (c->rare && c->rare->waited) {
    rt_buf_printf(text, ", while waiting for %s", c->rare->waited);
  } else if (waited) {
    rt_buf_text(text, ", while waiting for ");
    if (waited->describe) waited->describe(&c->task, text);
    else rt_buf_text(text, waited->name);
  }
  rt_buf_char(text, '\0');
  rt_error_push(L, "cancelled", "%s", text->failed ? "cancelled" : text->data);
  if (why && *why->text) {
    lua_pushlstring(L, why->text, why->given ? why->given : strlen(why->text));
    lua_setfield(L, -2, "reason");
  }
  rt_call_add_identity(L, c);
}

/* The grace is over: says what could not be waited for, once for each wait. */
static void push_cut(lua_State *L, rt_call *c, const rt_wait_kind *waited) {
  rt_engine *e = c->run->engine;
  rt_place here = rt_place_here(&e->places, L);
  rt_text file = rt_place_file(&e->places, here);
  rt_buf *text = rt_engine_text(e);
  if (e->stopped) rt_buf_text(text, "cleanup was cut off by the second signal");
  else
    rt_buf_printf(text, "cleanup was cut off after its grace of %.14g s",
                  (double)e->grace / 1e9);
  if (file.data) rt_buf_printf(text, ", at %.*s:%u", (int)file.size, file.data, here.line);
  if (waited) {
    rt_buf_text(text, ", while waiting for ");
    if (waited->describe) waited->describe(&c->task, text);
    else rt_buf_text(text, waited->name);
  }
  char room[RT_ID_ROOM];
  rt_buf id = {.data = room, .capacity = sizeof room, .fixed = true};
  rt_call_id(c, &id);
  if (!text->failed) {
    rt_log(RT_LOG_WARNING, "call %.*s (%s): %.*s", (int)id.size, id.data, c->node->name,
           (int)text->size, text->data);
    rt_call_add_second(c, "\n", 1);
    rt_call_add_second(c, text->data, text->size);
  }
  rt_buf_char(text, '\0');
  rt_error_push(L, "cancelled", "%s", text->failed ? "cleanup was cut off" : text->data);
  rt_call_add_identity(L, c);
}

enum { DEAF = 1000 };  // times that a call is told again before more is done than telling

/* Runs between two instructions of a call that keeps catching what it is told, with Lua's own
 * pcall, and tries again. At first it goes away, so that what closes can run; in the end it
 * stays until the call gives way. */
static void insist(lua_State *L, lua_Debug *ar) {
  rt_engine *e = rt_engine_of(L);
  rt_call *c = rt_call_current(e);
  (void)ar;
  if (!rt_scheduler_hooked(&e->scheduler, L)) return;
  bool deaf = c && !c->over && c->rare && c->rare->told && c->rare->told_again >= DEAF;
  if (!deaf || c->rare->told_again < 2 * DEAF) rt_scheduler_unhook(&e->scheduler, L);
  if (!deaf) return;
  rt_protect_tell(c);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  rt_anchor_push(&e->scheduler, L, c->rare->told);
  lua_error(L);
}

_Noreturn void rt_call_raise_cancelled(lua_State *L, rt_call *c) {
  rt_scheduler *s = &c->run->engine->scheduler;
  const rt_wait_kind *waited = c->task.kind;
  c->task.kind = NULL;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  bool first = !c->delivered;
  bool cut = c->cut && !first && rt_protect_is_cleanup(L, c);
  rt_protect_tell(c);
  if (!first && c->rare && ++c->rare->told_again >= DEAF && !c->run->engine->stopped)
    rt_scheduler_hook(s, insist);
  if (cut) {
    push_cut(L, c, waited);
  } else if (!first && c->rare && c->rare->told) {
    rt_anchor_push(s, L, c->rare->told);
  } else {
    rt_call_push_cancelled(L, c, waited);
    if (rt_call_rare_of(c) && !c->rare->told) {
      lua_pushvalue(L, -1);
      c->rare->told = rt_anchor_put(s, L);
    }
  }
  lua_error(L);
  __builtin_unreachable();
}

_Noreturn void rt_call_raise_through(lua_State *L, rt_call *c) {
  c->fatal = true;
  rt_protect_tell(c);
  lua_error(L);
  __builtin_unreachable();
}
