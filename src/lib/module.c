/* module.c -- require "railtracks". */
#include "embedded.h"
#include "lib.h"

static int load_embedded(lua_State *L) {
  const rt_embedded *file = lua_touserdata(L, lua_upvalueindex(1));
  if (luaL_loadbufferx(L, (const char *)file->text, file->size, file->chunk, "t") != LUA_OK)
    return lua_error(L);
  lua_pushstring(L, file->module);
  lua_call(L, 1, 1);
  return 1;
}

__attribute__((visibility("default"))) int luaopen_railtracks(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, rt_open_core);
  lua_setfield(L, -2, "railtracks.core");
  lua_pushcfunction(L, rt_open_journal);
  lua_setfield(L, -2, "railtracks.journal");
  lua_pushcfunction(L, rt_open_console);
  lua_setfield(L, -2, "railtracks.console");
  lua_pushcfunction(L, rt_open_http);
  lua_setfield(L, -2, "railtracks.http.core");
  for (const rt_embedded *file = rt_embedded_files; file->module; file++) {
    lua_pushlightuserdata(L, (void *)file);
    lua_pushcclosure(L, load_embedded, 1);
    lua_setfield(L, -2, file->module);
  }
  lua_getfield(L, -1, "railtracks");
  lua_call(L, 0, 1);
  return 1;
}

/* Found by name when it is asked for before "railtracks" itself, which makes it known. */
__attribute__((visibility("default"))) int luaopen_railtracks_testing(lua_State *L) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "railtracks");
  lua_call(L, 1, 0);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_getfield(L, -1, "railtracks.testing");
  lua_call(L, 0, 1);
  return 1;
}
