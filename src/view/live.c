/* live.c -- GET /metrics of a program that runs: what it measures itself. */
#include <stdlib.h>

#include "prometheus.h"
#include "request.h"

static void write_tasks(rt_buf *b, const rt_reading *r) {
  uint64_t begun = 0, queued = 0;
  for (size_t i = 0; i < r->count; i++) {
    begun += r->nodes[i].running;
    queued += r->nodes[i].waiting;
  }
  uint64_t running = begun && r->busy;
  rt_prometheus_head(b, "tasks", "gauge",
                     "What the calls are doing: one runs, others wait or have yet to begin.");
  rt_buf_printf(b, "railtracks_tasks{state=\"running\"} %llu\n", (unsigned long long)running);
  rt_buf_printf(b, "railtracks_tasks{state=\"waiting\"} %llu\n",
                (unsigned long long)(begun - running));
  rt_buf_printf(b, "railtracks_tasks{state=\"queued\"} %llu\n", (unsigned long long)queued);
}

void rt_api_live(rt_request *q, const rt_view_live *live) {
  rt_reading r = {0};
  rt_buf *b = &q->body;
  if (!live->read(live->data, &r)) {
    b->failed = true;
    return;
  }
  q->status = 200;
  q->type = RT_PROMETHEUS_TYPE;
  rt_prometheus_calls(b, r.nodes, r.count);
  write_tasks(b, &r);
  rt_prometheus_seconds(b, "loop_lag_seconds",
                        "How late the loop's turn is, or was the last time.", r.lag);
  rt_prometheus_head(b, "loop_delay_seconds", "histogram",
                     "How late the loop's turn was, looked at ten times a second.");
  rt_prometheus_durations(b, "loop_delay_seconds", (rt_text){0}, &r.delays);
  rt_prometheus_count(b, "journal_queue_records", "gauge",
                      "Records that are still to be written to the journal.", r.queue_records);
  rt_prometheus_count(b, "journal_queue_bytes", "gauge", "Bytes of those records.",
                      r.queue_bytes);
  rt_prometheus_count(b, "journal_lost_calls_total", "counter",
                      "Calls that could not be written to the journal.", r.lost);
  rt_prometheus_count(b, "lua_heap_bytes", "gauge", "Bytes of Lua values.", r.heap);
  rt_prometheus_seconds(b, "uptime_seconds", "How long the program has been running.", r.uptime);
  free(r.nodes);
}
