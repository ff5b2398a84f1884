#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "call_tree.h"
#include "sqlite_file.h"
#include "sqlite_reader.h"

#define RUN_COLUMNS                                                                       \
  "run, id, name, status, started_at, ended_at, calls, error, script, script_hash, host," \
  " pid, process, parent_run, parent_call"
#define CALL_COLUMNS \
  "key, parent, ordinal, node, kind, status, spawned_at, started_at, ended_at"
#define CALL_TEXTS ", site, args, results, error"

static const char *const sql[STATEMENTS] = {
    [RUN_BELOW] = "SELECT " RUN_COLUMNS " FROM runs"
                  " WHERE run <= ?1 ORDER BY run DESC LIMIT 1 OFFSET ?2",
    [RUN_NAMED] = "SELECT run, id FROM runs"
                  " WHERE substr(lower(id), 1, length(?1)) = lower(?1)"
                  " OR substr(lower(id), -length(?1)) = lower(?1)"
                  " ORDER BY run DESC LIMIT 3",
    [COUNT_RUNS] = "SELECT count(*) FROM runs",
    [COUNT_CALLS] = "SELECT count(*) FROM calls WHERE key BETWEEN ?1 AND ?2",
    [CALL_WAYS] = "SELECT key, parent, ordinal, started_at FROM calls"
                  " WHERE key BETWEEN ?1 AND ?2 ORDER BY key",
    [CALL] = "SELECT " CALL_COLUMNS CALL_TEXTS " FROM calls WHERE key = ?1",
    [CALL_STATE] = "SELECT status, started_at FROM calls WHERE key = ?1",
    [CALLS_SINCE] = "SELECT " CALL_COLUMNS " FROM calls"
                    " WHERE key > ?1 AND key <= ?2 ORDER BY key LIMIT ?3",
    [CALL_BRIEF] = "SELECT " CALL_COLUMNS " FROM calls WHERE key = ?1",
    [PROGRESS_SINCE] = "SELECT key, seq, at, kind, iif(kind = 'progress', value, NULL)"
                       " FROM events WHERE key > ?1 AND key <= ?2 ORDER BY key LIMIT ?3",
    [RUNS_SINCE] = "SELECT run FROM runs WHERE run > ?1 ORDER BY run",
    [VERSION] = "PRAGMA data_version",
};

struct rt_calls {
  rt_reader *reader;
  int64_t run;
  bool running;       // false: a call without an end will not get one
  rt_call_tree tree;
  uint32_t at;        // the next one's place in the tree's order
  char id[RT_CALL_ID_SIZE];
  char parent_id[RT_CALL_ID_SIZE];
};

/* ---- statements ---- */

int rt_reader_failed(rt_reader *r, int code) {
  free(r->error);
  r->error = rt_sqlite_file_error(r->db, code, "read", r->path);
  return -1;
}

/* Takes over 'reason', whose memory may have run out. */
static int refuse(rt_reader *r, rt_buf *reason) {
  rt_buf_char(reason, '\0');
  if (reason->failed) rt_buf_free(reason);
  free(r->error);
  r->error = reason->data;
  return -1;
}

sqlite3_stmt *rt_reader_statement(rt_reader *r, int which) {
  sqlite3_stmt **at = &r->statements[which];
  if (*at) sqlite3_reset(*at);  // a reading that was left by a jump
  else {
    int rc = sqlite3_prepare_v3(r->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT, at, NULL);
    if (rc != SQLITE_OK) rt_reader_failed(r, rc);
  }
  return *at;
}

static rt_text column(sqlite3_stmt *stmt, int at) {
  const char *data = (const char *)sqlite3_column_text(stmt, at);
  return (rt_text){data, data ? (size_t)sqlite3_column_bytes(stmt, at) : 0};
}

static const char *column_name(sqlite3_stmt *stmt, int at) {
  return (const char *)sqlite3_column_text(stmt, at);
}

int rt_reader_begin(rt_reader *r) {
  if (!sqlite3_get_autocommit(r->db)) return 0;
  int rc = sqlite3_exec(r->db, "BEGIN", NULL, NULL, NULL);
  return rc == SQLITE_OK ? 0 : rt_reader_failed(r, rc);
}

