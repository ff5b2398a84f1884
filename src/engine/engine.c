#include "engine.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <unistd.h>

#include "console.h"
#include "locate.h"
#include "memory.h"
#include "meter.h"
#include "pool.h"
#include "runaway.h"

static const char engine_key = 'e';  // the engine's place in the registry

rt_buf *rt_engine_text(rt_engine *e) {
  e->text.size = 0;
  e->text.failed = false;
  return &e->text;
}

/* ---- ending by signal ---- */

static const char *signal_name(int signal) {
  switch (signal) {
    case 1: return "hangup (SIGHUP)";
    case 2: return "interrupted (SIGINT)";
    case 13: return "nobody reads standard output (SIGPIPE)";
    case 15: return "terminated (SIGTERM)";
    default: return "interrupted";
  }
}

static void poked(rt_scheduler *s) {
  rt_engine *e = (rt_engine *)s;
  int signal = e->signal;
  rt_console_poked(e);
  if (e->stopped && !e->all_cut) {
    e->all_cut = true;
    for (rt_run *run = e->runs; run; run = run->next)
      if (run->root) rt_call_cut(run->root);
  }
  if (!signal || e->signal_seen == signal) return;
  e->signal_seen = signal;
  rt_reason *reason = rt_reason_new(signal_name(signal), strlen(signal_name(signal)));
  for (rt_run *run = e->runs; run; run = run->next)
    if (run->root) {
      rt_call_cancel(run->root, reason);
      rt_call_end_shields(run->root);
    }
  rt_reason_unref(reason);
}

void rt_engine_interrupt(rt_engine *e, int signal) {
  e->signal = signal;
  uv_async_send(&e->scheduler.poke);
}

/* Runs between two instructions of Lua that has not given way since the signal. It stays
 * set, so that no pcall keeps the code going. */
static void stop_running(lua_State *L, lua_Debug *ar) {
  rt_engine *e = rt_engine_of(L);
  rt_call *c = rt_call_current(e);
  (void)ar;
  poked(&e->scheduler);
  if (!c) luaL_error(L, "stopped by the second signal");  // a callback of the event loop
  if (!c->over) rt_call_raise_cancelled(L, c);
}

void rt_engine_stop(rt_engine *e) {
  e->stopped = true;
  uv_async_send(&e->scheduler.poke);
  rt_scheduler_hook(&e->scheduler, stop_running);
}

/* The same, but it lets the code clean up. */
static void unwind_running(lua_State *L, lua_Debug *ar) {
  rt_engine *e = rt_engine_of(L);
  rt_call *c = rt_call_current(e);
  (void)ar;
  if (!rt_scheduler_hooked(&e->scheduler, L)) return;
  rt_scheduler_unhook(&e->scheduler, L);
  poked(&e->scheduler);
  if (c && !c->over && !c->delivered) rt_call_raise_cancelled(L, c);
}

void rt_engine_unwind(rt_engine *e) {
  if (!e->stopped) rt_scheduler_hook(&e->scheduler, unwind_running);
}

/* ---- what outlasts all runs ---- */

static void rang(uv_timer_t *alarm) { (void)alarm; }

bool rt_engine_settle(rt_engine *e, int64_t patience) {
  rt_scheduler *s = &e->scheduler;
  if (!e->L) return true;
  e->closing = true;
  uint64_t end = uv_hrtime() + (uint64_t)patience, now;
  while ((s->loop.active_reqs.count || s->loop.closing_handles) && (now = uv_hrtime()) < end) {
    uv_update_time(&s->loop);
    uv_timer_start(&s->alarm, rang, (end - now) / 1000000 + 1, 0);
    uv_run(&s->loop, UV_RUN_ONCE);
  }
  uv_timer_stop(&s->alarm);
  return !s->loop.active_reqs.count;
}

/* ---- running ---- */

static void describe(const rt_call *c, rt_buf *out) {
  if (!c->task.kind || c->task.ready) return;
  rt_buf_text(out, "\n  call ");
  rt_call_id(c, out);
  rt_buf_printf(out, " (%s) waits for ", c->node->name);
  if (c->task.kind->describe) c->task.kind->describe(&c->task, out);
  else rt_buf_text(out, c->task.kind->name);
}

enum { GRAPH_LINES = 50 };

/* Whether a run inside this one has not ended. */
static bool has_nested(const rt_engine *e, const rt_run *run) {
  for (const rt_run *other = e->runs; other; other = other->next)
    if (other->waiter && other->waiter->run == run) return true;
  return false;
}

/* Nothing can wake any task: each run that stands still fails with the list of who waits
 * for what. One that waits for another to end will be woken by that one's failure. */
