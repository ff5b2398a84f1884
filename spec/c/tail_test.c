#include "store_fixture.h"

/* What was handed out in a look: "SEQ:ID:STATUS" each, joined by blanks. */
typedef struct news {
  char text[4000];
  size_t size;
  rt_status run;
  int progress;
} news;

static int take_run(void *data, const rt_run_record *run) {
  news *n = data;
  n->run = run->status;
  return 0;
}

static int take_call(void *data, const rt_call_view *view) {
  news *n = data;
  assert_null(view->record.args.data);
  n->size += (size_t)snprintf(n->text + n->size, sizeof n->text - n->size, "%s%u:%s:%s",
                              n->size ? " " : "", view->record.seq, view->id,
                              rt_status_name(view->record.status));
  return 0;
}

static int take_progress(void *data, const rt_event_record *e) {
  news *n = data;
  assert_int_equal(e->seq, 1);
  assert_memory_equal(e->value.data, "{\"done\":1}", e->value.size);
  n->progress++;
  return 0;
}

static const rt_follower follower = {take_run, take_call, take_progress};

/* A look of at most 'most' calls has to find this. */
static void check_look(rt_tail *t, uint32_t most, int result, const char *expected) {
  news n = {0};
  assert_int_equal(rt_tail_look(t, most, &follower, &n), result);
  assert_string_equal(n.text, expected);
  assert_int_equal(n.run, RT_RUNNING);
}

static void add(rt_store *s, int64_t run, uint32_t seq, uint32_t parent, uint32_t ordinal,
                rt_status status) {
  rt_call_record c = a_call(run, seq, parent, ordinal);
  c.status = status;
  if (status == RT_RUNNING) c.ended_at = 0, c.results = (rt_text){0};
  assert_int_equal(s->api->call_add(s, &c), 0);
}

static void update(rt_store *s, int64_t run, uint32_t seq, rt_status status) {
  rt_call_record c = a_call(run, seq, 1, 1);
  c.status = status;
  assert_int_equal(s->api->call_update(s, &c), 0);
}

static void calls_come_once_and_when_they_have_ended(void **state) {
  place *p = *state;
  rt_store *s = open_store(p->file);
  rt_run_record run = begin_run(s, "0198c0de-0000-7000-8000-00000000000a");
  rt_reader *r = open_reader(p->file);
  rt_tail *t;
  assert_int_equal(rt_tail_open(&t, r, run.run), 0);
  check_look(t, 100, 0, "");
  add(s, run.run, 1, 0, 1, RT_RUNNING);
  check_look(t, 100, 0, "1:1:running");
  check_look(t, 100, 0, "");
  add(s, run.run, 2, 1, 1, RT_DONE);
  check_look(t, 100, 0, "2:1.1:done");
  update(s, run.run, 1, RT_FAILED);
  check_look(t, 100, 0, "1:1:failed");
  check_look(t, 100, 0, "");
  rt_tail_close(t);
  rt_reader_close(r);
  s->api->close(s);
}

static void rows_that_come_late_are_seen(void **state) {
  place *p = *state;
  rt_store *s = open_store(p->file);
  rt_run_record run = begin_run(s, "0198c0de-0000-7000-8000-00000000000a");
  rt_reader *r = open_reader(p->file);
  rt_tail *t;
  assert_int_equal(rt_tail_open(&t, r, run.run), 0);
  add(s, run.run, 1, 0, 1, RT_RUNNING);
  add(s, run.run, 4, 1, 3, RT_RUNNING);
  add(s, run.run, 5, 4, 1, RT_DONE);
  check_look(t, 100, 0, "1:1:running 4:1.3:running 5:1.3.1:done");
  add(s, run.run, 3, 1, 2, RT_DONE);
  update(s, run.run, 4, RT_CANCELLED);
  check_look(t, 100, 0, "3:1.2:done 4:1.3:cancelled");
  add(s, run.run, 2, 1, 1, RT_DONE);
  check_look(t, 100, 0, "2:1.1:done");
  check_look(t, 100, 0, "");
  rt_tail_close(t);
  rt_reader_close(r);
  s->api->close(s);
}

