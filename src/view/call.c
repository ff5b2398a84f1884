/* call.c -- what the page shows of single calls: all that is recorded of one, the beginnings
 * of many, what was logged. */
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "request.h"
#include "sqlite_file.h"

enum {
  TEXT_MOST = 256 << 10,   // of a value, unless all is asked for
  PREVIEWS = 200,
  CHILDREN = 50,           // told with a call: its attempts, most often
  EVENTS = 500, EVENTS_MOST = 5000,
  UP_MOST = 128,           // callers told of
};

/* ---- one call ---- */

static void write_state(rt_buf *b, sqlite3_stmt *stmt, bool over) {
  rt_status status = rt_status_named((const char *)sqlite3_column_text(stmt, 5));
  if (status == RT_RUNNING && over) status = RT_INTERRUPTED;
  rt_buf_printf(b, "\"seq\":%u,\"parent\":%u,\"ordinal\":%u,\"node\":",
                (uint32_t)sqlite3_column_int64(stmt, 0),
                (uint32_t)sqlite3_column_int64(stmt, 1),
                (uint32_t)sqlite3_column_int64(stmt, 2));
  rt_view_text(b, rt_source_text(stmt, 3));
  rt_buf_printf(b, ",\"kind\":\"%s\",\"status\":\"%s\",\"spawned_at\":",
                rt_call_kind_name(rt_call_kind_named((const char *)sqlite3_column_text(stmt, 4))),
                rt_status_name(status));
  rt_view_time(b, sqlite3_column_double(stmt, 6));
  rt_buf_text(b, ",\"started_at\":");
  rt_view_time(b, sqlite3_column_double(stmt, 7));
  rt_buf_text(b, ",\"ended_at\":");
  rt_view_time(b, sqlite3_column_double(stmt, 8));
}

/* A recorded JSON text, and how long it is if not all of it is told. */
static void write_value(rt_buf *b, const char *name, rt_text text, bool full) {
  rt_text head = text;
  if (!full && text.data) head.size = rt_view_head(text, TEXT_MOST);
  rt_buf_printf(b, ",\"%s\":", name);
  rt_view_text(b, head);
  if (head.size < text.size) rt_buf_printf(b, ",\"%s_size\":%zu", name, text.size);
}

/* The callers from the call up to the root: [{seq, ordinal, node}...]. */
static int write_callers(rt_request *q, const rt_run_record *run, uint32_t seq) {
  rt_source *s = q->source;
  sqlite3_stmt *stmt = rt_source_statement(s, RT_SQL_CALL_UP);
  if (!stmt) return -1;
  rt_buf_text(&q->body, ",\"callers\":[");
  for (int i = 0; seq && i < UP_MOST; i++) {
    sqlite3_bind_int64(stmt, 1, rt_sqlite_key(run->run, seq));
    int rc = rt_source_step(s, stmt);
    if (rc < 0) return -1;
    if (rc != SQLITE_ROW) break;
    uint32_t parent = (uint32_t)sqlite3_column_int64(stmt, 0);
    if (i) rt_buf_char(&q->body, ',');
    rt_buf_printf(&q->body, "{\"seq\":%u,\"ordinal\":%u,\"node\":", seq,
                  (uint32_t)sqlite3_column_int64(stmt, 1));
    rt_view_text(&q->body, rt_source_text(stmt, 2));
    rt_buf_char(&q->body, '}');
    sqlite3_reset(stmt);
    seq = parent < seq ? parent : 0;  // a caller is made before what it calls
  }
  rt_buf_char(&q->body, ']');
  return 0;
}

void rt_api_call(rt_request *q, const rt_run_record *run, uint32_t seq) {
  rt_source *s = q->source;
  rt_buf *b = &q->body;
  bool full = rt_request_text(q, "full") != NULL;
  bool over = run->status != RT_RUNNING;
  sqlite3_stmt *stmt = rt_source_statement(s, RT_SQL_CALL);
  int rc = -1;
  if (stmt) {
    sqlite3_bind_int64(stmt, 1, rt_sqlite_key(run->run, seq));
    rc = rt_source_step(s, stmt);
  }
  if (rc < 0) {
    rt_request_broken(q);
    return;
  }
  if (rc != SQLITE_ROW) {
    rt_request_fail(q, 404, "no call number %u is recorded of this run", seq);
    return;
  }
  rt_buf_char(b, '{');
  write_state(b, stmt, over);
  rt_buf_text(b, ",\"site\":");
  rt_view_text(b, rt_source_text(stmt, 9));
  write_value(b, "args", rt_source_text(stmt, 10), full);
  write_value(b, "results", rt_source_text(stmt, 11), full);
  write_value(b, "error", rt_source_text(stmt, 12), full);
  if (write_callers(q, run, seq) < 0) rt_request_broken(q);
  else rt_buf_text(b, "}\n");
}

