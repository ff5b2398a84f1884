#include "deadline.h"

#include <stdlib.h>

#include "engine.h"

static rt_scheduler *scheduler(const rt_deadline *d) { return &d->call->run->engine->scheduler; }

/* "deadline of 2 s set at flow.lua:18" */
static void describe(const rt_deadline *d, rt_buf *out) {
  rt_text file = rt_place_file(&d->call->run->engine->places, d->set);
  rt_buf_printf(out, "deadline of %.14g s set ", d->seconds);
  if (d->by) rt_buf_text(out, d->by);
  else if (file.data) rt_buf_printf(out, "at %.*s:%u", (int)file.size, file.data, d->set.line);
  else rt_buf_text(out, "by rt.timeout");
}

static void pass(rt_scheduler *s, rt_timer *timer) {
  rt_deadline *d = (rt_deadline *)timer;
  rt_call *c = d->call;
  if (d->quiet) s->quiet--;
  d->quiet = false;
  if (c->cancelled) return;  // it is ending already, for another reason
  rt_buf text = {0};
  rt_call_describe_wait(c, &text);
  rt_buf_char(&text, '\0');
  if (!text.failed) d->waited = text.data;
  else rt_buf_free(&text);
  rt_buf why = {0};
  describe(d, &why);
  rt_reason *reason = rt_reason_from(&why, 0);
  d->passed = true;
  rt_call_cancel(c, reason);
  rt_reason_unref(reason);
}

bool rt_deadline_set(rt_call *c, double seconds, rt_place set, const char *by) {
  rt_call_rare *rare = rt_call_rare_of(c);
  if (!rare) return false;
  rt_scheduler *s = &c->run->engine->scheduler;
  int64_t due = rt_scheduler_after(s, seconds);
  if (due == RT_NEVER) return true;
  if (rare->deadline && rare->deadline->timer.due <= due) return true;
  rt_deadline *d = malloc(sizeof *d);
  if (!d) return false;
  *d = (rt_deadline){.timer = {.fire = pass}, .call = c, .seconds = seconds, .set = set, .by = by};
  if (!rt_timer_arm(s, &d->timer, due)) {
    free(d);
    return false;
  }
  rt_deadline_free(rare->deadline);
  rare->deadline = d;
  return true;
}

void rt_deadline_quiet(rt_call *c) {
  rt_deadline *d = c->rare ? c->rare->deadline : NULL;
  if (!d || d->quiet || !d->timer.at) return;
  d->quiet = true;
  scheduler(d)->quiet++;
}

void rt_deadline_push_error(lua_State *L, const rt_call *c) {
  const rt_deadline *d = c->rare->deadline;
  rt_buf *text = rt_engine_text(c->run->engine);
  describe(d, text);
  rt_buf_text(text, " has passed");
  if (d->waited) rt_buf_printf(text, ", while waiting for %s", d->waited);
  rt_buf_char(text, '\0');
  rt_error_push(L, "timeout", "%s", text->failed ? "a deadline has passed" : text->data);
  lua_pushnumber(L, d->seconds);
  lua_setfield(L, -2, "seconds");
  rt_call_add_identity(L, c);
}

void rt_deadline_free(rt_deadline *d) {
  if (!d) return;
  rt_timer_disarm(scheduler(d), &d->timer);
  if (d->quiet) scheduler(d)->quiet--;
  free(d->waited);
  free(d);
}
