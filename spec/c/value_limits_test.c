#include "value_fixture.h"

/* The limit */

static void a_value_of_just_the_limit_is_whole(void **state) {
  lua_State *L = *state;
  expect_within(L, 7, "return 'hello'", "\"hello\"");
  expect_within(L, 6, "return 'hello'", "{\"$cut\":5,\"head\":\"\"}");
  expect_within(L, 7, "return {1,2,3}", "[1,2,3]");
  expect_within(L, 6, "return {1,2,3}", "{\"$cut\":7,\"head\":\"\"}");
  expect_within(L, 18, "return '\\xff\\xff'", "{\"$bytes\":\"//8=\"}");
  expect_within(L, 16, "return '\\xff\\xff'", "{\"$cut\":2,\"head\":\"\"}");
  expect_within(L, 0, "return ''", "{\"$cut\":0,\"head\":\"\"}");
  expect_within(L, 0, "return {}", "{\"$cut\":2,\"head\":\"\"}");
  expect_within(L, 0, "return 12345.5", "12345.5");
  expect_within(L, SIZE_MAX, "return 'x'", "\"x\"");
  expect_within(L, SIZE_MAX, "return {{x='y'}, [3]=1}",
                "{\"$map\":[[1,{\"x\":\"y\"}],[3,1]]}");
}

static void the_limit_holds_for_what_is_stored(void **state) {
  lua_State *L = *state;
  static const char *const codes[] = {
      "return ('x'):rep(1000)", "return ('\\n\"'):rep(1000)", "return ('\\1'):rep(1000)",
      "return ('\\u{1F682}'):rep(1000)", "return ('\\xff'):rep(1000)",
      "return ('x'):rep(30) .. ('\\xff'):rep(1000)",
      "return {('x'):rep(1000)}", "return {('\\xff'):rep(1000)}",
      "local t = {} for i = 1, 1000 do t[i] = {a='\\1', ['\\u{E9}']=i} end return t",
  };
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    for (size_t limit = 0; limit < 300; limit++) {
      rt_buf out = json_of(L, codes[i], limit);
      assert_memory_equal(out.data, "{\"$cut\":", 8);
      size_t least = limit > 50 ? limit - 12 : 20, most = limit < 24 ? 24 : limit;
      assert_in_range(out.size - 1, least, most);
      assert_int_equal(memcmp(out.data + out.size - 3, "\"}", 2) &&
                       memcmp(out.data + out.size - 3, "}}", 2), 0);
      assert_true(is_utf8((uint8_t *)out.data, out.size));
      rt_buf_free(&out);
    }
  }
}

static void a_cut_string_tells_its_length_and_begins_as_it_did(void **state) {
  lua_State *L = *state;
  expect_within(L, 30, "return ('abc'):rep(20)", "{\"$cut\":60,\"head\":\"abcabcabc\"}");
  expect_within(L, 30, "return 'aa\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC' .. ('x'):rep(49)",
                "{\"$cut\":60,\"head\":\"aa\xE2\x82\xAC\xE2\x82\xAC\"}");
  expect_within(L, 40, "return ('\\xff'):rep(60)",
                "{\"$cut\":60,\"head\":{\"$bytes\":\"////////\"}}");
  expect_within(L, 30, "return ('\\n'):rep(20)",
                "{\"$cut\":20,\"head\":\"\\n\\n\\n\\n\"}");
}

static void a_cut_table_begins_with_its_json(void **state) {
  lua_State *L = *state;
  expect_within(L, 40, "local t = {} for i = 1, 40 do t[i] = i end return t",
                "{\"$cut\":42,\"head\":\"[1,2,3,4,5,6,7,8,9,\"}");
  expect_within(L, 40, "return {a='xyz', b=('x'):rep(50)}",
                "{\"$cut\":39,\"head\":\"{\\\"a\\\":\\\"xyz\\\",\\\"b\"}");
}