void rt_reader_pause(rt_reader *r) {
  for (int i = 0; i < STATEMENTS; i++) sqlite3_reset(r->statements[i]);
  if (!sqlite3_get_autocommit(r->db)) sqlite3_exec(r->db, "COMMIT", NULL, NULL, NULL);
}

/* ---- runs ---- */

int rt_reader_read_run(rt_reader *r, int64_t below, int64_t skip, rt_run_record *run) {
  int64_t dead = -1;
  for (;;) {
    sqlite3_stmt *stmt = rt_reader_statement(r, RUN_BELOW);
    if (!stmt) return -1;
    sqlite3_bind_int64(stmt, 1, below);
    sqlite3_bind_int64(stmt, 2, skip);
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_DONE) return 0;
    if (rc != SQLITE_ROW) return rt_reader_failed(r, rc);
    *run = (rt_run_record){
        .run = sqlite3_column_int64(stmt, 0), .id = column(stmt, 1), .name = column(stmt, 2),
        .status = rt_status_named(column_name(stmt, 3)),
        .started_at = sqlite3_column_double(stmt, 4),
        .ended_at = sqlite3_column_double(stmt, 5), .calls = sqlite3_column_int64(stmt, 6),
        .error = column(stmt, 7), .script = column(stmt, 8), .script_hash = column(stmt, 9),
        .host = column(stmt, 10), .pid = sqlite3_column_int64(stmt, 11),
        .process = column(stmt, 12), .parent_run = column(stmt, 13),
        .parent_call = (uint32_t)sqlite3_column_int64(stmt, 14),
    };
    if (run->status != RT_RUNNING) return 1;
    if (run->run == dead) break;
    if (rt_process_alive(run->host.data, run->pid, run->process.data)) return 1;
    // It may have written its end just before it died, after we looked: look again.
    dead = below = run->run;
    skip = 0;
  }
  run->status = RT_INTERRUPTED;
  return 1;
}

/* Counts the calls that are there; a run that has not ended does not know yet. */
static int count_calls(rt_reader *r, rt_run_record *run) {
  if (run->status != RT_RUNNING && run->status != RT_INTERRUPTED) return 0;
  sqlite3_stmt *stmt = rt_reader_statement(r, COUNT_CALLS);
  if (!stmt) return -1;
  sqlite3_bind_int64(stmt, 1, rt_sqlite_key(run->run, 0));
  sqlite3_bind_int64(stmt, 2, rt_sqlite_key(run->run, UINT32_MAX));
  int rc = sqlite3_step(stmt);
  if (rc != SQLITE_ROW) return rt_reader_failed(r, rc);
  run->calls = sqlite3_column_int64(stmt, 0);
  sqlite3_reset(stmt);
  return 0;
}

int rt_reader_runs(rt_reader *r, int64_t skip, int64_t limit, rt_each_run *each,
                   void *data) {
  rt_run_record run;
  int64_t below = INT64_MAX;
  int result = 0;
  rt_reader_pause(r);
  for (int64_t n = 0; n != limit; n++) {
    int got = rt_reader_read_run(r, below, skip, &run);
    if (got > 0) got = count_calls(r, &run) < 0 ? -1 : 1;
    if (got <= 0) {
      result = got;
      break;
    }
    if ((result = each(data, &run)) != 0) break;
    below = run.run - 1;
    skip = 0;
  }
  rt_reader_pause(r);
  return result;
}

/* "@2": the number behind the @, or 0. */
static int64_t parse_recent(const char *name) {
  int64_t n = 0;
  if (*name++ != '@') return 0;
  do {
    if (*name < '0' || *name > '9' || n > INT32_MAX) return 0;
    n = n * 10 + (*name - '0');
  } while (*++name);
  return n;
}

