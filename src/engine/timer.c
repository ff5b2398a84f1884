/* timer.c -- moments at which something happens, in a 4-ary heap: shallow, and kind to the
 * cache.
 */
#include <stdlib.h>

#include "task.h"

static bool earlier(rt_timer_entry a, rt_timer_entry b) {
  return a.due < b.due || (a.due == b.due && (int32_t)(a.timer->order - b.timer->order) < 0);
}

static void place(rt_scheduler *s, size_t at, rt_timer_entry entry) {
  s->heap[at] = entry;
  entry.timer->at = (uint32_t)at + 1;
}

static void rise(rt_scheduler *s, size_t at, rt_timer_entry entry) {
  while (at > 0) {
    size_t above = (at - 1) / 4;
    if (!earlier(entry, s->heap[above])) break;
    place(s, at, s->heap[above]);
    at = above;
  }
  place(s, at, entry);
}

static void sink(rt_scheduler *s, size_t at, rt_timer_entry entry) {
  for (;;) {
    size_t child = at * 4 + 1, best = child;
    if (child >= s->heap_count) break;
    for (size_t i = child + 1; i < child + 4 && i < s->heap_count; i++)
      if (earlier(s->heap[i], s->heap[best])) best = i;
    if (!earlier(s->heap[best], entry)) break;
    place(s, at, s->heap[best]);
    at = best;
  }
  place(s, at, entry);
}

bool rt_timer_arm(rt_scheduler *s, rt_timer *timer, int64_t due) {
  timer->due = due;
  timer->at = 0;
  if (due == RT_NEVER) return true;
  if (s->heap_count == s->heap_capacity) {
    size_t capacity = s->heap_capacity ? s->heap_capacity * 2 : 64;
    rt_timer_entry *heap = realloc(s->heap, capacity * sizeof *heap);
    if (!heap) return false;
    s->heap = heap;
    s->heap_capacity = capacity;
  }
  timer->order = s->timer_order++;
  rise(s, s->heap_count++, (rt_timer_entry){due, timer});
  return true;
}

void rt_timer_disarm(rt_scheduler *s, rt_timer *timer) {
  if (!timer->at) return;
  size_t at = timer->at - 1;
  timer->at = 0;
  rt_timer_entry moved = s->heap[--s->heap_count];
  if (moved.timer == timer) return;
  if (at > 0 && earlier(moved, s->heap[(at - 1) / 4])) rise(s, at, moved);
  else sink(s, at, moved);
}

void rt_timer_fire_due(rt_scheduler *s) {
  if (!s->heap_count) return;
  int64_t now = rt_scheduler_now(s);
  while (s->heap_count && s->heap[0].due <= now) {
    rt_timer *timer = s->heap[0].timer;
    rt_timer_disarm(s, timer);
    timer->fire(s, timer);
  }
}
