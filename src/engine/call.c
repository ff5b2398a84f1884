#include "call.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "engine.h"
#include "life.h"

enum {
  SPARE = 256,         // ended calls kept for the next ones
  ID_LONGEST = 255,    // bytes of a whole id
  ID_STEM = 224,       // of the beginning of a shortened one
};

/* ---- making and freeing ---- */

static void unlink_sibling(rt_call **list, rt_call *c) {
  if (c->previous) c->previous->next = c->next;
  else *list = c->next;
  if (c->next) c->next->previous = c->previous;
  c->next = c->previous = NULL;
}

rt_call_rare *rt_call_rare_of(rt_call *c) {
  if (!c->rare) c->rare = calloc(1, sizeof *c->rare);
  return c->rare;
}

/* Sets how long the id is and, for a shortened one, where it branches off. */
static bool measure_id(rt_call *c) {
  const rt_call *p = c->parent;
  if (!p) {
    c->id_size = 1;
    return true;
  }
  uint32_t size = p->id_size + 1 + (uint32_t)rt_digits(c->ordinal);
  c->id_size = (uint16_t)(size > ID_LONGEST ? ID_LONGEST + 1 : size);
  if (size <= ID_LONGEST) return true;
  if (!rt_call_rare_of(c)) return false;
  rt_call *stem = c->parent;
  if (stem->id_size > ID_LONGEST) stem = stem->rare->stem;
  else
    while (stem->id_size > ID_STEM) stem = stem->parent;
  c->rare->stem = stem;
  return true;
}

/* A Task, or a call below, may outlive it for long. */
void rt_call_forget(rt_engine *e, rt_call *c) {
  rt_anchor_drop(&e->scheduler, c->rare->received);
  rt_anchor_drop(&e->scheduler, c->rare->failure);
  rt_anchor_drop(&e->scheduler, c->rare->told);
  rt_anchor_drop(&e->scheduler, c->rare->fatal_error);
  rt_anchor_drop(&e->scheduler, c->rare->fatal_failure);
  c->rare->received = c->rare->failure = c->rare->told = 0;
  c->rare->fatal_error = c->rare->fatal_failure = 0;
}

static void free_call(rt_engine *e, rt_call *c) {
  if (c->rare) {
    rt_call_end_timers(c);
    rt_call_forget(e, c);
    free(c->rare->args);
    free(c->rare->second);
    free(c->rare->deadlock);
    rt_reason_unref(c->rare->reason);
    free(c->rare);
  }
  rt_anchor_drop(&e->scheduler, c->handle);
  rt_node_unref(c->node);
  if (e->spares < SPARE) {
    c->next = e->spare;
    e->spare = c;
    e->spares++;
  } else {
    free(c);
  }
}

void rt_call_unref(rt_call *c) {
  // A loop, not a recursion: a chain of 100,000 callers may go at once.
  while (c && --c->refs == 0) {
    rt_call *parent = c->parent;
    rt_run *run = c->run;
    free_call(run->engine, c);
    rt_run_unref(run);
    c = parent;
  }
}

rt_call *rt_call_new(rt_run *run, rt_call *parent, rt_node *node, const rt_use *use,
                     uint32_t ordinal) {
  rt_engine *e = run->engine;
  rt_call *c = e->spare;
  if (c) {
    e->spare = c->next;
    e->spares--;
  } else {
    c = malloc(sizeof *c);
    if (!c) return NULL;
  }
  *c = (rt_call){
      .run = rt_run_ref(run), .parent = parent, .node = rt_node_ref(node), .use = use,
      .refs = 1, .seq = ++run->next_seq, .status = RT_RUNNING, .outcome = RT_DONE,
      .spawned = rt_scheduler_now(&e->scheduler),
  };
  c->ordinal = ordinal ? ordinal : parent ? ++parent->made : 1;
  if (parent) rt_call_ref(parent);
  if (!measure_id(c)) {
    rt_call_unref(c);
    return NULL;
  }
  if (parent) {
    c->next = parent->children;
    if (c->next) c->next->previous = c;
    parent->children = c;
    parent->live++;
    c->shielded = parent->delivered && !parent->cut;  // cleanup: bounded by its grace
    if (parent->cancelled && !c->shielded)
      rt_call_cancel(c, parent->rare ? parent->rare->reason : NULL);
  }
  return c;
}

