/* cycle.c -- would a wait never end, because it waits for itself?
 *
 * A call cannot end before the task it awaits and before its children. So waiting for
 * 'target' closes a circle if 'c' can be reached from it along such steps. The search goes
 * from both ends in turn, and ends as soon as either side has nowhere left to go: in a chain
 * of 50,000 awaits one of them has after a few steps, whichever way the chain grows.
 */
#include <stdlib.h>

#include "group.h"

enum { FEW = 32 };

typedef struct side {
  rt_call **found;      /* in the order they were found; each is marked ... */
  size_t count, capacity;
  size_t at;            /* whose steps are being taken ... */
  int stage;            /* ... and how far: what it has one of, then a list */
  rt_call *child;
  const rt_member *member;
  bool no_memory;
  rt_call *few[FEW];
} side;

static void find(side *s, rt_call *c) {
  if (s->count == s->capacity) {
    size_t size = s->capacity * 2 * sizeof *s->found;
    rt_call **grown = realloc(s->found == s->few ? NULL : s->found, size);
    if (!grown) {
      s->no_memory = true;
      return;
    }
    if (s->found == s->few) memcpy(grown, s->few, sizeof s->few);
    s->found = grown;
    s->capacity *= 2;
  }
  s->found[s->count++] = c;
}

/* What 'at' waits for in a task:await or rt.run; NULL if in none. */
static rt_call *awaited(const rt_call *at) {
  if (at->task.ready) return NULL;
  if (at->task.kind == &rt_await_wait) return rt_await_target(&at->task);
  if (at->task.kind == &rt_run_wait) return ((const rt_run *)at->task.wait.other.on)->root;
  return NULL;
}

/* The next call that the one at hand cannot end before. False if it was the last. */
static bool step_ahead(side *s, rt_call **to) {
  const rt_call *at = s->found[s->at];
  if (s->stage == 0) {
    s->stage = 1;
    s->child = at->children;
    *to = awaited(at);
    return true;
  }
  *to = s->child;
  if (!s->child) return false;
  s->child = s->child->next;
  return true;
}

static rt_call *awaiting(const rt_group *g) {
  return g && rt_group_awaits(g) ? g->waiter : NULL;
}

/* The next call that cannot end before the one at hand. */
static bool step_back(side *s, rt_call **to) {
  const rt_call *at = s->found[s->at];
  const rt_member *oldest = at->handle && at->rare ? at->rare->more : NULL;
  if (s->stage == 0) {
    s->stage = 1;
    *to = at->parent ? at->parent : at->run->waiter;
  } else if (s->stage == 1) {
    s->stage = 2;
    s->member = oldest;
    *to = awaiting(at->handle ? at->group : NULL);  // only a Task has groups
  } else if (s->member) {
    *to = awaiting(s->member->group);
    s->member = s->member->next == oldest ? NULL : s->member->next;
  } else {
    return false;
  }
  return true;
}

static bool search(side *ahead, side *back) {
  for (;;) {
    rt_call *to = NULL;
    if (!step_ahead(ahead, &to)) {
      if (++ahead->at == ahead->count) return false;
      ahead->stage = 0;
    } else if (to && to->found_back) {
      return true;
    } else if (to && !to->found_ahead && to->status == RT_RUNNING) {
      to->found_ahead = true;
      find(ahead, to);
    }
    to = NULL;
    if (!step_back(back, &to)) {
      if (++back->at == back->count) return false;
      back->stage = 0;
    } else if (to && to->found_ahead) {
      return true;
    } else if (to && !to->found_back) {
      to->found_back = true;
      find(back, to);
    }
    // Nobody is told then: the run will be found to stand still.
    if (ahead->no_memory || back->no_memory) return false;
  }
}

bool rt_call_closes_circle(rt_call *c, rt_call *target) {
  if (!target->children && !awaited(target)) return false;
  side ahead = {.capacity = FEW}, back = {.capacity = FEW};
  ahead.found = ahead.few;
  back.found = back.few;
  find(&ahead, target);
  find(&back, c);
  target->found_ahead = true;
  c->found_back = true;
  bool found = search(&ahead, &back);
  for (size_t i = 0; i < ahead.count; i++) ahead.found[i]->found_ahead = false;
  for (size_t i = 0; i < back.count; i++) back.found[i]->found_back = false;
  if (ahead.found != ahead.few) free(ahead.found);
  if (back.found != back.few) free(back.found);
  return found;
}

bool rt_call_is_above(const rt_call *at, const rt_call *c) {
  // A call is older than all below it: what is older than 'at' cannot be 'at'.
  if (at->run != c->run || !at->children) return at == c;
  while (c && c->seq > at->seq) c = c->parent;
  return c == at;
}
