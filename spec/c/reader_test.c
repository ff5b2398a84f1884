#include "store_fixture.h"

static void reading_never_makes_a_journal(void **state) {
  place *p = *state;
  check_refused(p->file, false, "no such file");
  assert_int_equal(access(p->file, F_OK), -1);
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
  assert_false(rt_process_alive(host, 1, id));  // which started long before
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

static void a_chain_of_100000_calls_is_read_in_every_order(void **state) {
  (void)state;
  for (int order = RT_BY_START; order <= RT_BY_ID; order++) {
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

static void calls_by_id_go_as_their_ordinals_whenever_they_started(void **state) {
  (void)state;
  // A root, its children 3, 1 and 2 in the order they were made, 1 with a child; the last
  // child never started.
  static const struct { uint32_t parent, ordinal; double started; } calls[] = {
      {0, 1, 1}, {1, 3, 2}, {1, 1, 5}, {3, 1, 6}, {1, 2, 0},
  };
  static const char *const ids[] = {"1", "1.1", "1.1.1", "1.2", "1.3"};
  for (int64_t limit = -1; limit <= 6; limit++) {
    rt_call_tree tree = {0};
    for (uint32_t i = 0; i < 5; i++)
      assert_true(rt_call_tree_add(&tree, i + 1, calls[i].parent, calls[i].ordinal,
                                   calls[i].started));
    assert_true(rt_call_tree_sort(&tree, limit, RT_BY_ID));
    assert_int_equal(tree.shown, limit < 0 || limit > 5 ? 5 : limit);
    for (uint32_t i = 0; i < tree.shown; i++) {
      char id[RT_CALL_ID_SIZE];
      rt_call_tree_id(&tree, tree.order[i], 0, id);
      assert_string_equal(id, ids[i]);
    }
    rt_call_tree_free(&tree);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(reading_never_makes_a_journal),
      TEST(it_reads_while_another_process_writes),
      TEST(a_run_whose_writer_was_killed_is_interrupted),
      TEST(a_process_lives_until_it_has_ended),
      TEST(a_killed_process_is_dead_before_it_is_waited_for),
      TEST(a_process_elsewhere_counts_as_alive),
      TEST(a_run_is_found_by_its_age_or_by_part_of_its_id),
      TEST(calls_are_listed_as_they_started_or_as_a_tree),
      TEST(a_call_whose_caller_was_not_recorded_still_has_an_id),
      TEST(long_ids_are_cut_behind_a_whole_ancestor),
      TEST(a_chain_of_100000_calls_is_read_in_every_order),
      TEST(calls_by_id_go_as_their_ordinals_whenever_they_started),
  };
  return cmocka_run_group_tests_name("reading the store", tests, NULL, NULL);
}
