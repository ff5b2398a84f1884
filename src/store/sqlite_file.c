#ifndef _GNU_SOURCE
#define _GNU_SOURCE  // vasprintf
#endif
#include "sqlite_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "buf.h"

enum {
  BUSY_MS = 10000,  // how long another process' transaction is waited for
  RETRY_MS = 5,
  SHRINK_PAGES = 1000,  // given back in one transaction
};

/* steps[n] takes a journal of version n to n + 1. A step that was released is never
 * changed; what comes later is a step of its own.
 *
 * Calls are keyed by one integer made of run and seq, so that a run's calls lie side by
 * side in the table itself, with no index to keep: 1.2 times the insert rate of PRIMARY
 * KEY (run, seq) WITHOUT ROWID for short rows, three times for rows of 1 KB. The long
 * columns come last, so that reading the others does not touch their pages. */
static const char *const steps[] = {
    "CREATE TABLE runs (\n"
    "  run INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice\n"
    "  id TEXT NOT NULL UNIQUE,                -- UUIDv7\n"
    "  name TEXT NOT NULL,\n"
    "  status TEXT NOT NULL,                   -- running done failed cancelled\n"
    "  started_at REAL NOT NULL,               -- seconds since 1970, UTC\n"
    "  ended_at REAL,\n"
    "  calls INTEGER NOT NULL,                 -- set at the end\n"
    "  error TEXT,                             -- JSON {kind, message, traceback}\n"
    "  script TEXT,\n"
    "  script_hash TEXT,\n"
    "  host TEXT,                              -- host, pid, process: who writes it\n"
    "  pid INTEGER,\n"
    "  process TEXT,\n"
    "  parent_run TEXT,                        -- id of the run that started it\n"
    "  parent_call INTEGER,                    -- and seq of the call there\n"
    "  first_key INTEGER AS (run << 32) VIRTUAL,  -- bounds of calls.key, events.key\n"
    "  last_key INTEGER AS (run << 32 | 4294967295) VIRTUAL\n"
    ");\n"
    "CREATE TABLE calls (\n"
    "  key INTEGER PRIMARY KEY,                -- run << 32 | seq\n"
    "  run INTEGER AS (key >> 32) VIRTUAL,\n"
    "  seq INTEGER AS (key & 4294967295) VIRTUAL,  -- from 1, as made; 1 is the root\n"
    "  parent INTEGER,                         -- seq of the caller, NULL for the root\n"
    "  ordinal INTEGER NOT NULL,               -- the how-manieth child of its parent\n"
    "  node TEXT NOT NULL,\n"
    "  kind TEXT NOT NULL,                     -- lua native\n"
    "  status TEXT NOT NULL,                   -- running done failed cancelled\n"
    "  spawned_at REAL,\n"
    "  started_at REAL,                        -- NULL while queued\n"
    "  ended_at REAL,                          -- NULL while running\n"
    "  site TEXT,                              -- file:line that started it\n"
    "  args TEXT,                              -- JSON list\n"
    "  results TEXT,                           -- JSON list, NULL until returned\n"
    "  error TEXT                              -- JSON {kind, message, traceback}\n"
    ");\n"
    "CREATE TABLE events (\n"
    "  key INTEGER PRIMARY KEY,                -- run << 32 | number\n"
    "  run INTEGER AS (key >> 32) VIRTUAL,\n"
    "  seq INTEGER,                            -- of the call it happened in\n"
    "  at REAL NOT NULL,\n"
    "  kind TEXT NOT NULL,                     -- log broadcast\n"
    "  value TEXT                              -- JSON\n"
    ");\n",
};

enum { VERSION = sizeof steps / sizeof *steps };

/* ---- errors ---- */

char *rt_sqlite_file_refuse(const char *verb, const char *path, const char *format, ...) {
  rt_buf text = {0};
  char *reason = NULL;
  va_list args;
  va_start(args, format);
  int size = vasprintf(&reason, format, args);
  va_end(args);
  if (size < 0) return NULL;
  rt_buf_printf(&text, "cannot %s journal %s: %s", verb, path, reason);
  free(reason);
  if (text.failed) rt_buf_free(&text);
  return text.data;
}

char *rt_sqlite_file_error(sqlite3 *db, int code, const char *verb, const char *path) {
  if (!db || (code & 0xff) == SQLITE_NOMEM)
    return rt_sqlite_file_refuse(verb, path, "not enough memory");
  if (code == SQLITE_NOTADB)
    return rt_sqlite_file_refuse(verb, path, "it is not an SQLite database");
  // The system's own reason is kept for these two only.
  int primary = code & 0xff;
  int system = primary == SQLITE_CANTOPEN || primary == SQLITE_IOERR
                   ? sqlite3_system_errno(db) : 0;
  return system ? rt_sqlite_file_refuse(verb, path, "%s (%s)", sqlite3_errmsg(db),
                                        strerror(system))
                : rt_sqlite_file_refuse(verb, path, "%s", sqlite3_errmsg(db));
}

