/* tally.h -- how many calls of each node have ended, how, and how long they took: what
 * 'railtracks run --progress' shows, counted here so that it costs next to nothing. */
#ifndef RT_TALLY_H
#define RT_TALLY_H

#include "store.h"

typedef struct rt_count {
  char *name;              /* NULL: the place is free */
  size_t size;
  int64_t done, failed, cancelled;
  int64_t ns;              /* from being started to the end, all together */
} rt_count;

/* All zero it is empty. */
typedef struct rt_tally {
  rt_count *counts;        /* open addressing, by name */
  size_t used, capacity;   /* capacity is a power of two */
} rt_tally;

/* Counts a call; not, when there is no memory for a new name. */
void rt_tally_add(rt_tally *t, const char *name, size_t size, rt_status status, int64_t ns);
void rt_tally_free(rt_tally *t);

#endif
