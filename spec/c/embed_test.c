/* An engine inside a C program, by the public header alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "railtracks.h"

static const rt_options options = {.size = sizeof(rt_options), .journal = "none"};

static int twice(rt_call *c) { return rt_return_int(c, 2 * rt_arg_int(c, 1)); }

static int count_up(rt_call *c) {
  int *count = rt_state(c);
  return rt_return_int(c, ++*count);
}

static int open_count(void **state, const char **error) {
  static int counts[4], next;
  (void)error;
  *state = &counts[next++ % 4];
  return 0;
}

static void close_count(void *state) { *(int *)state = 0; }

static const rt_native nodes[] = {
    {.name = "twice", .kind = RT_INLINE, .run = twice},
    {.name = "twice_elsewhere", .kind = RT_OFFLOAD, .run = twice},
    {.name = "count_up", .kind = RT_INLINE, .run = count_up},
    {.name = NULL},
};

static const rt_plugin own = {
    .api = RT_API, .size = sizeof(rt_plugin), .name = "own", .nodes = nodes,
    .open = open_count, .close = close_count};

static rt_engine *open_engine(void) {
  const char *why = NULL;
  rt_engine *e = rt_open(&options, &why);
  assert_non_null(e);
  return e;
}

static int64_t call_int(rt_engine *e, const char *node, int64_t argument) {
  rt_call *c = rt_prepare(e, node);
  rt_pass(c, rt_new_int(c, argument));
  assert_int_equal(rt_perform(c), 0);
  assert_int_equal(rt_result_count(c), 1);
  int64_t result = rt_value_int(rt_result(c, 1));
  rt_release(c);
  return result;
}

static void calls_nodes(void **state) {
  (void)state;
  rt_engine *e = open_engine();
  assert_int_equal(rt_add(e, &own, NULL), 0);
  assert_int_equal(call_int(e, "twice", 21), 42);
  assert_int_equal(call_int(e, "twice_elsewhere", -3), -6);
  assert_int_equal(call_int(e, "count_up", 0), 1);
  assert_int_equal(call_int(e, "count_up", 0), 2);
  rt_close(e);
}

static void runs_lua(void **state) {
  (void)state;
  rt_engine *e = open_engine();
  rt_call *c = rt_prepare_text(e, "local t, n = ... return t.x[2], n, nil, {a = {1, 2.5}}", "mine");
  rt_value *map = rt_new_map(c), *list = rt_new_list(c);
  rt_list_add(list, rt_new_int(c, 1));
  rt_list_add(list, rt_new_text(c, "a\0b", 3));
  rt_map_set(map, "x", list);
  rt_pass(c, map);
  rt_pass(c, rt_new_number(c, 1.0));
  assert_int_equal(rt_perform(c), 0);
  assert_null(rt_problem_of(c));
  assert_int_equal(rt_result_count(c), 4);
  size_t size;
  const char *text = rt_value_text(rt_result(c, 1), &size);
  assert_int_equal(size, 3);
  assert_memory_equal(text, "a\0b", 4);
  assert_int_equal(rt_value_type(rt_result(c, 2)), RT_FLOAT);
  assert_int_equal(rt_value_type(rt_result(c, 3)), RT_NIL);
  const rt_value *a = rt_value_get(rt_result(c, 4), "a");
  assert_int_equal(rt_value_count(a), 2);
  assert_true(rt_value_number(rt_value_at(a, 1, NULL)) == 2.5);
  assert_null(rt_result(c, 5));
  rt_release(c);
  rt_close(e);
}

static void expect_problem(rt_call *c, const char *kind, const char *message) {
  assert_int_equal(rt_perform(c), -1);
  assert_int_equal(rt_result_count(c), 0);
  const rt_problem *p = rt_problem_of(c);
  assert_non_null(p);
  if (kind) assert_string_equal(p->kind, kind);
  else assert_null(p->kind);
  assert_string_equal(p->message, message);
  assert_non_null(p->traceback);
  rt_release(c);
}

static void tells_failures(void **state) {
  (void)state;
  const char *why = NULL;
  rt_engine *e = open_engine();
  expect_problem(rt_prepare(e, "nothing"), "usage",
                 "usage: rt_prepare: there is no node nothing");
  expect_problem(rt_prepare_text(e, "x =", "bad"), "usage",
                 "usage: bad:1: unexpected symbol near <eof>");
  expect_problem(rt_prepare_file(e, "/nowhere.lua"), "usage",
                 "usage: cannot open /nowhere.lua: No such file or directory");
  expect_problem(rt_prepare_text(e, "error('no', 0)", "mine"), NULL, "no");
  expect_problem(rt_prepare_text(e, "return print", "mine"), "usage",
                 "usage: result 1: a function cannot be given to C");

  rt_call *c = rt_prepare_text(e, "local function f() error 'deep' end f()", "mine");
  assert_int_equal(rt_perform(c), -1);
  assert_non_null(strstr(rt_problem_of(c)->traceback, "mine:1: in "));
  assert_int_equal(rt_perform(c), -1);
  assert_string_equal(rt_problem_of(c)->message, "mine:1: deep");
  rt_release(c);

  assert_int_equal(rt_add(e, &(rt_plugin){.api = 99}, &why), -1);
  assert_string_equal(why, "rt_add: was made for version 99 of railtracks.h, expected 1");
  rt_close(e);
  assert_null(rt_open(&(rt_options){.size = 1}, &why));
  assert_string_equal(why, "rt_open: options.size must be sizeof(rt_options)");
}

static void opens_a_thousand(void **state) {
  (void)state;
  for (int i = 0; i < 1000; i++) {
    rt_engine *e = open_engine();
    if (i % 100 == 0) {
      assert_int_equal(rt_add(e, &own, NULL), 0);
      assert_int_equal(call_int(e, "twice_elsewhere", i), 2 * i);
    }
    rt_close(e);
  }
}

static void *work(void *data) {
  rt_engine *e = data;
  const char *code = "local rt = require 'railtracks' local n = ... local t = {} "
                     "for i = 1, n do t[i] = i end local sum = 0 "
                     "for _, v in ipairs(rt.map(rt.nodes.twice_elsewhere, t)) do sum = sum + v end "
                     "local timer = rt.uv.new_timer() "
                     "return sum + rt.await(function(resume) "
                     "  timer:start(0, 0, function() timer:close() resume(0) end) end)";
  for (int i = 0; i < 20; i++) {
    rt_call *c = rt_prepare_text(e, code, "sum");
    rt_pass(c, rt_new_int(c, 100));
    bool ok = rt_perform(c) == 0 && rt_value_int(rt_result(c, 1)) == 10100;
    rt_release(c);
    if (!ok) return NULL;
  }
  return e;
}

static void works_in_threads(void **state) {
  (void)state;
  rt_engine *engines[2];
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) {
    engines[i] = open_engine();
    assert_int_equal(rt_add(engines[i], &own, NULL), 0);
    assert_int_equal(pthread_create(&threads[i], NULL, work, engines[i]), 0);
  }
  for (int i = 0; i < 2; i++) {
    void *done;
    pthread_join(threads[i], &done);
    assert_ptr_equal(done, engines[i]);
    rt_close(engines[i]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(calls_nodes),     cmocka_unit_test(runs_lua),
      cmocka_unit_test(tells_failures),  cmocka_unit_test(opens_a_thousand),
      cmocka_unit_test(works_in_threads),
  };
  return cmocka_run_group_tests_name("an embedded engine", tests, NULL, NULL);
}
