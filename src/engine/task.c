#include "task.h"

#include <lauxlib.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "error.h"

enum {
  POOL = 1024,            // coroutines kept for the next tasks
  SLICE_NS = 2000000,     // how long ready tasks run before I/O is looked at
  SLICE_STEP = 32,        // tasks between two looks at the clock
  SLICE_LOOKS = 100,      // looks that make a slice which is counted
};

/* ---- anchors ---- */

int rt_anchor_put(rt_scheduler *s, lua_State *L) {
  if (!s->free_count && s->free_capacity <= (size_t)s->slots) {
    // Room for every slot's return is made here, so that dropping cannot fail.
    size_t capacity = s->free_capacity ? s->free_capacity * 2 : 64;
    int *slots = realloc(s->free_slots, capacity * sizeof *slots);
    if (!slots) return luaL_error(L, "not enough memory");
    s->free_slots = slots;
    s->free_capacity = capacity;
  }
  int slot = s->free_count ? s->free_slots[s->free_count - 1] : s->slots + 1;
  lua_rawgetp(L, LUA_REGISTRYINDEX, s);
  lua_insert(L, -2);
  lua_rawseti(L, -2, slot);
  lua_pop(L, 1);
  if (s->free_count) s->free_count--;
  else s->slots++;
  return slot;
}

void rt_anchor_push(rt_scheduler *s, lua_State *L, int slot) {
  lua_rawgeti(s->vault, 1, slot);
  lua_xmove(s->vault, L, 1);
}

void rt_anchor_drop(rt_scheduler *s, int slot) {
  if (!slot) return;
  // A finalizer may call this in the middle of anything, hence a stack of its own.
  lua_pushnil(s->vault);
  lua_rawseti(s->vault, 1, slot);
  s->free_slots[s->free_count++] = slot;
}

/* ---- coroutines ---- */

static int new_coroutine(lua_State *L) {
  rt_scheduler *s = lua_touserdata(L, 1);
  rt_coroutine *made = lua_touserdata(L, 2);
  lua_State *co = lua_newthread(L);
  made->slot = rt_anchor_put(s, L);
  made->co = co;
  // A thread made before the engine opened has another word here; ours never do.
  rt_coroutine_init(co, s, true);
  return 0;
}

/* A place in the table of coroutines, from 1; 0 when out of memory. */
static uint32_t take_place(rt_scheduler *s) {
  uint32_t at = s->free;
  if (at) {
    s->free = s->coroutines[at - 1].next;
    return at;
  }
  if (s->coroutine_count == s->coroutine_capacity) {
    uint32_t capacity = s->coroutine_capacity ? s->coroutine_capacity * 2 : 64;
    rt_coroutine *grown = realloc(s->coroutines, capacity * sizeof *grown);
    if (!grown) return 0;
    s->coroutines = grown;
    s->coroutine_capacity = capacity;
  }
  return ++s->coroutine_count;
}

static void leave_place(rt_scheduler *s, uint32_t at) {
  s->coroutines[at - 1] = (rt_coroutine){.next = s->free};
  s->free = at;
}

/* Gives the task a coroutine. False when out of memory. */
static bool take_coroutine(rt_scheduler *s, rt_task *task) {
  uint32_t at = s->idle;
  if (at) {
    s->idle = s->coroutines[at - 1].next;
    s->idle_count--;
  } else {
    at = take_place(s);
    if (!at) return false;
    rt_coroutine made = {0};
    lua_State *L = s->own;
    lua_pushcfunction(L, new_coroutine);
    lua_pushlightuserdata(L, s);
    lua_pushlightuserdata(L, &made);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
      lua_pop(L, 1);
      leave_place(s, at);
      return false;
    }
    s->coroutines[at - 1] = made;
  }
  task->base = at - 1;
  task->co = s->coroutines[at - 1].co;
  return true;
}

static void drop_coroutine(rt_scheduler *s, uint32_t base) {
  rt_anchor_drop(s, s->coroutines[base].slot);
  leave_place(s, base + 1);
}

