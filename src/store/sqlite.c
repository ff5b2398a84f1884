/* sqlite.c -- the store that writes to an SQLite file.
 *
 * Several processes may write one journal: every transaction is short and takes the
 * write lock when it begins (a reader that turns writer cannot wait its turn). Statements
 * are prepared when first used, so that a short run pays for what it needs.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sqlite_file.h"

enum {
  CHECKPOINT_BYTES = 32 << 20,  // of the write-ahead log, then it goes to the file
  LEFT_BYTES = 1 << 20,         // may stay in the log at close: the next opening reads it
  DROP_ROWS = 20000,            // removed in one transaction
};

enum {
  BEGIN, COMMIT, ADD_RUN, END_RUN, ADD_CALL, UPDATE_CALL, ADD_EVENT,
  PAGE_SIZE, PAGE_COUNT, FREE_COUNT, OLD_RUNS, PAST_RUN, RUNNING, DROP_CALLS, DROP_EVENTS,
  DROP_RUN,
  STATEMENTS
};

static const char *const sql[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ADD_RUN] = "INSERT INTO runs (id, name, status, started_at, calls, script,"
                " script_hash, host, pid, process, parent_run, parent_call)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    [END_RUN] = "UPDATE runs SET status = ?2, ended_at = ?3, calls = ?4, error = ?5"
                " WHERE run = ?1",
    [ADD_CALL] = "INSERT INTO calls (key, parent, ordinal, node, kind, status, spawned_at,"
                 " started_at, ended_at, site, args, results, error)"
                 " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    [UPDATE_CALL] = "UPDATE calls SET status = ?2, started_at = ifnull(?3, started_at),"
                    " ended_at = ?4, results = ?5, error = ?6, args = ifnull(?7, args)"
                    " WHERE key = ?1",
    // One more than the run's newest.
    [ADD_EVENT] = "INSERT INTO events (key, seq, at, kind, value) VALUES (1 + ifnull("
                  "(SELECT max(key) FROM events WHERE key BETWEEN ?1 AND ?2), ?1),"
                  " ?3, ?4, ?5, ?6)",
    [PAGE_SIZE] = "PRAGMA page_size",
    [PAGE_COUNT] = "PRAGMA page_count",
    [FREE_COUNT] = "PRAGMA freelist_count",
    [OLD_RUNS] = "SELECT run, status, host, pid, process FROM runs WHERE run > ?1"
                 " AND run <= ?2 AND ifnull(ended_at, started_at) < ?3 ORDER BY run",
    [PAST_RUN] = "SELECT run FROM runs ORDER BY run DESC LIMIT 1 OFFSET ?1",
    [RUNNING] = "SELECT run, status, host, pid, process FROM runs WHERE status = 'running'",
    [DROP_CALLS] = "DELETE FROM calls WHERE key IN"
                   " (SELECT key FROM calls WHERE key BETWEEN ?1 AND ?2 LIMIT ?3)",
    [DROP_EVENTS] = "DELETE FROM events WHERE key IN"
                    " (SELECT key FROM events WHERE key BETWEEN ?1 AND ?2 LIMIT ?3)",
    [DROP_RUN] = "DELETE FROM runs WHERE run = ?1",
};

typedef struct sqlite_store {
  rt_store base;  // first: a store is an sqlite_store
  sqlite3 *db;
  sqlite3_stmt *statements[STATEMENTS];
  int page_size;
  int log_pages;  // in the write-ahead log, after the last commit
} sqlite_store;

static sqlite_store *self(rt_store *s) { return (sqlite_store *)s; }

/* Notes why 'code' came back; returns -1. */
static int failed(sqlite_store *s, int code) {
  free(s->base.error);
  s->base.error = rt_sqlite_file_error(s->db, code, "write", s->base.path);
  return -1;
}

/* The statement, ready to be bound; NULL on failure. */
static sqlite3_stmt *statement(sqlite_store *s, int which) {
  sqlite3_stmt **at = &s->statements[which];
  if (*at) return *at;
  int rc = sqlite3_prepare_v3(s->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT, at, NULL);
  if (rc != SQLITE_OK) failed(s, rc);
  return *at;
}

/* Runs a statement that gives no rows. */
static int run(sqlite_store *s, sqlite3_stmt *stmt) {
  int rc = sqlite3_step(stmt);
  if (rc == SQLITE_DONE) {
    sqlite3_reset(stmt);
    return 0;
  }
  failed(s, rc);  // before reset has a say
  sqlite3_reset(stmt);
  return -1;
}

