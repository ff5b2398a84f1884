/* Calls of an embedded engine that go on while the program does other things. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "railtracks.h"

static int inside;

static int step_inside(rt_call *c) {
  inside = rt_loop_step(*(rt_engine **)rt_state(c), 0);
  return rt_return_int(c, inside);
}

static int perform_inside(rt_call *c) {
  rt_call *other = rt_prepare_text(*(rt_engine **)rt_state(c), "return 1", "other");
  int status = rt_perform(other);
  rt_return_int(c, status);
  rt_return_text(c, rt_problem_of(other)->message, strlen(rt_problem_of(other)->message));
  rt_release(other);
  return 0;
}

static rt_engine *opening;

static int open_state(void **state, const char **error) {
  (void)error;
  rt_engine **e = malloc(sizeof *e);
  *e = opening;
  *state = e;
  return 0;
}

static const rt_native nodes[] = {
    {.name = "step_inside", .kind = RT_INLINE, .run = step_inside},
    {.name = "perform_inside", .kind = RT_INLINE, .run = perform_inside},
    {.name = NULL},
};

static const rt_plugin own = {
    .api = RT_API, .size = sizeof(rt_plugin), .name = "own", .nodes = nodes, .open = open_state,
    .close = free};

static int open_engine(void **state) {
  rt_options options = {.size = sizeof options, .journal = "none", .grace = 0.2};
  rt_engine *e = opening = rt_open(&options, NULL);
  if (!e || rt_add(e, &own, NULL) < 0) return -1;
  *state = e;
  return 0;
}

static int close_engine(void **state) { return rt_close(*state), 0; }

static void note(rt_call *c, void *data) {
  (void)c;
  strcat(data, "!");
}

static rt_call *text(rt_engine *e, const char *code) {
  rt_call *c = rt_prepare_text(e, code, "code");
  assert_non_null(c);
  return c;
}

/* Steps as the header shows it, until 'left' started calls have not ended. */
static int drive(rt_engine *e, int until) {
  struct pollfd p = {.fd = rt_loop_fd(e), .events = POLLIN};
  int left;
  while ((left = rt_loop_step(e, 0)) > until) poll(&p, 1, rt_loop_timeout(e));
  return left;
}

static void ends_in_steps(void **state) {
  rt_engine *e = *state;
  char said[8] = "";
  rt_call *c = text(e, "local rt = require 'railtracks' rt.sleep(0.01) return 1 + ...");
  rt_pass(c, rt_new_int(c, 41));
  assert_int_equal(rt_start(c, note, said), 0);
  assert_int_equal(rt_loop_timeout(e), 0);
  assert_int_equal(rt_result_count(c), 0);
  assert_null(rt_problem_of(c));
  assert_int_equal(drive(e, 0), 0);
  assert_string_equal(said, "!");
  assert_int_equal(rt_value_int(rt_result(c, 1)), 42);
  assert_int_equal(rt_loop_timeout(e), -1);
  rt_release(c);
}

static void waits_in_one_step(void **state) {
  rt_engine *e = *state;
  rt_call *c = text(e, "local rt = require 'railtracks' rt.sleep(0.005)");
  assert_int_equal(rt_start(c, NULL, NULL), 0);
  while (rt_loop_step(e, -1) > 0) continue;
  assert_null(rt_problem_of(c));
  rt_release(c);
}

static void runs_several_at_once(void **state) {
  rt_engine *e = *state;
  rt_call *calls[50];
  char said[64] = "";
  assert_int_equal(rt_perform(calls[0] = text(e, "local rt = require 'railtracks' "
                                                 "box = rt.channel()")), 0);
  rt_release(calls[0]);
  for (int i = 0; i < 50; i++) {
    calls[i] = text(e, i % 2 ? "return box:receive()" : "box:send(...)");
    rt_pass(calls[i], rt_new_int(calls[i], i / 2));
    assert_int_equal(rt_start(calls[i], note, said), 0);
  }
  assert_int_equal(drive(e, 0), 0);
  assert_int_equal(strlen(said), 50);
  for (int i = 0; i < 50; i++) {
    if (i % 2) assert_int_equal(rt_value_int(rt_result(calls[i], 1)), i / 2);
    rt_release(calls[i]);
  }
}

