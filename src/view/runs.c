/* runs.c -- the list of runs, and one of them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "request.h"
#include "sqlite_file.h"

enum { LIMIT = 100, LIMIT_MOST = 1000 };

#define SEARCH_SECONDS 0.15  /* then the page asks for the rest */

/* Of a run that has not ended, 'calls' is how many are there to be read. -1 on failure. */
static int64_t count_calls(rt_source *s, const rt_run_record *run) {
  if (run->status != RT_RUNNING && run->status != RT_INTERRUPTED) return run->calls;
  sqlite3_stmt *stmt = rt_source_statement(s, RT_SQL_COUNT);
  if (!stmt) return -1;
  sqlite3_bind_int64(stmt, 1, rt_sqlite_key(run->run, 0));
  sqlite3_bind_int64(stmt, 2, rt_sqlite_key(run->run, UINT32_MAX));
  return rt_source_step(s, stmt) == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : -1;
}

static void write_run(rt_buf *b, const rt_run_record *run, int64_t calls, bool whole) {
  rt_buf_printf(b, "{\"number\":%lld,\"id\":", (long long)run->run);
  rt_view_text(b, run->id);
  rt_buf_text(b, ",\"name\":");
  rt_view_text(b, run->name);
  rt_buf_printf(b, ",\"status\":\"%s\",\"calls\":%lld,\"started_at\":",
                rt_status_name(run->status), (long long)calls);
  rt_view_time(b, run->started_at);
  rt_buf_text(b, ",\"ended_at\":");
  rt_view_time(b, run->ended_at);
  // JSON as text: what is recorded need not be as it should.
  rt_buf_text(b, ",\"error\":");
  rt_text error = run->error;
  if (!whole && error.data) error.size = rt_view_head(error, 1000);
  rt_view_text(b, error);
  if (whole) {
    rt_buf_text(b, ",\"script\":");
    rt_view_text(b, run->script);
    rt_buf_text(b, ",\"host\":");
    rt_view_text(b, run->host);
    rt_buf_printf(b, ",\"pid\":%lld,\"parent_run\":", (long long)run->pid);
    rt_view_text(b, run->parent_run);
    rt_buf_printf(b, ",\"parent_call\":%u", run->parent_call);
  }
  rt_buf_char(b, '}');
}

void rt_api_run(rt_request *q, const rt_run_record *run) {
  int64_t calls = -1;
  // Who looks at a run that goes on asks often, and for its calls next.
  if (run->status == RT_RUNNING) calls = rt_models_count(q->models, q->source, run->run);
  if (calls < 0) calls = count_calls(q->source, run);
  if (calls < 0) {
    rt_request_broken(q);
    return;
  }
  write_run(&q->body, run, calls, true);
  rt_buf_char(&q->body, '\n');
}

/* ---- filters ---- */

typedef struct filter {
  const char *status;
  bool alive, dead;      // of those marked as running
  char *name;            // a pattern of LIKE
  rt_find find;          // in the calls; 'plain' is NULL for no such filter
  uint32_t from;         // the call of the first run to begin behind
} filter;

/* "%name%", its own signs escaped. */
static char *pattern(const char *name) {
  rt_buf b = {0};
  rt_buf_char(&b, '%');
  for (; *name; name++) {
    if (*name == '%' || *name == '_' || *name == '\\') rt_buf_char(&b, '\\');
    rt_buf_char(&b, *name);
  }
  rt_buf_add(&b, "%", 2);
  if (b.failed) rt_buf_free(&b);
  return b.data;
}

static bool read_status(rt_request *q, filter *f) {
  f->status = rt_request_text(q, "status");
  if (!f->status) return true;
  f->alive = strcmp(f->status, "running") == 0;
  f->dead = strcmp(f->status, "interrupted") == 0;
  if (f->dead) f->status = "running";
  if (f->alive || f->dead || rt_status_named(f->status) != RT_INTERRUPTED) return true;
  rt_request_fail(q, 400,
                  "status: expected running, done, failed, cancelled or interrupted");
  return false;
}

/* Whether a call of the run holds the text: 1 or 0; 2 when time is up, with the call to go
 * on behind in f->from; or -1. */