/* ---- what is it ---- */

typedef struct identity {
  int application;
  int version;
  int tables;  // anything in it at all
} identity;

static int read_int(sqlite3 *db, const char *sql, int *value) {
  sqlite3_stmt *s = NULL;
  int rc = sqlite3_prepare_v2(db, sql, -1, &s, NULL);
  if (rc != SQLITE_OK) return rc;
  if (sqlite3_step(s) == SQLITE_ROW) *value = sqlite3_column_int(s, 0);
  return sqlite3_finalize(s);
}

/* Inside a transaction: another process may be making it a journal. */
static int identify(sqlite3 *db, identity *id) {
  *id = (identity){0};
  int rc = read_int(db, "PRAGMA application_id", &id->application);
  if (rc == SQLITE_OK) rc = read_int(db, "PRAGMA user_version", &id->version);
  if (rc == SQLITE_OK && id->application != RT_JOURNAL_APPLICATION)
    rc = read_int(db, "SELECT count(*) FROM sqlite_master", &id->tables);
  return rc;
}

static int look(sqlite3 *db, identity *id) {
  int rc = sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
  if (rc == SQLITE_OK) rc = identify(db, id);
  if (rc == SQLITE_OK) rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
  return rc;  // on failure the database is closed
}

static bool is_blank(const identity *id) {
  return id->application == 0 && id->version == 0 && id->tables == 0;
}

/* Why a file with this identity is not opened; NULL with '*fine' set if it is. */
static char *judge(const identity *id, const char *path, bool write, bool *fine) {
  const char *verb = write ? "open" : "read";
  *fine = false;
  if (id->application != RT_JOURNAL_APPLICATION && !(write && is_blank(id)))
    return rt_sqlite_file_refuse(verb, path, is_blank(id)
               ? "it is empty" : "it is an SQLite database of something else");
  if (id->version > VERSION)
    return rt_sqlite_file_refuse(verb, path, "its tables are of version %d, written by a "
               "newer railtracks; this one knows versions up to %d", id->version, VERSION);
  if (id->version < VERSION && !write)
    return rt_sqlite_file_refuse(verb, path, "its tables are of version %d, this "
               "railtracks reads %d; the next run recorded in it brings it up to date",
               id->version, VERSION);
  *fine = true;
  return NULL;
}

/* ---- making and migrating ---- */

/* Unused pages can then be given back to the disk without writing the whole file anew. */
static const char use_increments[] = "PRAGMA auto_vacuum=INCREMENTAL";

/* Switching to WAL is refused at once, without asking the busy handler, while another
 * process is at the same: ask again. */
static int use_wal(sqlite3 *db) {
  const struct timespec pause = {.tv_nsec = RETRY_MS * 1000000L};
  int rc;
  for (int waited = 0; waited < BUSY_MS; waited += RETRY_MS) {
    rc = sqlite3_exec(db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL);
    if ((rc & 0xff) != SQLITE_BUSY) break;
    nanosleep(&pause, NULL);
  }
  return rc;
}

/* Takes the journal to the newest version. Another process may have done so since it was
 * looked at, so that it is looked at again when nobody else can write. */
static int migrate(sqlite3 *db, const char *path, char **error) {
  bool fine = true;
  identity id;
  char stamp[96];
  int rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
  if (rc == SQLITE_OK) rc = identify(db, &id);
  if (rc != SQLITE_OK) goto fail;
  *error = judge(&id, path, true, &fine);
  if (!fine) goto fail;

  for (int v = id.version; v < VERSION; v++)
    if ((rc = sqlite3_exec(db, steps[v], NULL, NULL, NULL)) != SQLITE_OK) goto fail;
  snprintf(stamp, sizeof stamp, "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT",
           RT_JOURNAL_APPLICATION, VERSION);
  if ((rc = sqlite3_exec(db, stamp, NULL, NULL, NULL)) != SQLITE_OK) goto fail;
  return 0;

fail:
  if (fine) *error = rt_sqlite_file_error(db, rc, "open", path);
  if (!sqlite3_get_autocommit(db)) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
  return -1;
}

/* Makes an empty file only its owner can read; -wal and -shm follow its mode. It is made
 * under another name, closed and linked into place: to close a descriptor of a file that
 * SQLite has open, on another thread, would drop SQLite's locks on it. Where links do not
 * exist SQLite makes the file; there, modes rarely do either. */
