/* journal_test.c -- calls from the loop's thread into the store, or kept in memory. */
#include "dice.h"
#include "journal_fixture.h"

/* ---- the journal with a store ---- */

static void has_the_row_of_a_run_that_has_begun(void **state) {
  place *p = *state;
  open_journal(p, false);
  assert_int_equal(begin_run(p, "a run"), 0);
  assert_int_equal(ask(p, "SELECT run FROM runs WHERE id = 'a run' AND status = 'running'"),
                   p->run.run);
  rt_journal_close(p->journal);
}

static void has_everything_of_a_run_that_has_ended(void **state) {
  place *p = *state;
  enum { COUNT = 50000 };
  char text[32];
  open_journal(p, false);
  begin_run(p, "a run");
  begin_call(p, 1, 0, TEXT("[]"));
  for (uint32_t i = 2; i <= COUNT; i++) {
    int size = snprintf(text, sizeof text, "[%u]", i);
    begin_call(p, i, 1, (rt_text){text, (size_t)size});
    end_call(p, i, (rt_text){text, (size_t)size});
  }
  end_call(p, 1, TEXT("[]"));
  end_run(p, COUNT);
  assert_int_equal(ask(p, "SELECT count(*) FROM calls WHERE status = 'done'"), COUNT);
  assert_int_equal(ask(p, "SELECT count(*) FROM calls WHERE site = 'test.lua:7' AND "
                          "node = 'node' AND started_at < ended_at"), COUNT);
  assert_int_equal(ask(p, "SELECT count(*) FROM calls WHERE parent = 1 AND args = results"
                          " AND args = '[' || seq || ']'"), COUNT - 1);
  assert_int_equal(ask(p, "SELECT calls FROM runs WHERE status = 'done'"), COUNT);
  assert_int_equal(lost(p), 0);
  rt_journal_close(p->journal);
}

static void has_calls_that_end_in_another_order(void **state) {
  place *p = *state;
  enum { COUNT = 20000, OPEN = 500 };
  uint32_t seqs[OPEN], seed = 3, next = 0, open = 0;
  open_journal(p, false);
  begin_run(p, "a run");
  while (next < COUNT || open > 0) {
    if (next < COUNT && open < OPEN && dice(&seed) % 2) {
      seqs[open++] = ++next;
      begin_call(p, next, next > 1 ? 1 : 0, TEXT("[]"));
    } else if (open > 0) {
      uint32_t at = dice(&seed) % open;
      end_call(p, seqs[at], TEXT("[1]"));
      seqs[at] = seqs[--open];
    }
  }
  end_run(p, COUNT);
  assert_int_equal(ask(p, "SELECT count(*) FROM calls WHERE status = 'done' AND "
                          "results = '[1]' AND args = '[]' AND started_at < ended_at"), COUNT);
  rt_journal_close(p->journal);
}

static void writes_a_call_that_goes_on_running(void **state) {
  place *p = *state;
  open_journal(p, false);
  begin_run(p, "a run");
  begin_call(p, 1, 0, TEXT("[\"given\"]"));
  wait_until(p, "SELECT count(*) FROM calls WHERE status = 'running' AND ended_at IS NULL", 1);
  end_call(p, 1, TEXT("[\"got\"]"));
  end_run(p, 1);
  assert_int_equal(ask(p, "SELECT count(*) FROM calls WHERE status = 'done' AND "
                          "args = '[\"given\"]' AND results = '[\"got\"]' AND "
                          "started_at < ended_at"), 1);
  rt_journal_close(p->journal);
}

static void writes_what_is_left_when_it_is_closed(void **state) {
  place *p = *state;
  open_journal(p, false);
  begin_run(p, "a run");
  begin_call(p, 1, 0, TEXT("[]"));
  for (uint32_t i = 2; i <= 1000; i++) {
    begin_call(p, i, 1, TEXT("[]"));
    end_call(p, i, TEXT("[]"));
  }
  rt_journal_close(p->journal);
  assert_int_equal(ask(p, "SELECT count(*) FROM calls WHERE status = 'done'"), 999);
  assert_int_equal(ask(p, "SELECT count(*) FROM calls WHERE status = 'running'"), 1);
}

static void does_not_record_texts_that_are_not_given(void **state) {
  place *p = *state;
  open_journal(p, false);
  begin_run(p, "a run");
  begin_call(p, 1, 0, (rt_text){0});
  end_call(p, 1, (rt_text){0});
  end_run(p, 1);
  assert_int_equal(ask(p, "SELECT args IS NULL AND results IS NULL FROM calls"), 1);
  rt_journal_close(p->journal);
}