/* ---- previews ---- */

static int write_preview(rt_request *q, const rt_run_record *run, uint32_t seq, int count) {
  sqlite3_stmt *stmt = rt_source_statement(q->source, RT_SQL_PREVIEW);
  if (!stmt) return -1;
  sqlite3_bind_int64(stmt, 1, rt_sqlite_key(run->run, seq));
  int rc = rt_source_step(q->source, stmt);
  if (rc != SQLITE_ROW) return rc < 0 ? -1 : 0;
  rt_buf *b = &q->body;
  rt_buf_printf(b, count ? ",\n{\"seq\":%u,\"args\":" : "{\"seq\":%u,\"args\":", seq);
  rt_view_text(b, rt_source_text(stmt, 0));
  rt_buf_text(b, ",\"results\":");
  rt_view_text(b, rt_source_text(stmt, 1));
  rt_buf_text(b, ",\"error\":");
  rt_view_text(b, rt_source_text(stmt, 2));
  rt_buf_char(b, '}');
  return 1;
}

/* ?seq=1,2,5-9 */
void rt_api_previews(rt_request *q, const rt_run_record *run) {
  const char *at = rt_request_text(q, "seq");
  int count = 0, asked = 0;
  rt_buf_char(&q->body, '[');
  while (at) {
    char *end;
    unsigned long from = *at >= '0' && *at <= '9' ? strtoul(at, &end, 10) : 0, to = from;
    if (from && *end == '-' && end[1] >= '0' && end[1] <= '9') to = strtoul(end + 1, &end, 10);
    if (!from || to < from || to > UINT32_MAX || (*end && *end != ',') ||
        to - from >= (unsigned long)(PREVIEWS - asked)) {
      rt_request_fail(q, 400, "seq: expected at most %d numbers of calls, as in 1,2,5-9",
                      PREVIEWS);
      return;
    }
    for (; from <= to; from++, asked++) {
      int put = write_preview(q, run, (uint32_t)from, count);
      if (put < 0) {
        rt_request_broken(q);
        return;
      }
      count += put;
    }
    at = *end ? end + 1 : NULL;
  }
  rt_buf_text(&q->body, "]\n");
}

/* ---- events ---- */

void rt_api_events(rt_request *q, const rt_run_record *run) {
  rt_source *s = q->source;
  int64_t after, call, limit;
  if (!rt_request_number(q, "after", 0, UINT32_MAX, 0, &after) ||
      !rt_request_number(q, "call", 1, UINT32_MAX, 0, &call) ||
      !rt_request_number(q, "limit", 1, EVENTS_MOST, EVENTS, &limit))
    return;
  sqlite3_stmt *stmt = rt_source_statement(s, call ? RT_SQL_EVENTS_OF : RT_SQL_EVENTS);
  if (!stmt) {
    rt_request_broken(q);
    return;
  }
  sqlite3_bind_int64(stmt, 1, rt_sqlite_key(run->run, (uint32_t)after));
  sqlite3_bind_int64(stmt, 2, rt_sqlite_key(run->run, UINT32_MAX));
  sqlite3_bind_int64(stmt, 3, limit);
  if (call) sqlite3_bind_int64(stmt, 4, call);
  int rc, count = 0;
  uint32_t number = 0;
  rt_buf *b = &q->body;
  rt_buf_text(b, "{\"events\":[");
  while ((rc = rt_source_step(s, stmt)) == SQLITE_ROW) {
    number = (uint32_t)sqlite3_column_int64(stmt, 0);
    rt_buf_printf(b, count++ ? ",\n{\"number\":%u,\"call\":%u,\"at\":"
                             : "{\"number\":%u,\"call\":%u,\"at\":",
                  number, (uint32_t)sqlite3_column_int64(stmt, 1));
    rt_view_time(b, sqlite3_column_double(stmt, 2));
    rt_buf_text(b, ",\"kind\":");
    rt_view_text(b, rt_source_text(stmt, 3));
    rt_text value = rt_source_text(stmt, 4);
    if (value.data) value.size = rt_view_head(value, TEXT_MOST);
    rt_buf_text(b, ",\"value\":");
    rt_view_text(b, value);
    rt_buf_char(b, '}');
  }
  if (rc < 0) {
    rt_request_broken(q);
    return;
  }
  rt_buf_text(b, "],\"next\":");
  if (count == limit) rt_buf_int(b, number);
  else rt_buf_text(b, "null");
  rt_buf_text(b, "}\n");
}
