#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "events.h"

/* Appends what the events of the piece say, each as "type/id/data;". */
static rt_events_step feed(rt_events *e, const char *piece, size_t size, rt_buf *out) {
  rt_events_step step = RT_EVENTS_MORE;
  while (size) {
    size_t used;
    step = rt_events_read(e, piece, size, &used);
    assert_true(used <= size);
    piece += used;
    size -= used;
    if (step > RT_EVENTS_ONE) break;
    if (step != RT_EVENTS_ONE) continue;
    rt_buf_add(out, e->type.data, e->type.size);
    rt_buf_char(out, '/');
    rt_buf_add(out, e->id.data, e->id.size);
    rt_buf_char(out, '/');
    rt_buf_add(out, e->data.data, e->data.size);
    rt_buf_char(out, ';');
  }
  return step;
}

/* A stream that comes in pieces, ended by NULL, has exactly these events. */
static void expect_pieces(const char *events, const char *const *pieces) {
  rt_events e = {.retry = -1};
  rt_buf out = {0};
  for (; *pieces; pieces++) feed(&e, *pieces, strlen(*pieces), &out);
  rt_buf_char(&out, '\0');
  assert_string_equal(out.data, events);
  rt_buf_free(&out);
  rt_events_free(&e);
}
#define expect(events, ...) expect_pieces(events, (const char *const[]){__VA_ARGS__, NULL})

static void a_stream_may_end_its_lines_with_lf_cr_and_cr_lf(void **state) {
  (void)state;
  expect("//a;//b\nc;//d;", "data: a\n\ndata: b\rdata: c\r\rdata: d\r\n\r\n");
  expect("//a;//b;", "data: a\r", "\n\r", "\ndata: b\r\n\r");
}

static void a_value_loses_one_blank_behind_the_colon(void **state) {
  (void)state;
  expect("//a;//a;// a;//;", "data:a\n\ndata: a\n\ndata:  a\n\ndata\n\n");
}

static void comments_unknown_fields_and_events_without_data_are_left_out(void **state) {
  (void)state;
  expect("//x;", ": hello\n\nother: y\n\nevent: none\n\n:\ndata: x\n\n");
}

static void an_event_that_has_not_ended_is_none(void **state) {
  (void)state;
  expect("//a;", "data: a\n\n", "data: b\n");
}

static void a_type_is_of_one_event_and_an_id_of_all_that_follow(void **state) {
  (void)state;
  expect("one/1/;/1/;//;", "event: one\nid: 1\ndata\n\ndata\n\nid\ndata\n\n");
}

static void an_id_with_a_zero_byte_is_ignored(void **state) {
  (void)state;
  rt_events e = {.retry = -1};
  rt_buf out = {0};
  static const char stream[] = "id: 1\ndata\n\nid: x\0\ndata\n\n";
  feed(&e, stream, sizeof stream - 1, &out);
  rt_buf_char(&out, '\0');
  assert_string_equal(out.data, "/1/;/1/;");
  rt_buf_free(&out);
  rt_events_free(&e);
}

static void retry_is_digits_or_ignored(void **state) {
  (void)state;
  rt_events e = {.retry = -1};
  rt_buf out = {0};
  static const char stream[] = "retry: soon\nretry: -1\nretry\n";
  feed(&e, stream, sizeof stream - 1, &out);
  assert_int_equal(e.retry, -1);
  static const char more[] = "retry: 250\nretry: 2 s\nretry: 9999999999999999999999\n";
  feed(&e, more, sizeof more - 1, &out);
  assert_int_equal(e.retry, 250);
  rt_buf_free(&out);
  rt_events_free(&e);
}

static void a_byte_order_mark_is_skipped_at_the_beginning_only(void **state) {
  (void)state;
  expect("//a;", "\xEF", "\xBB", "\xBF" "data: a\n\n");
  expect("", "\n\xEF\xBB\xBF" "data: a\n\n");
  expect("//b;", "da", "ta: b\n\n");
}

static void an_event_may_not_grow_beyond_its_limit(void **state) {
  (void)state;
  static const char *const lines[] = {"data: xxxx\n", "xxxxxxxxxxx"};
  for (size_t i = 0; i < 2; i++) {
    rt_events e = {.retry = -1, .most = 100};
    rt_buf out = {0};
    rt_events_step step = RT_EVENTS_MORE;
    for (int n = 0; n < 100 && step == RT_EVENTS_MORE; n++)
      step = feed(&e, lines[i], strlen(lines[i]), &out);
    assert_int_equal(step, RT_EVENTS_TOO_LARGE);
    assert_true(e.data.size + e.line.size <= 100);
    assert_int_equal(out.size, 0);
    rt_buf_free(&out);
    rt_events_free(&e);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_stream_may_end_its_lines_with_lf_cr_and_cr_lf),
      cmocka_unit_test(a_value_loses_one_blank_behind_the_colon),
      cmocka_unit_test(comments_unknown_fields_and_events_without_data_are_left_out),
      cmocka_unit_test(an_event_that_has_not_ended_is_none),
      cmocka_unit_test(a_type_is_of_one_event_and_an_id_of_all_that_follow),
      cmocka_unit_test(an_id_with_a_zero_byte_is_ignored),
      cmocka_unit_test(retry_is_digits_or_ignored),
      cmocka_unit_test(a_byte_order_mark_is_skipped_at_the_beginning_only),
      cmocka_unit_test(an_event_may_not_grow_beyond_its_limit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
