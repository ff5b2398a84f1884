#include "value_fixture.h"

/* Scalars */

static void nil_booleans_and_integers_are_themselves(void **state) {
  lua_State *L = *state;
  expect(L, "return nil", "null");
  expect(L, "return true", "true");
  expect(L, "return false", "false");
  expect(L, "return 0", "0");
  expect(L, "return 9", "9");
  expect(L, "return 10", "10");
  expect(L, "return -1", "-1");
  expect(L, "return math.maxinteger", "9223372036854775807");
  expect(L, "return math.mininteger", "-9223372036854775808");
}

static void floats_never_look_like_integers(void **state) {
  lua_State *L = *state;
  expect(L, "return 1.0", "1.0");
  expect(L, "return 0.0", "0.0");
  expect(L, "return -0.0", "-0.0");
  expect(L, "return -17.0", "-17.0");
  expect(L, "return 0.1", "0.1");
  expect(L, "return -0.25", "-0.25");
  expect(L, "return 1e300", "1e+300");
  expect(L, "return 1e15", "1e+15");
  expect(L, "return 999999999999999.0", "999999999999999.0");
  expect(L, "return 2.0^53", "9007199254740992.0");
  expect(L, "return 2.0^63", "9.223372036854776e+18");
  expect(L, "return 1e-5", "1e-05");
  expect(L, "return 0.1 + 0.2", "0.30000000000000004");
  expect(L, "return 1/3", "0.3333333333333333");
  expect(L, "return 1700000000.123456", "1700000000.123456");
  expect(L, "return 5e-324", "4.94065645841247e-324");
}

static uint64_t next_random(uint64_t *seed) {
  *seed ^= *seed << 13;
  *seed ^= *seed >> 7;
  *seed ^= *seed << 17;
  return *seed;
}

static void floats_are_the_shortest_that_read_back(void **state) {
  (void)state;
  uint64_t seed = 88172645463325252u;
  rt_buf out = {0};
  for (int i = 0; i < 200000; i++) {
    uint64_t bits = next_random(&seed);
    double x;
    switch (i % 4) {
      case 0: memcpy(&x, &bits, sizeof x); break;
      case 1: x = (double)(bits % 1000000000000u) / pow(10, (double)(bits >> 60)); break;
      case 2: x = nextafter((double)(bits % 100000) / 100, (double)(bits >> 62)); break;
      default: x = (double)(bits >> 11) * 0x1p-53;
    }
    if (!isfinite(x)) continue;

    char text[64];
    for (int digits = 15; digits <= 17; digits++) {
      snprintf(text, sizeof text, "%.*g", digits, x);
      if (strtod(text, NULL) == x) break;
    }
    if (!strpbrk(text, ".e")) memcpy(text + strlen(text), ".0", 3);
    out.size = 0;
    rt_json_float(&out, x);
    rt_buf_char(&out, '\0');
    assert_string_equal(out.data, text);
  }
  rt_buf_free(&out);
}

static void floats_have_a_point_in_countries_with_a_comma(void **state) {
  static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8",
                                      "nl_NL.UTF-8", "es_ES.UTF-8", "pt_BR.UTF-8"};
  size_t i = 0, count = sizeof names / sizeof *names;
  while (i < count && !setlocale(LC_NUMERIC, names[i])) i++;
  if (i == count) skip();

  char comma[8];
  snprintf(comma, sizeof comma, "%.1f", 0.5);
  expect(*state, "return {1/3, 0.1, 2.0, 1e300, 1.5e-7}",
         "[0.3333333333333333,0.1,2.0,1e+300,1.5e-07]");
  setlocale(LC_NUMERIC, "C");
  assert_string_equal(comma, "0,5");
}

static void what_json_lacks_is_named(void **state) {
  lua_State *L = *state;
  expect(L, "return 0/0", "{\"$lua\":\"nan\"}");
  expect(L, "return 1/0", "{\"$lua\":\"inf\"}");
  expect(L, "return -1/0", "{\"$lua\":\"-inf\"}");
  expect(L, "return print", "{\"$lua\":\"function\"}");
  expect(L, "return function() end", "{\"$lua\":\"function\"}");
  expect(L, "return io.stdout", "{\"$lua\":\"userdata\"}");
  expect(L, "return light", "{\"$lua\":\"userdata\"}");
  expect(L, "return coroutine.create(print)", "{\"$lua\":\"thread\"}");
  expect_within(L, 0, "return print", "{\"$lua\":\"function\"}");
}

/* Strings */