static void give_coroutine(rt_scheduler *s, uint32_t base) {
  lua_State *co = s->coroutines[base].co;
  lua_settop(co, 0);
  if (lua_gethook(co)) lua_sethook(co, NULL, 0, 0);
  if (s->idle_count == POOL) {
    drop_coroutine(s, base);
    return;
  }
  s->coroutines[base].next = s->idle;
  s->idle = base + 1;
  s->idle_count++;
}

/* ---- running ---- */

void rt_task_queue(rt_scheduler *s, rt_task *task) {
  task->ready = true;
  task->next = NULL;
  *s->last = task;
  s->last = &task->next;
}

void rt_task_wake(rt_scheduler *s, rt_task *task) { rt_task_queue(s, task); }

void rt_task_interrupt(rt_scheduler *s, rt_task *task) {
  if (!task->kind || !task->kind->unlink || task->ready) return;
  task->kind->unlink(s, task);
  task->interrupted = true;
  rt_task_queue(s, task);
}

static int resumed(lua_State *L, int status, lua_KContext context) {
  rt_task *task = (rt_task *)context;
  const rt_wait_kind *kind = task->kind;
  (void)status;
  if (task->interrupted) {
    rt_scheduler *s = rt_scheduler_of(L);
    task->interrupted = false;
    if (kind->interrupted) kind->interrupted(L, task);
    s->class->interrupt(L, task);
  }
  task->kind = NULL;
  return kind->finish(L, task);
}

int rt_task_wait(lua_State *L, rt_task *task, const rt_wait_kind *kind) {
  task->kind = kind;
  return lua_yieldk(L, 0, (lua_KContext)task, resumed);
}

/* A bare coroutine.yield() reached the loop: nobody is there to take its values. It is
 * resumed with this hook, which makes its return an error. */
static void refuse_yield(lua_State *L, lua_Debug *ar) {
  (void)ar;
  lua_sethook(L, NULL, 0, 0);
  rt_error_raise(L, "usage",
                 "coroutine.yield outside a coroutine: a task waits with rt.* functions");
}

static void run_task(rt_scheduler *s, rt_task *task) {
  int results;
  if (!task->started) {
    task->started = true;
    if (!take_coroutine(s, task)) {
      s->class->crashed(s, task, NULL);
      return;
    }
    lua_pushcfunction(task->co, s->class->main);
  }
  uint32_t base = task->base;
  lua_State *co = s->coroutines[base].co;
  s->current = task;
  s->active = co;
  s->turn++;
  atomic_signal_fence(memory_order_seq_cst);  // it falls asleep only while none is active
  if (s->dozing) s->class->awake(s);
  int status = lua_resume(co, s->from, 0, &results);
  while (status == LUA_YIELD && !s->current->kind) {
    lua_pop(co, results);
    lua_sethook(co, refuse_yield, LUA_MASKRET, 0);
    status = lua_resume(co, s->from, 0, &results);
  }
  s->active = NULL;
  atomic_signal_fence(memory_order_seq_cst);  // no hook is set from here on
  if (s->hooked) {
    lua_sethook(s->hooked, NULL, 0, 0);
    s->hooked = NULL;
  }
  // The coroutine may have passed from the task it was resumed for to others.
  task = s->current;
  s->current = NULL;
  if (status == LUA_YIELD) return;
  if (status == LUA_OK) {
    give_coroutine(s, base);
  } else {
    s->class->crashed(s, task, co);
    drop_coroutine(s, base);
  }
}

static rt_task *take_ready(rt_scheduler *s) {
  if (s->shuffled) rt_scheduler_draw(s);
  s->drawn = false;
  rt_task *task = s->first;
  s->first = task->next;
  if (!s->first) s->last = &s->first;
  task->ready = false;
  return task;
}

rt_task *rt_task_succeed(rt_scheduler *s, rt_task *task) {
  if (s->shuffled) rt_scheduler_draw(s);
  rt_task *next = s->first;
  if (!next || next->started || *s->done || s->hooked || s->news || --s->turns <= 0)
    return NULL;
  take_ready(s);
  next->started = true;
  next->base = task->base;
  next->co = rt_task_base(s, next);
  s->current = next;
  return next;
}