static int run_plain(sqlite_store *s, int which) {
  sqlite3_stmt *stmt = statement(s, which);
  return stmt ? run(s, stmt) : -1;
}

/* ---- binding: texts are borrowed until the statement has run ---- */

static void bind_text(sqlite3_stmt *stmt, int at, rt_text text) {
  if (!text.data) sqlite3_bind_null(stmt, at);
  else sqlite3_bind_text64(stmt, at, text.data, text.size, SQLITE_STATIC, SQLITE_UTF8);
}

static void bind_name(sqlite3_stmt *stmt, int at, const char *name) {
  sqlite3_bind_text(stmt, at, name, -1, SQLITE_STATIC);
}

static void bind_time(sqlite3_stmt *stmt, int at, double time) {
  if (time > 0) sqlite3_bind_double(stmt, at, time);
  else sqlite3_bind_null(stmt, at);
}

/* A number that is counted from 1; 0 is none. */
static void bind_count(sqlite3_stmt *stmt, int at, uint32_t number) {
  if (number) sqlite3_bind_int64(stmt, at, number);
  else sqlite3_bind_null(stmt, at);
}

/* ---- groups ---- */

static int begin(rt_store *s) { return run_plain(self(s), BEGIN); }
static int commit(rt_store *s) { return run_plain(self(s), COMMIT); }

static void rollback(rt_store *s) {
  // Some failures, a full disk among them, have rolled back already.
  sqlite3 *db = self(s)->db;
  if (!sqlite3_get_autocommit(db)) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
}

/* Called by SQLite after each commit; in place of its own automatic checkpoint, because
 * it has room for one such function. A failure shows at a later commit, if it lasts. */
static int committed(void *data, sqlite3 *db, const char *name, int pages) {
  sqlite_store *s = data;
  s->log_pages = pages;
  if (pages >= CHECKPOINT_BYTES / s->page_size)
    sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
  return SQLITE_OK;
}

/* ---- records ---- */

static int run_begin(rt_store *base, rt_run_record *r) {
  sqlite_store *s = self(base);
  sqlite3_stmt *stmt = statement(s, ADD_RUN);
  if (!stmt) return -1;
  bind_text(stmt, 1, r->id);
  bind_text(stmt, 2, r->name);
  bind_name(stmt, 3, rt_status_name(r->status));
  sqlite3_bind_double(stmt, 4, r->started_at);
  sqlite3_bind_int64(stmt, 5, r->calls);
  bind_text(stmt, 6, r->script);
  bind_text(stmt, 7, r->script_hash);
  bind_text(stmt, 8, r->host);
  sqlite3_bind_int64(stmt, 9, r->pid);
  bind_text(stmt, 10, r->process);
  bind_text(stmt, 11, r->parent_run);
  bind_count(stmt, 12, r->parent_call);
  if (run(s, stmt) < 0) return -1;
  r->run = sqlite3_last_insert_rowid(s->db);
  return 0;
}

static int run_end(rt_store *base, const rt_run_record *r) {
  sqlite_store *s = self(base);
  sqlite3_stmt *stmt = statement(s, END_RUN);
  if (!stmt) return -1;
  sqlite3_bind_int64(stmt, 1, r->run);
  bind_name(stmt, 2, rt_status_name(r->status));
  bind_time(stmt, 3, r->ended_at);
  sqlite3_bind_int64(stmt, 4, r->calls);
  bind_text(stmt, 5, r->error);
  return run(s, stmt);
}

static int call_add(rt_store *base, const rt_call_record *c) {
  sqlite_store *s = self(base);
  sqlite3_stmt *stmt = statement(s, ADD_CALL);
  if (!stmt) return -1;
  sqlite3_bind_int64(stmt, 1, rt_sqlite_key(c->run, c->seq));
  bind_count(stmt, 2, c->parent);
  sqlite3_bind_int64(stmt, 3, c->ordinal);
  bind_text(stmt, 4, c->node);
  bind_name(stmt, 5, rt_call_kind_name(c->kind));
  bind_name(stmt, 6, rt_status_name(c->status));
  bind_time(stmt, 7, c->spawned_at);
  bind_time(stmt, 8, c->started_at);
  bind_time(stmt, 9, c->ended_at);
  bind_text(stmt, 10, c->site);
  bind_text(stmt, 11, c->args);
  bind_text(stmt, 12, c->results);
  bind_text(stmt, 13, c->error);
  return run(s, stmt);
}