static void goes_on_while_another_is_performed(void **state) {
  rt_engine *e = *state;
  char said[8] = "";
  rt_call *c = text(e, "local rt = require 'railtracks' rt.sleep(0)");
  rt_call *other = text(e, "local rt = require 'railtracks' rt.sleep(0.01)");
  assert_int_equal(rt_start(c, note, said), 0);
  assert_int_equal(rt_perform(other), 0);
  assert_string_equal(said, "!");
  rt_release(other);
  rt_release(c);
}

static void start_again(rt_call *c, void *data) {
  int *count = data;
  rt_engine *e = opening;
  rt_release(c);
  if (--*count == 0) return;
  rt_call *next = text(e, "return 1");
  assert_int_equal(rt_start(next, start_again, count), 0);
  assert_int_equal(rt_perform(c = text(e, "return 2")), 0);
  rt_release(c);
}

static void starts_and_releases_when_it_is_told(void **state) {
  rt_engine *e = *state;
  int count = 20;
  assert_int_equal(rt_start(text(e, "return 1"), start_again, &count), 0);
  assert_int_equal(drive(e, 0), 0);
  assert_int_equal(count, 0);
}

static void is_cancelled(void **state) {
  rt_engine *e = *state;
  char said[8] = "";
  rt_call *c = text(e, "local rt = require 'railtracks' rt.sleep(3600)");
  assert_int_equal(rt_start(c, note, said), 0);
  assert_int_equal(rt_loop_step(e, 0), 1);
  rt_cancel(c);
  assert_int_equal(drive(e, 0), 0);
  assert_string_equal(said, "!");
  assert_string_equal(rt_problem_of(c)->kind, "cancelled");
  rt_cancel(c);
  rt_release(c);
}

static void is_released_before_its_end(void **state) {
  rt_engine *e = *state;
  char said[8] = "";
  rt_call *c = text(e, "local rt = require 'railtracks' rt.sleep(3600)");
  assert_int_equal(rt_start(c, note, said), 0);
  rt_loop_step(e, 0);
  rt_release(c);
  assert_int_equal(drive(e, 0), 0);
  assert_string_equal(said, "");
}

static void is_ended_by_closing(void **state) {
  rt_engine *e = *state;
  rt_call *c = text(e, "local rt = require 'railtracks' "
                       "local _ <close> = setmetatable({}, {__close = function() "
                       "rt.sleep(0.01) end}) rt.sleep(3600)");
  assert_int_equal(rt_start(c, NULL, NULL), 0);
  rt_loop_step(e, 0);
  rt_release(c);
}

static void tells_a_standstill(void **state) {
  rt_engine *e = *state;
  rt_call *c = text(e, "local rt = require 'railtracks' box = rt.channel() return box:receive()");
  assert_int_equal(rt_start(c, NULL, NULL), 0);
  int left;
  while ((left = rt_loop_step(e, -1)) > 0) continue;
  assert_int_equal(left, RT_STANDSTILL);
  assert_int_equal(rt_loop_timeout(e), -1);
  rt_call *other = text(e, "box:send('at last')");
  assert_int_equal(rt_perform(other), 0);
  assert_int_equal(drive(e, 0), 0);
  assert_string_equal(rt_value_text(rt_result(c, 1), NULL), "at last");
  rt_release(other);
  rt_release(c);
}

static void *interrupt(void *e) { return rt_interrupt(e), NULL; }

static void is_interrupted_from_another_thread(void **state) {
  rt_engine *e = *state;
  pthread_t thread;
  rt_call *c = text(e, "local rt = require 'railtracks' rt.sleep(3600)");
  assert_int_equal(rt_start(c, NULL, NULL), 0);
  assert_int_equal(rt_loop_step(e, 0), 1);
  pthread_create(&thread, NULL, interrupt, e);
  assert_int_equal(drive(e, 0), 0);
  pthread_join(thread, NULL);
  assert_string_equal(rt_problem_of(c)->kind, "cancelled");
  assert_non_null(strstr(rt_problem_of(c)->message, "SIGINT"));
  rt_release(c);
  c = text(e, "return 1");
  assert_int_equal(rt_perform(c), 0);
  rt_release(c);
}