/* Of this process, so that a busy machine fails no test. */
static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void large_values_are_read_only_as_far_as_needed(void **state) {
  lua_State *L = *state;
  static const char *const codes[] = {
      "local t = {} for i = 1, 10000000 do t[i] = i end return t",
      "local t = {} for i = 1, 1000000 do t['k' .. i] = i end return t",
      "local t = {} for i = 1, 1000000 do t[i * 2] = i end return t",
      "return ('x'):rep(100000000)",
      "return ('\\xff'):rep(100000000)",
      "return {('x'):rep(100000000), [('y'):rep(100000000)]=1}",
      "return {x=('x'):rep(100000000), [('y'):rep(100000000)]=1}",
  };
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    rt_buf out = {0};
    lua_settop(L, 0);
    push(L, codes[i]);
    double start = seconds();
    rt_value_write(L, -1, &out, LIMIT);
    assert_true(seconds() - start < 0.2);  // a few milliseconds, with sanitizers more
    assert_in_range(out.size, LIMIT - 100, LIMIT);
    assert_true(out.capacity <= 4 * LIMIT);
    rt_buf_free(&out);
    lua_settop(L, 0);
    lua_gc(L, LUA_GCCOLLECT);
  }
}

static void tables_that_only_look_like_lists_are_not_written_over_and_over(void **state) {
  lua_State *L = *state;
  double start = seconds();
  rt_buf out = json_of(L, "local t = {} for i = 1, 250 do t = {t, 2, x=1} end return t",
                       LIMIT);
  rt_buf_free(&out);
  out = json_of(L, "local t = {} for i = 1, 250 do t = {t, nil, 3} end return t", LIMIT);
  rt_buf_free(&out);
  out = json_of(L, "local t = {} for i = 1, 250 do t = {t, t} end return t", LIMIT);
  rt_buf_free(&out);
  assert_true(seconds() - start < 1);
}

static void a_map_of_more_than_10000_keys_is_cut(void **state) {
  lua_State *L = *state;
  rt_buf out = json_of(L, "local t = {} for i = 1, 10000 do t['k' .. i] = i end return t",
                       1 << 20);
  assert_memory_equal(out.data, "{\"k1\":1,\"k10\":10,", 17);
  rt_buf_free(&out);

  out = json_of(L, "local t = {} for i = 1, 10001 do t['k' .. i] = i end "
                   "return {t, 'after'}", 1 << 20);
  assert_memory_equal(out.data, "{\"$cut\":", 8);
  assert_non_null(strstr(out.data, ",\"head\":\"[{\\\"k"));
  assert_string_equal(out.data + out.size - 14, ",\\\"after\\\"]\"}");
  rt_buf_free(&out);

  out = json_of(L, "local t = {} for i = 1, 10001 do t[i + 0.5] = i end return t",
                1 << 20);
  assert_non_null(strstr(out.data, ",\"head\":\"{\\\"$map\\\":[["));
  rt_buf_free(&out);
}

static void the_limit_of_a_list_holds_for_each_value(void **state) {
  lua_State *L = *state;
  rt_buf out = {0};
  lua_settop(L, 0);
  rt_value_write_list(L, 1, 0, &out, LIMIT);
  push(L, "return 'hello', nil, ('x'):rep(99), {1}");
  rt_value_write_list(L, 1, lua_gettop(L), &out, 30);
  rt_buf_char(&out, '\0');
  assert_string_equal(out.data,
                      "[][\"hello\",null,{\"$cut\":99,\"head\":\"xxxxxxxxx\"},[1]]");
  assert_int_equal(lua_gettop(L), 4);
  rt_buf_free(&out);
}

/* Memory that runs out */

typedef struct allowance {
  long left;      // allocations that still succeed; below 0: no end
  bool once;      // only one fails
  long failures;  // that happened
} allowance;

static void *allocate(void *data, void *block, size_t old, size_t size) {
  allowance *a = data;
  if (size == 0) {
    free(block);
    return NULL;
  }
  if ((!block || size > old) && a->left >= 0) {
    if (a->left == 0) {
      a->failures++;
      if (a->once) a->left = -1;
      return NULL;
    }
    a->left--;
  }
  return realloc(block, size);
}