/* Finds the number of the run whose id begins or ends with 'name'. */
static int find_named(rt_reader *r, const char *name, int64_t *number) {
  rt_buf reason = {0};
  int found = 0, rc;
  sqlite3_stmt *stmt = rt_reader_statement(r, RUN_NAMED);
  if (!stmt) return -1;
  sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
  rt_buf_printf(&reason, "\"%s\" means several runs of journal %s:", name, r->path);
  while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
    *number = sqlite3_column_int64(stmt, 0);
    if (++found <= 2) rt_buf_printf(&reason, " %s", column_name(stmt, 1));
    else rt_buf_text(&reason, " ...");
  }
  if (rc != SQLITE_DONE) {
    rt_buf_free(&reason);
    return rt_reader_failed(r, rc);
  }
  sqlite3_reset(stmt);
  if (found > 1) return refuse(r, &reason);
  rt_buf_free(&reason);
  if (found == 1) return 0;
  rt_buf_printf(&reason, "no run \"%s\" in journal %s", name, r->path);
  return refuse(r, &reason);
}

static int refuse_recent(rt_reader *r, const char *name) {
  rt_buf reason = {0};
  sqlite3_stmt *stmt = rt_reader_statement(r, COUNT_RUNS);
  if (!stmt) return -1;
  int rc = sqlite3_step(stmt);
  if (rc != SQLITE_ROW) return rt_reader_failed(r, rc);
  rt_buf_printf(&reason, "no run \"%s\" in journal %s: it holds %lld", name, r->path,
                (long long)sqlite3_column_int64(stmt, 0));
  return refuse(r, &reason);
}

int rt_reader_runs_since(rt_reader *r, int64_t number, rt_each_run *each, void *data) {
  rt_run_record run;
  int result = 0, rc = SQLITE_DONE;
  rt_reader_pause(r);
  sqlite3_stmt *stmt = rt_reader_statement(r, RUNS_SINCE);
  if (!stmt) return -1;
  sqlite3_bind_int64(stmt, 1, number);
  while (result == 0 && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
    int64_t at = sqlite3_column_int64(stmt, 0);
    int got = rt_reader_read_run(r, at, 0, &run);
    if (got < 0) result = -1;
    else if (got > 0 && run.run == at) result = each(data, &run);
  }
  if (result == 0 && rc != SQLITE_DONE) result = rt_reader_failed(r, rc);
  rt_reader_pause(r);
  return result;
}

int rt_reader_run(rt_reader *r, const char *name, rt_each_run *each, void *data) {
  rt_run_record run;
  int64_t number = 0, recent = parse_recent(name);
  int got;
  rt_reader_pause(r);
  if (recent) got = rt_reader_read_run(r, INT64_MAX, recent - 1, &run);
  else if (*name == '\0' || *name == '@') got = 0;
  else got = find_named(r, name, &number) < 0 ? -1 : rt_reader_read_run(r, number, 0, &run);

  if (got > 0 && count_calls(r, &run) < 0) got = -1;
  int result = got > 0 ? each(data, &run) : got < 0 ? -1 : refuse_recent(r, name);
  rt_reader_pause(r);
  return result;
}

/* ---- calls ---- */

static int load_tree(rt_calls *c) {
  rt_reader *r = c->reader;
  int rc;
  sqlite3_stmt *stmt = rt_reader_statement(r, CALL_WAYS);
  if (!stmt) return -1;
  sqlite3_bind_int64(stmt, 1, rt_sqlite_key(c->run, 0));
  sqlite3_bind_int64(stmt, 2, rt_sqlite_key(c->run, UINT32_MAX));
  while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
    uint32_t seq = (uint32_t)sqlite3_column_int64(stmt, 0);  // the key's lower half
    uint32_t parent = (uint32_t)sqlite3_column_int64(stmt, 1);
    uint32_t ordinal = (uint32_t)sqlite3_column_int64(stmt, 2);
    if (!rt_call_tree_add(&c->tree, seq, parent, ordinal, sqlite3_column_double(stmt, 3)))
      return rt_reader_failed(r, SQLITE_NOMEM);
  }
  if (rc != SQLITE_DONE) return rt_reader_failed(r, rc);
  sqlite3_reset(stmt);
  return 0;
}

