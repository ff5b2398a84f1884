/* list.c -- lists that people give. */
#include "lib.h"

const char *rt_lib_given(lua_State *L, int index) {
  if (lua_type(L, index) == LUA_TSTRING)
    return lua_pushfstring(L, "string \"%s\"", lua_tostring(L, index));
  if (lua_type(L, index) == LUA_TNUMBER) return luaL_tolstring(L, index, NULL);
  return luaL_typename(L, index);
}

uint32_t rt_lib_length(lua_State *L, int index, const char *what) {
  int top = lua_gettop(L), whole = 1;
  lua_Integer length;
  if (lua_getfield(L, index, "n") == LUA_TNIL) {
    length = luaL_len(L, index);
  } else {
    length = lua_tointegerx(L, -1, &whole);
    if (lua_type(L, -1) != LUA_TNUMBER || !whole || length < 0)
      rt_error_raise(L, "usage", "%s: n of the list must be a whole number, not negative, got %s",
                     what, rt_lib_given(L, -1));
  }
  if (length < 0 || length >= INT32_MAX)
    rt_error_raise(L, "usage", "%s: a list cannot be %s long", what,
                   lua_pushfstring(L, "%I", (LUAI_UACINT)length));
  lua_settop(L, top);
  return (uint32_t)length;
}

bool rt_lib_is_plain(lua_State *L, int index) {
  static const char *const fields[] = {"__index", "__len"};
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    if (luaL_getmetafield(L, index, fields[i]) != LUA_TNIL) return lua_pop(L, 1), false;
  return true;
}
