/* api.c -- which answer is asked for. All paths begin with /api/:
 *
 *   runs                          runs, newest first: ?status= name= text= since= until=
 *                                 before= limit=
 *   runs/RUN                      one run; RUN is an id, a unique beginning or end of it, @1
 *   runs/RUN/calls                its calls as columns: ?since= epoch=
 *   runs/RUN/search               calls that hold a text: ?text= from=
 *   runs/RUN/previews             beginnings of arguments and results: ?seq=1,2,5-9
 *   runs/RUN/events               what was logged and broadcast: ?after= call= limit=
 *   runs/RUN/calls/SEQ            one call with all that is recorded: ?full=1
 */
#include <stdlib.h>
#include <string.h>

#include "request.h"

enum { RUN_NAME = 64 };

void rt_api_read_run(sqlite3_stmt *stmt, rt_run_record *run) {
  *run = (rt_run_record){
      .run = sqlite3_column_int64(stmt, 0), .id = rt_source_text(stmt, 1),
      .name = rt_source_text(stmt, 2),
      .status = rt_status_named((const char *)sqlite3_column_text(stmt, 3)),
      .started_at = sqlite3_column_double(stmt, 4),
      .ended_at = sqlite3_column_double(stmt, 5), .calls = sqlite3_column_int64(stmt, 6),
      .error = rt_source_text(stmt, 7), .script = rt_source_text(stmt, 8),
      .script_hash = rt_source_text(stmt, 9), .host = rt_source_text(stmt, 10),
      .pid = sqlite3_column_int64(stmt, 11), .process = rt_source_text(stmt, 12),
      .parent_run = rt_source_text(stmt, 13),
      .parent_call = (uint32_t)sqlite3_column_int64(stmt, 14),
  };
  if (run->status == RT_RUNNING &&
      !rt_process_alive(run->host.data, run->pid, run->process.data))
    run->status = RT_INTERRUPTED;
}

/* Steps the statement that looks for 'name'; NULL, with the answer, if it is not to be. */
static sqlite3_stmt *look_for(rt_request *q, rt_sql which, const char *name, int *rc) {
  sqlite3_stmt *stmt = rt_source_statement(q->source, which);
  *rc = -1;
  if (stmt) {
    if (which == RT_SQL_RUN_RECENT) sqlite3_bind_int64(stmt, 1, strtoll(name + 1, NULL, 10) - 1);
    else sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    *rc = rt_source_step(q->source, stmt);
  }
  if (*rc < 0) rt_request_broken(q);
  return *rc < 0 ? NULL : stmt;
}

/* The statement that stands on the row of the run meant by 'name'; NULL, with the answer,
 * if there is none. */
static sqlite3_stmt *find_run(rt_request *q, const char *name) {
  int rc;
  if (*name == '@') {
    size_t digits = strspn(name + 1, "0123456789");
    if (name[1] >= '1' && digits < 10 && !name[1 + digits]) {
      sqlite3_stmt *recent = look_for(q, RT_SQL_RUN_RECENT, name, &rc);
      if (!recent || rc == SQLITE_ROW) return recent;
    }
    rt_request_fail(q, 404, "there is no run \"%s\"", name);
    return NULL;
  }
  sqlite3_stmt *stmt = look_for(q, RT_SQL_RUN_ID, name, &rc);
  if (!stmt || rc == SQLITE_ROW) return stmt;
  stmt = look_for(q, RT_SQL_RUN_NAMED, name, &rc);
  if (!stmt) return NULL;
  if (rc != SQLITE_ROW) {
    rt_request_fail(q, 404, "there is no run \"%s\"", name);
    return NULL;
  }
  int64_t number = sqlite3_column_int64(stmt, 0);
  if (rt_source_step(q->source, stmt) == SQLITE_ROW) {
    rt_request_fail(q, 404, "\"%s\" means several runs", name);
    return NULL;
  }
  stmt = rt_source_statement(q->source, RT_SQL_RUN);
  if (stmt) sqlite3_bind_int64(stmt, 1, number);
  if (stmt && rt_source_step(q->source, stmt) == SQLITE_ROW) return stmt;
  rt_request_broken(q);
  return NULL;
}

static void answer_call(rt_request *q, const rt_run_record *run, const char *text) {
  char *end;
  unsigned long long seq = strtoull(text, &end, 10);
  if (*text < '1' || *text > '9' || *end || seq > UINT32_MAX)
    rt_request_fail(q, 404, "no call \"%s\": expected its number in the run", text);
  else rt_api_call(q, run, (uint32_t)seq);
}

static void answer_run(rt_request *q, const rt_run_record *run, const char *rest) {
  static const struct {
    const char *path;
    void (*answer)(rt_request *, const rt_run_record *);
  } answers[] = {
      {"", rt_api_run}, {"/calls", rt_api_calls}, {"/search", rt_api_search},
      {"/previews", rt_api_previews}, {"/events", rt_api_events},
  };
  for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
    if (strcmp(rest, answers[i].path) != 0) continue;
    answers[i].answer(q, run);
    return;
  }
  if (strncmp(rest, "/calls/", 7) == 0) answer_call(q, run, rest + 7);
  else rt_request_fail(q, 404, "there is no such path");
}

void rt_api(rt_request *q, const char *path) {
  rt_source *s = q->source;
  q->status = 200;
  q->type = "application/json";
  if (strncmp(path, "runs", 4) != 0 || (path[4] && path[4] != '/')) {
    rt_request_fail(q, 404, "there is no such path");
    return;
  }
  int ready = rt_source_ready(s);
  if (ready > 0 && rt_source_begin(s) < 0) ready = -1;
  if (ready < 0) {
    rt_request_broken(q);
    return;
  }
  if (!path[4]) {
    rt_api_runs(q);
  } else if (!ready) {
    rt_request_fail(q, 404, "there is no journal %s yet", s->path);
  } else {
    char name[RUN_NAME];
    const char *from = path + 5, *slash = strchr(from, '/');
    size_t size = slash ? (size_t)(slash - from) : strlen(from);
    if (size == 0 || size >= sizeof name) {
      rt_request_fail(q, 404, "there is no such run");
    } else {
      memcpy(name, from, size);
      name[size] = '\0';
      rt_run_record run;
      sqlite3_stmt *stmt = find_run(q, name);
      if (stmt) {
        rt_api_read_run(stmt, &run);
        answer_run(q, &run, slash ? slash : "");
      }
    }
  }
  rt_source_pause(s);
}
