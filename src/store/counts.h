/* counts.h -- numbers about calls and about a program that makes them, on their way from who
 * counts to who tells: the viewer counts what the journal holds, an engine what it does.
 */
#ifndef RT_COUNTS_H
#define RT_COUNTS_H

#include "store.h"

enum {
  RT_BUCKETS = 10,
  RT_STATUSES = RT_INTERRUPTED + 1,
  RT_NODES_MOST = 2000,        /* names that are counted; those after count as one: */
};
#define RT_OTHER_NODES "(others)"

/* Durations by their length: below each bound, and the longer ones. */
extern const double rt_bucket_bounds[RT_BUCKETS];
int rt_bucket_of(double seconds);

typedef struct rt_durations {
  uint64_t buckets[RT_BUCKETS + 1];
  double seconds;              /* all together */
} rt_durations;

/* What there is and was of the calls of one node. */
typedef struct rt_node_counts {
  rt_text node;                /* borrowed */
  uint64_t ended[RT_STATUSES];
  rt_durations bodies;         /* of those that have ended, from the start of the body */
  uint64_t waiting, running;
} rt_node_counts;

/* What a program tells of itself while it runs. */
typedef struct rt_reading {
  rt_node_counts *nodes;       /* malloc'd: free it */
  size_t count;
  bool busy;                   /* the loop works; it does not wait for something to happen */
  double lag;                  /* seconds by which its turn is late, or was the last time */
  rt_durations delays;         /* by how much it was late, each time it was looked at */
  uint64_t heap;               /* bytes of Lua values */
  uint64_t queue_records, queue_bytes;  /* on their way to the journal */
  uint64_t lost;               /* calls that could not be recorded */
  double uptime;
} rt_reading;

#endif