static void no_more_calls_are_handed_out_than_asked_for(void **state) {
  place *p = *state;
  rt_store *s = open_store(p->file);
  rt_run_record run = begin_run(s, "0198c0de-0000-7000-8000-00000000000a");
  rt_reader *r = open_reader(p->file);
  rt_tail *t;
  assert_int_equal(rt_tail_open(&t, r, run.run), 0);
  add(s, run.run, 1, 0, 1, RT_RUNNING);
  for (uint32_t seq = 2; seq <= 5; seq++) add(s, run.run, seq, 1, seq - 1, RT_RUNNING);
  check_look(t, 2, 1, "1:1:running 2:1.1:running");
  check_look(t, 4, 0, "3:1.2:running 4:1.3:running 5:1.4:running");
  for (uint32_t seq = 2; seq <= 5; seq++)
    if (seq != 3) update(s, run.run, seq, RT_DONE);
  add(s, run.run, 6, 1, 5, RT_DONE);
  check_look(t, 2, 1, "2:1.1:done 4:1.3:done");
  check_look(t, 2, 1, "5:1.4:done 6:1.5:done");
  update(s, run.run, 3, RT_DONE);
  check_look(t, 2, 0, "3:1.2:done");
  check_look(t, 2, 0, "");
  rt_tail_close(t);
  rt_reader_close(r);
  s->api->close(s);
}

static void a_call_waits_for_the_row_of_its_caller(void **state) {
  place *p = *state;
  rt_store *s = open_store(p->file);
  rt_run_record run = begin_run(s, "0198c0de-0000-7000-8000-00000000000a");
  rt_reader *r = open_reader(p->file);
  rt_tail *t;
  assert_int_equal(rt_tail_open(&t, r, run.run), 0);
  add(s, run.run, 2, 1, 1, RT_RUNNING);
  add(s, run.run, 3, 2, 1, RT_DONE);
  check_look(t, 100, 0, "");
  update(s, run.run, 2, RT_DONE);
  add(s, run.run, 1, 0, 1, RT_RUNNING);
  check_look(t, 100, 0, "1:1:running 2:1.1:done 3:1.1.1:done");
  check_look(t, 100, 0, "");
  add(s, run.run, 5, 4, 1, RT_DONE);
  check_look(t, 100, 0, "");
  end_run(s, &run, RT_DONE, 5);  // and call 4 was never recorded
  news n = {0};
  assert_int_equal(rt_tail_look(t, 100, &follower, &n), 0);
  assert_int_equal(n.run, RT_DONE);
  assert_string_equal(n.text, "5:…~5:done");
  rt_tail_close(t);
  rt_reader_close(r);
  s->api->close(s);
}

static int take_texts(void *data, const rt_call_view *view) {
  news *n = data;
  assert_non_null(view->record.args.data);
  n->size += (size_t)snprintf(n->text + n->size, sizeof n->text - n->size, "%s ", view->id);
  return 0;
}

static void calls_are_read_with_all_that_is_recorded(void **state) {
  place *p = *state;
  rt_store *s = open_store(p->file);
  rt_run_record run = begin_run(s, "0198c0de-0000-7000-8000-00000000000a");
  rt_reader *r = open_reader(p->file);
  rt_tail *t;
  news n = {0};
  add_calls(s, run.run, 1, 5);
  assert_int_equal(rt_tail_open(&t, r, run.run), 0);
  uint32_t seqs[] = {4, 1, 77, 3, 0};
  assert_int_equal(rt_tail_read(t, seqs, 5, take_texts, &n), 0);
  assert_string_equal(n.text, "");  // none was handed out yet
  assert_int_equal(rt_tail_look(t, 100, &follower, &n), 0);
  n = (news){0};
  assert_int_equal(rt_tail_read(t, seqs, 5, take_texts, &n), 0);
  assert_string_equal(n.text, "1.3 1 1.2 ");
  rt_tail_close(t);
  rt_reader_close(r);
  s->api->close(s);
}

static void a_queued_call_is_told_of_when_it_begins(void **state) {
  place *p = *state;
  rt_store *s = open_store(p->file);
  rt_run_record run = begin_run(s, "0198c0de-0000-7000-8000-00000000000a");
  rt_reader *r = open_reader(p->file);
  rt_tail *t;
  assert_int_equal(rt_tail_open(&t, r, run.run), 0);
  rt_call_record c = a_call(run.run, 1, 0, 1);
  c.status = RT_RUNNING;
  c.started_at = c.ended_at = 0;
  assert_int_equal(s->api->call_add(s, &c), 0);
  check_look(t, 100, 0, "1:1:running");
  c.started_at = 1e9 + 2;
  assert_int_equal(s->api->call_update(s, &c), 0);
  check_look(t, 100, 0, "1:1:running");
  check_look(t, 100, 0, "");
  rt_tail_close(t);
  rt_reader_close(r);
  s->api->close(s);
}