static int call_update(rt_store *base, const rt_call_record *c) {
  sqlite_store *s = self(base);
  sqlite3_stmt *stmt = statement(s, UPDATE_CALL);
  if (!stmt) return -1;
  sqlite3_bind_int64(stmt, 1, rt_sqlite_key(c->run, c->seq));
  bind_name(stmt, 2, rt_status_name(c->status));
  bind_time(stmt, 3, c->started_at);
  bind_time(stmt, 4, c->ended_at);
  bind_text(stmt, 5, c->results);
  bind_text(stmt, 6, c->error);
  bind_text(stmt, 7, c->args);
  return run(s, stmt);
}

static int event_add(rt_store *base, const rt_event_record *e) {
  sqlite_store *s = self(base);
  sqlite3_stmt *stmt = statement(s, ADD_EVENT);
  if (!stmt) return -1;
  sqlite3_bind_int64(stmt, 1, rt_sqlite_key(e->run, 0));
  sqlite3_bind_int64(stmt, 2, rt_sqlite_key(e->run, UINT32_MAX));
  bind_count(stmt, 3, e->seq);
  sqlite3_bind_double(stmt, 4, e->at);
  bind_text(stmt, 5, e->kind);
  bind_text(stmt, 6, e->value);
  return run(s, stmt);
}

/* ---- size and removal ---- */

static int64_t read_count(sqlite_store *s, int which) {
  sqlite3_stmt *stmt = statement(s, which);
  if (!stmt) return -1;
  int rc = sqlite3_step(stmt);
  int64_t count = -1;
  if (rc == SQLITE_ROW) count = sqlite3_column_int64(stmt, 0);
  else failed(s, rc);
  sqlite3_reset(stmt);
  return count;
}

static int64_t size(rt_store *base) {
  sqlite_store *s = self(base);
  int64_t pages = read_count(s, PAGE_COUNT), unused = read_count(s, FREE_COUNT);
  return pages < 0 || unused < 0 ? -1 : (pages - unused) * s->page_size;
}

/* Whether the run of that row has ended, or its writer is dead. */
static bool is_over(sqlite3_stmt *row) {
  const char *status = (const char *)sqlite3_column_text(row, 1);
  const char *host = (const char *)sqlite3_column_text(row, 2);
  const char *process = (const char *)sqlite3_column_text(row, 4);
  return rt_status_named(status) != RT_RUNNING ||
         !rt_process_alive(host, sqlite3_column_int64(row, 3), process);
}