static void fail_deadlocked(rt_engine *e) {
  for (rt_run *run = e->runs; run; run = run->next) {
    if (has_nested(e, run)) continue;
    rt_buf text = {0};
    int lines = 0;
    rt_buf_text(&text, "every task waits and nothing can wake one:");
    for (const rt_call *at = run->root; at;) {
      if (lines++ < GRAPH_LINES) describe(at, &text);
      if (at->children) {
        at = at->children;
        continue;
      }
      while (at && !at->next) at = at->parent;
      if (at) at = at->next;
    }
    if (lines > GRAPH_LINES) rt_buf_printf(&text, "\n  and %d more", lines - GRAPH_LINES);
    rt_buf_char(&text, '\0');
    const char *why = text.failed ? "every task waits" : text.data;
    if (!rt_console_take_deadlock(e, run, why)) rt_run_fail(run, "deadlock", why);
    rt_buf_free(&text);
  }
}

void rt_engine_loop(rt_engine *e, lua_State *L, const bool *done) {
  while (!rt_scheduler_run(&e->scheduler, L, done)) fail_deadlocked(e);
}

/* ---- the journal ---- */

rt_journal *rt_engine_journal(rt_engine *e, lua_State *L) {
  if (e->journal) return e->journal;
  char *path = NULL, *error = NULL;
  int status = 0;
  if (e->journal_path) path = strdup(e->journal_path);
  else if (!e->journal_none) status = rt_journal_locate(&path, true, &error);
  if (status == 0) {
    rt_journal_options options = {.path = path, .max_size = e->journal_max};
    status = rt_journal_open(&e->journal, &options, &error);
  }
  free(path);
  if (status < 0) {
    lua_pushstring(L, error ? error : "not enough memory");
    free(error);
    rt_error_raise(L, "journal", "%s", lua_tostring(L, -1));
  }
  rt_meter_journal(e->meter, e->journal);
  return e->journal;
}

/* ---- opening and closing ---- */

static int close_engine(lua_State *L) {
  rt_engine *e = lua_touserdata(L, 1);
  if (!e->L) return 0;
  e->closing = true;
  rt_runaway_free(e->runaway);
  rt_console_close(e);
  rt_journal_close(e->journal);
  e->journal = NULL;
  rt_pool *pool = rt_pool_close(e, e->grace);
  rt_native_unload(e, pool);
  rt_pool_unref(pool);
  if (e->close_http) e->close_http(e);
  rt_meter_close(e->meter);
  rt_scheduler_close(&e->scheduler);
  rt_places_free(&e->places);
  rt_buf_free(&e->scratch);
  rt_buf_free(&e->text);
  while (e->spare) {
    rt_call *c = e->spare;
    e->spare = c->next;
    free(c);
  }
  rt_notice_close(e);
  free(e->journal_path);
  free(e->process);
  rt_memory_free(L, e->memory);
  e->L = NULL;
  return 0;
}

rt_engine *rt_engine_open(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &engine_key) == LUA_TUSERDATA)
    return lua_touserdata(L, -1);
  lua_pop(L, 1);

  rt_engine *e = lua_newuserdatauv(L, sizeof *e, 0);
  memset(e, 0, sizeof *e);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, close_engine);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  e->L = lua_tothread(L, -1);
  lua_pop(L, 1);
  // New threads copy the main thread's word; L itself may be an older one.
  rt_coroutine_init(e->L, &e->scheduler, false);
  rt_coroutine_init(L, &e->scheduler, false);

  e->record_limit = RT_RECORD_LIMIT;
  e->grace = RT_GRACE_NS;
  e->journal_max = INT64_C(2) << 30;
  e->class = rt_call_class;
  e->class.poked = poked;
  e->class.awake = rt_runaway_awake;
  e->class.news = rt_notice_deliver;
  const char *why = NULL;
  if (rt_scheduler_open(&e->scheduler, L, &e->class, &why) < 0)
    luaL_error(L, "railtracks: cannot open the event loop: %s", why);
  if (gethostname(e->host, sizeof e->host) < 0) e->host[0] = '\0';
  e->host[sizeof e->host - 1] = '\0';
  e->process = rt_process_id();
  rt_notice_set_level(e, RT_LEVEL_WARNING);
  e->notices.since = rt_scheduler_now(&e->scheduler);
  e->notices.most = INT64_C(10) << 20;
  e->notices.first = 1;
  rt_error_open(L);
  lua_pushliteral(L, "not enough memory");
  e->no_memory = rt_anchor_put(&e->scheduler, L);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &engine_key);
  return e;
}
