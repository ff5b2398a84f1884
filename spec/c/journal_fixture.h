/* journal_fixture.h -- an engine's journal in a folder of its own, and what its file holds. */
#ifndef RT_JOURNAL_FIXTURE_H
#define RT_JOURNAL_FIXTURE_H

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "journal.h"  // lib has one of that name, too
#include "store.h"

#define TEXT(s) ((rt_text){s, sizeof(s) - 1})
#define SECOND INT64_C(1000000000)

typedef struct place {
  char folder[64];
  char file[128];
  rt_journal *journal;
  rt_run_record run;
  int64_t clock;
} place;

__attribute__((unused)) static int make_place(void **state) {
  place *p = calloc(1, sizeof *p);
  strcpy(p->folder, "/tmp/journal_test.XXXXXX");
  assert_non_null(mkdtemp(p->folder));
  snprintf(p->file, sizeof p->file, "%s/journal.db", p->folder);
  p->clock = 1000 * SECOND;
  *state = p;
  return 0;
}

__attribute__((unused)) static int remove_place(void **state) {
  place *p = *state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", p->folder);
  int status = system(command);
  free(p);
  return status;
}

__attribute__((unused)) static void open_journal(place *p, bool in_memory) {
  rt_journal_options options = {.path = in_memory ? NULL : p->file};
  char *error;
  assert_int_equal(rt_journal_open(&p->journal, &options, &error), 0);
}

__attribute__((unused)) static int begin_run(place *p, const char *id) {
  p->run = (rt_run_record){.id = {id, strlen(id)}, .name = TEXT("test"), .pid = getpid(),
                           .started_at = 1000, .status = RT_RUNNING};
  return rt_journal_run_begin(p->journal, &p->run);
}

__attribute__((unused)) static void end_run(place *p, int64_t calls) {
  p->run.ended_at = 2000;
  p->run.status = RT_DONE;
  p->run.calls = calls;
  rt_journal_run_end(p->journal, &p->run);
}

__attribute__((unused)) static void begin_call(place *p, uint32_t seq, uint32_t parent, rt_text args) {
  rt_journal_call c = {
      .run = (uint32_t)p->run.run, .seq = seq, .parent = parent, .ordinal = seq,
      .line = 7, .file = TEXT("test.lua"), .node = TEXT("node"),
      .spawned = p->clock, .started = p->clock + 1,
  };
  p->clock += 1000;
  rt_buf room;
  rt_journal_call_begin(p->journal, &c, args.size, &room);
  assert_false(room.failed);
  rt_buf_add(&room, args.data, args.size);
  rt_journal_call_begun(p->journal, &room);
}

__attribute__((unused)) static void end_call(place *p, uint32_t seq, rt_text results) {
  rt_buf room;
  p->clock += 1000;
  rt_journal_call_end(p->journal, (uint32_t)p->run.run, seq, RT_DONE, p->clock, (rt_text){0},
                      results.size, &room);
  assert_false(room.failed);
  rt_buf_add(&room, results.data, results.size);
  rt_journal_call_ended(p->journal, &room);
}

/* A number that a query finds in the file. */
__attribute__((unused)) static int64_t ask(const place *p, const char *query) {
  sqlite3 *db;
  sqlite3_stmt *statement;
  assert_int_equal(sqlite3_open(p->file, &db), SQLITE_OK);
  sqlite3_busy_timeout(db, 10000);
  assert_int_equal(sqlite3_prepare_v2(db, query, -1, &statement, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
  int64_t result = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  sqlite3_close(db);
  return result;
}

__attribute__((unused)) static sqlite3 *open_other(const place *p) {
  sqlite3 *db;
  assert_int_equal(sqlite3_open(p->file, &db), SQLITE_OK);
  sqlite3_busy_timeout(db, 10000);
  return db;
}

__attribute__((unused)) static void execute(sqlite3 *db, const char *sql) {
  assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

__attribute__((unused)) static uint64_t lost(const place *p) {
  const char *why;
  return rt_journal_lost(p->journal, &why);
}

/* Looks every few milliseconds until a query finds 'wanted'. */
__attribute__((unused)) static void wait_until(const place *p, const char *query, int64_t wanted) {
  for (int i = 0; i < 12000; i++) {
    if (ask(p, query) == wanted) return;
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
  }
  fail_msg("waited a minute for: %s", query);
}

#define in_a_place(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

#endif
