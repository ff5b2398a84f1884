/* journal_test.c -- calls from the loop's thread into the store, whatever the store does. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "journal.h"  // lib has one of that name, too
#include "pending.h"
#include "store.h"

#define TEXT(s) ((rt_text){s, sizeof(s) - 1})
#define SECOND INT64_C(1000000000)

/* Always the same row of numbers. */
static uint32_t dice(uint32_t *state) {
  *state = *state * 1664525 + 1013904223;
  return *state >> 8;
}

/* ---- pending calls, against a list ---- */

enum { STEPS = 60000, MOST = 3000 };

typedef struct model {
  uint64_t keys[MOST];
  int count;
} model;

static void model_remove(model *m, int at) {
  m->count--;
  memmove(&m->keys[at], &m->keys[at + 1], (size_t)(m->count - at) * sizeof *m->keys);
}

static void check_oldest(rt_pending *p, const model *m) {
  const rt_pending_call *oldest = rt_pending_oldest(p);
  if (m->count == 0) assert_null(oldest);
  else assert_int_equal(oldest->key, m->keys[0]);
  assert_int_equal(p->count, m->count);
}

/* Adds and takes in random order, with 'bias' of 100 steps adding. */
static void play(rt_pending *p, model *m, int steps, uint32_t bias, uint32_t *seed) {
  static uint32_t next;
  static const char record[] = "a record";
  rt_pending_call call;
  for (int i = 0; i < steps; i++) {
    if (m->count < MOST && dice(seed) % 100 < bias) {
      next++;
      uint64_t key = rt_pending_key(next % 3, next / 3);
      call = (rt_pending_call){key, record, NULL, next};
      assert_true(rt_pending_add(p, &call));
      m->keys[m->count++] = key;
    } else if (m->count > 0) {
      uint32_t recent = dice(seed) % 4;  // as calls do: mostly the newest end first
      int at = recent ? m->count - 1 - (int)(dice(seed) % (m->count < 9 ? m->count : 9))
                      : (int)(dice(seed) % (uint32_t)m->count);
      assert_true(rt_pending_has(p, m->keys[at]));
      assert_true(rt_pending_take(p, m->keys[at], &call));
      assert_int_equal(call.key, m->keys[at]);
      assert_ptr_equal(call.record, record);
      assert_false(rt_pending_has(p, m->keys[at]));
      assert_false(rt_pending_take(p, m->keys[at], &call));
      model_remove(m, at);
    }
    check_oldest(p, m);
  }
}

static void pending_calls_are_found_whatever_the_order(void **state) {
  (void)state;
  rt_pending p = {0};
  static model m;
  uint32_t seed = 7;
  m.count = 0;
  play(&p, &m, STEPS / 3, 70, &seed);
  play(&p, &m, STEPS / 3, 30, &seed);
  play(&p, &m, STEPS / 3, 50, &seed);
  for (int i = 0; i < m.count; i++) assert_true(rt_pending_has(&p, m.keys[i]));
  play(&p, &m, 2 * MOST, 0, &seed);
  assert_null(rt_pending_oldest(&p));
  rt_pending_free(&p);
}

static void pending_calls_leave_oldest_first(void **state) {
  (void)state;
  rt_pending p = {0};
  rt_pending_call call = {.record = "a record"};
  for (uint32_t i = 0; i < 100000; i++) {
    call.key = rt_pending_key(1, i);
    assert_true(rt_pending_add(&p, &call));
    if (i < 500) continue;
    assert_int_equal(rt_pending_oldest(&p)->key, rt_pending_key(1, i - 500));
    assert_true(rt_pending_take(&p, rt_pending_key(1, i - 500), &call));
  }
  assert_true(p.capacity <= 1024);
  rt_pending_free(&p);
}

static void pending_calls_are_none_at_first(void **state) {
  (void)state;
  rt_pending p = {0};
  rt_pending_call call;
  assert_false(rt_pending_has(&p, 1));
  assert_false(rt_pending_take(&p, 1, &call));
  assert_null(rt_pending_oldest(&p));
  rt_pending_free(&p);
}

/* ---- what the journal's tests stand on ---- */

