#include "metrics.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "prometheus.h"
#include "sqlite_file.h"

#define MOMENT 0.25

/* ---- counting ---- */

static rt_metric *metric_of(rt_metrics *m, rt_text node) {
  // Most runs have few nodes, and the same one often comes again.
  if (!node.data) node = (rt_text){"", 0};
  if (m->count >= RT_NODES_MOST)
    node = (rt_text){RT_OTHER_NODES, sizeof RT_OTHER_NODES - 1};
  for (uint32_t i = 0; i < m->count; i++) {
    rt_metric *at = &m->metrics[i];
    if (at->size == node.size && memcmp(at->node, node.data, node.size) == 0) return at;
  }
  if (m->count == m->room) {
    uint32_t room = m->room ? 2 * m->room : 32;
    rt_metric *more = realloc(m->metrics, room * sizeof *more);
    if (!more) return NULL;
    m->metrics = more;
    m->room = room;
  }
  char *copy = malloc(node.size + 1);
  if (!copy) return NULL;
  memcpy(copy, node.data, node.size);
  rt_metric *at = &m->metrics[m->count++];
  *at = (rt_metric){.node = copy, .size = (uint32_t)node.size};
  return at;
}

static void count(rt_node_counts *at, rt_status status, double started, double ended) {
  if (status == RT_RUNNING) {
    at->waiting += started <= 0;
    at->running += started > 0;
    return;
  }
  at->ended[status]++;
  double seconds = started > 0 && ended > started ? ended - started : 0;
  at->bodies.buckets[rt_bucket_of(seconds)]++;
  at->bodies.seconds += seconds;
}

/* Counts the calls of a run. 1, 0 when out of memory, or -1. */
static int count_run(rt_metrics *m, rt_source *s, int64_t run, bool over) {
  sqlite3_stmt *stmt = rt_source_statement(s, RT_SQL_CALLS);
  if (!stmt) return -1;
  sqlite3_bind_int64(stmt, 1, rt_sqlite_key(run, 0));
  sqlite3_bind_int64(stmt, 2, rt_sqlite_key(run, UINT32_MAX));
  int rc;
  while ((rc = rt_source_step(s, stmt)) == SQLITE_ROW) {
    rt_metric *at = metric_of(m, rt_source_text(stmt, 3));
    if (!at) return 0;
    rt_status status = rt_status_named((const char *)sqlite3_column_text(stmt, 5));
    if (status == RT_RUNNING && over) status = RT_INTERRUPTED;
    count(&at->counts[over ? 0 : 1], status, sqlite3_column_double(stmt, 7),
          sqlite3_column_double(stmt, 8));
  }
  sqlite3_reset(stmt);
  return rc < 0 ? -1 : 1;
}

/* ---- runs ---- */

static void start_anew(rt_metrics *m) {
  for (uint32_t i = 0; i < m->count; i++) free(m->metrics[i].node);
  free(m->metrics);
  free(m->live);
  *m = (rt_metrics){0};
}

static void forget_live(rt_metrics *m) {
  for (uint32_t i = 0; i < m->count; i++) m->metrics[i].counts[1] = (rt_node_counts){0};
}

static bool keep_live(rt_metrics *m, int64_t run) {
  if (m->lives == m->lives_room) {
    size_t room = m->lives_room ? 2 * m->lives_room : 16;
    int64_t *more = realloc(m->live, room * sizeof *more);
    if (!more) return false;
    m->live = more;
    m->lives_room = room;
  }
  m->live[m->lives++] = run;
  return true;
}

static int take_run(rt_metrics *m, rt_source *s, sqlite3_stmt *stmt) {
  rt_run_record run;
  rt_api_read_run(stmt, &run);
  bool over = run.status != RT_RUNNING;
  if (!over && !keep_live(m, run.run)) return 0;
  if (over) m->runs[run.status]++;
  return count_run(m, s, run.run, over);
}

