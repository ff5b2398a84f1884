/* plugin.c -- plugins as Lua sees them, and what the worker pool says of itself. */
#include <stdlib.h>
#include <sys/stat.h>

#include "lib.h"
#include "pool.h"

static rt_loaded *loaded_before(const rt_engine *e, const char *path) {
  struct stat file;
  if (stat(path, &file) != 0) return NULL;
  for (rt_loaded *home = e->loaded; home; home = home->next)
    if (home->device == file.st_dev && home->inode == file.st_ino) return home;
  return NULL;
}

int rt_lib_make_nodes(lua_State *L) {
  rt_loaded *home = lua_touserdata(L, 1);
  lua_createtable(L, 0, 8);
  for (const rt_native *native = home->plugin->nodes; native->name; native++) {
    rt_node *node = rt_lib_push_node(L, native->name, strlen(native->name));
    node->kind = RT_KIND_NATIVE;
    const rt_native_entry *entry = rt_native_push(L, home, native);
    if (native->kind == RT_INLINE) node->inlined = entry;
    lua_setiuservalue(L, -2, 1);
    if (native->about) {
      lua_pushstring(L, native->about);
      lua_setiuservalue(L, -2, 2);
    }
    lua_setfield(L, 2, native->name);
  }
  lua_pushvalue(L, 2);
  home->anchor = rt_anchor_put(&home->engine->scheduler, L);
  if (home->engine->own_anchors) home->engine->own_anchors++;
  return 1;
}

/* core.load(path) -> the nodes by name, the same table each time */
static int load(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  const char *path = luaL_checkstring(L, 1);
  rt_loaded *home = loaded_before(e, path);
  if (home) return rt_anchor_push(&e->scheduler, L, home->anchor), 1;
  char *error;
  lua_settop(L, 1);
  home = rt_library_open(path, &error);
  if (!home) {
    if (!error) luaL_error(L, "not enough memory");
    lua_pushstring(L, error);
    free(error);
    rt_error_push(L, "native", "rt.load: %s", lua_tostring(L, 2));
    lua_pushvalue(L, 1);
    lua_setfield(L, -2, "path");
    return lua_error(L);
  }
  home->engine = e;
  home->next = e->loaded;
  e->loaded = home;
  lua_pushcfunction(L, rt_lib_make_nodes);
  lua_pushlightuserdata(L, home);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK) return 1;
  e->loaded = home->next;
  if (home->plugin->close) home->plugin->close(home->state);
  rt_library_close(home->library);
  free(home);
  return lua_error(L);
}

/* rt.stats() -> what the engine is busy with */
static int stats(lua_State *L) {
  rt_pool_stats now;
  rt_pool_read_stats(rt_lib_engine(L), &now);
  lua_createtable(L, 0, 7);
  lua_pushinteger(L, now.workers), lua_setfield(L, -2, "workers");
  lua_pushinteger(L, now.threads), lua_setfield(L, -2, "threads");
  lua_pushinteger(L, (lua_Integer)now.queued), lua_setfield(L, -2, "queued");
  lua_pushinteger(L, now.running), lua_setfield(L, -2, "running");
  lua_pushinteger(L, (lua_Integer)now.abandoned), lua_setfield(L, -2, "abandoned");
  lua_pushinteger(L, (lua_Integer)now.done), lua_setfield(L, -2, "done");
  lua_pushnumber(L, now.busy), lua_setfield(L, -2, "busy");
  return 1;
}

void rt_lib_open_plugin(lua_State *L, rt_engine *e) {
  static const luaL_Reg functions[] = {{"load", load}, {"stats", stats}, {NULL, NULL}};
  rt_lib_add(L, e, functions);
}