static void lua_out_of_memory_is_survived_at_every_allocation(void **state) {
  (void)state;
  static const char *const codes[] = {
      "local t = {} for i = 1, 300 do t = {t, x=i} end return t",
      "local t = {} for i = 1, 300 do t = {t} end return t",
      "local t = {} for i = 1, 500 do t['k' .. i] = {i, {a=1}} end return t",
      "local t = {} for i = 60, 1, -1 do t[i] = setmetatable({}, {}) end return t",
  };
  allowance a = {.left = -1};
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    for (int once = 0; once < 2; once++) {
      bool failed = true;
      for (long n = 0; failed; n++) {
        lua_State *L = lua_newstate(allocate, &a);
        add_names(L);
        push(L, codes[i]);
        lua_State *co = lua_newthread(L);  // with a stack that is still small
        rt_buf out = {0};
        lua_pushvalue(L, 1);
        lua_xmove(L, co, 1);

        a = (allowance){.left = n, .once = once};
        rt_value_write(co, -1, &out, LIMIT);  // nothing would catch an error
        failed = a.failures > 0;
        a = (allowance){.left = -1};
        assert_false(out.failed);
        assert_true(out.size > 2);
        rt_buf_free(&out);
        lua_close(L);
      }
    }
  }
}

static void marking_an_array_raises_when_lua_is_out_of_memory(void **state) {
  (void)state;
  allowance a = {.left = -1};
  bool failed = true;
  long n = 0;
  for (; failed; n++) {
    lua_State *L = lua_newstate(allocate, &a);
    add_names(L);
    lua_getglobal(L, "array");
    lua_newtable(L);
    a = (allowance){.left = n};
    int status = lua_pcall(L, 1, 1, 0);
    failed = a.failures > 0;
    a = (allowance){.left = -1};
    assert_int_equal(status, failed ? LUA_ERRMEM : LUA_OK);
    lua_close(L);
  }
  assert_true(n > 1);
}

static void a_buffer_that_cannot_grow_ends_the_reading(void **state) {
  lua_State *L = *state;
  static const char *const codes[] = {
      "return ('x'):rep(1000)", "return ('\\xff'):rep(1000)", "return ('\\n'):rep(1000)",
      "local t = {} for i = 1, 1000 do t[i] = {'\\n', i + 0.5, '\\xff'} end return t",
      "local t = {} for i = 1, 1000 do t['$k' .. i] = {[i]=1} end return t",
  };
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    push(L, codes[i]);
    for (size_t room = 1; room < 300; room++) {
      rt_buf out = {.data = malloc(room), .capacity = room, .failed = true};
      rt_value_write(L, -1, &out, LIMIT);
      assert_true(out.failed);
      assert_true(out.size <= room);
      rt_buf_free(&out);
    }
  }
}

static void a_lua_stack_that_is_full_makes_a_table_too_deep(void **state) {
  lua_State *L = *state;
  rt_buf out = {0};
  lua_settop(L, 0);
  push(L, "return {1}");
  int step = 4096;
  while (step) {
    if (!lua_checkstack(L, step)) step /= 2;
    else for (int i = 0; i < step; i++) lua_pushnil(L);
  }
  rt_value_write(L, 1, &out, LIMIT);
  rt_buf_char(&out, '\0');
  assert_string_equal(out.data, "{\"$lua\":\"depth\"}");
  rt_buf_free(&out);
  lua_settop(L, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_value_of_just_the_limit_is_whole),
      TEST(the_limit_holds_for_what_is_stored),
      TEST(a_cut_string_tells_its_length_and_begins_as_it_did),
      TEST(a_cut_table_begins_with_its_json),
      TEST(large_values_are_read_only_as_far_as_needed),
      TEST(tables_that_only_look_like_lists_are_not_written_over_and_over),
      TEST(a_map_of_more_than_10000_keys_is_cut),
      TEST(the_limit_of_a_list_holds_for_each_value),
      TEST(lua_out_of_memory_is_survived_at_every_allocation),
      TEST(marking_an_array_raises_when_lua_is_out_of_memory),
      TEST(a_buffer_that_cannot_grow_ends_the_reading),
      TEST(a_lua_stack_that_is_full_makes_a_table_too_deep),
  };
  return cmocka_run_group_tests_name("the limits of values as JSON", tests, NULL, NULL);
}
