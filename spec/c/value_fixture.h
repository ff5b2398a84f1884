/* value_fixture.h -- a Lua state whose values are written down, for the tests of values */
#ifndef RT_VALUE_FIXTURE_H
#define RT_VALUE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <lauxlib.h>
#include <locale.h>
#include <lualib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "json.h"
#include "value.h"

enum { LIMIT = 65536 };

/* A Lua with array(t), which marks t, and light, a light userdata. */

__attribute__((unused)) static int array(lua_State *L) {
  rt_value_mark_array(L, 1);
  lua_settop(L, 1);
  return 1;
}

__attribute__((unused)) static void add_names(lua_State *L) {
  luaL_openlibs(L);
  lua_register(L, "array", array);
  lua_pushlightuserdata(L, L);
  lua_setglobal(L, "light");
}

__attribute__((unused)) static int open_lua(void **state) {
  lua_State *L = luaL_newstate();
  add_names(L);
  *state = L;
  return 0;
}

__attribute__((unused)) static int close_lua(void **state) {
  lua_close(*state);
  return 0;
}

__attribute__((unused)) static void push(lua_State *L, const char *code) {
  if (luaL_dostring(L, code)) fail_msg("%s", lua_tostring(L, -1));
}

/* The JSON of what 'code' returns, with a zero behind it. */
__attribute__((unused)) static rt_buf json_of(lua_State *L, const char *code, size_t limit) {
  rt_buf out = {0};
  lua_settop(L, 0);
  push(L, code);
  int top = lua_gettop(L);
  rt_value_write(L, -1, &out, limit);
  assert_int_equal(lua_gettop(L), top);
  assert_false(out.failed);
  rt_buf_char(&out, '\0');
  return out;
}

__attribute__((unused)) static void expect_within(lua_State *L, size_t limit, const char *code,
                          const char *json) {
  rt_buf out = json_of(L, code, limit);
  assert_string_equal(out.data, json);
  rt_buf_free(&out);
}

__attribute__((unused)) static void expect(lua_State *L, const char *code, const char *json) {
  expect_within(L, LIMIT, code, json);
}

/* The rule as RFC 3629 has it: decode, and see whether encoding were the same. */
__attribute__((unused)) static bool is_utf8(const uint8_t *s, size_t size) {
  for (size_t i = 0; i < size;) {
    uint8_t c = s[i++];
    if (c < 0x80) continue;
    int more = c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : 1;
    if (c < 0xC0 || c >= 0xF8) return false;
    uint32_t code = c & (0x3Fu >> more);
    for (int k = 0; k < more; k++, i++) {
      if (i == size || (s[i] & 0xC0) != 0x80) return false;
      code = code << 6 | (s[i] & 0x3F);
    }
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    if (code < least[more] || code > 0x10FFFF) return false;
    if (code >= 0xD800 && code <= 0xDFFF) return false;
  }
  return true;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_lua, close_lua)

#endif