/* Sets *run to that of the first row whose run is over, or is not; 0 if there is none. */
static int find_first(sqlite_store *s, sqlite3_stmt *stmt, bool over, int64_t *number) {
  int rc;
  *number = 0;
  while (!*number && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
    if (is_over(stmt) == over) *number = sqlite3_column_int64(stmt, 0);
  int result = *number || rc == SQLITE_DONE ? 0 : failed(s, rc);
  sqlite3_reset(stmt);
  return result;
}

static int find_past(rt_store *base, int64_t keep, int64_t *number) {
  sqlite_store *s = self(base);
  sqlite3_stmt *stmt = statement(s, PAST_RUN);
  if (!stmt) return -1;
  sqlite3_bind_int64(stmt, 1, keep);
  int rc = sqlite3_step(stmt);
  *number = rc == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : 0;
  int result = rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : failed(s, rc);
  sqlite3_reset(stmt);
  return result;
}

/* Removes what 'which' finds of a run, some rows at a time so that other writers get
 * their turn in between. */
static int drop_rows(sqlite_store *s, int which, int64_t number) {
  sqlite3_stmt *stmt = statement(s, which);
  if (!stmt) return -1;
  sqlite3_bind_int64(stmt, 1, rt_sqlite_key(number, 0));
  sqlite3_bind_int64(stmt, 2, rt_sqlite_key(number, UINT32_MAX));
  sqlite3_bind_int64(stmt, 3, DROP_ROWS);
  do
    if (run(s, stmt) < 0) return -1;
  while (sqlite3_changes(s->db) == DROP_ROWS);
  return 0;
}

/* The run's row goes last: a removal that was cut short is found and ended by the next. */
static int drop_run(sqlite_store *s, int64_t number) {
  if (drop_rows(s, DROP_CALLS, number) < 0) return -1;
  if (drop_rows(s, DROP_EVENTS, number) < 0) return -1;
  sqlite3_stmt *stmt = statement(s, DROP_RUN);
  if (!stmt) return -1;
  sqlite3_bind_int64(stmt, 1, number);
  return run(s, stmt);
}

static int drop_next(rt_store *base, double before, int64_t last, int64_t *number) {
  sqlite_store *s = self(base);
  sqlite3_stmt *stmt = statement(s, OLD_RUNS);
  if (!stmt) return -1;
  do {
    sqlite3_bind_int64(stmt, 1, *number);
    sqlite3_bind_int64(stmt, 2, last);
    sqlite3_bind_double(stmt, 3, before);
    if (find_first(s, stmt, true, number) < 0) return -1;
    if (!*number) return 0;
    if (drop_run(s, *number) < 0) return -1;
  } while (sqlite3_changes(s->db) == 0);  // another process was at the same, and first
  return 0;
}

static int drop_oldest(rt_store *base, int64_t *number) {
  *number = 0;
  return drop_next(base, HUGE_VAL, INT64_MAX, number);
}

static int compact(rt_store *base, int64_t *bytes) {
  sqlite_store *s = self(base);
  int64_t before = read_count(s, PAGE_COUNT), writer;
  sqlite3_stmt *stmt = statement(s, RUNNING);
  *bytes = 0;
  if (before < 0 || !stmt || find_first(s, stmt, false, &writer) < 0) return -1;
  int rc = rt_sqlite_file_shrink(s->db, writer == 0);
  if (rc != SQLITE_OK) return failed(s, rc);
  int64_t after = read_count(s, PAGE_COUNT);
  if (after < 0) return -1;
  if (after < before) *bytes = (before - after) * s->page_size;
  return 0;
}

/* ---- open and close ---- */

/* The log stays behind, so that closing need not wait for the disk, until it is large
 * enough to make the next opening slow. A reader in the way is not waited for. */
static void close_store(rt_store *base) {
  sqlite_store *s = self(base);
  rollback(base);
  for (int i = 0; i < STATEMENTS; i++) sqlite3_finalize(s->statements[i]);
  if (s->log_pages > LEFT_BYTES / s->page_size) {
    sqlite3_busy_timeout(s->db, 0);
    sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
  }
  sqlite3_close(s->db);
  free(base->path);
  free(base->error);
  free(s);
}

static const rt_store_api sqlite_api = {
    .begin = begin, .commit = commit, .rollback = rollback, .run_begin = run_begin,
    .run_end = run_end, .call_add = call_add, .call_update = call_update,
    .event_add = event_add, .size = size, .drop_oldest = drop_oldest, .drop_next = drop_next,
    .find_past = find_past, .compact = compact, .close = close_store,
};

int rt_sqlite_open(rt_store **out, const char *path, char **error) {
  *out = NULL;
  *error = NULL;
  sqlite_store *s = calloc(1, sizeof *s);
  if (!s) return -1;
  s->base.api = &sqlite_api;
  s->base.path = strdup(path);
  if (!s->base.path) goto fail;
  if (rt_sqlite_file_open(&s->db, path, true, error) < 0) goto fail;

  // The disk is asked to write at checkpoints only: a crash of the machine may cost the
  // last commits, never the file. Removed rows are not overwritten with zeros.
  static const char settings[] = "PRAGMA synchronous=NORMAL; PRAGMA secure_delete=OFF;"
                                 "PRAGMA journal_size_limit=33554432";
  if (sqlite3_exec(s->db, settings, NULL, NULL, NULL) != SQLITE_OK ||
      sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL) != SQLITE_OK) {
    *error = rt_sqlite_file_error(s->db, sqlite3_errcode(s->db), "open", path);
    goto fail;
  }
  s->page_size = (int)read_count(s, PAGE_SIZE);
  if (s->page_size <= 0) goto fail;
  sqlite3_wal_hook(s->db, committed, s);
  *out = &s->base;
  return 0;

fail:
  sqlite3_close(s->db);
  free(s->base.path);
  free(s->base.error);
  free(s);
  return -1;
}
