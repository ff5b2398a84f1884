/* store_insert.c -- the same rows as a journal holds, put into a fresh file by SQLite
 * alone: what the journal's writer is measured against.
 *
 *   store_insert JOURNAL FRESH GROUP [PRAGMA...]
 *
 * Copies the schema of JOURNAL (page size, tables, indexes) to FRESH, which must not
 * exist, and sets each PRAGMA ("synchronous=NORMAL") there. The rows are read into
 * memory first, table after table; the clock runs while they go through one prepared
 * statement per table, GROUP rows to a transaction, until the last commit. Prints "rows"
 * and "insert_s".
 */
#include <sqlite3.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The rows of one table: for each value its type (one byte), then 8 bytes that are the
 * integer, the float or the length of the text or blob that follows. */
typedef struct table {
  char *name;
  char *names;   /* of its columns, quoted, as SQL lists them; generated ones left out */
  int columns;
  int64_t rows;
  char *data;
  size_t size, room;
  struct table *next;
} table;

static void die(const char *what, sqlite3 *db) {
  fprintf(stderr, "store_insert: %s: %s\n", what, db ? sqlite3_errmsg(db) : "failed");
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void run(sqlite3 *db, const char *format, ...) {
  va_list args;
  va_start(args, format);
  char *sql = sqlite3_vmprintf(format, args);
  va_end(args);
  if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) die(sql, db);
  sqlite3_free(sql);
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql) {
  sqlite3_stmt *s;
  if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK) die(sql, db);
  return s;
}

static int64_t pragma(sqlite3 *db, const char *sql) {
  sqlite3_stmt *s = prepare(db, sql);
  if (sqlite3_step(s) != SQLITE_ROW) die(sql, db);
  int64_t value = sqlite3_column_int64(s, 0);
  sqlite3_finalize(s);
  return value;
}

static void keep(table *t, const void *data, size_t size) {
  if (t->size + size > t->room) {
    t->room = 2 * (t->room + size);
    if (!(t->data = realloc(t->data, t->room))) die("memory", NULL);
  }
  memcpy(t->data + t->size, data, size);
  t->size += size;
}

static void keep_value(table *t, sqlite3_stmt *s, int column) {
  int type = sqlite3_column_type(s, column);
  char tag = (char)type;
  keep(t, &tag, 1);
  if (type == SQLITE_FLOAT) {
    double value = sqlite3_column_double(s, column);
    keep(t, &value, 8);
  } else if (type == SQLITE_TEXT || type == SQLITE_BLOB) {
    const void *bytes = sqlite3_column_blob(s, column);
    int64_t size = sqlite3_column_bytes(s, column);
    keep(t, &size, 8);
    if (size) keep(t, bytes, (size_t)size);
  } else {
    int64_t value = sqlite3_column_int64(s, column);  // 0 for NULL
    keep(t, &value, 8);
  }
}

/* Without an order of its own a table is read in that of its rows: as they were added. */
static table *read_table(sqlite3 *from, const char *name) {
  table *t = calloc(1, sizeof *t);
  if (!t) die("memory", NULL);
  t->name = sqlite3_mprintf("%s", name);

  char *sql = sqlite3_mprintf("SELECT group_concat(format('\"%%w\"', name)) FROM"
                              " pragma_table_xinfo(%Q) WHERE hidden = 0", name);
  sqlite3_stmt *s = prepare(from, sql);
  if (sqlite3_step(s) != SQLITE_ROW) die(sql, from);
  t->names = sqlite3_mprintf("%s", sqlite3_column_text(s, 0));
  sqlite3_finalize(s);
  sqlite3_free(sql);

  sql = sqlite3_mprintf("SELECT %s FROM \"%w\" NOT INDEXED", t->names, name);
  s = prepare(from, sql);
  t->columns = sqlite3_column_count(s);
  while (sqlite3_step(s) == SQLITE_ROW) {
    for (int i = 0; i < t->columns; i++) keep_value(t, s, i);
    t->rows++;
  }
  sqlite3_finalize(s);
  sqlite3_free(sql);
  return t;
}