static void strings_are_escaped_where_they_must_be(void **state) {
  lua_State *L = *state;
  expect(L, "return ''", "\"\"");
  expect(L, "return 'hello'", "\"hello\"");
  expect(L, "return 'a\"b\\\\c/d'", "\"a\\\"b\\\\c/d\"");
  expect(L, "return '\\0\\1\\8\\9\\10\\11\\12\\13\\27\\31\\127'",
         "\"\\u0000\\u0001\\b\\t\\n\\u000b\\f\\r\\u001b\\u001f\x7f\"");
  expect(L, "return ('1234567'):rep(3) .. '\\n'", "\"123456712345671234567\\n\"");
  expect(L, "return 'Gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xE2\x80\xA8 \xF0\x9F\x9A\x82'",
         "\"Gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xE2\x80\xA8 \xF0\x9F\x9A\x82\"");
}

static void escapes_are_found_at_every_place_of_a_string(void **state) {
  lua_State *L = *state;
  for (int size = 1; size <= 20; size++) {
    for (int at = 0; at < size; at++) {
      for (const char *odd = "\"\\\n\x1f\x7f\xff"; *odd; odd++) {
        char text[32], want[64];
        memset(text, 'x', sizeof text);
        text[at] = *odd;
        lua_pushlstring(L, text, (size_t)size);

        const char *as = *odd == '"' ? "\\\"" : *odd == '\\' ? "\\\\"
                       : *odd == '\n' ? "\\n" : *odd == '\x1f' ? "\\u001f" : "\x7f";
        snprintf(want, sizeof want, "\"%.*s%s%.*s\"", at, text, as, size - at - 1,
                 text + at + 1);
        rt_buf out = {0};
        rt_value_write(L, -1, &out, LIMIT);
        if (*odd == '\xff') assert_memory_equal(out.data, "{\"$bytes\":\"", 11);
        else assert_int_equal(out.size, strlen(want));
        if (*odd != '\xff') assert_memory_equal(out.data, want, out.size);
        rt_buf_free(&out);
        lua_pop(L, 1);
      }
    }
  }
}

static void bytes_that_are_not_utf8_become_base64(void **state) {
  lua_State *L = *state;
  expect(L, "return '\\xff'", "{\"$bytes\":\"/w==\"}");
  expect(L, "return '\\xff\\xfe'", "{\"$bytes\":\"//4=\"}");
  expect(L, "return '\\xff\\xfe\\xfd'", "{\"$bytes\":\"//79\"}");
  expect(L, "return 'abc\\xff'", "{\"$bytes\":\"YWJj/w==\"}");
  // with escapes it were longer than the limit
  expect_within(L, 60, "return ('\\0'):rep(30) .. '\\xff'",
                "{\"$bytes\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/w==\"}");
  expect(L, "return {'\\xff', 'a'}", "[{\"$bytes\":\"/w==\"},\"a\"]");
}

static void only_true_utf8_is_taken_for_text(void **state) {
  (void)state;
  static const uint8_t edges[] = {0x00, 0x22, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0,
                                  0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC,
                                  0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF4, 0xF5, 0xFF};
  enum { N = sizeof edges };
  rt_buf out = {0};
  for (int i = 0; i < N * N * N * N; i++) {
    uint8_t s[4] = {edges[i % N], edges[i / N % N], edges[i / N / N % N],
                    edges[i / N / N / N]};
    for (size_t size = 1; size <= 4; size++) {
      out.size = 0;
      rt_value_write_text(&out, (char *)s, size);
      bool utf8 = is_utf8(s, size);
      assert_int_equal(out.data[0], utf8 ? '"' : '{');
      assert_int_equal(rt_json_is_utf8((char *)s, size), utf8);
    }
  }
  rt_buf_free(&out);
}

/* Tables */

static void keys_from_1_to_n_are_a_list(void **state) {
  lua_State *L = *state;
  expect(L, "return {1, 2.5, 'x', true, {}}", "[1,2.5,\"x\",true,{}]");
  expect(L, "return {{1}, {2, {3}}}", "[[1],[2,[3]]]");
  expect(L, "return {1, nil, 3}", "{\"$map\":[[1,1],[3,3]]}");
  expect(L, "return {nil, 2}", "{\"$map\":[[2,2]]}");
  expect(L, "return {[0]=0, 1}", "{\"$map\":[[0,0],[1,1]]}");
  expect(L, "return {[-1]=0, 1}", "{\"$map\":[[-1,0],[1,1]]}");
  expect(L, "return {1, x=2}", "{\"$map\":[[1,1],[\"x\",2]]}");
  expect(L, "return {{1}, {2}, x=2}", "{\"$map\":[[1,[1]],[2,[2]],[\"x\",2]]}");
  expect(L, "return {1, ['2']=2}", "{\"$map\":[[1,1],[\"2\",2]]}");
}

