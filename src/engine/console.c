#include "console.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <time.h>

#include "engine.h"

static int64_t clock_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

rt_console *rt_console_open(rt_engine *e) {
  if (!e->console) e->console = calloc(1, sizeof *e->console);
  return e->console;
}

void rt_console_close(rt_engine *e) {
  if (e->console && e->console->line) rt_call_unref(e->console->line);
  free(e->console);
  e->console = NULL;
}

void rt_console_notify(rt_engine *e, rt_console_event event) {
  if (!e->console) return;
  atomic_fetch_or(&e->console->events, event);
  uv_async_send(&e->scheduler.poke);
}

/* ---- Ctrl-C ---- */

static void cancel_line(rt_console *k) {
  rt_call_cancel_for(k->line, "Ctrl-C");
  if (k->pressed > 1) rt_call_cut(k->line);
}

static bool is_within(const rt_call *c, const rt_call *line) {
  while (c && c != line) c = c->parent ? c->parent : c->run->waiter;
  return c != NULL;
}

/* Whether it is the call that stands at the console, and may not be ended. */
static bool is_host(const rt_engine *e, const rt_call *c) {
  return !c || !c->parent || (e->console->line && c == e->console->line->parent);
}

/* Runs between two instructions of Lua that ran when Ctrl-C was pressed. Set by the first
 * one it goes away again, so that what closes can run. */
static void stop_line(lua_State *L, lua_Debug *ar) {
  rt_engine *e = rt_engine_of(L);
  rt_console *k = e->console;
  rt_call *c = rt_call_current(e), *line = k->line;
  (void)ar;
  if (!rt_scheduler_hooked(&e->scheduler, L)) return;
  bool ours = line ? is_within(c, line) : !is_host(e, c);
  if (!ours || k->pressed < 2) rt_scheduler_unhook(&e->scheduler, L);
  if (line) cancel_line(k);
  if (!ours || c->over) return;
  // Without a line: this is what kept the console from being heard.
  if (!line) rt_call_cancel_for(c, "Ctrl-C");
  if (!c->delivered || k->pressed > 1) rt_call_raise_cancelled(L, c);
}

/* The same in what was called to be guarded. */
static void leave_guarded(lua_State *L, lua_Debug *ar) {
  rt_engine *e = rt_engine_of(L);
  (void)ar;
  if (!rt_scheduler_hooked(&e->scheduler, L)) return;
  rt_scheduler_unhook(&e->scheduler, L);
  if (e->console->guarded) luaL_error(L, "Ctrl-C");
}

bool rt_console_interrupt(rt_engine *e) {
  rt_console *k = e->console;
  int64_t now = clock_now();
  int pressed = ++k->pressed;
  if (pressed == 2) k->insisted = now;
  if (k->line && pressed > 2 && now - k->insisted > 1000000000) return false;
  bool unheard = atomic_fetch_or(&k->events, RT_CONSOLE_INTERRUPT) & RT_CONSOLE_INTERRUPT;
  if (k->guarded) rt_scheduler_hook(&e->scheduler, leave_guarded);
  else if (k->line || unheard) rt_scheduler_hook(&e->scheduler, stop_line);
  uv_async_send(&e->scheduler.poke);
  return true;
}

void rt_console_set_line(rt_engine *e, rt_call *c) {
  rt_console *k = e->console;
  rt_call *before = k->line;
  k->line = c ? rt_call_ref(c) : NULL;
  k->pressed = 0;
  if (before) rt_call_unref(before);
}

void rt_console_poked(rt_engine *e) {
  rt_console *k = e->console;
  if (!k) return;
  if (k->line && atomic_fetch_and(&k->events, ~(unsigned)RT_CONSOLE_INTERRUPT) &
                     RT_CONSOLE_INTERRUPT)
    cancel_line(k);
  if (k->events && k->waiter && !k->waiter->ready) rt_task_wake(&e->scheduler, k->waiter);
}

/* ---- deadlocks ---- */

bool rt_console_take_deadlock(rt_engine *e, const rt_run *run, const char *text) {
  rt_call *line = e->console ? e->console->line : NULL;
  if (!line || line->run != run || line->cut || !rt_call_rare_of(line)) return false;
  if (line->cancelled) {  // what it does about it stands still as well
    rt_call_cut(line);
    return true;
  }
  line->rare->deadlock = strdup(text);
  rt_call_cancel_for(line, "it can never end");
  return true;
}
