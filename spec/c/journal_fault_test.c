/* journal_fault_test.c -- calls into a store that is slow or fails. */
#include <pthread.h>
#include <stdatomic.h>

#include "journal_fixture.h"

/* ---- a slow store: somebody else holds the file ---- */

typedef struct holder {
  sqlite3 *db;
  _Atomic uint64_t begun;  // calls that the loop has begun
  uint64_t stood_at;       // where it came to a standstill
} holder;

/* Lets go of the file once the loop stands still. */
static void *let_go(void *data) {
  holder *h = data;
  uint64_t before = 0, now;
  while ((now = atomic_load(&h->begun)) != before || now == 0) {
    before = now;
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
  }
  h->stood_at = now;
  sqlite3_exec(h->db, "COMMIT", NULL, NULL, NULL);
  return NULL;
}

static void makes_the_loop_wait_for_a_slow_store_and_loses_nothing(void **state) {
  place *p = *state;
  enum { COUNT = 40000, SIZE = 1000 };
  holder h = {0};
  pthread_t thread;
  char text[SIZE];
  memset(text, ' ', SIZE);
  open_journal(p, false);
  begin_run(p, "a run");
  h.db = open_other(p);
  execute(h.db, "BEGIN IMMEDIATE");
  assert_int_equal(pthread_create(&thread, NULL, let_go, &h), 0);
  for (uint32_t i = 1; i <= COUNT; i++) {
    begin_call(p, i, i > 1 ? 1 : 0, (rt_text){text, SIZE});
    end_call(p, i, TEXT("[]"));
    atomic_fetch_add(&h.begun, 1);
  }
  end_run(p, COUNT);
  pthread_join(thread, NULL);
  sqlite3_close(h.db);
  assert_true(h.stood_at * SIZE <= RT_JOURNAL_QUEUE + (1u << 20));
  assert_int_equal(ask(p, "SELECT count(*) FROM calls WHERE status = 'done'"), COUNT);
  assert_int_equal(lost(p), 0);
  rt_journal_close(p->journal);
}

static void lets_others_write_while_it_has_much_to_do(void **state) {
  place *p = *state;
  sqlite3 *other;
  open_journal(p, false);
  begin_run(p, "a run");
  other = open_other(p);
  uint32_t seq = 0;
  for (int i = 0; i < 20; i++) {
    for (int k = 0; k < 3000; k++) {
      seq++;
      begin_call(p, seq, seq > 1 ? 1 : 0, TEXT("[]"));
      end_call(p, seq, TEXT("[]"));
    }
    execute(other, "BEGIN IMMEDIATE; INSERT INTO events (at, kind) VALUES (0, 'log'); COMMIT");
  }
  end_run(p, seq);
  sqlite3_close(other);
  assert_int_equal(ask(p, "SELECT count(*) FROM events"), 20);
  assert_int_equal(ask(p, "SELECT count(*) FROM calls"), seq);
  assert_int_equal(lost(p), 0);
  rt_journal_close(p->journal);
}

/* ---- a failing store ---- */

static void counts_what_a_failing_store_did_not_take(void **state) {
  place *p = *state;
  const char *why;
  open_journal(p, false);
  begin_run(p, "a run");
  sqlite3 *other = open_other(p);
  execute(other, "DROP TABLE calls");
  sqlite3_close(other);
  begin_call(p, 1, 0, TEXT("[]"));
  for (uint32_t i = 2; i <= 30000; i++) {
    begin_call(p, i, 1, TEXT("[]"));
    end_call(p, i, TEXT("[]"));
  }
  end_call(p, 1, TEXT("[]"));
  end_run(p, 30000);
  assert_int_equal(rt_journal_lost(p->journal, &why), 30000);
  assert_non_null(strstr(why, p->file));
  rt_journal_close(p->journal);
}

static void keeps_what_was_committed_before_the_store_failed(void **state) {
  place *p = *state;
  open_journal(p, false);
  begin_run(p, "a run");
  for (uint32_t i = 1; i <= 100; i++) {
    begin_call(p, i, i > 1 ? 1 : 0, TEXT("[]"));
    end_call(p, i, TEXT("[]"));
  }
  begin_call(p, 101, 1, TEXT("[]"));
  wait_until(p, "SELECT count(*) FROM calls", 101);
  sqlite3 *other = open_other(p);
  execute(other, "ALTER TABLE calls RENAME TO kept");
  for (uint32_t i = 102; i <= 200; i++) {
    begin_call(p, i, 1, TEXT("[]"));
    end_call(p, i, TEXT("[]"));
  }
  end_call(p, 101, TEXT("[]"));
  end_run(p, 200);
  execute(other, "ALTER TABLE kept RENAME TO calls");
  sqlite3_close(other);
  assert_int_equal(ask(p, "SELECT count(*) FROM calls WHERE status = 'done'"), 100);
  assert_int_equal(lost(p), 100);
  rt_journal_close(p->journal);
}

static void goes_on_with_runs_after_the_store_failed(void **state) {
  place *p = *state;
  open_journal(p, false);
  begin_run(p, "first");
  sqlite3 *other = open_other(p);
  execute(other, "DROP TABLE calls");
  sqlite3_close(other);
  begin_call(p, 1, 0, TEXT("[]"));
  end_call(p, 1, TEXT("[]"));
  end_run(p, 1);
  int64_t first = p->run.run;
  assert_int_equal(begin_run(p, "second"), -1);
  assert_true(p->run.run != 0 && p->run.run != first && p->run.run <= UINT32_MAX);
  int64_t second = p->run.run;
  end_run(p, 0);
  assert_int_equal(begin_run(p, "third"), -1);
  assert_true(p->run.run != second);
  end_run(p, 0);
  rt_journal_close(p->journal);
}

/* More than the stream holds: nobody may wait for a store that takes nothing. */
static void does_not_stand_still_after_the_store_failed(void **state) {
  place *p = *state;
  enum { COUNT = 60000, SIZE = 1000 };
  char text[SIZE];
  memset(text, ' ', SIZE);
  open_journal(p, false);
  begin_run(p, "a run");
  sqlite3 *other = open_other(p);
  execute(other, "DROP TABLE calls");
  sqlite3_close(other);
  begin_call(p, 1, 0, TEXT("[]"));
  for (uint32_t i = 2; i <= COUNT; i++) {
    begin_call(p, i, 1, (rt_text){text, SIZE});
    end_call(p, i, TEXT("[]"));
  }
  end_call(p, 1, TEXT("[]"));
  end_run(p, COUNT);
  assert_int_equal(lost(p), COUNT);
  rt_journal_close(p->journal);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      in_a_place(makes_the_loop_wait_for_a_slow_store_and_loses_nothing),
      in_a_place(lets_others_write_while_it_has_much_to_do),
      in_a_place(counts_what_a_failing_store_did_not_take),
      in_a_place(keeps_what_was_committed_before_the_store_failed),
      in_a_place(goes_on_with_runs_after_the_store_failed),
      in_a_place(does_not_stand_still_after_the_store_failed),
  };
  return cmocka_run_group_tests_name("the journal with a store that is slow or fails", tests,
                                     NULL, NULL);
}