static void refuses_what_cannot_be(void **state) {
  rt_engine *e = *state;
  rt_call *c = rt_prepare(e, "step_inside");
  assert_int_equal(rt_perform(c), 0);
  assert_int_equal(rt_value_int(rt_result(c, 1)), RT_INSIDE);
  rt_release(c);
  c = rt_prepare(e, "perform_inside");
  assert_int_equal(rt_perform(c), 0);
  assert_int_equal(rt_value_int(rt_result(c, 1)), -1);
  assert_string_equal(rt_value_text(rt_result(c, 2), NULL),
                      "rt_perform inside a run: use rt_ask, or Lua's rt.run");
  rt_release(c);
  c = text(e, "x =");
  assert_int_equal(rt_start(c, NULL, NULL), -1);
  assert_string_equal(rt_problem_of(c)->kind, "usage");
  rt_release(c);
  c = text(e, "return 7");
  assert_int_equal(rt_start(c, NULL, NULL), 0);
  assert_int_equal(rt_start(c, NULL, NULL), -1);
  assert_int_equal(rt_perform(c), -1);
  assert_int_equal(drive(e, 0), 0);
  assert_int_equal(rt_value_int(rt_result(c, 1)), 7);
  rt_release(c);
  rt_release(NULL);
}

static void crosses_as_json(void **state) {
  rt_engine *e = *state;
  static const char json[] = "{\"a\": [1, 2.5, \"x\\u0000y\"], \"b\": null}";
  rt_call *c = text(e, "local v, w = ... return v, w.a[2], nil, true");
  assert_int_equal(rt_pass_json(c, "[1, 2]", 6), 0);
  assert_int_equal(rt_pass_json(c, json, sizeof json - 1), 0);
  assert_int_equal(rt_perform(c), 0);
  size_t size;
  assert_string_equal(rt_result_json(c, 1, &size), "[1,2]");
  assert_int_equal(size, 5);
  assert_string_equal(rt_result_json(c, 2, NULL), "2.5");
  assert_string_equal(rt_result_json(c, 3, NULL), "null");
  assert_string_equal(rt_result_json(c, 4, NULL), "true");
  assert_null(rt_result_json(c, 5, NULL));
  rt_release(c);
  c = text(e, "return ...");
  assert_int_equal(rt_pass_json(c, "{oops", 5), -1);
  assert_string_equal(rt_problem_of(c)->kind, "json");
  assert_int_equal(rt_perform(c), -1);
  assert_string_equal(rt_problem_of(c)->kind, "json");
  rt_release(c);
}

static void write_file(const char *path, const char *content) {
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(content, file);
  fclose(file);
}

static void finds_what_stands_beside_a_script(void **state) {
  rt_engine *e = *state;
  char folder[] = "/tmp/rt-embed-XXXXXX", script[64], beside[64];
  assert_non_null(mkdtemp(folder));
  snprintf(script, sizeof script, "%s/main.lua", folder);
  snprintf(beside, sizeof beside, "%s/beside_it.lua", folder);
  write_file(script, "#!/usr/bin/env railtracks\nreturn require 'beside_it', arg[0], arg[1], ...");
  write_file(beside, "return 'found'");
  for (int i = 0; i < 2; i++) {
    rt_call *c = rt_prepare_file(e, script);
    rt_pass(c, rt_new_text(c, "first", 5));
    assert_int_equal(rt_perform(c), 0);
    assert_string_equal(rt_value_text(rt_result(c, 1), NULL), "found");
    assert_string_equal(rt_value_text(rt_result(c, 2), NULL), script);
    assert_string_equal(rt_value_text(rt_result(c, 3), NULL), "first");
    assert_string_equal(rt_value_text(rt_result(c, 4), NULL), "first");
    rt_release(c);
  }
  rt_call *c = text(e, "return select(2, package.path:gsub('rt%-embed', ''))");
  assert_int_equal(rt_perform(c), 0);
  assert_int_equal(rt_value_int(rt_result(c, 1)), 2);
  rt_release(c);
  unlink(script);
  unlink(beside);
  rmdir(folder);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_engine, close_engine)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(ends_in_steps),
      TEST(waits_in_one_step),
      TEST(runs_several_at_once),
      TEST(goes_on_while_another_is_performed),
      TEST(starts_and_releases_when_it_is_told),
      TEST(is_cancelled),
      TEST(is_released_before_its_end),
      TEST(is_ended_by_closing),
      TEST(tells_a_standstill),
      TEST(is_interrupted_from_another_thread),
      TEST(refuses_what_cannot_be),
      TEST(crosses_as_json),
      TEST(finds_what_stands_beside_a_script),
  };
  return cmocka_run_group_tests_name("a call that was started", tests, NULL, NULL);
}
