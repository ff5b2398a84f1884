/* tally.h -- how many calls of each node there are, how those that have ended did, and how long
 * they took: what 'railtracks run' shows with --progress and --metrics, counted here so that
 * it costs next to nothing.
 *
 * The loop alone counts. Any thread may read while it does: the counts of a node stay where
 * they are as long as the tally, in a list that only grows at its head.
 */
#ifndef RT_TALLY_H
#define RT_TALLY_H

#include <stdatomic.h>

#include "counts.h"

typedef struct rt_count rt_count;

struct rt_count {
  rt_count *next;               /* the one that came before; NULL: none */
  _Atomic int64_t waiting;      /* queued, not begun */
  _Atomic int64_t running;      /* begun, not ended */
  _Atomic int64_t ended[RT_STATUSES];
  _Atomic int64_t buckets[RT_BUCKETS + 1];  /* those that have ended, by how long their body took */
  _Atomic int64_t body_ns;      /* all together */
  _Atomic int64_t ns;           /* the same from when the calls were made */
  size_t size;
  char name[];
};

/* All zero it is empty. */
typedef struct rt_tally {
  _Atomic(rt_count *) newest;   /* the list */
  rt_count **places;            /* open addressing, by name; of the loop */
  size_t used, capacity;        /* capacity is a power of two */
} rt_tally;

/* The node of that name, or after RT_NODES_MOST of them the one that stands for the others.
 * NULL when there is no memory. */
rt_count *rt_tally_of(rt_tally *t, const char *name, size_t size);

/* Adds to one of its counts; the loop only. */
static inline void rt_count_add(_Atomic int64_t *count, int64_t more) {
  atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + more,
                        memory_order_relaxed);
}

static inline int64_t rt_count_now(const _Atomic int64_t *count) {
  return atomic_load_explicit(count, memory_order_relaxed);
}

/* The newest of the list; the others follow. From any thread. */
static inline const rt_count *rt_tally_newest(const rt_tally *t) {
  return atomic_load_explicit(&t->newest, memory_order_acquire);
}

/* A call has ended, 'ns' nanoseconds after it was made and 'body_ns' after its body began. */
void rt_count_end(rt_count *c, rt_status status, int64_t ns, int64_t body_ns);

/* Copies them for who tells of them: malloc'd, in the order in which the nodes came; names
 * are borrowed. False when out of memory. From any thread. */
bool rt_tally_copy(const rt_tally *t, rt_node_counts **out, size_t *count);

void rt_tally_free(rt_tally *t);

#endif