typedef struct place {
  char folder[64];
  char file[128];
  rt_journal *journal;
  rt_run_record run;
  int64_t clock;
} place;

static int make_place(void **state) {
  place *p = calloc(1, sizeof *p);
  strcpy(p->folder, "/tmp/journal_test.XXXXXX");
  assert_non_null(mkdtemp(p->folder));
  snprintf(p->file, sizeof p->file, "%s/journal.db", p->folder);
  p->clock = 1000 * SECOND;
  *state = p;
  return 0;
}

static int remove_place(void **state) {
  place *p = *state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", p->folder);
  int status = system(command);
  free(p);
  return status;
}

static void open_journal(place *p, bool in_memory) {
  rt_journal_options options = {.path = in_memory ? NULL : p->file};
  char *error;
  assert_int_equal(rt_journal_open(&p->journal, &options, &error), 0);
}

static int begin_run(place *p, const char *id) {
  p->run = (rt_run_record){.id = {id, strlen(id)}, .name = TEXT("test"), .pid = getpid(),
                           .started_at = 1000, .status = RT_RUNNING};
  return rt_journal_run_begin(p->journal, &p->run);
}

static void end_run(place *p, int64_t calls) {
  p->run.ended_at = 2000;
  p->run.status = RT_DONE;
  p->run.calls = calls;
  rt_journal_run_end(p->journal, &p->run);
}

static void begin_call(place *p, uint32_t seq, uint32_t parent, rt_text args) {
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

static void end_call(place *p, uint32_t seq, rt_text results) {
  rt_buf room;
  p->clock += 1000;
  rt_journal_call_end(p->journal, (uint32_t)p->run.run, seq, RT_DONE, p->clock, (rt_text){0},
                      results.size, &room);
  assert_false(room.failed);
  rt_buf_add(&room, results.data, results.size);
  rt_journal_call_ended(p->journal, &room);
}

/* A number that a query finds in the file. */
static int64_t ask(const place *p, const char *query) {
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

static sqlite3 *open_other(const place *p) {
  sqlite3 *db;
  assert_int_equal(sqlite3_open(p->file, &db), SQLITE_OK);
  sqlite3_busy_timeout(db, 10000);
  return db;
}

static void execute(sqlite3 *db, const char *sql) {
  assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static uint64_t lost(const place *p) {
  const char *why;
  return rt_journal_lost(p->journal, &why);
}

/* Looks every few milliseconds until a query finds 'wanted'. */
static void wait_until(const place *p, const char *query, int64_t wanted) {
  for (int i = 0; i < 12000; i++) {
    if (ask(p, query) == wanted) return;
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
  }
  fail_msg("waited a minute for: %s", query);
}

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

#define in_a_place(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pending_calls_are_found_whatever_the_order),
      cmocka_unit_test(pending_calls_leave_oldest_first),
      cmocka_unit_test(pending_calls_are_none_at_first),
      in_a_place(has_the_row_of_a_run_that_has_begun),
      in_a_place(has_everything_of_a_run_that_has_ended),
      in_a_place(has_calls_that_end_in_another_order),
      in_a_place(writes_a_call_that_goes_on_running),
      in_a_place(writes_what_is_left_when_it_is_closed),
      in_a_place(does_not_record_texts_that_are_not_given),
      in_a_place(takes_a_call_again_that_wants_more_room),
      in_a_place(makes_the_loop_wait_for_a_slow_store_and_loses_nothing),
      in_a_place(lets_others_write_while_it_has_much_to_do),
      in_a_place(counts_what_a_failing_store_did_not_take),
      in_a_place(keeps_what_was_committed_before_the_store_failed),
      in_a_place(goes_on_with_runs_after_the_store_failed),
      in_a_place(does_not_stand_still_after_the_store_failed),
      in_a_place(holds_no_more_than_its_queue_while_calls_stay_open),
      in_a_place(keeps_the_newest_calls_in_memory),
      in_a_place(tells_of_calls_in_memory_that_still_run),
      in_a_place(stops_telling_of_calls_in_memory_when_asked),
  };
  return cmocka_run_group_tests_name("the journal", tests, NULL, NULL);
}