static void many_come_some_at_a_time(void **state) {
  place *p = *state;
  rt_store *s = open_store(p->file);
  rt_run_record run = begin_run(s, "0198c0de-0000-7000-8000-00000000000a");
  rt_reader *r = open_reader(p->file);
  rt_tail *t;
  add_calls(s, run.run, 1, 5);
  assert_int_equal(rt_tail_open(&t, r, run.run), 0);
  check_look(t, 2, 1, "1:1:done 2:1.1:done");
  check_look(t, 2, 1, "3:1.2:done 4:1.3:done");
  check_look(t, 2, 0, "5:1.4:done");
  rt_tail_close(t);
  rt_reader_close(r);
  s->api->close(s);
}

static void progress_comes_once_and_other_events_do_not(void **state) {
  place *p = *state;
  rt_store *s = open_store(p->file);
  rt_run_record run = begin_run(s, "0198c0de-0000-7000-8000-00000000000a");
  rt_reader *r = open_reader(p->file);
  rt_tail *t;
  news n = {0};
  rt_event_record e = {.run = run.run, .seq = 1, .at = 1e9, .kind = TEXT("log"),
                       .value = TEXT("{}")};
  assert_int_equal(s->api->event_add(s, &e), 0);
  e.kind = TEXT("progress");
  e.value = TEXT("{\"done\":1}");
  assert_int_equal(s->api->event_add(s, &e), 0);
  assert_int_equal(rt_tail_open(&t, r, run.run), 0);
  assert_int_equal(rt_tail_look(t, 100, &follower, &n), 0);
  assert_int_equal(n.progress, 1);
  assert_int_equal(s->api->event_add(s, &e), 0);
  assert_int_equal(rt_tail_look(t, 100, &follower, &n), 0);
  assert_int_equal(rt_tail_look(t, 100, &follower, &n), 0);
  assert_int_equal(n.progress, 2);
  rt_tail_close(t);
  rt_reader_close(r);
  s->api->close(s);
}

static void a_run_that_was_removed_is_over(void **state) {
  place *p = *state;
  rt_store *s = open_store(p->file);
  rt_run_record run = begin_run(s, "0198c0de-0000-7000-8000-00000000000a");
  rt_reader *r = open_reader(p->file);
  rt_tail *t;
  news n = {0};
  int64_t removed = 0;
  add_calls(s, run.run, 1, 3);
  end_run(s, &run, RT_DONE, 3);
  assert_int_equal(rt_tail_open(&t, r, run.run), 0);
  assert_int_equal(rt_tail_look(t, 1, &follower, &n), 1);
  assert_int_equal(n.run, RT_DONE);
  assert_int_equal(s->api->drop_next(s, 2e9, 1, &removed), 0);
  assert_int_equal(removed, run.run);
  assert_int_equal(rt_tail_look(t, 1, &follower, &n), 0);
  assert_int_equal(n.run, RT_INTERRUPTED);
  rt_tail_close(t);
  rt_reader_close(r);
  s->api->close(s);
}

static void a_row_far_ahead_is_told_as_damage(void **state) {
  place *p = *state;
  rt_store *s = open_store(p->file);
  rt_run_record run = begin_run(s, "0198c0de-0000-7000-8000-00000000000a");
  rt_reader *r = open_reader(p->file);
  rt_tail *t;
  news n = {0};
  add(s, run.run, 4000000000u, 1, 1, RT_DONE);
  assert_int_equal(rt_tail_open(&t, r, run.run), 0);
  assert_int_equal(rt_tail_look(t, 100, &follower, &n), -1);
  assert_non_null(strstr(rt_reader_error(r), p->file));
  rt_tail_close(t);
  rt_reader_close(r);
  s->api->close(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(calls_come_once_and_when_they_have_ended, make_place,
                                      remove_place),
      cmocka_unit_test_setup_teardown(rows_that_come_late_are_seen, make_place, remove_place),
      cmocka_unit_test_setup_teardown(no_more_calls_are_handed_out_than_asked_for, make_place,
                                      remove_place),
      cmocka_unit_test_setup_teardown(a_call_waits_for_the_row_of_its_caller, make_place,
                                      remove_place),
      cmocka_unit_test_setup_teardown(calls_are_read_with_all_that_is_recorded, make_place,
                                      remove_place),
      cmocka_unit_test_setup_teardown(a_queued_call_is_told_of_when_it_begins, make_place,
                                      remove_place),
      cmocka_unit_test_setup_teardown(many_come_some_at_a_time, make_place, remove_place),
      cmocka_unit_test_setup_teardown(progress_comes_once_and_other_events_do_not, make_place,
                                      remove_place),
      cmocka_unit_test_setup_teardown(a_run_that_was_removed_is_over, make_place, remove_place),
      cmocka_unit_test_setup_teardown(a_row_far_ahead_is_told_as_damage, make_place,
                                      remove_place),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
