/* metrics.h -- what GET /metrics tells, in the text format of Prometheus.
 *
 * Counters count all the journal holds. A run that is over is counted once and remembered;
 * those that go on are counted anew each time. Of a journal that is long, one answer counts
 * as many runs as fit in a moment, the next ones the rest.
 */
#ifndef RT_VIEW_METRICS_H
#define RT_VIEW_METRICS_H

#include "counts.h"
#include "request.h"

/* What is known of a node's calls; [0] of runs that are over, [1] of the others. */
typedef struct rt_metric {
  char *node;
  uint32_t size;
  rt_node_counts counts[2];
} rt_metric;

struct rt_metrics {
  uint32_t opened;        /* of the source: another file begins anew */
  int64_t newest;         /* runs up to this number have been looked at */
  int64_t *live;          /* those of them that were not over */
  size_t lives, lives_room;
  rt_metric *metrics;
  uint32_t count, room;
  uint64_t runs[RT_STATUSES];
};

void rt_metrics_close(rt_metrics *m);

#endif
