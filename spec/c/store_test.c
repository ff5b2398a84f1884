/* store_test.c -- what the store keeps, what it refuses, and how it is read. */
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

static int make_place(void **state) {
  place *p = calloc(1, sizeof *p);
  strcpy(p->folder, "/tmp/store_test.XXXXXX");
  assert_non_null(mkdtemp(p->folder));
  snprintf(p->file, sizeof p->file, "%s/journal.db", p->folder);
  *state = p;
  return 0;
}

static int remove_place(void **state) {
  place *p = *state;
  char command[PATH];
  snprintf(command, sizeof command, "rm -rf '%s'", p->folder);
  int status = system(command);
  free(p);
  return status;
}

static rt_store *open_store(const char *path) {
  rt_store *s;
  char *error;
  if (rt_sqlite_open(&s, path, &error) < 0) {
    print_error("%s\n", error ? error : "out of memory");
    fail();
  }
  return s;
}

static rt_reader *open_reader(const char *path) {
  rt_reader *r;
  char *error;
  if (rt_reader_open(&r, path, &error) < 0) {
    print_error("%s\n", error ? error : "out of memory");
    fail();
  }
  return r;
}

/* A run of this process, begun; 'id' has 36 bytes. */
static rt_run_record begin_run(rt_store *s, const char *id) {
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

static void end_run(rt_store *s, rt_run_record *r, rt_status status, int64_t calls) {
  r->status = status;
  r->ended_at = 1e9 + 5;
  r->calls = calls;
  assert_int_equal(s->api->run_end(s, r), 0);
}

static rt_call_record a_call(int64_t run, uint32_t seq, uint32_t parent, uint32_t ordinal) {
  return (rt_call_record){
      .run = run, .seq = seq, .parent = parent, .ordinal = ordinal, .status = RT_DONE,
      .spawned_at = 1e9 + seq, .started_at = 1e9 + seq, .ended_at = 1e9 + seq + 0.5,
      .node = TEXT("leaf"), .site = TEXT("flow.lua:7"), .args = TEXT("[1]"),
      .results = TEXT("[2]"),
  };
}

static void add_calls(rt_store *s, int64_t run, uint32_t first, uint32_t count) {
  assert_int_equal(s->api->begin(s), 0);
  for (uint32_t i = 0; i < count; i++) {
    uint32_t seq = first + i;
    rt_call_record c = a_call(run, seq, seq == 1 ? 0 : 1, seq == 1 ? 1 : seq - 1);
    assert_int_equal(s->api->call_add(s, &c), 0);
  }
  assert_int_equal(s->api->commit(s), 0);
}

static void run_sql(const char *path, const char *text) {
  sqlite3 *db;
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(db);
}

static int64_t ask_sql(const char *path, const char *text) {
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

static void write_file(const char *path, const char *text) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  fputs(text, f);
  fclose(f);
}

/* Opening must fail, in one line that names the file and holds 'why'. */
static void check_refused(const char *path, bool write, const char *why) {
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
static void check_child(pid_t child) {
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

static int note_run(void *data, const rt_run_record *run) {
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
static void read_ids(const char *path, int64_t run, int64_t limit, rt_call_order order,
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

/* ---- writing and reading ---- */

static void it_gives_back_what_was_written(void **state) {
  place *p = *state;
  rt_store *s = open_store(p->file);
  rt_run_record run = begin_run(s, "0198c0de-0000-7000-8000-00000000000a");
  rt_call_record c = a_call(run.run, 1, 0, 1);
  c.kind = RT_KIND_NATIVE;
  c.args = (rt_text){"[\"a\0b\"]", 7};
  c.error = TEXT("{\"kind\":null}");
  c.status = RT_FAILED;
  c.results = (rt_text){0};
  assert_int_equal(s->api->begin(s), 0);
  assert_int_equal(s->api->call_add(s, &c), 0);
  assert_int_equal(s->api->commit(s), 0);
  run.error = TEXT("{\"kind\":null}");
  end_run(s, &run, RT_FAILED, 1);
  s->api->close(s);

  rt_reader *r = open_reader(p->file);
  seen runs = {0};
  assert_int_equal(rt_reader_runs(r, 0, -1, note_run, &runs), 0);
  assert_int_equal(runs.count, 1);
  assert_int_equal(runs.status[0], RT_FAILED);
  assert_int_equal(runs.calls[0], 1);
  assert_string_equal(runs.id[0], "0198c0de-0000-7000-8000-00000000000a");
  assert_string_equal(runs.error, "{\"kind\":null}");

  rt_calls *calls;
  rt_call_view view;
  assert_int_equal(rt_calls_open(&calls, r, run.run, -1, RT_BY_START), 0);
  assert_int_equal(rt_calls_total(calls), 1);
  assert_int_equal(rt_calls_next(calls, &view), 1);
  assert_string_equal(view.id, "1");
  assert_null(view.parent_id);
  assert_int_equal(view.depth, 0);
  assert_int_equal(view.record.kind, RT_KIND_NATIVE);
  assert_int_equal(view.record.status, RT_FAILED);
  assert_true(view.record.spawned_at == 1e9 + 1 && view.record.ended_at == 1e9 + 1.5);
  assert_int_equal(view.record.args.size, 7);
  assert_memory_equal(view.record.args.data, "[\"a\0b\"]", 7);
  assert_null(view.record.results.data);
  assert_memory_equal(view.record.site.data, "flow.lua:7", 10);
  assert_int_equal(rt_calls_next(calls, &view), 0);
  rt_calls_close(calls);
  rt_reader_close(r);
}

static void it_completes_a_call_that_was_added_while_it_ran(void **state) {
  place *p = *state;
  rt_store *s = open_store(p->file);
  rt_run_record run = begin_run(s, "0198c0de-0000-7000-8000-00000000000a");
  rt_call_record c = a_call(run.run, 1, 0, 1);
  c.status = RT_RUNNING;
  c.ended_at = 0;
  c.results = (rt_text){0};
  assert_int_equal(s->api->call_add(s, &c), 0);
  assert_int_equal(ask_sql(p->file, "SELECT status = 'running' AND ended_at IS NULL "
                                    "AND results IS NULL FROM calls"), 1);
  c.status = RT_DONE;
  c.ended_at = 1e9 + 3;
  c.results = TEXT("[5]");
  c.args = (rt_text){0};
  assert_int_equal(s->api->call_update(s, &c), 0);
  assert_int_equal(ask_sql(p->file, "SELECT status = 'done' AND ended_at = 1000000003.0 "
                                    "AND args = '[1]' AND results = '[5]' FROM calls"), 1);
  s->api->close(s);
}

static void it_forgets_a_group_that_was_rolled_back(void **state) {
  place *p = *state;
  rt_store *s = open_store(p->file);
  rt_run_record run = begin_run(s, "0198c0de-0000-7000-8000-00000000000a");
  rt_call_record c = a_call(run.run, 1, 0, 1);
  assert_int_equal(s->api->begin(s), 0);
  assert_int_equal(s->api->call_add(s, &c), 0);
  assert_int_equal(s->api->call_add(s, &c), -1);  // there already
  assert_non_null(strstr(rt_store_error(s), p->file));
  s->api->rollback(s);
  s->api->rollback(s);
  assert_int_equal(ask_sql(p->file, "SELECT count(*) FROM calls"), 0);
  add_calls(s, run.run, 1, 3);
  assert_int_equal(ask_sql(p->file, "SELECT count(*) FROM calls"), 3);
  s->api->close(s);
}

static void it_keeps_the_events_of_a_run_in_order(void **state) {
  place *p = *state;
  rt_store *s = open_store(p->file);
  rt_run_record run = begin_run(s, "0198c0de-0000-7000-8000-00000000000a");
  rt_event_record e = {.run = run.run, .seq = 1, .at = 1e9, .kind = TEXT("log"),
                       .value = TEXT("\"one\"")};
  assert_int_equal(s->api->event_add(s, &e), 0);
  e.value = TEXT("\"two\"");
  e.seq = 0;
  assert_int_equal(s->api->event_add(s, &e), 0);
  s->api->close(s);
  assert_int_equal(ask_sql(p->file, "SELECT group_concat(value) = '\"one\",\"two\"' AND "
                                    "min(run) = 1 AND sum(seq) = 1 FROM events"), 1);
}

static void it_makes_a_file_that_only_its_owner_can_read(void **state) {
  place *p = *state;
  char side[PATH + 8];
  rt_store *s = open_store(p->file);
  begin_run(s, "0198c0de-0000-7000-8000-00000000000a");
  static const char *const ends[] = {"", "-wal", "-shm"};
  for (int i = 0; i < 3; i++) {
    struct stat st;
    snprintf(side, sizeof side, "%s%s", p->file, ends[i]);
    assert_int_equal(stat(side, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
  }
  s->api->close(s);
}

static void it_leaves_nothing_but_the_database_beside_the_file(void **state) {
  place *p = *state;
  rt_store *s = open_store(p->file);
  begin_run(s, "0198c0de-0000-7000-8000-00000000000a");
  s->api->close(s);
  char command[PATH];
  snprintf(command, sizeof command, "test $(ls -A '%s' | grep -cv '^journal.db') = 0",
           p->folder);
  assert_int_equal(system(command), 0);
}

static void it_keeps_the_log_short_when_much_was_written(void **state) {
  place *p = *state;
  char log[PATH + 8];
  struct stat st;
  rt_store *s = open_store(p->file);
  rt_run_record run = begin_run(s, "0198c0de-0000-7000-8000-00000000000a");
  add_calls(s, run.run, 1, 50000);
  s->api->close(s);
  snprintf(log, sizeof log, "%s-wal", p->file);
  assert_true(stat(log, &st) < 0 || st.st_size == 0);
  assert_int_equal(ask_sql(p->file, "SELECT count(*) FROM calls"), 50000);
}

/* ---- what is refused ---- */

static void it_refuses_a_folder_that_is_missing(void **state) {
  place *p = *state;
  char path[PATH];
  snprintf(path, sizeof path, "%s/none/journal.db", p->folder);
  check_refused(path, true, "no such folder");
  check_refused(path, false, "no such file");
}

static void it_refuses_a_folder_as_a_file(void **state) {
  place *p = *state;
  check_refused(p->folder, true, "it is a folder");
  check_refused(p->folder, false, "it is a folder");
  check_refused("/dev/null", true, "it is not a file");
}

static void it_refuses_what_is_not_a_database(void **state) {
  place *p = *state;
  char text[8192];
  write_file(p->file, "hello\n");
  check_refused(p->file, true, "not an SQLite database");
  memset(text, 'x', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  write_file(p->file, text);
  check_refused(p->file, true, "not an SQLite database");
  check_refused(p->file, false, "not an SQLite database");
}

static void it_refuses_databases_of_something_else_and_leaves_them_alone(void **state) {
  place *p = *state;
  run_sql(p->file, "CREATE TABLE recipes (name)");
  check_refused(p->file, true, "of something else");
  check_refused(p->file, false, "of something else");
  assert_int_equal(ask_sql(p->file, "SELECT count(*) = 1 FROM sqlite_master"), 1);
  unlink(p->file);
  run_sql(p->file, "PRAGMA application_id = 77");
  check_refused(p->file, true, "of something else");
  unlink(p->file);
  run_sql(p->file, "PRAGMA user_version = 3");
  check_refused(p->file, true, "of something else");
}

static void it_refuses_a_newer_journal_and_says_both_versions(void **state) {
  place *p = *state;
  rt_store *s = open_store(p->file);
  s->api->close(s);
  assert_int_equal(ask_sql(p->file, "PRAGMA user_version"), 1);
  run_sql(p->file, "PRAGMA user_version = 42");
  check_refused(p->file, true, "version 42");
  check_refused(p->file, true, "up to 1");
  check_refused(p->file, false, "version 42");
}

static void it_refuses_what_it_has_no_permission_for(void **state) {
  place *p = *state;
  rt_store *s = open_store(p->file);
  s->api->close(s);
  assert_int_equal(chmod(p->folder, 0755), 0);
  assert_int_equal(chmod(p->file, 0400), 0);
  pid_t child = fork();
  if (child == 0) {
    if (geteuid() == 0 && setuid(65534) < 0) _exit(2);
    char *error = NULL;
    bool refused = rt_sqlite_open(&s, p->file, &error) < 0 &&
                   strstr(error, "Permission denied") && strstr(error, p->file);
    free(error);
    char path[PATH];
    snprintf(path, sizeof path, "%s/new.db", p->folder);
    refused = refused && (geteuid() != 65534 || (rt_sqlite_open(&s, path, &error) < 0 &&
                                                 strstr(error, "Permission denied")));
    free(error);
    _exit(refused ? 0 : 1);
  }
  check_child(child);
}

static void it_takes_every_name_as_that_of_a_file(void **state) {
  place *p = *state;
  char here[PATH];
  assert_non_null(getcwd(here, sizeof here));
  assert_int_equal(chdir(p->folder), 0);
  static const char *const names[] = {":memory:", "file:a.db?mode=memory", "b %41.db"};
  for (int i = 0; i < 3; i++) {
    rt_store *s = open_store(names[i]);
    begin_run(s, "0198c0de-0000-7000-8000-00000000000a");
    s->api->close(s);
    assert_int_equal(access(names[i], F_OK), 0);
    rt_reader_close(open_reader(names[i]));
  }
  check_refused("", true, "name is empty");
  assert_int_equal(chdir(here), 0);
}

static void it_takes_an_empty_file_as_a_new_journal(void **state) {
  place *p = *state;
  write_file(p->file, "");
  check_refused(p->file, false, "it is empty");
  rt_store *s = open_store(p->file);
  begin_run(s, "0198c0de-0000-7000-8000-00000000000a");
  s->api->close(s);
}

static void reading_never_makes_a_journal(void **state) {
  place *p = *state;
  check_refused(p->file, false, "no such file");
  assert_int_equal(access(p->file, F_OK), -1);
}

/* ---- several processes ---- */

static void two_processes_can_make_the_file_at_the_same_moment(void **state) {
  place *p = *state;
  enum { ROUNDS = 20, PROCESSES = 4 };
  for (int round = 0; round < ROUNDS; round++) {
    char path[PATH];
    pid_t children[PROCESSES];
    int gate[2];
    snprintf(path, sizeof path, "%s/%d.db", p->folder, round);
    assert_int_equal(pipe(gate), 0);
    for (int i = 0; i < PROCESSES; i++) {
      if ((children[i] = fork()) != 0) continue;
      char go;
      rt_store *s;
      char *error = NULL;
      close(gate[1]);
      if (read(gate[0], &go, 1) != 0) _exit(2);
      if (rt_sqlite_open(&s, path, &error) < 0) {
        fprintf(stderr, "%s\n", error);
        _exit(1);
      }
      s->api->close(s);
      _exit(0);
    }
    close(gate[0]);
    close(gate[1]);  // all start
    for (int i = 0; i < PROCESSES; i++) check_child(children[i]);
    assert_int_equal(ask_sql(path, "PRAGMA user_version"), 1);
  }
}

static void several_processes_can_write_one_journal(void **state) {
  place *p = *state;
  enum { PROCESSES = 3, GROUPS = 30, CALLS = 100 };
  pid_t children[PROCESSES];
  for (int i = 0; i < PROCESSES; i++) {
    if ((children[i] = fork()) != 0) continue;
    char id[] = "0198c0de-0000-7000-8000-00000000000a";
    id[0] = (char)('0' + i);
    rt_store *s = open_store(p->file);
    rt_run_record run = begin_run(s, id);
    for (uint32_t g = 0; g < GROUPS; g++) add_calls(s, run.run, g * CALLS + 1, CALLS);
    end_run(s, &run, RT_DONE, GROUPS * CALLS);
    s->api->close(s);
    _exit(0);
  }
  for (int i = 0; i < PROCESSES; i++) check_child(children[i]);
  assert_int_equal(ask_sql(p->file, "SELECT count(*) FROM calls"), PROCESSES * GROUPS * CALLS);
  assert_int_equal(ask_sql(p->file, "SELECT count(*) FROM runs WHERE status = 'done' AND "
                                    "calls = (SELECT count(*) FROM calls c WHERE "
                                    "c.key BETWEEN first_key AND last_key)"), PROCESSES);
}

static void it_reads_while_another_process_writes(void **state) {
  place *p = *state;
  rt_store *s = open_store(p->file);
  rt_run_record run = begin_run(s, "0198c0de-0000-7000-8000-00000000000a");
  rt_reader *r = open_reader(p->file);
  for (uint32_t g = 0; g < 20; g++) {
    rt_calls *calls;
    rt_call_view view;
    uint32_t count = 0;
    add_calls(s, run.run, g * 10 + 1, 10);
    assert_int_equal(rt_calls_open(&calls, r, run.run, -1, RT_BY_START), 0);
    while (rt_calls_next(calls, &view) == 1)
      if (++count == 5) add_calls(s, run.run, 1000 + g, 1);  // with a reader in the midst
    assert_int_equal(count, g * 11 + 10);
    rt_calls_close(calls);
  }
  rt_reader_close(r);
  s->api->close(s);
}

/* Begins a run with one running call in a process of its own, which kills itself. */
static void leave_dead_run(const char *path, const char *id) {
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

static void a_run_whose_writer_was_killed_is_interrupted(void **state) {
  place *p = *state;
  rt_call_view view;
  rt_calls *calls;
  leave_dead_run(p->file, "0198c0de-0000-7000-8000-00000000000a");
  rt_store *s = open_store(p->file);
  begin_run(s, "0198c0de-0000-7000-8000-00000000000b");

  rt_reader *r = open_reader(p->file);
  seen runs = {0};
  assert_int_equal(rt_reader_runs(r, 0, -1, note_run, &runs), 0);
  assert_int_equal(runs.count, 2);
  assert_int_equal(runs.status[0], RT_RUNNING);
  assert_int_equal(runs.status[1], RT_INTERRUPTED);
  assert_int_equal(runs.calls[1], 1);
  assert_int_equal(rt_calls_open(&calls, r, runs.number[1], -1, RT_BY_START), 0);
  assert_int_equal(rt_calls_next(calls, &view), 1);
  assert_int_equal(view.record.status, RT_INTERRUPTED);
  rt_calls_close(calls);
  rt_reader_close(r);
  s->api->close(s);
  assert_int_equal(ask_sql(p->file, "SELECT count(*) FROM runs WHERE status = 'running'"), 2);
}

/* ---- processes ---- */

static void a_process_lives_until_it_has_ended(void **state) {
  (void)state;
  char host[65] = "", *id = rt_process_id();
  gethostname(host, sizeof host - 1);
  assert_true(rt_process_alive(host, getpid(), id));
  assert_false(rt_process_alive(host, 0x7ffffff0, id));
  assert_false(rt_process_alive(host, getppid(), id));  // another start
  free(id);
}

static void a_killed_process_is_dead_before_it_is_waited_for(void **state) {
  (void)state;
  char host[65] = "", id[200] = "";
  int out[2];
  gethostname(host, sizeof host - 1);
  assert_int_equal(pipe(out), 0);
  pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_NAME, "a) Z (1 2");  // what stands in /proc may look like anything
    char *mine = rt_process_id();
    if (write(out[1], mine, strlen(mine)) < 0) _exit(1);
    for (;;) pause();
  }
  assert_true(read(out[0], id, sizeof id - 1) > 0);
  assert_true(rt_process_alive(host, child, id));
  kill(child, SIGKILL);
  siginfo_t info;
  assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
  assert_false(rt_process_alive(host, child, id));
  waitpid(child, NULL, 0);
  assert_false(rt_process_alive(host, child, id));
  close(out[0]);
  close(out[1]);
}

static void a_process_elsewhere_counts_as_alive(void **state) {
  (void)state;
  char host[65] = "", other[300], *id = rt_process_id();
  gethostname(host, sizeof host - 1);
  snprintf(other, sizeof other, "another-boot%s", strchr(id, ':'));
  assert_true(rt_process_alive("another host", 0x7ffffff0, other));
  assert_false(rt_process_alive(host, getpid(), other));  // this machine, started again
  snprintf(other, sizeof other, "%.*s:1:1", (int)(strchr(id, ':') - id), id);
  assert_true(rt_process_alive(host, 0x7ffffff0, other));  // another pid namespace
  assert_true(rt_process_alive(host, 0x7ffffff0, NULL));
  assert_true(rt_process_alive(NULL, 0x7ffffff0, "no process id"));
  free(id);
}

/* ---- a full disk ---- */

static void a_full_disk_is_told_and_the_group_rolled_back(void **state) {
  place *p = *state;
  pid_t child = fork();
  if (child == 0) {
    rt_store *s = open_store(p->file);
    rt_run_record run = begin_run(s, "0198c0de-0000-7000-8000-00000000000a");
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {1 << 20, 1 << 20};
    setrlimit(RLIMIT_FSIZE, &limit);
    uint32_t seq = 1;
    int result = 0;
    for (int g = 0; g < 1000 && result == 0; g++) {
      result = s->api->begin(s);
      for (int i = 0; i < 1000 && result == 0; i++, seq++) {
        rt_call_record c = a_call(run.run, seq, seq > 1, seq);
        result = s->api->call_add(s, &c);
      }
      if (result == 0) result = s->api->commit(s);
    }
    bool told = result < 0 && strstr(rt_store_error(s), p->file) &&
                !strchr(rt_store_error(s), '\n');
    if (!told) fprintf(stderr, "%s\n", rt_store_error(s));
    s->api->rollback(s);
    s->api->close(s);
    _exit(told ? 0 : 1);
  }
  check_child(child);
  rt_store *s = open_store(p->file);
  s->api->close(s);
  assert_int_equal(ask_sql(p->file, "SELECT count(*) = 1 FROM pragma_integrity_check "
                                    "WHERE integrity_check = 'ok'"), 1);
  assert_int_equal(ask_sql(p->file, "SELECT count(*) % 1000 FROM calls"), 0);
  assert_true(ask_sql(p->file, "SELECT count(*) FROM calls") > 0);
}

/* ---- removal ---- */

static void the_oldest_run_that_has_ended_is_removed(void **state) {
  place *p = *state;
  int64_t number;
  rt_store *s = open_store(p->file);
  rt_run_record a = begin_run(s, "0198c0de-0000-7000-8000-00000000000a");
  rt_run_record b = begin_run(s, "0198c0de-0000-7000-8000-00000000000b");
  rt_run_record c = begin_run(s, "0198c0de-0000-7000-8000-00000000000c");
  add_calls(s, a.run, 1, 10);
  add_calls(s, b.run, 1, 50001);
  add_calls(s, c.run, 1, 10);
  rt_event_record e = {.run = b.run, .at = 1e9, .kind = TEXT("log"), .value = TEXT("1")};
  assert_int_equal(s->api->event_add(s, &e), 0);
  end_run(s, &b, RT_DONE, 50001);
  end_run(s, &c, RT_FAILED, 10);
  leave_dead_run(p->file, "0198c0de-0000-7000-8000-00000000000d");

  int64_t before = s->api->size(s);
  assert_int_equal(s->api->drop_oldest(s, &number), 0);
  assert_int_equal(number, b.run);
  assert_true(s->api->size(s) < before / 10);
  assert_int_equal(ask_sql(p->file, "SELECT count(*) FROM calls"), 21);
  assert_int_equal(ask_sql(p->file, "SELECT count(*) FROM events"), 0);
  assert_int_equal(s->api->drop_oldest(s, &number), 0);
  assert_int_equal(number, c.run);
  assert_int_equal(s->api->drop_oldest(s, &number), 0);
  assert_int_equal(number, c.run + 1);  // its writer is dead
  assert_int_equal(s->api->drop_oldest(s, &number), 0);
  assert_int_equal(number, 0);          // what runs stays
  rt_run_record f = begin_run(s, "0198c0de-0000-7000-8000-00000000000f");
  assert_int_equal(f.run, c.run + 2);   // no number is used twice
  s->api->close(s);
}

/* ---- finding runs ---- */

static void a_run_is_found_by_its_age_or_by_part_of_its_id(void **state) {
  place *p = *state;
  rt_store *s = open_store(p->file);
  rt_run_record a = begin_run(s, "0198c0de-0000-7000-8000-00000000000a");
  rt_run_record b = begin_run(s, "0198c0de-0000-7000-8000-00000000001b");
  rt_run_record c = begin_run(s, "0199c0de-0000-7000-8000-00000000001c");
  s->api->close(s);
  const struct { const char *name; int64_t number; } found[] = {
      {"@1", c.run}, {"@2", b.run}, {"@3", a.run}, {"0199", c.run}, {"0a", a.run},
      {"1B", b.run}, {"0198C0DE-0000-7000-8000-00000000001b", b.run},
  };
  rt_reader *r = open_reader(p->file);
  for (size_t i = 0; i < sizeof found / sizeof *found; i++) {
    seen runs = {0};
    assert_int_equal(rt_reader_run(r, found[i].name, note_run, &runs), 0);
    assert_int_equal(runs.count, 1);
    assert_int_equal(runs.number[0], found[i].number);
  }
  const struct { const char *name, *why; } refused[] = {
      {"0198", "means several"}, {"01", "..."}, {"xyz", "no run \"xyz\""}, {"", "holds 3"},
      {"@4", "holds 3"}, {"@0", "holds 3"}, {"@", "holds 3"}, {"%", "no run"},
      {"@99999999999999999999", "holds 3"},
  };
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    seen runs = {0};
    assert_int_equal(rt_reader_run(r, refused[i].name, note_run, &runs), -1);
    assert_non_null(strstr(rt_reader_error(r), refused[i].why));
    assert_non_null(strstr(rt_reader_error(r), p->file));
  }
  seen runs = {0};
  assert_int_equal(rt_reader_runs(r, 1, 1, note_run, &runs), 0);
  assert_int_equal(runs.count, 1);
  assert_int_equal(runs.number[0], b.run);
  rt_reader_close(r);
}

/* ---- calls: order and ids ---- */

static void calls_are_listed_as_they_started_or_as_a_tree(void **state) {
  place *p = *state;
  char ids[200];
  rt_store *s = open_store(p->file);
  rt_run_record run = begin_run(s, "0198c0de-0000-7000-8000-00000000000a");
  const struct { uint32_t parent, ordinal; double started; } made[] = {
      {0, 1, 1}, {1, 1, 2}, {1, 2, 3}, {2, 1, 6}, {3, 1, 4}, {1, 3, 0}, {2, 2, 5},
  };
  for (uint32_t i = 0; i < sizeof made / sizeof *made; i++) {
    rt_call_record c = a_call(run.run, i + 1, made[i].parent, made[i].ordinal);
    c.started_at = made[i].started;
    assert_int_equal(s->api->call_add(s, &c), 0);
  }
  s->api->close(s);
  read_ids(p->file, run.run, -1, RT_BY_START, ids, sizeof ids);
  assert_string_equal(ids, "1 1.1 1.2 1.2.1 1.1.2 1.1.1 1.3");
  read_ids(p->file, run.run, -1, RT_BY_TREE, ids, sizeof ids);
  assert_string_equal(ids, "1 1.1 1.1.2 1.1.1 1.2 1.2.1 1.3");
  read_ids(p->file, run.run, 5, RT_BY_TREE, ids, sizeof ids);
  assert_string_equal(ids, "1 1.1 1.1.2 1.2 1.2.1");
  read_ids(p->file, run.run, 0, RT_BY_START, ids, sizeof ids);
  assert_string_equal(ids, "");
}

static void a_call_whose_caller_was_not_recorded_still_has_an_id(void **state) {
  place *p = *state;
  char ids[100];
  rt_store *s = open_store(p->file);
  rt_run_record run = begin_run(s, "0198c0de-0000-7000-8000-00000000000a");
  rt_call_record root = a_call(run.run, 1, 0, 1), lost = a_call(run.run, 7, 5, 2);
  rt_call_record below = a_call(run.run, 9, 7, 1);
  assert_int_equal(s->api->call_add(s, &root), 0);
  assert_int_equal(s->api->call_add(s, &lost), 0);
  assert_int_equal(s->api->call_add(s, &below), 0);
  s->api->close(s);
  read_ids(p->file, run.run, -1, RT_BY_TREE, ids, sizeof ids);
  assert_string_equal(ids, "1 …~7 …~9");
}

/* The rule of ids, spelled out the slow way: the dotted path of 'depth' calls. */
static void expect_id(uint32_t depth, uint32_t ordinal, uint32_t seq, char *out) {
  char *path = malloc(depth * 12 + 1);
  size_t size = 0, stem = 0;
  for (uint32_t i = 0; i < depth; i++) {
    size += (size_t)sprintf(path + size, i ? ".%u" : "%u", i ? ordinal : 1);
    if (size <= 224) stem = size;
  }
  if (size <= 255) strcpy(out, path);
  else sprintf(out, "%.*s…~%u", (int)stem, path, seq);
  free(path);
}

static void long_ids_are_cut_behind_a_whole_ancestor(void **state) {
  (void)state;
  char got[RT_CALL_ID_SIZE], want[300];
  for (uint32_t ordinal = 1; ordinal < 3000000000u; ordinal = ordinal * 3 + 2) {
    rt_call_tree tree = {0};
    for (uint32_t seq = 1; seq <= 300; seq++) {
      assert_true(rt_call_tree_add(&tree, seq, seq - 1, seq == 1 ? 1 : ordinal, seq));
      rt_call_tree_id(&tree, seq - 1, seq, got);
      expect_id(seq, ordinal, seq, want);
      assert_string_equal(got, want);
    }
    rt_call_tree_free(&tree);
    if (ordinal > 1000000000u) break;
  }
}

static void a_chain_of_100000_calls_is_read_in_either_order(void **state) {
  (void)state;
  for (int order = RT_BY_START; order <= RT_BY_TREE; order++) {
    char id[RT_CALL_ID_SIZE];
    rt_call_tree tree = {0};
    for (uint32_t seq = 1; seq <= LONG; seq++)
      assert_true(rt_call_tree_add(&tree, seq, seq - 1, 1, seq));
    assert_true(rt_call_tree_sort(&tree, -1, (rt_call_order)order));
    assert_int_equal(tree.shown, LONG);
    assert_int_equal(tree.order[LONG - 1], LONG - 1);
    assert_int_equal(tree.ways[LONG - 1].depth, LONG - 1);
    rt_call_tree_id(&tree, LONG - 1, LONG, id);
    assert_string_equal(id + strlen(id) - strlen("1…~100000"), "1…~100000");
    rt_call_tree_free(&tree);
  }
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_place, remove_place)
  const struct CMUnitTest tests[] = {
      TEST(it_gives_back_what_was_written),
      TEST(it_completes_a_call_that_was_added_while_it_ran),
      TEST(it_forgets_a_group_that_was_rolled_back),
      TEST(it_keeps_the_events_of_a_run_in_order),
      TEST(it_makes_a_file_that_only_its_owner_can_read),
      TEST(it_leaves_nothing_but_the_database_beside_the_file),
      TEST(it_keeps_the_log_short_when_much_was_written),
      TEST(it_refuses_a_folder_that_is_missing),
      TEST(it_refuses_a_folder_as_a_file),
      TEST(it_refuses_what_is_not_a_database),
      TEST(it_refuses_databases_of_something_else_and_leaves_them_alone),
      TEST(it_refuses_a_newer_journal_and_says_both_versions),
      TEST(it_refuses_what_it_has_no_permission_for),
      TEST(it_takes_every_name_as_that_of_a_file),
      TEST(it_takes_an_empty_file_as_a_new_journal),
      TEST(reading_never_makes_a_journal),
      TEST(two_processes_can_make_the_file_at_the_same_moment),
      TEST(several_processes_can_write_one_journal),
      TEST(it_reads_while_another_process_writes),
      TEST(a_run_whose_writer_was_killed_is_interrupted),
      TEST(a_process_lives_until_it_has_ended),
      TEST(a_killed_process_is_dead_before_it_is_waited_for),
      TEST(a_process_elsewhere_counts_as_alive),
      TEST(a_full_disk_is_told_and_the_group_rolled_back),
      TEST(the_oldest_run_that_has_ended_is_removed),
      TEST(a_run_is_found_by_its_age_or_by_part_of_its_id),
      TEST(calls_are_listed_as_they_started_or_as_a_tree),
      TEST(a_call_whose_caller_was_not_recorded_still_has_an_id),
      TEST(long_ids_are_cut_behind_a_whole_ancestor),
      TEST(a_chain_of_100000_calls_is_read_in_either_order),
  };
  return cmocka_run_group_tests_name("the store", tests, NULL, NULL);
}
