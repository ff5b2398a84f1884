/* search.c -- calls that hold a text: in the node's name, arguments, results or error.
 *
 * There is no index to ask: rows are read one after the other, for a little while; the page
 * asks for the rest from where that ended, so that no answer keeps others waiting.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "json.h"
#include "request.h"
#include "sqlite_file.h"

#define SEARCH_SECONDS 0.1
enum { FOUND_MOST = 5000 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

bool rt_find_open(rt_find *f, const char *text, double seconds) {
  rt_buf escaped = {0};
  rt_view_name(&escaped, text);
  if (escaped.failed) {
    rt_buf_free(&escaped);
    return false;
  }
  // Without the quotes around it; the second makes room for the ending zero byte.
  size_t size = escaped.size - 2;
  memmove(escaped.data, escaped.data + 1, size);
  escaped.data[size] = '\0';
  if (strcmp(escaped.data, text) == 0) rt_buf_free(&escaped);
  *f = (rt_find){.plain = text, .escaped = escaped.data, .until = now() + seconds};
  return true;
}

bool rt_find_matches(const rt_find *f, sqlite3_stmt *row) {
  for (int column = 1; column <= 4; column++) {
    const char *text = (const char *)sqlite3_column_text(row, column);
    if (!text) continue;
    if (strcasestr(text, f->plain)) return true;
    if (f->escaped && strcasestr(text, f->escaped)) return true;
  }
  return false;
}

bool rt_find_late(const rt_find *f) { return now() > f->until; }

static int search(rt_request *q, const rt_run_record *run, const rt_find *f, uint32_t from) {
  sqlite3_stmt *stmt = rt_source_statement(q->source, RT_SQL_SEARCH);
  if (!stmt) return -1;
  sqlite3_bind_int64(stmt, 1, rt_sqlite_key(run->run, from));
  sqlite3_bind_int64(stmt, 2, rt_sqlite_key(run->run, UINT32_MAX));
  int rc, found = 0;
  uint32_t seq = 0, rows = 0;
  bool stopped = false;
  rt_buf_text(&q->body, "{\"found\":[");
  while (!stopped && (rc = rt_source_step(q->source, stmt)) == SQLITE_ROW) {
    seq = (uint32_t)sqlite3_column_int64(stmt, 0);
    if (rt_find_matches(f, stmt)) rt_buf_printf(&q->body, found++ ? ",%u" : "%u", seq);
    stopped = found == FOUND_MOST || (++rows % 64 == 0 && rt_find_late(f));
  }
  if (!stopped && rc < 0) return -1;
  rt_buf_text(&q->body, "],\"next\":");
  if (stopped) rt_buf_int(&q->body, seq);
  else rt_buf_text(&q->body, "null");
  rt_buf_text(&q->body, "}\n");
  return 0;
}

void rt_api_search(rt_request *q, const rt_run_record *run) {
  const char *text = rt_request_text(q, "text");
  int64_t from;
  rt_find f;
  if (!rt_request_number(q, "from", 0, UINT32_MAX, 0, &from)) return;
  if (!text) {
    rt_request_fail(q, 400, "text: expected what to look for");
    return;
  }
  if (!rt_find_open(&f, text, SEARCH_SECONDS)) {
    rt_request_fail(q, 500, "not enough memory");
    return;
  }
  if (search(q, run, &f, (uint32_t)from) < 0) rt_request_broken(q);
  free(f.escaped);
}
