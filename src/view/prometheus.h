/* prometheus.h -- numbers as text in the format that Prometheus reads, version 0.0.4. */
#ifndef RT_VIEW_PROMETHEUS_H
#define RT_VIEW_PROMETHEUS_H

#include "buf.h"
#include "counts.h"

#define RT_PROMETHEUS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* What a metric is; its values follow. 'type' is "counter", "gauge" or "histogram". */
void rt_prometheus_head(rt_buf *b, const char *name, const char *type, const char *help);

/* A metric that has one value. */
void rt_prometheus_count(rt_buf *b, const char *name, const char *type, const char *help,
                         uint64_t value);
void rt_prometheus_seconds(rt_buf *b, const char *name, const char *help, double value);

/* The values of a histogram; 'labels' is empty or 'name="value"'. */
void rt_prometheus_durations(rt_buf *b, const char *name, rt_text labels,
                             const rt_durations *durations);

/* All there is to tell of the calls of nodes. */
void rt_prometheus_calls(rt_buf *b, const rt_node_counts *nodes, size_t count);

#endif