static void takes_a_call_again_that_wants_more_room(void **state) {
  place *p = *state;
  rt_buf room;
  char *large = malloc(1 << 20);
  memset(large, ' ', 1 << 20);
  open_journal(p, false);
  begin_run(p, "a run");
  for (uint32_t i = 1; i <= 20; i++) {
    rt_journal_call c = {.run = (uint32_t)p->run.run, .seq = i, .node = TEXT("node")};
    rt_journal_call_begin(p->journal, &c, 10, &room);
    rt_buf_add(&room, large, 1 << 20);
    assert_true(room.failed);
    begin_call(p, i, i > 1 ? 1 : 0, (rt_text){large, 1 << 20});
    end_call(p, i, TEXT("[]"));
  }
  end_run(p, 20);
  assert_int_equal(ask(p, "SELECT count(*) FROM calls WHERE length(args) = 1048576"), 20);
  free(large);
  rt_journal_close(p->journal);
}

static void holds_no_more_than_its_queue_while_calls_stay_open(void **state) {
  place *p = *state;
  enum { COUNT = 60000, SIZE = 1000 };
  char text[SIZE];
  memset(text, ' ', SIZE);
  open_journal(p, false);
  begin_run(p, "a run");
  for (uint32_t i = 1; i <= COUNT; i++)
    begin_call(p, i, i > 1 ? 1 : 0, (rt_text){text, SIZE});
  for (uint32_t i = COUNT; i >= 1; i--) end_call(p, i, TEXT("[]"));
  end_run(p, COUNT);
  assert_int_equal(ask(p, "SELECT count(*) FROM calls WHERE status = 'done' AND "
                          "length(args) = 1000 AND results = '[]'"), COUNT);
  rt_journal_close(p->journal);
}

/* ---- the journal in memory ---- */

typedef struct kept {
  uint32_t count, running;
  uint32_t lowest, highest;  // seqs of those that ended
  bool whole;
} kept;

static int look(void *data, const rt_call_record *c) {
  kept *k = data;
  k->count++;
  if (c->status == RT_RUNNING) return k->running++, 0;
  if (!k->lowest || c->seq < k->lowest) k->lowest = c->seq;
  if (c->seq > k->highest) k->highest = c->seq;
  k->whole = k->whole && c->results.size == 3 && c->args.size == 2 && c->started_at > 0 &&
             c->ended_at > c->started_at && c->site.size == 10;
  return 0;
}

static void keeps_the_newest_calls_in_memory(void **state) {
  place *p = *state;
  enum { COUNT = 350000 };
  kept k = {.whole = true};
  open_journal(p, true);
  assert_int_equal(begin_run(p, "a run"), 0);
  for (uint32_t i = 1; i <= COUNT; i++) {
    begin_call(p, i, i > 1 ? 1 : 0, TEXT("[]"));
    end_call(p, i, TEXT("[7]"));
  }
  end_run(p, COUNT);
  assert_int_equal(rt_journal_kept(p->journal, look, &k), 0);
  assert_true(k.whole);
  assert_int_equal(k.highest, COUNT);
  assert_true(k.count >= RT_JOURNAL_KEPT && k.count <= RT_JOURNAL_KEPT + 10000);
  assert_int_equal(k.lowest, COUNT - k.count + 1);
  assert_int_equal(lost(p), 0);
  rt_journal_close(p->journal);
}

static void tells_of_calls_in_memory_that_still_run(void **state) {
  place *p = *state;
  kept k = {.whole = true};
  open_journal(p, true);
  begin_run(p, "a run");
  begin_call(p, 1, 0, TEXT("[]"));
  begin_call(p, 2, 1, TEXT("[]"));
  end_call(p, 2, TEXT("[7]"));
  assert_int_equal(rt_journal_kept(p->journal, look, &k), 0);
  assert_int_equal(k.count, 2);
  assert_int_equal(k.running, 1);
  assert_true(k.whole);
  assert_null(rt_journal_path(p->journal));
  rt_journal_close(p->journal);
}

static int look_once(void *data, const rt_call_record *c) {
  (void)c;
  return ++*(int *)data == 3 ? 42 : 0;
}

static void stops_telling_of_calls_in_memory_when_asked(void **state) {
  place *p = *state;
  int looked = 0;
  open_journal(p, true);
  begin_run(p, "a run");
  for (uint32_t i = 1; i <= 10; i++) {
    begin_call(p, i, i > 1 ? 1 : 0, TEXT("[]"));
    end_call(p, i, TEXT("[7]"));
  }
  assert_int_equal(rt_journal_kept(p->journal, look_once, &looked), 42);
  assert_int_equal(looked, 3);
  rt_journal_close(p->journal);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      in_a_place(has_the_row_of_a_run_that_has_begun),
      in_a_place(has_everything_of_a_run_that_has_ended),
      in_a_place(has_calls_that_end_in_another_order),
      in_a_place(writes_a_call_that_goes_on_running),
      in_a_place(writes_what_is_left_when_it_is_closed),
      in_a_place(does_not_record_texts_that_are_not_given),
      in_a_place(takes_a_call_again_that_wants_more_room),
      in_a_place(holds_no_more_than_its_queue_while_calls_stay_open),
      in_a_place(keeps_the_newest_calls_in_memory),
      in_a_place(tells_of_calls_in_memory_that_still_run),
      in_a_place(stops_telling_of_calls_in_memory_when_asked),
  };
  return cmocka_run_group_tests_name("the journal", tests, NULL, NULL);
}
