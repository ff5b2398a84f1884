/* sqlite_reader.h -- what the files that read a journal share. */
#ifndef RT_SQLITE_READER_H
#define RT_SQLITE_READER_H

#include <sqlite3.h>

#include "store.h"

enum {
  RUN_BELOW, RUN_NAMED, RUNS_SINCE, COUNT_RUNS, COUNT_CALLS, CALL_WAYS, CALL, CALL_BRIEF,
  CALL_STATE, CALLS_SINCE, PROGRESS_SINCE, VERSION, STATEMENTS
};

struct rt_reader {
  sqlite3 *db;
  sqlite3_stmt *statements[STATEMENTS];
  char *path;
  char *error;
};

/* The statement, ready to be bound; NULL on failure. */
sqlite3_stmt *rt_reader_statement(rt_reader *r, int which);

/* Notes why 'code' came back; returns -1. */
int rt_reader_failed(rt_reader *r, int code);

/* All reading until rt_reader_pause sees the journal as it is now. */
int rt_reader_begin(rt_reader *r);

/* Reads the run 'skip' places below number 'below' (itself included): 1, 0 if there is
 * none, or -1. The record is valid until the statement is used again. */
int rt_reader_read_run(rt_reader *r, int64_t below, int64_t skip, rt_run_record *run);

/* The call in the row of CALL or, without its texts, of CALL_BRIEF or CALLS_SINCE. */
void rt_reader_call(sqlite3_stmt *stmt, bool texts, rt_call_record *c);

#endif
