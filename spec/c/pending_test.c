/* pending_test.c -- calls that have begun and not ended, against a list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dice.h"
#include "pending.h"

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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pending_calls_are_found_whatever_the_order),
      cmocka_unit_test(pending_calls_leave_oldest_first),
      cmocka_unit_test(pending_calls_are_none_at_first),
  };
  return cmocka_run_group_tests_name("pending calls", tests, NULL, NULL);
}
