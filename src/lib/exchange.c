/* exchange.c -- starting a request, feeding it, waiting for its answer. */
#include "exchange.h"

void rt_exchange_changed(rt_transfer *t) {
  rt_exchange *x = t->owner;
  rt_scheduler *s = &x->engine->scheduler;
  bool over = rt_transfer_over(t);
  if (x->driver && (over || (x->driver_wants == RT_WANT_HUNGER && t->hungry))) {
    rt_task *task = x->driver;
    x->driver = NULL;
    rt_task_wake(s, task);
  }
  bool come = x->reader_wants == RT_WANT_HEAD ? t->headed : t->body.size > x->least;
  if (x->reader && (over || come)) {
    rt_task *task = x->reader;
    x->reader = NULL;
    rt_task_wake(s, task);
  }
}

static void describe(const rt_task *task, rt_buf *out) {
  const rt_exchange *x = task->wait.other.on;
  rt_buf_add(out, x->name, x->name_size);
}

/* ---- the driver ---- */

static void driver_unlink(rt_scheduler *s, rt_task *task) {
  rt_exchange *x = task->wait.other.on;
  (void)s;
  x->driver = NULL;
  rt_transfer_stop(x->transfer);
}

/* The stream was closed, or nobody is left to read it: it ends as it is. */
static void driver_orphaned(rt_scheduler *s, rt_task *task) {
  rt_exchange *x = task->wait.other.on;
  (void)s;
  rt_transfer_stop(x->transfer);
}

/* The exchange stands at 'index'. */
static int push_outcome(lua_State *L, rt_exchange *x, int index) {
  const rt_transfer *t = x->transfer;
  if (t->state == RT_TRANSFER_FAILED ||
      (x->raise && !t->request.stream && t->state == RT_TRANSFER_DONE && t->status >= 400))
    rt_answer_raise(L, x);
  lua_pushinteger(L, t->status);
  lua_pushinteger(L, t->received);
  rt_answer_push_timings(L, x, index);
  if (t->state != RT_TRANSFER_STOPPED) return 3;
  lua_pushliteral(L, "closed early");
  return 4;
}

static int run_finish(lua_State *L, rt_task *task) {
  return push_outcome(L, task->wait.other.on, lua_upvalueindex(2));
}

static int finish_finish(lua_State *L, rt_task *task) {
  return push_outcome(L, task->wait.other.on, 1);
}

static int wanted_finish(lua_State *L, rt_task *task) {
  const rt_exchange *x = task->wait.other.on;
  lua_pushboolean(L, !rt_transfer_over(x->transfer));
  return 1;
}

static const rt_wait_kind run_wait = {
    .name = "a request", .outside = true, .unlink = driver_unlink, .finish = run_finish,
    .orphaned = driver_orphaned, .describe = describe};

static const rt_wait_kind finish_wait = {
    .name = "a request", .outside = true, .unlink = driver_unlink, .finish = finish_finish,
    .orphaned = driver_orphaned, .describe = describe};

static const rt_wait_kind wanted_wait = {
    .name = "a request", .outside = true, .unlink = driver_unlink, .finish = wanted_finish,
    .orphaned = driver_orphaned, .describe = describe};

static int drive(lua_State *L, rt_exchange *x, rt_call *c, rt_exchange_want want,
                 const rt_wait_kind *kind) {
  c->task.wait.other.on = x;
  c->task.wait.other.co = L;
  if (c->orphan) rt_transfer_stop(x->transfer);
  if (rt_transfer_over(x->transfer) || (want == RT_WANT_HUNGER && x->transfer->hungry))
    return kind->finish(L, &c->task);
  x->driver = &c->task;
  x->driver_wants = want;
  return rt_task_wait(L, &c->task, kind);
}

static void begin(rt_exchange *x, rt_call *c) {
  if (x->transfer->request.stream) {
    c->bound = true;
    c->lamented = true;  // of a failure the reader learns when it reads, or the caller
  }
  if (x->transfer->state == RT_TRANSFER_NEW) rt_transfer_start(x->transfer);
}

int rt_exchange_run(lua_State *L) {
  rt_exchange *x = lua_touserdata(L, lua_upvalueindex(2));
  rt_call *c = rt_call_check(L, x->engine, x->name);
  begin(x, c);
  return drive(L, x, c, RT_WANT_END, &run_wait);
}

/* exchange:wanted() -> true when the next piece of the upload is wanted, false when the
 * transfer has ended. Starts it. */
static int wanted(lua_State *L) {
  rt_exchange *x = rt_exchange_at(L, 1);
  rt_call *c = rt_call_check(L, x->engine, x->name);
  begin(x, c);
  return drive(L, x, c, RT_WANT_HUNGER, &wanted_wait);
}

/* exchange:give(piece or nil): sends it, and is wanted for more; nil: that was all. */
static int give(lua_State *L) {
  rt_exchange *x = rt_exchange_at(L, 1);
  size_t size = 0;
  const char *piece = lua_isnoneornil(L, 2) ? "" : luaL_checklstring(L, 2, &size);
  if (!rt_transfer_over(x->transfer))
    rt_transfer_give(x->transfer, piece, size, lua_isnoneornil(L, 2));
  return 0;
}