void rt_scheduler_hook(rt_scheduler *s, lua_Hook hook) {
  if (!s->active) return;
  if (s->hooked && s->hooked != s->active) lua_sethook(s->hooked, NULL, 0, 0);
  s->hooked = s->active;
  lua_sethook(s->hooked, hook, LUA_MASKCOUNT, 1);
}

bool rt_scheduler_hooked(rt_scheduler *s, lua_State *L) {
  if (s->hooked == L) return true;
  lua_sethook(L, NULL, 0, 0);
  return false;
}

void rt_scheduler_unhook(rt_scheduler *s, lua_State *L) {
  lua_sethook(L, NULL, 0, 0);
  if (s->hooked == L) s->hooked = NULL;
}

void rt_scheduler_move_hook(rt_scheduler *s) {
  lua_Hook hook = lua_gethook(s->hooked);
  if (hook) rt_scheduler_hook(s, hook);
  else s->hooked = NULL;
}

bool rt_scheduler_in_slice(rt_scheduler *s, int64_t now) {
  // How far a task gets in two milliseconds is never twice the same.
  if (s->repeatable) return --s->looks > 0;
  if (!s->slice_end) s->slice_end = now + SLICE_NS;
  return now < s->slice_end;
}

/* Runs ready tasks for one slice. */
static void run_ready(rt_scheduler *s) {
  s->slice_end = 0;
  s->turns = SLICE_STEP;
  s->looks = SLICE_LOOKS;
  while (s->first && !*s->done) {
    if (--s->turns <= 0) {
      if (!rt_scheduler_in_slice(s, rt_scheduler_now(s))) return;
      s->turns = SLICE_STEP;
    }
    run_task(s, take_ready(s));
    if (s->news) s->class->news(s);
  }
}

/* The due timers are fired after uv_run. It may ring before the loop polls, if the machine had
 * something else to do: then nothing else might end the sleep. */
static void alarm_rang(uv_timer_t *alarm) { uv_stop(alarm->loop); }

/* Without waiting. A loop with nothing alive in it would not even look for a poke. */
static void look_at_io(rt_scheduler *s) {
  uv_ref((uv_handle_t *)&s->poke);
  uv_run(&s->loop, UV_RUN_NOWAIT);
  uv_unref((uv_handle_t *)&s->poke);
}

