#include "meter.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <time.h>

#include "memory.h"

enum { EVERY_MS = 100 };  // between two looks at how late the loop is

struct rt_meter {
  const rt_engine *engine;
  int64_t since;
  uv_timer_t timer;
  uv_prepare_t before;          // the loop is about to sleep
  uv_check_t after;             // it has slept
  int handles;                  // that are to be closed
  _Atomic bool asleep;
  _Atomic int64_t due;          // when the timer is to ring
  _Atomic int64_t late;         // by how much the last time was
  _Atomic int64_t delays[RT_BUCKETS + 1], delayed_ns;
  _Atomic(rt_journal *) journal;  // NULL: not open yet
};

/* What the clock of a test does not stop. */
static int64_t clock_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- in the loop ---- */

static void rang(uv_timer_t *timer);

static void wind(rt_meter *m) {
  uv_update_time(m->timer.loop);
  uv_timer_start(&m->timer, rang, EVERY_MS, 0);
  atomic_store_explicit(&m->due, clock_now() + EVERY_MS * 1000000, memory_order_relaxed);
}

static void rang(uv_timer_t *timer) {
  rt_meter *m = timer->data;
  int64_t late = clock_now() - rt_count_now(&m->due);
  if (late < 0) late = 0;  // libuv's clock has milliseconds
  atomic_store_explicit(&m->late, late, memory_order_relaxed);
  rt_count_add(&m->delays[rt_bucket_of((double)late / 1e9)], 1);
  rt_count_add(&m->delayed_ns, late);
  wind(m);
}

static void fall_asleep(uv_prepare_t *before) {
  rt_meter *m = before->data;
  atomic_store_explicit(&m->asleep, true, memory_order_relaxed);
}

static void awake(uv_check_t *after) {
  rt_meter *m = after->data;
  atomic_store_explicit(&m->asleep, false, memory_order_relaxed);
}

/* ---- reading ---- */

static void read_delays(const rt_meter *m, rt_reading *r) {
  int64_t overdue = clock_now() - rt_count_now(&m->due), late = rt_count_now(&m->late);
  r->lag = (double)(overdue > late ? overdue : late) / 1e9;
  for (int i = 0; i <= RT_BUCKETS; i++) r->delays.buckets[i] = (uint64_t)rt_count_now(&m->delays[i]);
  r->delays.seconds = (double)rt_count_now(&m->delayed_ns) / 1e9;
}

bool rt_meter_read(const rt_meter *m, rt_reading *r) {
  *r = (rt_reading){
      .heap = rt_memory_used(m->engine->memory),
      .uptime = (double)(clock_now() - m->since) / 1e9,
      .busy = !atomic_load_explicit(&m->asleep, memory_order_relaxed),
  };
  read_delays(m, r);
  rt_journal *journal = atomic_load_explicit(&m->journal, memory_order_acquire);
  if (journal) {
    const char *why;
    rt_journal_queue(journal, &r->queue_records, &r->queue_bytes);
    r->lost = rt_journal_lost(journal, &why);
  }
  return rt_tally_copy(&m->engine->notices.tally, &r->nodes, &r->count);
}

/* ---- opening and closing ---- */

static void closed(uv_handle_t *handle) {
  rt_meter *m = handle->data;
  if (--m->handles == 0) free(m);
}

static void enter(rt_meter *m, uv_handle_t *handle) {
  handle->data = m;
  m->handles++;
  uv_unref(handle);  // it keeps no run alive
}

rt_meter *rt_meter_open(lua_State *L, rt_engine *e) {
  if (e->meter) return e->meter;
  rt_memory_count(L, e);
  rt_meter *m = calloc(1, sizeof *m);
  if (!m) luaL_error(L, "not enough memory");
  uv_loop_t *loop = &e->scheduler.loop;
  m->engine = e;
  m->since = clock_now();
  uv_timer_init(loop, &m->timer);
  uv_prepare_init(loop, &m->before);
  uv_check_init(loop, &m->after);
  enter(m, (uv_handle_t *)&m->timer);
  enter(m, (uv_handle_t *)&m->before);
  enter(m, (uv_handle_t *)&m->after);
  uv_prepare_start(&m->before, fall_asleep);
  uv_check_start(&m->after, awake);
  wind(m);
  e->notices.listening |= RT_NOTICE_TALLY;
  e->meter = m;
  return m;
}

void rt_meter_journal(rt_meter *m, rt_journal *journal) {
  if (m) atomic_store_explicit(&m->journal, journal, memory_order_release);
}

void rt_meter_close(rt_meter *m) {
  if (!m) return;
  uv_close((uv_handle_t *)&m->timer, closed);
  uv_close((uv_handle_t *)&m->before, closed);
  uv_close((uv_handle_t *)&m->after, closed);
}
