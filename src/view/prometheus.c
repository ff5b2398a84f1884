#include "prometheus.h"

#include <stdio.h>

#include "json.h"

void rt_prometheus_head(rt_buf *b, const char *name, const char *type, const char *help) {
  rt_buf_printf(b, "# HELP railtracks_%s %s\n# TYPE railtracks_%s %s\n", name, help, name, type);
}

void rt_prometheus_count(rt_buf *b, const char *name, const char *type, const char *help,
                         uint64_t value) {
  rt_prometheus_head(b, name, type, help);
  rt_buf_printf(b, "railtracks_%s %llu\n", name, (unsigned long long)value);
}

void rt_prometheus_seconds(rt_buf *b, const char *name, const char *help, double value) {
  rt_prometheus_head(b, name, "gauge", help);
  rt_buf_printf(b, "railtracks_%s %.9g\n", name, value);
}

void rt_prometheus_durations(rt_buf *b, const char *name, rt_text labels,
                             const rt_durations *durations) {
  uint64_t sum = 0;
  char bound[32];
  for (int i = 0; i <= RT_BUCKETS; i++) {
    sum += durations->buckets[i];
    rt_buf_printf(b, "railtracks_%s_bucket{", name);
    rt_buf_add(b, labels.data, labels.size);
    if (i < RT_BUCKETS) snprintf(bound, sizeof bound, "%g", rt_bucket_bounds[i]);
    else snprintf(bound, sizeof bound, "+Inf");
    rt_buf_printf(b, "%sle=\"%s\"} %llu\n", labels.size ? "," : "", bound,
                  (unsigned long long)sum);
  }
  for (int counts = 0; counts < 2; counts++) {
    rt_buf_printf(b, "railtracks_%s_%s", name, counts ? "count" : "sum");
    if (labels.size) {
      rt_buf_char(b, '{');
      rt_buf_add(b, labels.data, labels.size);
      rt_buf_char(b, '}');
    }
    if (counts) rt_buf_printf(b, " %llu\n", (unsigned long long)sum);
    else rt_buf_printf(b, " %.9g\n", durations->seconds);
  }
}

/* ---- nodes ---- */

/* node="..."; a byte that is no UTF-8, for which all of the text would be refused, as \xff. */
static void add_label(rt_buf *b, rt_text node) {
  rt_buf_text(b, "node=\"");
  for (size_t i = 0, size; i < node.size; i += size ? size : 1) {
    const char *at = node.data + i;
    size = rt_view_character(at, node.size - i);
    if (!size) rt_buf_printf(b, "\\\\x%02x", (unsigned char)*at);
    else if (*at == '\n') rt_buf_text(b, "\\n");
    else if (*at == '"' || *at == '\\') rt_buf_printf(b, "\\%c", *at);
    else rt_buf_add(b, at, size);
  }
  rt_buf_char(b, '"');
}

static void write_ended(rt_buf *b, rt_text label, const rt_node_counts *node) {
  for (int status = RT_DONE; status < RT_STATUSES; status++) {
    if (!node->ended[status]) continue;
    rt_buf_text(b, "railtracks_calls_total{");
    rt_buf_add(b, label.data, label.size);
    rt_buf_printf(b, ",status=\"%s\"} %llu\n", rt_status_name((rt_status)status),
                  (unsigned long long)node->ended[status]);
  }
}

static void write_gauge(rt_buf *b, const char *name, rt_text label, uint64_t value) {
  rt_buf_printf(b, "railtracks_%s{", name);
  rt_buf_add(b, label.data, label.size);
  rt_buf_printf(b, "} %llu\n", (unsigned long long)value);
}

typedef enum family { ENDED, BODIES, RUNNING, WAITING, FAMILIES } family;

static const char *const heads[FAMILIES][3] = {
    {"calls_total", "counter", "Calls that have ended, by node and status."},
    {"call_duration_seconds", "histogram", "From the start of a call's body to its end."},
    {"calls_running", "gauge", "Calls that have begun and not ended."},
    {"calls_waiting", "gauge", "Calls that are queued."},
};

void rt_prometheus_calls(rt_buf *b, const rt_node_counts *nodes, size_t count) {
  rt_buf room = {0};
  for (family f = ENDED; f < FAMILIES; f++) {
    const char *name = heads[f][0];
    rt_prometheus_head(b, name, heads[f][1], heads[f][2]);
    for (size_t i = 0; i < count; i++) {
      room.size = 0;
      add_label(&room, nodes[i].node);
      rt_text label = {room.data, room.size};
      if (f == ENDED) write_ended(b, label, &nodes[i]);
      else if (f == BODIES) rt_prometheus_durations(b, name, label, &nodes[i].bodies);
      else write_gauge(b, name, label, f == RUNNING ? nodes[i].running : nodes[i].waiting);
    }
  }
  b->failed |= room.failed;
  rt_buf_free(&room);
}
