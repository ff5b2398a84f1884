/* protect.c -- what stands in for Lua's pcall, xpcall, coroutine.* and debug.traceback. */
#include "coroutine.h"
#include "lib.h"
#include "protect.h"

/* The C function that the global 'name' holds now: Lua's own. */
static lua_CFunction original(lua_State *L, const char *name) {
  lua_getglobal(L, name);
  lua_CFunction f = lua_tocfunction(L, -1);
  lua_pop(L, 1);
  return f;
}

static int too_many(lua_State *L) { return luaL_error(L, "stack overflow (too many arguments)"); }

void rt_lib_push_too_many(lua_State *co) { lua_pushcfunction(co, too_many); }

static const char raw_key = 'r';  // registry: the table of originals

static void put_original(lua_State *L, const char *name) {
  lua_getfield(L, -2, name);
  lua_setfield(L, -2, name);
}

/* Pushes the table of Lua's own functions, as they were when the engine was opened. */
static void push_raw(lua_State *L, const luaL_Reg *coroutines) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &raw_key) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_pushglobaltable(L);
  lua_createtable(L, 0, 4);
  put_original(L, "pcall");
  put_original(L, "xpcall");
  lua_getfield(L, -2, "coroutine");
  lua_createtable(L, 0, 8);
  for (; coroutines->name; coroutines++) put_original(L, coroutines->name);
  lua_remove(L, -2);
  lua_setfield(L, -2, "coroutine");
  lua_getfield(L, -2, "debug");
  lua_createtable(L, 0, 1);
  if (lua_istable(L, -2)) put_original(L, "traceback");
  lua_remove(L, -2);
  lua_setfield(L, -2, "debug");
  lua_remove(L, -2);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &raw_key);
}

void rt_lib_open_protect(lua_State *L, rt_engine *e) {
  static const luaL_Reg functions[] = {
      {"pcall", rt_protect_pcall}, {"xpcall", rt_protect_xpcall},
      {"traceback_of", rt_coroutine_traceback}, {NULL, NULL}};
  static const luaL_Reg coroutines[] = {
      {"create", rt_coroutine_create}, {"wrap", rt_coroutine_wrap},
      {"resume", rt_coroutine_resume}, {"yield", rt_coroutine_yield},
      {"close", rt_coroutine_close}, {"status", rt_coroutine_status},
      {"running", rt_coroutine_running}, {"isyieldable", rt_coroutine_isyieldable},
      {NULL, NULL}};
  rt_lib_add(L, e, functions);
  lua_createtable(L, 0, 8);
  rt_lib_add(L, e, coroutines);
  lua_setfield(L, -2, "coroutine");
  push_raw(L, coroutines);
  lua_setfield(L, -2, "raw");
  rt_protect_register(e, rt_protect_pcall, 2, RT_CATCHES_USUAL);
  rt_protect_register(e, rt_protect_xpcall, 4, RT_CATCHES_USUAL);
  rt_protect_register(e, rt_coroutine_body, 2, RT_CATCHES_NONE);
  rt_protect_register(e, original(L, "pcall"), 2, RT_CATCHES_ALL);
  rt_protect_register(e, original(L, "xpcall"), 4, RT_CATCHES_ALL);
}