/* Binds one value and returns where the next begins. */
static const char *bind(sqlite3_stmt *s, int i, const char *p) {
  int type = *p++;
  int64_t n;
  double f;
  memcpy(&n, p, 8);
  memcpy(&f, p, 8);
  p += 8;
  switch (type) {
    case SQLITE_INTEGER: sqlite3_bind_int64(s, i, n); return p;
    case SQLITE_FLOAT: sqlite3_bind_double(s, i, f); return p;
    case SQLITE_TEXT: sqlite3_bind_text(s, i, p, (int)n, SQLITE_STATIC); return p + n;
    case SQLITE_BLOB: sqlite3_bind_blob(s, i, p, (int)n, SQLITE_STATIC); return p + n;
    default: sqlite3_bind_null(s, i); return p;
  }
}

static void insert(sqlite3 *to, const table *t, int64_t group) {
  sqlite3_str *sql = sqlite3_str_new(to);
  sqlite3_str_appendf(sql, "INSERT INTO \"%w\" (%s) VALUES (?", t->name, t->names);
  for (int i = 1; i < t->columns; i++) sqlite3_str_appendall(sql, ",?");
  sqlite3_str_appendall(sql, ")");
  char *text = sqlite3_str_finish(sql);
  sqlite3_stmt *s = prepare(to, text);
  sqlite3_free(text);

  const char *p = t->data;
  for (int64_t row = 0; row < t->rows; row++) {
    if (row % group == 0) run(to, row ? "COMMIT; BEGIN IMMEDIATE" : "BEGIN IMMEDIATE");
    for (int i = 1; i <= t->columns; i++) p = bind(s, i, p);
    if (sqlite3_step(s) != SQLITE_DONE) die(t->name, to);
    sqlite3_reset(s);
  }
  if (t->rows) run(to, "COMMIT");
  sqlite3_finalize(s);
}

int main(int argc, char **argv) {
  sqlite3 *from, *to;
  table *tables = NULL, **last = &tables;
  int64_t rows = 0;

  if (argc < 4 || atoll(argv[3]) < 1) {
    fputs("usage: store_insert JOURNAL FRESH GROUP [PRAGMA...]\n", stderr);
    return 2;
  }
  if (access(argv[2], F_OK) == 0) die("FRESH is there already", NULL);
  if (sqlite3_open_v2(argv[1], &from, SQLITE_OPEN_READWRITE, NULL)) die(argv[1], from);
  if (sqlite3_open(argv[2], &to)) die(argv[2], to);

  run(to, "PRAGMA page_size=%lld", pragma(from, "PRAGMA page_size"));
  run(to, "PRAGMA auto_vacuum=%lld", pragma(from, "PRAGMA auto_vacuum"));
  run(to, "PRAGMA journal_mode=WAL");
  for (int i = 4; i < argc; i++) run(to, "PRAGMA %s", argv[i]);

  sqlite3_stmt *schema = prepare(from,
      "SELECT type, name, sql FROM sqlite_schema"
      " WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid");
  while (sqlite3_step(schema) == SQLITE_ROW) {
    run(to, "%s", sqlite3_column_text(schema, 2));
    if (strcmp((const char *)sqlite3_column_text(schema, 0), "table")) continue;
    *last = read_table(from, (const char *)sqlite3_column_text(schema, 1));
    rows += (*last)->rows;
    last = &(*last)->next;
  }
  sqlite3_finalize(schema);
  sqlite3_close(from);
  sync();  // what was written until here is not on the clock

  double began = now();
  for (table *t = tables; t; t = t->next) insert(to, t, atoll(argv[3]));
  double ended = now();

  if (sqlite3_close(to) != SQLITE_OK) die("close", to);
  printf("rows %lld\ninsert_s %.6f\n", (long long)rows, ended - began);
  return 0;
}