static void a_list_kept_in_the_hash_part_comes_in_order(void **state) {
  lua_State *L = *state;
  expect(L, "local t = {} for i = 9, 1, -1 do t[i] = i end return t",
         "[1,2,3,4,5,6,7,8,9]");
  expect(L, "return {1, 2, 3, [4]={4}, [6]=6, [5]='5'}", "[1,2,3,[4],\"5\",6]");
  expect(L, "return {{1}, {2}, [4]={4}, [3]={3}}", "[[1],[2],[3],[4]]");
  expect(L, "return {[2]=2, [1]=1}", "[1,2]");
  expect(L, "local t = {} for i = 1, 64 do t[i] = i end "
            "for i = 64, 8, -1 do t[i] = nil end t.x = 1 t.x = nil return t",
         "[1,2,3,4,5,6,7]");
  rt_buf out = json_of(L, "local t = {} for i = 100000, 1, -1 do t[i] = {i} end return t",
                       1000);
  assert_non_null(strstr(out.data, "\"head\":\"[[1],[2],[3],"));
  rt_buf_free(&out);
  // Long elements leave little room; that there were many is no proof for the rest.
  rt_buf hole = json_of(L, "local t = {} for i = 400, 1, -1 do t[i] = ('x'):rep(60) end "
                           "for i = 500, 900 do t[i] = {i} end return t", 25600);
  assert_non_null(strstr(hole.data, "\"head\":\"{\\\"$map\\\":[["));
  rt_buf_free(&hole);
}

static void an_empty_table_is_an_object_unless_it_was_marked(void **state) {
  lua_State *L = *state;
  expect(L, "return {}", "{}");
  expect(L, "return array{}", "[]");
  expect(L, "return {array{}, {}}", "[[],{}]");
  expect(L, "return array{1, 2}", "[1,2]");
  expect(L, "return array(array{})", "[]");
  expect(L, "return array{a=1}", "{\"a\":1}");
  expect(L, "return array{1, nil, 3}", "{\"$map\":[[1,1],[3,3]]}");
  expect(L, "return setmetatable({}, {})", "{}");
  expect(L, "local t = array{} t.x = 1 t.x = nil return t", "[]");
  push(L, "return getmetatable(array{}) == getmetatable(array{1})");
  assert_true(lua_toboolean(L, -1));
}

static void a_table_with_a_metatable_is_not_marked(void **state) {
  lua_State *L = *state;
  push(L, "return select(2, pcall(array, setmetatable({}, {})))");
  assert_non_null(strstr(lua_tostring(L, -1), "bad argument #1"));
  push(L, "return select(2, pcall(array, 'x'))");
  assert_non_null(strstr(lua_tostring(L, -1), "table expected"));
}

static void string_keys_make_an_object_in_byte_order(void **state) {
  lua_State *L = *state;
  expect(L, "return {b=1, a=2, ['']=3, B=4, ab=5}",
         "{\"\":3,\"B\":4,\"a\":2,\"ab\":5,\"b\":1}");
  expect(L, "return {['a\\0b']=1, ['a']=2, ['\\n']=3}",
         "{\"\\n\":3,\"a\":2,\"a\\u0000b\":1}");
  expect(L, "return {['\xC3\xA9']=1, z=2}", "{\"z\":2,\"\xC3\xA9\":1}");
  expect(L, "return {['$x']=1, ['$$']=2, ['a$']=3}",
         "{\"$$$\":2,\"$$x\":1,\"a$\":3}");

  push(L, "local s = {} for i = 1, 999 do s[i] = ('\"%03d\":%d'):format(i, i) end "
          "sorted = '{' .. table.concat(s, ',') .. '}' return sorted");
  expect(L, "local t = {} for i = 1, 999 do t[('%03d'):format(i)] = i end return t",
         lua_tostring(L, -1));
}

