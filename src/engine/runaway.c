#include "runaway.h"

#include <lauxlib.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "console.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

#define SECOND INT64_C(1000000000)
#define WARN_NS SECOND           // without a wait, before it is told
#define TICK_NS (SECOND / 8)     // between two looks

/* What is the same for as long as the code that runs has not given way. */
typedef struct rt_slice {
  uint32_t turn;           // coroutines resumed
  uint32_t ended;          // calls that have ended
  const rt_task *current;  // the running call: another one while a call in it runs
} rt_slice;

struct rt_runaway {
  timer_t timer;
  int64_t tick;            /* nanoseconds between two looks */
  int64_t looked;          /* when the last one was */
  rt_slice slice;          /* what ran then */
  int64_t spent;           /* how long it has been running */
  lua_State *asked;        /* what the hook was set on; NULL: none was, or it was met */
  bool told;               /* it has been reported */
  bool told_c;             /* as being in a C function */
  bool raised;             /* it has been told to stop, once */
};

/* What the clock of a test does not stop. */
static int64_t clock_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

static rt_slice slice_of(const rt_engine *e) {
  return (rt_slice){e->scheduler.turn, e->ended, e->scheduler.current};
}

static bool same_slice(rt_slice a, rt_slice b) {
  return a.turn == b.turn && a.ended == b.ended && a.current == b.current;
}

static void set_timer(rt_runaway *r, int64_t ns) {
  struct timespec t = {ns / SECOND, ns % SECOND};
  timer_settime(r->timer, 0, &(struct itimerspec){t, t}, NULL);
}

static void begin_slice(rt_runaway *r, const rt_engine *e) {
  r->slice = slice_of(e);
  r->spent = 0;
  r->asked = NULL;
  r->told = r->told_c = r->raised = false;
}

/* ---- telling ---- */

/* "call 1.2 (load)"; also in a signal handler, with a buffer that does not grow. */
static void name_call(const rt_call *c, rt_buf *out) {
  if (!c) {
    rt_buf_text(out, "a callback of the event loop");
    return;
  }
  rt_buf_text(out, "call ");
  rt_call_id(c, out);
  rt_buf_text(out, " (");
  rt_buf_add(out, c->node->name, c->node->name_size);
  rt_buf_text(out, ")");
}


/* "script.lua:3", the innermost function that is not the engine's; nothing if none is. */
static void name_place(lua_State *L, rt_buf *out) {
  lua_Debug ar;
  for (int level = 0; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline <= 0 || rt_place_is_ours(&ar)) continue;
    rt_buf_text(out, ", at ");
    rt_buf_text(out, *ar.source == '@' ? ar.source + 1 : ar.short_src);
    rt_buf_text(out, ":");
    rt_buf_int(out, ar.currentline);
    return;
  }
}

/* Writes the warning at once, also in a signal handler: whoever would put it above a prompt
 * is not heard now. Where nobody reads, the code is not held up for it. */
static void tell(rt_engine *e, const rt_buf *text) {
  if (poll(&(struct pollfd){.fd = STDERR_FILENO, .events = POLLOUT}, 1, 0) != 1) return;
  bool prompt = e->console && e->console->waiter;
  if (prompt && write(STDERR_FILENO, "\n", 1) < 0) return;
  if (write(STDERR_FILENO, text->data, text->size) < 0) return;  // nobody is left to tell
  if (prompt) rt_console_notify(e, RT_CONSOLE_OUTPUT);
}

/* Runs between two instructions of the code, once. */
static void report(lua_State *L, lua_Debug *ar) {
  rt_engine *e = rt_engine_of(L);
  rt_runaway *r = e->runaway;
  (void)ar;
  if (!rt_scheduler_hooked(&e->scheduler, L)) return;
  rt_scheduler_unhook(&e->scheduler, L);
  r->asked = NULL;
  if (!same_slice(r->slice, slice_of(e))) return;  // it has just given way
  rt_buf text = {0};
  rt_buf_text(&text, "railtracks: warning: ");
  name_call(rt_call_current(e), &text);
  rt_buf_text(&text, " has run for ");
  rt_buf_int(&text, r->spent / SECOND);
  rt_buf_text(&text, " s without a wait");
  name_place(L, &text);
  rt_buf_char(&text, '\n');
  if (!text.failed) tell(e, &text);
  rt_buf_free(&text);
}

/* In the signal handler: the hook was not met, so no Lua has run since it was set. */
static void report_c(rt_engine *e, int64_t spent) {
  char room[1024];
  rt_buf text = {.data = room, .capacity = sizeof room - 64, .fixed = true};
  rt_buf_text(&text, "railtracks: warning: ");
  name_call(rt_call_current(e), &text);
  text.failed = false;  // a name that is too long is left out
  text.capacity = sizeof room;
  rt_buf_text(&text, " has run for ");
  rt_buf_int(&text, spent / SECOND);
  rt_buf_text(&text, " s without a wait and is in a C function\n");
  tell(e, &text);
}

