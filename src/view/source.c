#include "source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "sqlite_file.h"

#define RUN_COLUMNS                                                                       \
  "run, id, name, status, started_at, ended_at, calls, error, script, script_hash, host," \
  " pid, process, parent_run, parent_call"

/* What is read of calls beside their texts. */
#define CALL_STATE \
  "key, parent, ordinal, node, kind, status, spawned_at, started_at, ended_at"

static const char *const sql[RT_SQL_STATEMENTS] = {
    [RT_SQL_RUNS] = "SELECT " RUN_COLUMNS " FROM runs WHERE run < ?1"
                    " AND (?2 IS NULL OR status = ?2)"
                    " AND (?3 IS NULL OR name LIKE ?3 ESCAPE '\\' OR id LIKE ?3 ESCAPE '\\')"
                    " AND started_at >= ?4 AND started_at < ?5"
                    " ORDER BY run DESC",
    [RT_SQL_RUN] = "SELECT " RUN_COLUMNS " FROM runs WHERE run = ?1",
    [RT_SQL_RUN_ID] = "SELECT " RUN_COLUMNS " FROM runs WHERE id = ?1",
    [RT_SQL_RUN_NAMED] = "SELECT " RUN_COLUMNS " FROM runs"
                         " WHERE substr(lower(id), 1, length(?1)) = lower(?1)"
                         " OR substr(lower(id), -length(?1)) = lower(?1)"
                         " ORDER BY run DESC LIMIT 2",
    [RT_SQL_RUN_RECENT] = "SELECT " RUN_COLUMNS " FROM runs ORDER BY run DESC"
                          " LIMIT 1 OFFSET ?1",
    [RT_SQL_COUNT] = "SELECT count(*) FROM calls WHERE key BETWEEN ?1 AND ?2",
    [RT_SQL_CALLS] = "SELECT " CALL_STATE " FROM calls WHERE key > ?1 AND key <= ?2"
                     " ORDER BY key",
    [RT_SQL_CALL_STATE] = "SELECT " CALL_STATE " FROM calls WHERE key = ?1",
    [RT_SQL_CALL] = "SELECT " CALL_STATE ", site, args, results, error FROM calls"
                    " WHERE key = ?1",
    [RT_SQL_CALL_UP] = "SELECT parent, ordinal, node FROM calls WHERE key = ?1",
    [RT_SQL_PREVIEW] = "SELECT substr(args, 1, 200), substr(results, 1, 120),"
                       " substr(error, 1, 400) FROM calls WHERE key = ?1",
    [RT_SQL_SEARCH] = "SELECT key, node, args, results, error FROM calls"
                      " WHERE key > ?1 AND key <= ?2 ORDER BY key",
    [RT_SQL_EVENTS] = "SELECT key, seq, at, kind, value FROM events"
                      " WHERE key > ?1 AND key <= ?2 ORDER BY key LIMIT ?3",
    [RT_SQL_EVENTS_OF] = "SELECT key, seq, at, kind, value FROM events"
                         " WHERE key > ?1 AND key <= ?2 AND +seq = ?4 ORDER BY key LIMIT ?3",
    [RT_SQL_VERSION] = "PRAGMA data_version",
    [RT_SQL_LIVE] = "SELECT host, pid, process FROM runs WHERE status = 'running'"
                    " ORDER BY run DESC LIMIT 100",
    [RT_SQL_RUNS_SINCE] = "SELECT " RUN_COLUMNS " FROM runs WHERE run > ?1 ORDER BY run",
    [RT_SQL_SIZE] = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
};

void rt_source_open(rt_source *s, const char *path) { *s = (rt_source){.path = path}; }

static void forget(rt_source *s) {
  for (int i = 0; i < RT_SQL_STATEMENTS; i++) {
    sqlite3_finalize(s->statements[i]);
    s->statements[i] = NULL;
  }
  sqlite3_close(s->db);
  s->db = NULL;
}

void rt_source_close(rt_source *s) {
  forget(s);
  free(s->error);
  s->error = NULL;
}

/* Whether somebody is about to make a journal of it: it has nothing in it yet. */
static bool is_blank(const char *path) {
  sqlite3 *db = NULL;
  sqlite3_stmt *stmt = NULL;
  const char *count = "SELECT count(*) FROM sqlite_master";
  int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX;
  bool blank = sqlite3_open_v2(path, &db, flags, NULL) == SQLITE_OK &&
               sqlite3_prepare_v2(db, count, -1, &stmt, NULL) == SQLITE_OK &&
               sqlite3_step(stmt) == SQLITE_ROW && sqlite3_column_int(stmt, 0) == 0;
  sqlite3_finalize(stmt);
  sqlite3_close(db);
  return blank;
}

int rt_source_ready(rt_source *s) {
  struct stat file;
  if (stat(s->path, &file) < 0 && errno == ENOENT) {
    forget(s);
    return 0;
  }
  if (s->db && file.st_dev == s->device && file.st_ino == s->file) return 1;
  forget(s);
  free(s->error);
  // What is made a journal just now may be blank when it is opened and not when it is asked.
  for (int tries = 1; rt_sqlite_file_open(&s->db, s->path, false, &s->error) < 0; tries++) {
    if (is_blank(s->path)) return 0;
    if (tries == 3) return -1;
    free(s->error);
  }
  sqlite3_busy_timeout(s->db, 1000);  // a browser waits for it
  s->device = file.st_dev;
  s->file = file.st_ino;
  s->opened++;
  return 1;
}

static int failed(rt_source *s, int code) {
  free(s->error);
  s->error = rt_sqlite_file_error(s->db, code, "read", s->path);
  return -1;
}

sqlite3_stmt *rt_source_statement(rt_source *s, rt_sql which) {
  sqlite3_stmt **at = &s->statements[which];
  if (*at) {
    sqlite3_reset(*at);
    sqlite3_clear_bindings(*at);
    return *at;
  }
  int rc = sqlite3_prepare_v3(s->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT, at, NULL);
  if (rc != SQLITE_OK) failed(s, rc);
  return *at;
}

int rt_source_step(rt_source *s, sqlite3_stmt *stmt) {
  int rc = sqlite3_step(stmt);
  return rc == SQLITE_ROW || rc == SQLITE_DONE ? rc : failed(s, rc);
}

int rt_source_begin(rt_source *s) {
  if (!sqlite3_get_autocommit(s->db)) return 0;
  int rc = sqlite3_exec(s->db, "BEGIN", NULL, NULL, NULL);
  return rc == SQLITE_OK ? 0 : failed(s, rc);
}

void rt_source_pause(rt_source *s) {
  if (!s->db) return;
  for (int i = 0; i < RT_SQL_STATEMENTS; i++) sqlite3_reset(s->statements[i]);
  if (!sqlite3_get_autocommit(s->db)) sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL);
}

int64_t rt_source_version(rt_source *s) {
  sqlite3_stmt *stmt = rt_source_statement(s, RT_SQL_VERSION);
  if (!stmt || rt_source_step(s, stmt) != SQLITE_ROW) return -1;
  int64_t version = sqlite3_column_int64(stmt, 0);
  sqlite3_reset(stmt);
  return version;
}

rt_text rt_source_text(sqlite3_stmt *stmt, int column) {
  const char *data = (const char *)sqlite3_column_text(stmt, column);
  return (rt_text){data, data ? (size_t)sqlite3_column_bytes(stmt, column) : 0};
}

const char *rt_source_error(const rt_source *s) {
  return s->error ? s->error : "not enough memory";
}