static void other_keys_make_a_sorted_map(void **state) {
  lua_State *L = *state;
  expect(L, "return {[1.5]=1, x=2}", "{\"$map\":[[1.5,1],[\"x\",2]]}");
  expect(L, "return {['$x']=1, [2]=2}", "{\"$map\":[[2,2],[\"$x\",1]]}");
  expect(L, "return {[print]=0, b=1, a=2, [10]=3, [9.5]=4, [-3]=5, [true]=6, [false]=7, "
            "[math.huge]=8, [-math.huge]=9}",
         "{\"$map\":[[false,7],[true,6],[{\"$lua\":\"-inf\"},9],[-3,5],[9.5,4],[10,3],"
         "[{\"$lua\":\"inf\"},8],[\"a\",2],[\"b\",1],[{\"$lua\":\"function\"},0]]}");
  expect(L, "return {[2^53]=1, [2^53|0 + 1]=2, [math.maxinteger]=3, [2^63]=4, x=0}",
         "{\"$map\":[[9007199254740992,1],[9007199254740993,2],"
         "[9223372036854775807,3],[9.223372036854776e+18,4],[\"x\",0]]}");
  expect(L, "return {[{1}]=2}", "{\"$map\":[[[1],2]]}");
  expect(L, "return {['\\xff']=1, a=2}",
         "{\"$map\":[[\"a\",2],[{\"$bytes\":\"/w==\"},1]]}");
}

static void no_metamethod_runs(void **state) {
  lua_State *L = *state;
  expect(L, "local function no() error('ran') end "
            "local m = {__index=no, __len=no, __pairs=no, __tostring=no, __eq=no, "
            "__lt=no, __name='odd', __metatable=false} "
            "return {setmetatable({}, m), setmetatable({1, 2}, m), "
            "setmetatable({a=1}, m), setmetatable({[1.5]=1, [2.5]=2}, m)}",
         "[{},[1,2],{\"a\":1},{\"$map\":[[1.5,1],[2.5,2]]}]");
}

static void a_table_inside_itself_is_a_cycle(void **state) {
  lua_State *L = *state;
  expect(L, "local t = {} t[1] = t return t", "[{\"$lua\":\"cycle\"}]");
  expect(L, "local t = {a={b={}}} t.a.b.c = t return t",
         "{\"a\":{\"b\":{\"c\":{\"$lua\":\"cycle\"}}}}");
  expect(L, "local t = {} t[t] = 1 return t", "{\"$map\":[[{\"$lua\":\"cycle\"},1]]}");
}

static void a_table_side_by_side_with_itself_is_written_twice(void **state) {
  lua_State *L = *state;
  expect(L, "local t = {1} return {t, t, {t}}", "[[1],[1],[[1]]]");
  expect(L, "local t = {x=1} return {a=t, b=t}", "{\"a\":{\"x\":1},\"b\":{\"x\":1}}");
}

static void tables_are_followed_256_deep(void **state) {
  lua_State *L = *state;
  rt_buf out = json_of(L, "local t = {} for i = 2, 256 do t = {t} end return t", LIMIT);
  assert_null(strstr(out.data, "$lua"));
  rt_buf_free(&out);

  out = json_of(L, "local t = {} for i = 2, 257 do t = {t} end return t", LIMIT);
  assert_int_equal(out.size - 1, 2 * 256 + strlen("{\"$lua\":\"depth\"}"));
  rt_buf_free(&out);

  out = json_of(L, "local t = {} for i = 2, 10000 do t = {x=t} end return t", LIMIT);
  assert_non_null(strstr(out.data, "{\"x\":{\"$lua\":\"depth\"}}"));
  rt_buf_free(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(nil_booleans_and_integers_are_themselves),
      TEST(floats_never_look_like_integers),
      TEST(floats_are_the_shortest_that_read_back),
      TEST(floats_have_a_point_in_countries_with_a_comma),
      TEST(what_json_lacks_is_named),
      TEST(strings_are_escaped_where_they_must_be),
      TEST(escapes_are_found_at_every_place_of_a_string),
      TEST(bytes_that_are_not_utf8_become_base64),
      TEST(only_true_utf8_is_taken_for_text),
      TEST(keys_from_1_to_n_are_a_list),
      TEST(a_list_kept_in_the_hash_part_comes_in_order),
      TEST(an_empty_table_is_an_object_unless_it_was_marked),
      TEST(a_table_with_a_metatable_is_not_marked),
      TEST(string_keys_make_an_object_in_byte_order),
      TEST(other_keys_make_a_sorted_map),
      TEST(no_metamethod_runs),
      TEST(a_table_inside_itself_is_a_cycle),
      TEST(a_table_side_by_side_with_itself_is_written_twice),
      TEST(tables_are_followed_256_deep),
  };
  return cmocka_run_group_tests_name("values as JSON", tests, NULL, NULL);
}
