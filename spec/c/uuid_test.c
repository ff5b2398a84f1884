#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "uuid.h"

static uint64_t milliseconds_of(const uint8_t id[16]) {
  uint64_t ms = 0;
  for (int i = 0; i < 6; i++) ms = ms << 8 | id[i];
  return ms;
}

static uint64_t milliseconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void an_id_begins_with_the_time_it_was_made(void **state) {
  (void)state;
  rt_uuid_clock clock = {0};
  uint8_t id[16];
  uint64_t before = milliseconds_now();
  rt_uuid_make(&clock, id);
  uint64_t after = milliseconds_now();
  assert_in_range(milliseconds_of(id), before, after);
}

static void an_id_says_that_it_is_of_version_7_and_of_the_rfc_s_variant(void **state) {
  (void)state;
  rt_uuid_clock clock = {0};
  uint8_t id[16];
  for (int i = 0; i < 10000; i++) {
    rt_uuid_make(&clock, id);
    assert_int_equal(id[6] >> 4, 7);
    assert_int_equal(id[8] >> 6, 2);
  }
}

static void ids_of_one_clock_ascend(void **state) {
  (void)state;
  rt_uuid_clock clock = {0};
  char last[37] = "", text[37];
  uint8_t id[16];
  for (int i = 0; i < 100000; i++) {
    rt_uuid_make(&clock, id);
    rt_uuid_text(id, text);
    assert_true(strcmp(last, text) < 0);
    memcpy(last, text, sizeof last);
  }
}

static void ids_ascend_when_the_time_is_set_back(void **state) {
  (void)state;
  uint64_t later = milliseconds_now() + 3600 * 1000;
  rt_uuid_clock clock = {.last = later << 12 | 0xFFE};
  uint8_t a[16], b[16];
  rt_uuid_make(&clock, a);
  rt_uuid_make(&clock, b);
  assert_int_equal(milliseconds_of(a), later);
  assert_int_equal(a[6] << 8 | a[7], 0x7FFF);
  assert_int_equal(milliseconds_of(b), later + 1);
  assert_int_equal(b[6] << 8 | b[7], 0x7000);
}

static void two_clocks_make_different_ids(void **state) {
  (void)state;
  rt_uuid_clock one = {.last = UINT64_C(1) << 58}, other = one;
  uint8_t a[16], b[16];
  rt_uuid_make(&one, a);
  rt_uuid_make(&other, b);
  assert_memory_equal(a, b, 8);
  assert_memory_not_equal(a + 8, b + 8, 8);
}

static void all_random_bits_vary(void **state) {
  (void)state;
  rt_uuid_clock clock = {0};
  uint8_t id[16], set[16] = {0}, unset[16] = {0};
  for (int i = 0; i < 1000; i++) {
    rt_uuid_make(&clock, id);
    for (int k = 8; k < 16; k++) {
      set[k] |= id[k];
      unset[k] |= (uint8_t)~id[k];
    }
  }
  for (int k = 8; k < 16; k++) {
    assert_int_equal(set[k], k == 8 ? 0xBF : 0xFF);
    assert_int_equal(unset[k], k == 8 ? 0x7F : 0xFF);
  }
}

static void the_text_is_36_characters_in_five_groups(void **state) {
  (void)state;
  static const uint8_t id[16] = {0x01, 0x7F, 0x22, 0xE2, 0x79, 0xB0, 0x7C, 0xC3,
                                 0x98, 0xC4, 0xDC, 0x0C, 0x0C, 0x07, 0x39, 0x8F};
  char text[37];
  rt_uuid_text(id, text);
  assert_string_equal(text, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");  // the RFC's own
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_id_begins_with_the_time_it_was_made),
      cmocka_unit_test(an_id_says_that_it_is_of_version_7_and_of_the_rfc_s_variant),
      cmocka_unit_test(ids_of_one_clock_ascend),
      cmocka_unit_test(ids_ascend_when_the_time_is_set_back),
      cmocka_unit_test(two_clocks_make_different_ids),
      cmocka_unit_test(all_random_bits_vary),
      cmocka_unit_test(the_text_is_36_characters_in_five_groups),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