static int find_in_run(rt_source *s, filter *f, const rt_run_record *run) {
  if (!f->find.plain) return 1;
  if (run->error.data && f->from == 0) {
    if (strcasestr(run->error.data, f->find.plain)) return 1;
  }
  sqlite3_stmt *stmt = rt_source_statement(s, RT_SQL_SEARCH);
  if (!stmt) return -1;
  sqlite3_bind_int64(stmt, 1, rt_sqlite_key(run->run, f->from));
  sqlite3_bind_int64(stmt, 2, rt_sqlite_key(run->run, UINT32_MAX));
  int rc;
  while ((rc = rt_source_step(s, stmt)) == SQLITE_ROW) {
    if (rt_find_matches(&f->find, stmt)) return 1;
    f->from = (uint32_t)sqlite3_column_int64(stmt, 0);
    if (rt_find_late(&f->find)) return 2;
  }
  f->from = 0;
  return rc < 0 ? -1 : rt_find_late(&f->find) ? 2 : 0;
}

/* Writes the runs below 'before' that pass, at most 'limit', and where to go on. */
static int list(rt_request *q, filter *f, int64_t before, double since, double until,
                int64_t limit) {
  rt_source *s = q->source;
  rt_run_record run;
  int64_t next = 0;
  sqlite3_stmt *stmt = rt_source_statement(s, RT_SQL_RUNS);
  if (!stmt) return -1;
  sqlite3_bind_int64(stmt, 1, before);
  if (f->status) sqlite3_bind_text(stmt, 2, f->status, -1, SQLITE_STATIC);
  if (f->name) sqlite3_bind_text(stmt, 3, f->name, -1, SQLITE_STATIC);
  sqlite3_bind_double(stmt, 4, since);
  sqlite3_bind_double(stmt, 5, until);

  int64_t found = 0;
  int rc = SQLITE_DONE;
  uint32_t rest = 0;
  while (found < limit && (rc = rt_source_step(s, stmt)) == SQLITE_ROW) {
    rt_api_read_run(stmt, &run);
    if ((f->alive && run.status != RT_RUNNING) || (f->dead && run.status != RT_INTERRUPTED))
      continue;
    int holds = find_in_run(s, f, &run);
    if (holds < 0) return -1;
    if (holds == 2) {  // in the midst of it, or at its end
      rest = f->from;
      next = rest ? run.run + 1 : run.run;
      break;
    }
    f->from = 0;
    if (!holds) continue;
    int64_t calls = count_calls(s, &run);
    if (calls < 0) return -1;
    if (found++) rt_buf_text(&q->body, ",\n");
    write_run(&q->body, &run, calls, false);
    next = found == limit ? run.run : 0;
  }
  if (rc < 0) return -1;
  rt_buf_text(&q->body, "]");
  if (next) rt_buf_printf(&q->body, ",\"next\":{\"before\":%lld,\"from\":%u}",
                          (long long)next, rest);
  return 0;
}

void rt_api_runs(rt_request *q) {
  filter f = {0};
  int64_t before, limit, from;
  double since, until;
  const char *text = rt_request_text(q, "text"), *name = rt_request_text(q, "name");
  if (!read_status(q, &f) ||
      !rt_request_number(q, "before", 1, INT64_MAX, INT64_MAX, &before) ||
      !rt_request_number(q, "limit", 1, LIMIT_MOST, LIMIT, &limit) ||
      !rt_request_number(q, "from", 0, UINT32_MAX, 0, &from) ||
      !rt_request_seconds(q, "since", -INFINITY, &since) ||
      !rt_request_seconds(q, "until", INFINITY, &until))
    return;
  f.from = (uint32_t)from;
  rt_buf_text(&q->body, "{\"journal\":");
  rt_view_name(&q->body, q->source->path);
  rt_buf_text(&q->body, ",\"runs\":[");
  if (!q->source->db) rt_buf_text(&q->body, "],\"missing\":true");
  else {
    if (name) f.name = pattern(name);
    bool fits = (!name || f.name) && (!text || rt_find_open(&f.find, text, SEARCH_SECONDS));
    if (!fits) rt_request_fail(q, 500, "not enough memory");
    else if (list(q, &f, before, since, until, limit) < 0) rt_request_broken(q);
    free(f.name);
    free(f.find.escaped);
  }
  if (q->status == 200) rt_buf_text(&q->body, "}\n");
}
