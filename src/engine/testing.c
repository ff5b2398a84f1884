/* testing.c -- what tests ask of the scheduler: a clock that jumps, a shuffled order. */
#include "task.h"

enum { LOTS = 16 };  // how many ready tasks a lot is drawn from

static void set_repeatable(rt_scheduler *s) {
  s->repeatable = s->virtual_clock || s->shuffled;
}

/* ---- the clock ---- */

void rt_scheduler_set_virtual(rt_scheduler *s, bool on) {
  s->virtual_clock = on;
  s->virtual_now = 0;  // sums of round numbers stay round: rt.now() is exact
  set_repeatable(s);
}

/* ---- the order ---- */

void rt_scheduler_set_seed(rt_scheduler *s, bool on, uint64_t seed) {
  s->shuffled = on;
  s->seed = seed;
  set_repeatable(s);
}

/* splitmix64, by Sebastiano Vigna: https://prng.di.unimi.it/splitmix64.c (public domain) */
static uint64_t next_lot(rt_scheduler *s) {
  uint64_t z = (s->lot += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

void rt_scheduler_draw(rt_scheduler *s) {
  if (s->drawn || !s->first) return;
  s->drawn = true;
  uint32_t count = 0;
  for (const rt_task *task = s->first; task && count < LOTS; task = task->next) count++;
  if (count == 1) return;
  uint32_t lot = (uint32_t)((next_lot(s) >> 32) * count >> 32);
  if (!lot) return;
  rt_task **link = &s->first;
  while (lot--) link = &(*link)->next;
  rt_task *task = *link;
  *link = task->next;
  if (s->last == &task->next) s->last = link;
  task->next = s->first;
  s->first = task;
}
