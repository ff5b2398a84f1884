/* lua.c -- a plain Lua that runs one script, for builds with a sanitizer: lua5.4 itself is
 * not built with it, and could not load a module that is.
 *
 *   lua SCRIPT [ARG...]
 */
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>

static int run(lua_State *L) {
  int argc = (int)lua_tointeger(L, 1);
  char **argv = lua_touserdata(L, 2);
  luaL_openlibs(L);
  lua_createtable(L, argc, 0);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i - 1);
  }
  lua_setglobal(L, "arg");
  if (argc < 2) luaL_error(L, "usage: lua SCRIPT [ARG...]");
  int code = argv[1][0] == '-' && argv[1][1] == 'e' && argc > 2;
  if ((code ? luaL_loadstring(L, argv[2]) : luaL_loadfile(L, argv[1])) != LUA_OK)
    return lua_error(L);
  int first = code ? 3 : 2;
  luaL_checkstack(L, argc, NULL);
  for (int i = first; i < argc; i++) lua_pushstring(L, argv[i]);
  lua_call(L, argc - first, 0);
  return 0;
}

int main(int argc, char **argv) {
  lua_State *L = luaL_newstate();
  if (!L) return 1;
  lua_pushcfunction(L, run);
  lua_pushinteger(L, argc);
  lua_pushlightuserdata(L, argv);
  int failed = lua_pcall(L, 2, 0, 0) != LUA_OK;
  if (failed) fprintf(stderr, "lua: %s\n", luaL_tolstring(L, -1, NULL));
  lua_close(L);
  return failed;
}
