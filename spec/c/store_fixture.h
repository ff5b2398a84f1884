/* store_fixture.h -- a journal in a folder of its own, for the tests of the store */
#ifndef RT_STORE_FIXTURE_H
#define RT_STORE_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "call_tree.h"
#include "store.h"

#define TEXT(s) ((rt_text){s, sizeof(s) - 1})

enum { LONG = 100000, PATH = 256 };

/* ---- what every test stands on: a folder of its own ---- */

typedef struct place {
  char folder[64];
  char file[PATH];
} place;

__attribute__((unused)) static int make_place(void **state) {
  place *p = calloc(1, sizeof *p);
  strcpy(p->folder, "/tmp/store_test.XXXXXX");
  assert_non_null(mkdtemp(p->folder));
  snprintf(p->file, sizeof p->file, "%s/journal.db", p->folder);
  *state = p;
  return 0;
}

__attribute__((unused)) static int remove_place(void **state) {
  place *p = *state;
  char command[PATH];
  snprintf(command, sizeof command, "rm -rf '%s'", p->folder);
  int status = system(command);
  free(p);
  return status;
}

__attribute__((unused)) static rt_store *open_store(const char *path) {
  rt_store *s;
  char *error;
  if (rt_sqlite_open(&s, path, &error) < 0) {
    print_error("%s\n", error ? error : "out of memory");
    fail();
  }
  return s;
}

__attribute__((unused)) static rt_reader *open_reader(const char *path) {
  rt_reader *r;
  char *error;
  if (rt_reader_open(&r, path, &error) < 0) {
    print_error("%s\n", error ? error : "out of memory");
    fail();
  }
  return r;
}

/* A run of this process, begun; 'id' has 36 bytes. */
__attribute__((unused)) static rt_run_record begin_run(rt_store *s, const char *id) {
  char *process = rt_process_id();
  char host[65] = "";
  gethostname(host, sizeof host - 1);
  rt_run_record r = {
      .id = {id, strlen(id)}, .name = TEXT("flow.lua"), .host = {host, strlen(host)},
      .pid = getpid(), .process = {process, strlen(process)}, .started_at = 1e9,
  };
  int result = s->api->run_begin(s, &r);
  if (result < 0) print_error("%s\n", rt_store_error(s));
  assert_int_equal(result, 0);
  free(process);
  r.id = r.host = r.process = (rt_text){0};
  return r;
}

__attribute__((unused)) static void end_run(rt_store *s, rt_run_record *r, rt_status status, int64_t calls) {
  r->status = status;
  r->ended_at = 1e9 + 5;
  r->calls = calls;
  assert_int_equal(s->api->run_end(s, r), 0);
}

__attribute__((unused)) static rt_call_record a_call(int64_t run, uint32_t seq, uint32_t parent, uint32_t ordinal) {
  return (rt_call_record){
      .run = run, .seq = seq, .parent = parent, .ordinal = ordinal, .status = RT_DONE,
      .spawned_at = 1e9 + seq, .started_at = 1e9 + seq, .ended_at = 1e9 + seq + 0.5,
      .node = TEXT("leaf"), .site = TEXT("flow.lua:7"), .args = TEXT("[1]"),
      .results = TEXT("[2]"),
  };
}

__attribute__((unused)) static void add_calls(rt_store *s, int64_t run, uint32_t first, uint32_t count) {
  assert_int_equal(s->api->begin(s), 0);
  for (uint32_t i = 0; i < count; i++) {
    uint32_t seq = first + i;
    rt_call_record c = a_call(run, seq, seq == 1 ? 0 : 1, seq == 1 ? 1 : seq - 1);
    assert_int_equal(s->api->call_add(s, &c), 0);
  }
  assert_int_equal(s->api->commit(s), 0);
}

__attribute__((unused)) static void run_sql(const char *path, const char *text) {
  sqlite3 *db;
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(db);
}

__attribute__((unused)) static int64_t ask_sql(const char *path, const char *text) {
  sqlite3 *db;
  sqlite3_stmt *stmt;
  assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(db, text, -1, &stmt, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
  int64_t value = sqlite3_column_int64(stmt, 0);
  sqlite3_finalize(stmt);
  sqlite3_close(db);
  return value;
}

__attribute__((unused)) static void write_file(const char *path, const char *text) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  fputs(text, f);
  fclose(f);
}

/* Opening must fail, in one line that names the file and holds 'why'. */
__attribute__((unused)) static void check_refused(const char *path, bool write, const char *why) {
  rt_store *s;
  rt_reader *r;
  char *error = NULL;
  int result = write ? rt_sqlite_open(&s, path, &error) : rt_reader_open(&r, path, &error);
  assert_int_equal(result, -1);
  assert_non_null(error);
  if (!strstr(error, why) || !strstr(error, path) || strchr(error, '\n')) {
    print_error("not about \"%s\": %s\n", why, error);
    fail();
  }
  free(error);
}

/* Waits for a child, which must have exited with 0. */
__attribute__((unused)) static void check_child(pid_t child) {
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- reading into memory ---- */

typedef struct seen {
  int count;
  rt_status status[8];
  int64_t calls[8], number[8];
  char id[8][40];
  char error[80];
} seen;

__attribute__((unused)) static int note_run(void *data, const rt_run_record *run) {
  seen *s = data;
  assert_true(s->count < 8);
  s->status[s->count] = run->status;
  s->calls[s->count] = run->calls;
  s->number[s->count] = run->run;
  snprintf(s->id[s->count], sizeof s->id[0], "%.*s", (int)run->id.size, run->id.data);
  snprintf(s->error, sizeof s->error, "%.*s", (int)run->error.size,
           run->error.data ? run->error.data : "");
  s->count++;
  return 0;
}

/* The ids of a run's calls in an order, joined by blanks. */
__attribute__((unused)) static void read_ids(const char *path, int64_t run, int64_t limit, rt_call_order order,
                     char *out, size_t size) {
  rt_reader *r = open_reader(path);
  rt_calls *calls;
  rt_call_view view;
  size_t at = 0;
  assert_int_equal(rt_calls_open(&calls, r, run, limit, order), 0);
  *out = '\0';
  while (rt_calls_next(calls, &view) == 1)
    at += (size_t)snprintf(out + at, size - at, at ? " %s" : "%s", view.id);
  rt_calls_close(calls);
  rt_reader_close(r);
}

/* Begins a run with one running call in a process of its own, which kills itself. */
__attribute__((unused)) static void leave_dead_run(const char *path, const char *id) {
  pid_t child = fork();
  if (child == 0) {
    rt_store *s = open_store(path);
    rt_run_record run = begin_run(s, id);
    rt_call_record c = a_call(run.run, 1, 0, 1);
    c.status = RT_RUNNING;
    c.ended_at = 0;
    s->api->call_add(s, &c);
    raise(SIGKILL);
  }
  waitpid(child, NULL, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_place, remove_place)

#endif