int rt_calls_open(rt_calls **out, rt_reader *r, int64_t run, int64_t limit,
                  rt_call_order order) {
  rt_run_record record;
  rt_buf reason = {0};
  *out = NULL;
  rt_reader_pause(r);
  rt_calls *c = calloc(1, sizeof *c);
  if (!c) return rt_reader_failed(r, SQLITE_NOMEM);
  c->reader = r;
  c->run = run;

  int got = rt_reader_read_run(r, run, 0, &record);
  if (got < 0) goto fail;
  if (got == 0 || record.run != run) {
    rt_buf_printf(&reason, "no run number %lld in journal %s", (long long)run, r->path);
    refuse(r, &reason);
    goto fail;
  }
  c->running = record.status == RT_RUNNING;
  if (load_tree(c) < 0) goto fail;
  if (!rt_call_tree_sort(&c->tree, limit, order)) {
    rt_reader_failed(r, SQLITE_NOMEM);
    goto fail;
  }
  rt_reader_pause(r);
  *out = c;
  return 0;

fail:
  rt_reader_pause(r);
  rt_calls_close(c);
  return -1;
}

void rt_calls_close(rt_calls *c) {
  if (!c) return;
  rt_call_tree_free(&c->tree);
  free(c);
}

uint32_t rt_calls_total(const rt_calls *c) { return c->tree.count; }

void rt_reader_call(sqlite3_stmt *stmt, bool texts, rt_call_record *c) {
  *c = (rt_call_record){
      .run = sqlite3_column_int64(stmt, 0) >> 32, .seq = (uint32_t)sqlite3_column_int64(stmt, 0),
      .parent = (uint32_t)sqlite3_column_int64(stmt, 1),
      .ordinal = (uint32_t)sqlite3_column_int64(stmt, 2), .node = column(stmt, 3),
      .kind = rt_call_kind_named(column_name(stmt, 4)),
      .status = rt_status_named(column_name(stmt, 5)),
      .spawned_at = sqlite3_column_double(stmt, 6),
      .started_at = sqlite3_column_double(stmt, 7), .ended_at = sqlite3_column_double(stmt, 8),
  };
  if (!texts) return;
  c->site = column(stmt, 9);
  c->args = column(stmt, 10);
  c->results = column(stmt, 11);
  c->error = column(stmt, 12);
}

static void read_call(rt_calls *c, uint32_t place, sqlite3_stmt *stmt,
                      rt_call_view *view) {
  const rt_call_way *w = &c->tree.ways[place];
  *view = (rt_call_view){.id = c->id, .depth = w->depth};
  rt_reader_call(stmt, true, &view->record);
  // Of a run that is over, what was not recorded as ended never will be.
  if (view->record.status == RT_RUNNING && !c->running)
    view->record.status = RT_INTERRUPTED;
  rt_call_tree_id(&c->tree, place, w->seq, c->id);
  if (w->root) return;
  rt_call_tree_id(&c->tree, w->parent, view->record.parent, c->parent_id);
  view->parent_id = c->parent_id;
}

int rt_calls_next(rt_calls *c, rt_call_view *view) {
  rt_reader *r = c->reader;
  sqlite3_stmt *stmt = rt_reader_statement(r, CALL);
  if (!stmt) return -1;
  if (rt_reader_begin(r) < 0) return -1;  // one transaction for many calls: cheaper
  while (c->at < c->tree.shown) {
    uint32_t place = c->tree.order[c->at++];
    sqlite3_bind_int64(stmt, 1, rt_sqlite_key(c->run, c->tree.ways[place].seq));
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
      read_call(c, place, stmt, view);
      return 1;
    }
    if (rc != SQLITE_DONE) return rt_reader_failed(r, rc);
    sqlite3_reset(stmt);  // the run is being removed
  }
  rt_reader_pause(r);
  return 0;
}

/* ---- open and close ---- */

int rt_reader_open(rt_reader **out, const char *path, char **error) {
  *out = NULL;
  *error = NULL;
  rt_reader *r = calloc(1, sizeof *r);
  if (!r) return -1;
  r->path = strdup(path);
  if (!r->path || rt_sqlite_file_open(&r->db, path, false, error) < 0) {
    free(r->path);
    free(r);
    return -1;
  }
  *out = r;
  return 0;
}

void rt_reader_close(rt_reader *r) {
  if (!r) return;
  for (int i = 0; i < STATEMENTS; i++) sqlite3_finalize(r->statements[i]);
  sqlite3_close(r->db);
  free(r->path);
  free(r->error);
  free(r);
}

const char *rt_reader_error(const rt_reader *r) {
  return r->error ? r->error : "not enough memory";
}
