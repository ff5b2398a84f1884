/* sqlite_file.h -- a journal as an SQLite file: opened, told from other files, made,
 * brought up to date. Shared by the store and the reader.
 *
 * A journal is known by its application_id; user_version is the version of its tables.
 */
#ifndef RT_SQLITE_FILE_H
#define RT_SQLITE_FILE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "store.h"

#define RT_JOURNAL_APPLICATION 0x52544c4a  /* "RTLJ" */

/* Opens the journal at 'path', to write (made when missing, made up to date when old) or
 * only to read. On failure returns -1 and sets '*error', which the caller frees; it is
 * NULL when there was no memory for it. */
int rt_sqlite_file_open(sqlite3 **db, const char *path, bool write, char **error);

/* Gives unused pages back to the disk, some at a time, so that others can write in between.
 * A file that older versions have made is written anew as a whole instead, and only where
 * the caller is 'alone': it keeps others from writing as long as that takes. Not having
 * got a turn is no failure. Returns SQLite's code. */
int rt_sqlite_file_shrink(sqlite3 *db, bool alone);

/* "cannot VERB journal PATH: why", from the database's last failure, which had 'code'.
 * The caller frees; NULL when out of memory. */
char *rt_sqlite_file_error(sqlite3 *db, int code, const char *verb, const char *path);

/* The same with a reason of one's own, in printf's way. */
char *rt_sqlite_file_refuse(const char *verb, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The key of a call, and of an event: its run above, a number in the run below. */
static inline int64_t rt_sqlite_key(int64_t run, uint32_t number) {
  return (int64_t)((uint64_t)run << 32 | number);
}

#endif