/* exchange:finish() -> what rt_exchange_run returns */
static int finish(lua_State *L) {
  rt_exchange *x = rt_exchange_at(L, 1);
  rt_call *c = rt_call_check(L, x->engine, x->name);
  return drive(L, x, c, RT_WANT_END, &finish_wait);
}

/* ---- the reader ---- */

static void reader_unlink(rt_scheduler *s, rt_task *task) {
  (void)s;
  ((rt_exchange *)task->wait.other.on)->reader = NULL;
}

static int read_as(lua_State *L, rt_exchange_want want, size_t least,
                   const rt_wait_kind *kind) {
  rt_exchange *x = rt_exchange_at(L, 1);
  rt_transfer *t = x->transfer;
  rt_call *c = rt_call_check(L, x->engine, x->name);
  if (x->reader)
    rt_error_raise(L, "usage", "%s: another task is reading it", x->name);
  c->task.wait.other.on = x;
  c->task.wait.other.co = L;
  if (rt_transfer_over(t) || (want == RT_WANT_HEAD ? t->headed : t->body.size > least))
    return kind->finish(L, &c->task);
  x->reader = &c->task;
  x->reader_wants = want;
  x->least = least;
  return rt_task_wait(L, &c->task, kind);
}

/* Pushes true, or false when the transfer has ended before the head of its answer came. */
static int head_finish(lua_State *L, rt_task *task) {
  const rt_exchange *x = task->wait.other.on;
  lua_pushboolean(L, x->transfer->headed);
  return 1;
}

static const rt_wait_kind head_wait = {
    .name = "a request", .outside = true, .unlink = reader_unlink, .finish = head_finish,
    .describe = describe};

/* exchange:head() */
static int head(lua_State *L) { return read_as(L, RT_WANT_HEAD, 0, &head_wait); }

static int body_finish(lua_State *L, rt_task *task) {
  rt_exchange *x = task->wait.other.on;
  rt_transfer *t = x->transfer;
  if (!t->body.size) return lua_pushnil(L), 1;
  lua_pushlstring(L, t->body.data, t->body.size);
  t->body.size = 0;
  rt_transfer_taken(t);
  return 1;
}

static const rt_wait_kind body_wait = {
    .name = "a request", .outside = true, .unlink = reader_unlink, .finish = body_finish,
    .describe = describe};

/* exchange:read() -> the bytes that have come since, or nil at the end */
static int read_body(lua_State *L) { return read_as(L, RT_WANT_BODY, 0, &body_wait); }

static int fill_finish(lua_State *L, rt_task *task) {
  (void)L, (void)task;
  return 0;
}

static const rt_wait_kind fill_wait = {
    .name = "a request", .outside = true, .unlink = reader_unlink, .finish = fill_finish,
    .describe = describe};

/* exchange:fill(): until there is enough of the body for an error, or all of it; it is not
 * taken. */
static int fill(lua_State *L) { return read_as(L, RT_WANT_BODY, RT_ERROR_BODY, &fill_wait); }

/* ---- events ---- */

static int next_event(lua_State *L);

static int event_finish(lua_State *L, rt_task *task) {
  (void)task;
  return next_event(L);
}

static const rt_wait_kind event_wait = {
    .name = "a request", .outside = true, .unlink = reader_unlink, .finish = event_finish,
    .describe = describe};

static void push_text(lua_State *L, const rt_buf *b) {
  lua_pushlstring(L, b->size ? b->data : "", b->size);
}

/* exchange:event() -> type, data, id, retry (milliseconds, -1: not told), or nil at the end */
static int next_event(lua_State *L) {
  rt_exchange *x = rt_exchange_at(L, 1);
  rt_transfer *t = x->transfer;
  rt_events *e = &x->events;
  size_t used = 0;
  rt_events_step step = RT_EVENTS_MORE;
  if (t->body.size > x->taken)
    step = rt_events_read(e, t->body.data + x->taken, t->body.size - x->taken, &used);
  x->taken += used;
  if (x->taken == t->body.size) {
    t->body.size = x->taken = 0;
    rt_transfer_taken(t);
  }
  switch (step) {
    case RT_EVENTS_ONE:
      push_text(L, &e->type);
      push_text(L, &e->data);
      push_text(L, &e->id);
      lua_pushinteger(L, e->retry);
      return 4;
    case RT_EVENTS_MORE:
      if (rt_transfer_over(t) && t->body.size == x->taken) return lua_pushnil(L), 1;
      return read_as(L, RT_WANT_BODY, x->taken, &event_wait);
    case RT_EVENTS_TOO_LARGE:
      lua_pushboolean(L, false);
      return 1;
    default: return luaL_error(L, "not enough memory");
  }
}

static int event(lua_State *L) {
  lua_settop(L, 1);
  return next_event(L);
}

/* exchange:close(): stops it, if it has not ended. What has come of a stream is dropped. */
static int close_exchange(lua_State *L) {
  rt_exchange *x = rt_exchange_at(L, 1);
  rt_transfer_stop(x->transfer);
  if (x->transfer->request.stream) x->transfer->body.size = x->taken = 0;
  return 0;
}

void rt_exchange_add_methods(lua_State *L, rt_engine *e) {
  static const luaL_Reg methods[] = {
      {"close", close_exchange}, {"event", event}, {"fill", fill}, {"finish", finish},
      {"give", give}, {"head", head}, {"read", read_body}, {"wanted", wanted}, {NULL, NULL}};
  rt_lib_add(L, e, methods);
}
