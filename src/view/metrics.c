#include "metrics.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sqlite_file.h"

enum { NODES_MOST = 2000 };  // those after count as one

#define MOMENT 0.25

static const double bounds[RT_BUCKETS] = {1e-4, 1e-3, 5e-3, 0.025, 0.1, 0.5, 1, 5, 30, 300};

/* ---- counting ---- */

static rt_metric *metric_of(rt_metrics *m, rt_text node) {
  // Most runs have few nodes, and the same one often comes again.
  if (!node.data) node = (rt_text){"", 0};
  if (m->count >= NODES_MOST) node = (rt_text){"(others)", 8};
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

static void count(rt_metric *at, int part, rt_status status, double started, double ended) {
  if (status == RT_RUNNING) {
    at->waiting += started <= 0;
    at->running += started > 0;
    return;
  }
  at->ended[part][status]++;
  double seconds = started > 0 && ended > started ? ended - started : 0;
  int bucket = 0;
  while (bucket < RT_BUCKETS && seconds > bounds[bucket]) bucket++;
  at->buckets[part][bucket]++;
  at->seconds[part] += seconds;
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
    count(at, over ? 0 : 1, status, sqlite3_column_double(stmt, 7),
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
  for (uint32_t i = 0; i < m->count; i++) {
    rt_metric *at = &m->metrics[i];
    memset(at->ended[1], 0, sizeof at->ended[1]);
    memset(at->buckets[1], 0, sizeof at->buckets[1]);
    at->seconds[1] = 0;
    at->waiting = at->running = 0;
  }
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

static void head(rt_buf *b, const char *name, const char *type, const char *help) {
  rt_buf_printf(b, "# HELP railtracks_%s %s\n# TYPE railtracks_%s %s\n", name, help, name, type);
}

static void label(rt_buf *b, const rt_metric *at) {
  rt_buf_text(b, "{node=\"");
  for (uint32_t i = 0; i < at->size; i++) {
    char c = at->node[i];
    if (c == '\n') rt_buf_text(b, "\\n");
    else {
      if (c == '"' || c == '\\') rt_buf_char(b, '\\');
      rt_buf_char(b, c);
    }
  }
  rt_buf_char(b, '"');
}

static void write_durations(rt_buf *b, const rt_metric *at) {
  uint64_t sum = 0;
  for (int i = 0; i <= RT_BUCKETS; i++) {
    sum += at->buckets[0][i] + at->buckets[1][i];
    rt_buf_text(b, "railtracks_call_duration_seconds_bucket");
    label(b, at);
    if (i < RT_BUCKETS) rt_buf_printf(b, ",le=\"%g\"} %llu\n", bounds[i], (unsigned long long)sum);
    else rt_buf_printf(b, ",le=\"+Inf\"} %llu\n", (unsigned long long)sum);
  }
  rt_buf_text(b, "railtracks_call_duration_seconds_sum");
  label(b, at);
  rt_buf_printf(b, "} %.9g\nrailtracks_call_duration_seconds_count", at->seconds[0] + at->seconds[1]);
  label(b, at);
  rt_buf_printf(b, "} %llu\n", (unsigned long long)sum);
}

static void write_gauge(rt_buf *b, const rt_metrics *m, const char *name, const char *help,
                        bool waiting) {
  head(b, name, "gauge", help);
  for (uint32_t i = 0; i < m->count; i++) {
    rt_buf_printf(b, "railtracks_%s", name);
    label(b, &m->metrics[i]);
    rt_buf_printf(b, "} %llu\n", (unsigned long long)(waiting ? m->metrics[i].waiting
                                                              : m->metrics[i].running));
  }
}

static void write_text(rt_buf *b, const rt_metrics *m, int64_t bytes, uint64_t rest) {
  head(b, "calls_total", "counter", "Calls that have ended, by node and status.");
  for (uint32_t i = 0; i < m->count; i++)
    for (int status = RT_DONE; status < RT_STATUSES; status++) {
      uint64_t ended = m->metrics[i].ended[0][status] + m->metrics[i].ended[1][status];
      if (!ended) continue;
      rt_buf_text(b, "railtracks_calls_total");
      label(b, &m->metrics[i]);
      rt_buf_printf(b, ",status=\"%s\"} %llu\n", rt_status_name((rt_status)status),
                    (unsigned long long)ended);
    }
  head(b, "call_duration_seconds", "histogram", "From the start of a call's body to its end.");
  for (uint32_t i = 0; i < m->count; i++) write_durations(b, &m->metrics[i]);
  write_gauge(b, m, "calls_running", "Calls that have begun and not ended.", false);
  write_gauge(b, m, "calls_waiting", "Calls that are queued.", true);
  head(b, "runs_total", "counter", "Runs that are over, by status.");
  for (int status = RT_DONE; status < RT_STATUSES; status++)
    rt_buf_printf(b, "railtracks_runs_total{status=\"%s\"} %llu\n",
                  rt_status_name((rt_status)status), (unsigned long long)m->runs[status]);
  head(b, "runs_running", "gauge", "Runs that go on.");
  rt_buf_printf(b, "railtracks_runs_running %zu\n", m->lives);
  head(b, "runs_uncounted", "gauge", "Runs that the next answers will count.");
  rt_buf_printf(b, "railtracks_runs_uncounted %llu\n", (unsigned long long)rest);
  head(b, "journal_bytes", "gauge", "Size of the journal.");
  rt_buf_printf(b, "railtracks_journal_bytes %lld\n", (long long)bytes);
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
  q->type = "text/plain; version=0.0.4; charset=utf-8";
  if (ready < 0 || done <= 0) {
    start_anew(m);
    if (ready < 0 || done < 0) rt_request_broken(q);
    else rt_request_fail(q, 500, "not enough memory");
    return;
  }
  write_text(&q->body, m, bytes, rest);
}

void rt_metrics_close(rt_metrics *m) { start_anew(m); }
