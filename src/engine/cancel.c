/* cancel.c -- asking a call and all below it to end, and telling it so. */
#include <stdlib.h>

#include "engine.h"

rt_reason *rt_reason_new(const char *text, size_t size) {
  rt_reason *reason = malloc(sizeof *reason + size + 1);
  if (!reason) return NULL;
  reason->refs = 1;
  memcpy(reason->text, text, size);
  reason->text[size] = '\0';
  return reason;
}

void rt_reason_unref(rt_reason *reason) {
  if (reason && --reason->refs == 0) free(reason);
}

static void cancel_one(rt_call *c, rt_reason *reason) {
  rt_scheduler *s = &c->run->engine->scheduler;
  if (!c->cancelled) {
    c->cancelled = true;
    if (reason && rt_call_rare_of(c)) {
      reason->refs++;
      c->rare->reason = reason;
    }
    // It has returned already and only waits for its children: it ends as cancelled.
    if (c->over && c->outcome == RT_DONE) c->outcome = RT_CANCELLED;
  }
  if (c->task.kind == &rt_run_wait) {
    rt_run *nested = c->task.wait.other.on;
    if (nested->root) rt_call_cancel(nested->root, reason);
  }
  if (c->live == 0) rt_task_interrupt(s, &c->task);
}

bool rt_call_cancel(rt_call *c, rt_reason *reason) {
  if (c->status != RT_RUNNING) return false;
  for (rt_call *at = c;;) {
    cancel_one(at, reason);
    if (at->children) {
      at = at->children;
      continue;
    }
    while (at != c && !at->next) at = at->parent;
    if (at == c) return true;
    at = at->next;
  }
}

void rt_call_cancel_children(rt_call *c, const char *why) {
  if (!c->children) return;
  rt_reason *reason = rt_reason_new(why, strlen(why));
  for (rt_call *child = c->children; child; child = child->next)
    rt_call_cancel(child, reason);
  rt_reason_unref(reason);
}

/* Pushes the error that tells 'c' of its cancellation. */
void rt_call_push_cancelled(lua_State *L, rt_call *c, const rt_wait_kind *waited) {
  const char *why = c->rare && c->rare->reason ? c->rare->reason->text : "";
  rt_buf text = {0};
  rt_buf_text(&text, *why ? why : "no reason given");
  if (waited) {
    rt_buf_text(&text, ", while waiting for ");
    if (waited->describe) waited->describe(&c->task, &text);
    else rt_buf_text(&text, waited->name);
  }
  rt_buf_char(&text, '\0');
  rt_error_push(L, "cancelled", "%s", text.failed ? why : text.data);
  rt_buf_free(&text);
  if (*why) {
    lua_pushstring(L, why);
    lua_setfield(L, -2, "reason");
  }
  rt_buf id = {0};
  rt_call_id(c, &id);
  lua_pushlstring(L, id.failed ? "" : id.data, id.failed ? 0 : id.size);
  rt_buf_free(&id);
  lua_setfield(L, -2, "call");
  lua_pushlstring(L, c->node->name, c->node->name_size);
  lua_setfield(L, -2, "node");
}

_Noreturn void rt_call_raise_cancelled(lua_State *L, rt_call *c) {
  const rt_wait_kind *waited = c->task.kind;
  c->task.kind = NULL;
  c->delivered = true;
  rt_call_push_cancelled(L, c, waited);
  lua_error(L);
  __builtin_unreachable();
}

_Noreturn void rt_call_raise_through(lua_State *L, rt_call *c) {
  (void)c;
  lua_error(L);
  __builtin_unreachable();
}