static int make_private(const char *path, char **error) {
  rt_buf name = {0};
  rt_buf_printf(&name, "%s.XXXXXX", path);
  if (name.failed) return -1;
  int result = 0, fd = mkostemp(name.data, O_CLOEXEC);  // 0600
  if (fd < 0) {
    *error = rt_sqlite_file_refuse("open", path, "%s",
                 errno == ENOENT ? "there is no such folder" : strerror(errno));
    result = -1;
  } else {
    close(fd);
    (void)!link(name.data, path);  // EEXIST: another process was first
    unlink(name.data);
  }
  rt_buf_free(&name);
  return result;
}

/* ---- shrinking ---- */

static int give_back(sqlite3 *db) {
  char sql[64];
  int unused = 0, rc;
  snprintf(sql, sizeof sql, "PRAGMA incremental_vacuum(%d)", SHRINK_PAGES);
  do {
    rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    if (rc == SQLITE_OK) rc = read_int(db, "PRAGMA freelist_count", &unused);
  } while (rc == SQLITE_OK && unused > 0);
  return rc;
}

static int write_anew(sqlite3 *db) {
  int rc = sqlite3_exec(db, use_increments, NULL, NULL, NULL);
  return rc == SQLITE_OK ? sqlite3_exec(db, "VACUUM", NULL, NULL, NULL) : rc;
}

int rt_sqlite_file_shrink(sqlite3 *db, bool alone) {
  enum { INCREMENTAL = 2 };
  int mode = 0, rc = read_int(db, "PRAGMA auto_vacuum", &mode);
  if (rc == SQLITE_OK && mode == INCREMENTAL) rc = give_back(db);
  else if (rc == SQLITE_OK && alone) rc = write_anew(db);
  if ((rc & 0xff) == SQLITE_BUSY) rc = SQLITE_OK;
  if (rc != SQLITE_OK) return rc;
  // The file becomes shorter when all of the log is in it. Readers are not waited for:
  // that would keep writers waiting as well.
  sqlite3_busy_timeout(db, 0);
  sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
  sqlite3_busy_timeout(db, BUSY_MS);
  return SQLITE_OK;
}

/* ---- opening ---- */

/* What SQLite would say less clearly. */
static int check_path(const char *path, bool write, char **error) {
  const char *verb = write ? "open" : "read";
  struct stat s;
  if (*path == '\0') {
    *error = rt_sqlite_file_refuse(verb, "''", "its name is empty");
    return -1;
  }
  if (stat(path, &s) < 0) {
    if (errno == ENOENT && write) return make_private(path, error);
    *error = rt_sqlite_file_refuse(verb, path, "%s",
                 errno == ENOENT ? "there is no such file" : strerror(errno));
    return -1;
  }
  if (!S_ISREG(s.st_mode)) {
    *error = rt_sqlite_file_refuse(verb, path, S_ISDIR(s.st_mode) ? "it is a folder"
                                                                 : "it is not a file");
    return -1;
  }
  if (access(path, write ? R_OK | W_OK : R_OK) < 0) {
    *error = rt_sqlite_file_refuse(verb, path, "%s", strerror(errno));
    return -1;
  }
  return 0;
}

int rt_sqlite_file_open(sqlite3 **out, const char *path, bool write, char **error) {
  const char *verb = write ? "open" : "read";
  sqlite3 *db = NULL;
  identity id;
  rt_buf name = {0};
  *out = NULL;
  *error = NULL;
  if (check_path(path, write, error) < 0) return -1;
  // ":memory:" and "file:..." are names of files here.
  rt_buf_printf(&name, "%s%s", *path == '/' ? "" : "./", path);
  if (name.failed) return -1;

  int flags = SQLITE_OPEN_NOMUTEX |
              (write ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY);
  int rc = sqlite3_open_v2(name.data, &db, flags, NULL);
  rt_buf_free(&name);
  if (rc != SQLITE_OK) goto fail;
  sqlite3_extended_result_codes(db, 1);
  sqlite3_busy_timeout(db, BUSY_MS);

  if ((rc = look(db, &id)) != SQLITE_OK) goto fail;
  bool fine;
  *error = judge(&id, path, write, &fine);
  if (!fine) goto refuse;
  if (write) {
    // Before the first page is written: later it takes a VACUUM.
    if (is_blank(&id)) rc = sqlite3_exec(db, use_increments, NULL, NULL, NULL);
    if (rc != SQLITE_OK || (rc = use_wal(db)) != SQLITE_OK) goto fail;
    if (id.version < VERSION && migrate(db, path, error) < 0) goto refuse;
  }
  *out = db;
  return 0;

fail:
  *error = rt_sqlite_file_error(db, rc, verb, path);
refuse:
  sqlite3_close(db);
  return -1;
}
