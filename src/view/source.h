/* source.h -- the journal as the viewer reads it.
 *
 * One read-only connection, opened when the file is there and opened anew when another file
 * has taken its place. A source belongs to one thread. Statements are reset between requests:
 * a reader that lingers keeps the journal's log growing.
 */
#ifndef RT_VIEW_SOURCE_H
#define RT_VIEW_SOURCE_H

#include <sqlite3.h>
#include <sys/types.h>

#include "store.h"

typedef enum rt_sql {
  RT_SQL_RUNS, RT_SQL_RUN, RT_SQL_RUN_ID, RT_SQL_RUN_NAMED,
  RT_SQL_RUN_RECENT, RT_SQL_COUNT, RT_SQL_CALLS,
  RT_SQL_CALL_STATE, RT_SQL_CALL, RT_SQL_CALL_UP, RT_SQL_PREVIEW,
  RT_SQL_SEARCH, RT_SQL_EVENTS, RT_SQL_EVENTS_OF, RT_SQL_VERSION, RT_SQL_LIVE, RT_SQL_RUNS_SINCE,
  RT_SQL_SIZE, RT_SQL_STATEMENTS
} rt_sql;

typedef struct rt_source {
  const char *path;        /* borrowed */
  sqlite3 *db;             /* NULL while there is no such file */
  dev_t device;
  ino_t file;
  uint32_t opened;         /* counts the files that were opened */
  sqlite3_stmt *statements[RT_SQL_STATEMENTS];
  char *error;             /* why the last function returned NULL or -1; NULL: no memory */
} rt_source;

void rt_source_open(rt_source *s, const char *path);
void rt_source_close(rt_source *s);

/* Sees to it that 'db' is the file that is there now: 1, 0 if there is none yet, or -1. */
int rt_source_ready(rt_source *s);

/* The statement, ready to be bound; NULL on failure. Only after rt_source_ready. */
sqlite3_stmt *rt_source_statement(rt_source *s, rt_sql which);

/* Steps: SQLITE_ROW, SQLITE_DONE, or -1. */
int rt_source_step(rt_source *s, sqlite3_stmt *stmt);

/* All reading until rt_source_pause sees the journal as it is now. */
int rt_source_begin(rt_source *s);

/* Lets go of the file. */
void rt_source_pause(rt_source *s);

/* A number that changes with every commit of others; -1 on failure. */
int64_t rt_source_version(rt_source *s);

/* The column as text, valid until the statement moves on. */
rt_text rt_source_text(sqlite3_stmt *stmt, int column);

const char *rt_source_error(const rt_source *s);

#endif
