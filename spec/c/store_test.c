#include "store_fixture.h"

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

static void the_next_run_that_is_old_is_removed(void **state) {
  place *p = *state;
  rt_run_record runs[5];
  int64_t number, past;
  rt_store *s = open_store(p->file);
  for (int i = 0; i < 5; i++) {
    char id[] = "0198c0de-0000-7000-8000-000000000000";
    id[sizeof id - 2] = (char)('a' + i);
    runs[i] = begin_run(s, id);
    if (i == 1) continue;
    end_run(s, &runs[i], RT_DONE, 0);
  }
  double end = runs[0].ended_at;
  assert_int_equal(s->api->find_past(s, 5, &past), 0);
  assert_int_equal(past, 0);
  assert_int_equal(s->api->find_past(s, 2, &past), 0);
  assert_int_equal(past, runs[2].run);

  number = 0;
  assert_int_equal(s->api->drop_next(s, end, INT64_MAX, &number), 0);
  assert_int_equal(number, 0);  // ended then, not before
  assert_int_equal(s->api->drop_next(s, end + 1e9, past, &number), 0);
  assert_int_equal(number, runs[0].run);
  assert_int_equal(s->api->drop_next(s, end + 1e9, past, &number), 0);
  assert_int_equal(number, runs[2].run);  // the one in between runs
  assert_int_equal(s->api->drop_next(s, end + 1e9, past, &number), 0);
  assert_int_equal(number, 0);
  number = runs[3].run;
  assert_int_equal(s->api->drop_next(s, end + 1e9, INT64_MAX, &number), 0);
  assert_int_equal(number, runs[4].run);
  assert_int_equal(ask_sql(p->file, "SELECT count(*) FROM runs"), 2);
  s->api->close(s);
}

static void the_room_of_what_was_removed_is_given_back(void **state) {
  place *p = *state;
  int64_t number, bytes;
  rt_store *s = open_store(p->file);
  rt_run_record a = begin_run(s, "0198c0de-0000-7000-8000-00000000000a");
  rt_run_record b = begin_run(s, "0198c0de-0000-7000-8000-00000000000b");
  add_calls(s, a.run, 1, 20000);
  add_calls(s, b.run, 1, 20000);
  end_run(s, &a, RT_DONE, 20000);
  assert_int_equal(s->api->compact(s, &bytes), 0);
  assert_int_equal(bytes, 0);

  int64_t before = s->api->size(s);
  assert_int_equal(s->api->drop_oldest(s, &number), 0);
  int64_t unused = before - s->api->size(s);
  assert_true(unused > before / 3);
  assert_int_equal(s->api->compact(s, &bytes), 0);
  assert_true(bytes >= unused);
  struct stat file;
  assert_int_equal(stat(p->file, &file), 0);
  assert_int_equal(file.st_size, s->api->size(s));
  assert_int_equal(ask_sql(p->file, "SELECT count(*) FROM calls"), 20000);
  s->api->close(s);
}

int main(void) {
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
      TEST(two_processes_can_make_the_file_at_the_same_moment),
      TEST(several_processes_can_write_one_journal),
      TEST(a_full_disk_is_told_and_the_group_rolled_back),
      TEST(the_oldest_run_that_has_ended_is_removed),
      TEST(the_next_run_that_is_old_is_removed),
      TEST(the_room_of_what_was_removed_is_given_back),
  };
  return cmocka_run_group_tests_name("the store", tests, NULL, NULL);
}
