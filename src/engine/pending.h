/* pending.h -- calls whose beginning has been read and whose end has not.
 *
 * Kept in the order they came, found by run and seq. What is kept is a pointer to the
 * beginning where it lies in the stream, and the chunk it lies in.
 */
#ifndef RT_PENDING_H
#define RT_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rt_chunk;

typedef struct rt_pending_call {
  uint64_t key;            /* run and seq */
  const void *record;      /* NULL: taken */
  struct rt_chunk *chunk;
  int64_t since;           /* when it was read */
} rt_pending_call;

typedef struct rt_pending {
  rt_pending_call *calls;  /* a ring */
  size_t capacity;         /* a power of two */
  uint64_t first, last;    /* positions; the ring holds first <= p < last */
  uint64_t *table;         /* position + 1 by key, open addressing; 0 is free */
  size_t slots;            /* a power of two */
  size_t count;            /* calls not taken */
} rt_pending;

static inline uint64_t rt_pending_key(uint32_t run, uint32_t seq) {
  return (uint64_t)run << 32 | seq;
}

/* False when out of memory. */
bool rt_pending_add(rt_pending *p, const rt_pending_call *call);

/* Takes the call of 'key' out; false if it is not there. */
bool rt_pending_take(rt_pending *p, uint64_t key, rt_pending_call *out);

/* Whether the call of 'key' is there. */
bool rt_pending_has(const rt_pending *p, uint64_t key);

/* The oldest call, NULL if there is none. */
const rt_pending_call *rt_pending_oldest(rt_pending *p);

void rt_pending_free(rt_pending *p);

#endif