/* ---- stopping ---- */

/* Of what runs now: the run's own, or in a callback of the loop the engine's. */
static int64_t limit_now(const rt_engine *e) {
  const rt_call *c = rt_call_current(e);
  return c ? c->run->slice_limit : e->slice_limit;
}

/* Runs between two instructions of code that has spent its slice. The first time it goes
 * away again, so that what closes can run; then it stays until the code gives way. */
static void stop(lua_State *L, lua_Debug *ar) {
  rt_engine *e = rt_engine_of(L);
  rt_runaway *r = e->runaway;
  rt_call *c = rt_call_current(e);
  (void)ar;
  if (!rt_scheduler_hooked(&e->scheduler, L)) return;
  r->asked = NULL;
  if (!r->raised || !same_slice(r->slice, slice_of(e))) {
    rt_scheduler_unhook(&e->scheduler, L);
    if (!same_slice(r->slice, slice_of(e))) return;
    r->raised = true;
    r->spent = 0;
  }
  if (c && c->over) return;

  char room[1024];
  rt_buf text = {.data = room, .capacity = sizeof room - 1, .fixed = true};
  rt_buf_text(&text, "the slice limit of ");
  rt_buf_printf(&text, "%.6g", (double)limit_now(e) / 1e9);
  rt_buf_text(&text, " s was spent without a wait");
  name_place(L, &text);
  room[text.size] = '\0';
  rt_error_push(L, "budget", "%s", room);
  lua_pushnumber(L, (lua_Number)limit_now(e) / 1e9);
  lua_setfield(L, -2, "seconds");
  if (!c) lua_error(L);  // a callback of the event loop
  rt_call_add_identity(L, c);
  rt_call_raise_through(L, c);
}

/* ---- looking ---- */

/* Whether a hook of ours is set on the running coroutine. */
static bool is_set(const rt_scheduler *s) {
  lua_Hook hook = s->hooked == s->active ? lua_gethook(s->active) : NULL;
  return hook == report || hook == stop;
}

void rt_runaway_tick(rt_engine *e) {
  rt_runaway *r = e->runaway;
  rt_scheduler *s = &e->scheduler;
  if (!r || s->dozing) return;
  int64_t now = clock_now(), passed = now - r->looked;
  r->looked = now;
  bool same = same_slice(r->slice, slice_of(e));
  if (!s->active && same) {
    // The loop has slept since the last look: so may we.
    s->dozing = true;
    set_timer(r, 0);
    return;
  }
  // The journal's disk is waited for, which is nothing that the code does.
  if (!s->active || !same || rt_journal_waits(e->journal)) {
    begin_slice(r, e);
    return;
  }
  // A process that was stopped, or got no processor, has not run for that long.
  r->spent += passed < 2 * r->tick ? passed : 2 * r->tick;
  if (e->stopped) return;  // the hook of the second Ctrl-C stands

  bool stuck = r->asked == s->active && is_set(s);  // it has met no hook since the last look
  bool late = r->spent >= WARN_NS;
  int64_t limit = limit_now(e);
  if (limit && r->spent >= limit) {
    r->asked = s->active;
    rt_scheduler_hook(s, stop);
  } else if (late && (!r->told || (r->asked && !stuck))) {
    r->told = true;
    r->asked = s->active;
    rt_scheduler_hook(s, report);
  }
  if (late && stuck && !r->told_c) {
    r->told_c = true;
    report_c(e, r->spent);
  }
}

void rt_runaway_awake(rt_scheduler *s) {
  rt_engine *e = (rt_engine *)s;
  rt_runaway *r = e->runaway;
  s->dozing = false;
  if (!r) return;
  r->looked = clock_now();
  begin_slice(r, e);
  set_timer(r, r->tick);
}

bool rt_runaway_watch(rt_engine *e, int signal) {
  if (e->runaway) return true;
  rt_runaway *r = calloc(1, sizeof *r);
  if (!r) return false;
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = signal};
  event.sigev_notify_thread_id = gettid();
  if (timer_create(CLOCK_MONOTONIC, &event, &r->timer) < 0) {
    free(r);
    return false;
  }
  r->tick = TICK_NS;
  if (e->slice_limit && e->slice_limit / 8 < r->tick) r->tick = e->slice_limit / 8;
  if (r->tick < 1000000) r->tick = 1000000;
  e->runaway = r;
  e->scheduler.dozing = true;
  return true;
}

void rt_runaway_free(rt_runaway *r) {
  if (!r) return;
  timer_delete(r->timer);
  free(r);
}