void rt_call_drop(rt_call *c) {
  c->status = RT_FAILED;
  unlink_sibling(&c->parent->children, c);
  c->parent->live--;
  rt_call_unref(c);
}

void rt_call_queue(rt_engine *e, rt_call *c) {
  if (e->notices.listening & RT_NOTICE_TALLY) rt_notice_queue_call(c);
  rt_task_queue(&e->scheduler, &c->task);
}

void rt_call_id(const rt_call *c, rt_buf *out) {
  uint32_t path[ID_LONGEST / 2 + 1];
  size_t depth = 0;
  bool whole = c->id_size <= ID_LONGEST;
  for (const rt_call *at = whole ? c : c->rare->stem; at; at = at->parent)
    path[depth++] = at->ordinal;
  while (depth--) {
    rt_buf_int(out, path[depth]);
    if (depth) rt_buf_char(out, '.');
  }
  if (!whole) {
    rt_buf_text(out, "…~");
    rt_buf_int(out, c->seq);
  }
}

rt_call *rt_call_current(const rt_engine *e) { return rt_call_of(e->scheduler.current); }

uint64_t rt_call_identity(const rt_call *c) {
  return (uint64_t)c->run->number << 32 | c->seq;
}

/* ---- children and their failures ---- */

/* Takes it from its parent's list of failures. */
static void stop_failing(rt_call *c) {
  if (!c->failing) return;
  c->failing = false;
  unlink_sibling(&c->parent->rare->failures, c);
  rt_call_unref(c);
}

static void drop_handle(rt_call *c) {
  rt_anchor_drop(&c->run->engine->scheduler, c->handle);
  c->handle = 0;
}

void rt_call_observe(rt_call *c) {
  c->observed = true;
  if (c->status == RT_RUNNING) return;
  drop_handle(c);
  stop_failing(c);
}

/* A spawned call failed and nobody waits for it: its caller will fail with it, unless
 * somebody asks for it before. */
static void keep_failure(rt_call *c) {
  rt_call_rare *rare = rt_call_rare_of(c->parent);
  if (!rare || !c->handle || c->parent->status != RT_RUNNING) {
    drop_handle(c);
    return;
  }
  // Newest first; one that was held may be older than others.
  rt_call *newer = NULL, *older = rare->failures;
  while (older && (int32_t)(c->index - older->index) < 0) {
    newer = older;
    older = older->next;
  }
  c->failing = true;
  c->previous = newer;
  c->next = older;
  if (older) older->previous = c;
  if (newer) newer->next = rt_call_ref(c);
  else rare->failures = rt_call_ref(c);
}

bool rt_call_hold(rt_call *c) {
  rt_call_rare *rare = rt_call_rare_of(c);
  if (!rare) {
    rt_call_observe(c);
    return false;
  }
  rare->held++;
  stop_failing(c);
  return true;
}

void rt_call_release(rt_call *c) {
  // One that is just ending is kept by rt_call_child_ended.
  if (--c->rare->held == 0 && !c->observed && c->gone) keep_failure(c);
}

void rt_call_tell_orphans(rt_call *c, uint32_t before) {
  rt_scheduler *s = &c->run->engine->scheduler;
  for (rt_call *child = c->children; child && child->ordinal > before; child = child->next)
    if (!child->bound) return;
  for (rt_call *child = c->children; child && child->ordinal > before; child = child->next) {
    const rt_wait_kind *kind = child->task.kind;
    child->orphan = true;
    if (kind && kind->orphaned && !child->task.ready) kind->orphaned(s, &child->task);
  }
}

void rt_call_child_ended(rt_call *c) {
  rt_call *p = c->parent;
  rt_scheduler *s = &c->run->engine->scheduler;
  unlink_sibling(&p->children, c);
  p->live--;
  c->gone = true;
  if (c->handle && c->status == RT_FAILED && !c->observed && !(c->rare && c->rare->held))
    keep_failure(c);
  if (p->task.ready || !p->task.kind) return;
  if (p->over && p->live) rt_call_tell_orphans(p, 0);
  if (p->task.kind->over && !rt_call_unwinds(p) && p->task.kind->over(&p->task)) {
    rt_task_wake(s, &p->task);
    return;
  }
  if (p->live) return;
  if (p->over) rt_task_wake(s, &p->task);
  else if (rt_call_unwinds(p)) rt_task_interrupt(s, &p->task);
}
