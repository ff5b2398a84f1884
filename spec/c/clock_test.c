/* clock_test.c -- the virtual clock of the loop, and what is not the loop's to hurry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <lauxlib.h>

#include "task.h"

#define SECOND INT64_C(1000000000)

static const rt_task_class no_tasks = {0};

typedef struct fixture {
  rt_scheduler s;
  lua_State *L;
  rt_timer timer;
  uv_timer_t io;        // stands for a socket, a file, a process
  bool done;
  bool io_over;
  bool io_was_over;     // when the timer fired
} fixture;

static void timer_fired(rt_scheduler *s, rt_timer *timer) {
  fixture *f = (fixture *)((char *)timer - offsetof(fixture, timer));
  (void)s;
  f->io_was_over = f->io_over;
  f->done = true;
}

static void io_ended(uv_timer_t *io) {
  fixture *f = io->data;
  f->io_over = true;
  uv_close((uv_handle_t *)io, NULL);
}

/* Where the machine has something else to do just before the loop is run. */
static unsigned busy_ms;

int __real_uv_run(uv_loop_t *loop, uv_run_mode mode);
int __wrap_uv_run(uv_loop_t *loop, uv_run_mode mode);
int __wrap_uv_run(uv_loop_t *loop, uv_run_mode mode) {
  uv_sleep(busy_ms);
  return __real_uv_run(loop, mode);
}

static void open_clock(fixture *f) {
  const char *why = NULL;
  *f = (fixture){.L = luaL_newstate(), .timer = {.fire = timer_fired}};
  assert_non_null(f->L);
  assert_int_equal(rt_scheduler_open(&f->s, f->L, &no_tasks, &why), 0);
  rt_scheduler_set_virtual(&f->s, true);
}

static void close_clock(fixture *f) {
  rt_scheduler_close(&f->s);
  lua_close(f->L);
}

static void starts_at_zero(void **state) {
  (void)state;
  fixture f;
  open_clock(&f);
  assert_int_equal(rt_scheduler_now(&f.s), 0);
  rt_scheduler_set_virtual(&f.s, false);
  assert_true(rt_scheduler_now(&f.s) > 0);
  close_clock(&f);
}

static void jumps_to_the_next_timer(void **state) {
  (void)state;
  fixture f;
  open_clock(&f);
  assert_true(rt_timer_arm(&f.s, &f.timer, 3600 * SECOND));
  assert_true(rt_scheduler_run(&f.s, f.L, &f.done));
  assert_int_equal(rt_scheduler_now(&f.s), 3600 * SECOND);
  close_clock(&f);
}

static void does_not_jump_while_io_is_under_way(void **state) {
  (void)state;
  fixture f;
  open_clock(&f);
  uv_timer_init(&f.s.loop, &f.io);
  f.io.data = &f;
  uv_timer_start(&f.io, io_ended, 5, 0);
  assert_true(rt_timer_arm(&f.s, &f.timer, 3600 * SECOND));
  assert_true(rt_scheduler_run(&f.s, f.L, &f.done));
  assert_true(f.io_was_over);
  assert_int_equal(rt_scheduler_now(&f.s), 3600 * SECOND);
  close_clock(&f);
}

static void goes_on_with_the_real_one_meanwhile(void **state) {
  (void)state;
  fixture f;
  open_clock(&f);
  uv_timer_init(&f.s.loop, &f.io);
  f.io.data = &f;
  uv_timer_start(&f.io, io_ended, 3600 * 1000, 0);
  assert_true(rt_timer_arm(&f.s, &f.timer, SECOND / 500));
  assert_true(rt_scheduler_run(&f.s, f.L, &f.done));
  assert_false(f.io_was_over);
  assert_int_equal(rt_scheduler_now(&f.s), SECOND / 500);
  uv_close((uv_handle_t *)&f.io, NULL);
  close_clock(&f);
}

static void wakes_in_time_though_the_alarm_rings_before_it_sleeps(void **state) {
  (void)state;
  fixture f;
  open_clock(&f);
  rt_scheduler_set_virtual(&f.s, false);
  uv_timer_init(&f.s.loop, &f.io);
  f.io.data = &f;
  uv_timer_start(&f.io, io_ended, 10 * 1000, 0);
  assert_true(rt_timer_arm(&f.s, &f.timer, rt_scheduler_after(&f.s, 0.001)));
  busy_ms = 5;
  assert_true(rt_scheduler_run(&f.s, f.L, &f.done));
  busy_ms = 0;
  assert_false(f.io_was_over);
  uv_close((uv_handle_t *)&f.io, NULL);
  close_clock(&f);
}

static void never_comes_to_never(void **state) {
  (void)state;
  fixture f;
  open_clock(&f);
  assert_int_equal(rt_scheduler_after(&f.s, 1e300), RT_NEVER);
  f.s.virtual_now = RT_NEVER - SECOND;
  assert_int_equal(rt_scheduler_after(&f.s, 2), RT_NEVER);
  assert_true(rt_timer_arm(&f.s, &f.timer, RT_NEVER));
  rt_timer_disarm(&f.s, &f.timer);
  assert_true(rt_timer_arm(&f.s, &f.timer, RT_NEVER));
  assert_false(rt_scheduler_run(&f.s, f.L, &f.done));
  rt_scheduler_set_virtual(&f.s, false);
  assert_false(rt_scheduler_run(&f.s, f.L, &f.done));
  close_clock(&f);
}

static void knows_seconds_to_the_nanosecond(void **state) {
  (void)state;
  fixture f;
  open_clock(&f);
  for (int i = 0; i <= 1000000; i++)
    assert_int_equal(rt_scheduler_after(&f.s, i / 1000.0), (int64_t)i * 1000000);
  close_clock(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(starts_at_zero),
      cmocka_unit_test(jumps_to_the_next_timer),
      cmocka_unit_test(does_not_jump_while_io_is_under_way),
      cmocka_unit_test(goes_on_with_the_real_one_meanwhile),
      cmocka_unit_test(wakes_in_time_though_the_alarm_rings_before_it_sleeps),
      cmocka_unit_test(never_comes_to_never),
      cmocka_unit_test(knows_seconds_to_the_nanosecond),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