static int64_t real_now(void) {
  struct timespec t;  // what uv_hrtime does, less the way there: two looks for every call
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* What libuv calls before it polls (its timers) may have made a task ready, or armed an
 * earlier timer: then it is not to sleep. */
static void about_to_sleep(uv_prepare_t *before) {
  rt_scheduler *s = before->loop->data;
  if (s->done && (s->first || (s->heap_count && s->heap[0].due < s->waits_for)))
    uv_stop(&s->loop);
}

/* Waits for I/O, or for 'left' nanoseconds, of which a virtual clock takes note. */
static void wait_for_io(rt_scheduler *s, int64_t left) {
  int64_t longest = (int64_t)1 << 50;  // libuv adds it to its clock
  int64_t before = s->virtual_clock ? real_now() : 0;
  s->waits_for = s->heap_count ? s->heap[0].due : RT_NEVER;
  if (left < RT_NEVER) {
    uv_update_time(&s->loop);
    uv_timer_start(&s->alarm, alarm_rang,
                   (uint64_t)(left < longest ? left + 999999 : longest) / 1000000, 0);
  }
  uv_run(&s->loop, UV_RUN_ONCE);
  uv_timer_stop(&s->alarm);
  if (!s->virtual_clock) return;
  int64_t passed = real_now() - before;
  s->virtual_now += passed < left ? passed : left;
}

/* No task is ready: lets time pass, 'most' nanoseconds, until a timer is due or I/O has
 * happened. False when there is nothing to wait for. */
static bool wait_for_change(rt_scheduler *s, int64_t most) {
  bool io = uv_loop_alive(&s->loop), timer = s->heap_count > s->quiet || (s->heap_count && io);
  if (!timer && !io) return false;
  int64_t left = timer ? s->heap[0].due - rt_scheduler_now(s) : RT_NEVER;
  if (left > most) left = most;
  if (left > 0 && (io || !s->virtual_clock)) {
    wait_for_io(s, left);
    return true;
  }
  look_at_io(s);  // a row of short sleeps must not shut it out
  if (left > 0 && !s->first) s->virtual_now = s->heap[0].due;
  return true;
}

bool rt_scheduler_run(rt_scheduler *s, lua_State *from, const bool *done) {
  lua_State *outer = s->from;
  const bool *outer_done = s->done;
  lua_State *active = s->active, *stuck = s->stuck;
  bool alive = true;
  s->from = from;
  s->stuck = NULL;
  s->done = done;
  if (!outer) {
    s->lot = s->seed;
    s->drawn = false;
  }
  while (alive) {
    run_ready(s);
    if (*done) break;
    if (s->first) look_at_io(s);
    else alive = wait_for_change(s, RT_NEVER);
    rt_timer_fire_due(s);
    if (s->news) s->class->news(s);
  }
  s->from = outer;
  s->done = outer_done;
  s->active = active;
  s->stuck = stuck;
  return alive;
}

bool rt_scheduler_step(rt_scheduler *s, lua_State *from, int64_t most) {
  static const bool never = false;
  s->from = from;
  s->stuck = NULL;
  s->done = &never;
  if (s->first || !wait_for_change(s, most)) look_at_io(s);
  rt_timer_fire_due(s);
  run_ready(s);
  s->from = NULL;
  s->active = NULL;
  return s->first || uv_loop_alive(&s->loop) || s->heap_count > s->quiet;
}

int64_t rt_scheduler_left(const rt_scheduler *s) {
  if (s->first) return 0;
  int64_t left = s->heap_count ? s->heap[0].due - rt_scheduler_now(s) : RT_NEVER;
  if (uv_loop_alive(&s->loop)) {
    int ms = uv_backend_timeout(&s->loop);
    if (ms >= 0 && ms < left / 1000000) left = (int64_t)ms * 1000000;
  }
  return left > 0 ? left : 0;
}

int64_t rt_scheduler_now(const rt_scheduler *s) {
  return s->virtual_clock ? s->virtual_now : real_now();
}

int64_t rt_scheduler_after(const rt_scheduler *s, double seconds) {
  int64_t now = rt_scheduler_now(s);
  // Rounded: 1.1 * 1e9 is a little less than it should be.
  int64_t ns = seconds < 4e9 ? (int64_t)(seconds * 1e9 + 0.5) : RT_NEVER;
  return ns < RT_NEVER - now ? now + ns : RT_NEVER;
}

/* ---- opening and closing ---- */

static void poked(uv_async_t *async) {
  rt_scheduler *s = async->loop->data;
  s->class->poked(s);
}

int rt_scheduler_open(rt_scheduler *s, lua_State *L, const rt_task_class *class,
                      const char **why) {
  *s = (rt_scheduler){.class = class};
  s->last = &s->first;

  int status = uv_loop_init(&s->loop);
  if (status == 0) {
    s->loop_open = true;
    s->loop.data = s;
    uv_timer_init(&s->loop, &s->alarm);
    uv_prepare_init(&s->loop, &s->before);
    uv_prepare_start(&s->before, about_to_sleep);
    uv_unref((uv_handle_t *)&s->before);
    status = uv_async_init(&s->loop, &s->poke, poked);
  }
  if (status < 0) {
    *why = uv_strerror(status);
    return -1;
  }
  uv_unref((uv_handle_t *)&s->poke);  // only wakes; keeps nothing alive

  lua_createtable(L, 64, 0);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, s);
  s->vault = lua_newthread(L);
  lua_insert(L, -2);
  lua_xmove(L, s->vault, 1);
  rt_anchor_put(s, L);
  s->own = lua_newthread(L);
  rt_coroutine_init(s->own, s, false);
  rt_anchor_put(s, L);
  return 0;
}

void rt_scheduler_close(rt_scheduler *s) {
  if (s->loop_open) {
    uv_close((uv_handle_t *)&s->alarm, NULL);
    uv_close((uv_handle_t *)&s->before, NULL);
    if (s->poke.type == UV_ASYNC) uv_close((uv_handle_t *)&s->poke, NULL);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    uv_loop_close(&s->loop);
  }
  free(s->coroutines);
  free(s->free_slots);
  free(s->heap);
  *s = (rt_scheduler){0};
}