/* Counts again those that went on the last time. */
static int count_live(rt_metrics *m, rt_source *s) {
  size_t lives = m->lives;
  m->lives = 0;
  for (size_t i = 0; i < lives; i++) {
    sqlite3_stmt *stmt = rt_source_statement(s, RT_SQL_RUN);
    if (!stmt) return -1;
    sqlite3_bind_int64(stmt, 1, m->live[i]);
    int rc = rt_source_step(s, stmt);
    if (rc == SQLITE_ROW) rc = take_run(m, s, stmt);
    else if (rc >= 0) rc = 1;  // removed
    if (rc <= 0) return rc;
  }
  return 1;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* '*rest' is how many runs are left for the next time. */
static int count_new(rt_metrics *m, rt_source *s, uint64_t *rest) {
  double until = now() + MOMENT;
  sqlite3_stmt *stmt = rt_source_statement(s, RT_SQL_RUNS_SINCE);
  if (!stmt) return -1;
  sqlite3_bind_int64(stmt, 1, m->newest);
  int rc;
  while ((rc = rt_source_step(s, stmt)) == SQLITE_ROW) {
    if (*rest || now() > until) {
      ++*rest;
      continue;
    }
    m->newest = sqlite3_column_int64(stmt, 0);
    int took = take_run(m, s, stmt);
    if (took <= 0) return took;
  }
  return rc < 0 ? -1 : 1;
}

static int64_t journal_bytes(rt_source *s) {
  sqlite3_stmt *stmt = rt_source_statement(s, RT_SQL_SIZE);
  return stmt && rt_source_step(s, stmt) == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : 0;
}

/* ---- the text ---- */

static rt_node_counts sum(const rt_metric *at) {
  rt_node_counts both = at->counts[0];
  const rt_node_counts *live = &at->counts[1];
  both.node = (rt_text){at->node, at->size};
  both.waiting = live->waiting;
  both.running = live->running;
  both.bodies.seconds += live->bodies.seconds;
  for (int i = 0; i < RT_STATUSES; i++) both.ended[i] += live->ended[i];
  for (int i = 0; i <= RT_BUCKETS; i++) both.bodies.buckets[i] += live->bodies.buckets[i];
  return both;
}

static void write_text(rt_buf *b, const rt_metrics *m, int64_t bytes, uint64_t rest) {
  rt_node_counts *nodes = malloc((m->count + 1) * sizeof *nodes);
  b->failed |= !nodes;
  if (!nodes) return;
  for (uint32_t i = 0; i < m->count; i++) nodes[i] = sum(&m->metrics[i]);
  rt_prometheus_calls(b, nodes, m->count);
  free(nodes);
  rt_prometheus_head(b, "runs_total", "counter", "Runs that are over, by status.");
  for (int status = RT_DONE; status < RT_STATUSES; status++)
    rt_buf_printf(b, "railtracks_runs_total{status=\"%s\"} %llu\n",
                  rt_status_name((rt_status)status), (unsigned long long)m->runs[status]);
  rt_prometheus_count(b, "runs_running", "gauge", "Runs that go on.", m->lives);
  rt_prometheus_count(b, "runs_uncounted", "gauge", "Runs that the next answers will count.",
                      rest);
  rt_prometheus_count(b, "journal_bytes", "gauge", "Size of the journal.", (uint64_t)bytes);
}

void rt_api_metrics(rt_request *q) {
  rt_metrics *m = q->metrics;
  rt_source *s = q->source;
  uint64_t rest = 0;
  int64_t bytes = 0;
  int ready = rt_source_ready(s), done = 1;
  if (m->opened != s->opened || !ready) start_anew(m);
  m->opened = s->opened;
  if (ready > 0) {
    done = rt_source_begin(s) < 0 ? -1 : 1;
    forget_live(m);
    if (done > 0) done = count_live(m, s);
    if (done > 0) done = count_new(m, s, &rest);
    if (done > 0) bytes = journal_bytes(s);
    rt_source_pause(s);
  }
  q->status = 200;
  q->type = RT_PROMETHEUS_TYPE;
  if (ready < 0 || done <= 0) {
    start_anew(m);
    if (ready < 0 || done < 0) rt_request_broken(q);
    else rt_request_fail(q, 500, "not enough memory");
    return;
  }
  write_text(&q->body, m, bytes, rest);
}

void rt_metrics_close(rt_metrics *m) { start_anew(m); }
