/* node.c -- nodes as Lua sees them.
 *
 * A node's user values are its function, its description, its params and, for one with
 * retries, the definition it was made from. What people give is checked in
 * railtracks/node.lua, which is also where all but the plain ones are made of others.
 */
#include <math.h>
#include <stdlib.h>

#include "lib.h"
#include "native.h"

enum { BODY = 1, DESCRIPTION, PARAMS, DEFINITION };

static const char node_class = 'c';  // the metatable's place in the registry

rt_node *rt_lib_push_node(lua_State *L, const char *name, size_t size) {
  rt_node *node = rt_node_push(L, name, size, DEFINITION);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &node_class);
  lua_setmetatable(L, -2);
  return node;
}

static void read_params(lua_State *L, rt_node *node, int index) {
  lua_Integer count = luaL_len(L, index);
  node->params = calloc((size_t)(count ? count : 1), sizeof *node->params);
  if (!node->params) luaL_error(L, "not enough memory");
  for (lua_Integer i = 1; i <= count; i++) {
    rt_param *param = &node->params[i - 1];
    lua_geti(L, index, i);
    lua_getfield(L, -1, "name");
    lua_getfield(L, -2, "type");
    lua_getfield(L, -3, "optional");
    param->name = strdup(luaL_checkstring(L, -3));
    if (!param->name) luaL_error(L, "not enough memory");
    node->param_count = (uint32_t)i;
    int type = lua_isnil(L, -2) ? RT_PARAM_ANY : rt_param_type_named(luaL_checkstring(L, -2));
    if (type < 0) luaL_error(L, "no such type");  // railtracks/node.lua has looked before
    param->type = (rt_param_type)type;
    param->optional = lua_toboolean(L, -1);
    lua_pop(L, 4);
  }
}

/* core.node(name, function, description, params or nil, unrecorded, timeout or nil,
 * unchecked, definition or nil) -> Node. 'unchecked': the function itself checks params. */
static int node(lua_State *L) {
  size_t size;
  const char *name = luaL_checklstring(L, 1, &size);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_Number timeout = luaL_optnumber(L, 6, 0);
  lua_settop(L, 8);
  rt_node *node = rt_lib_push_node(L, name, size);
  if (lua_tocfunction(L, 2) == rt_native_main) node->kind = RT_KIND_NATIVE;
  node->unrecorded = lua_toboolean(L, 5);
  node->timeout = timeout < HUGE_VAL ? timeout : 0;
  static const int from[] = {[BODY] = 2, [DESCRIPTION] = 3, [PARAMS] = 4, [DEFINITION] = 8};
  for (int i = BODY; i <= DEFINITION; i++) {
    lua_pushvalue(L, from[i]);
    lua_setiuservalue(L, -2, i);
  }
  if (lua_istable(L, 4) && !lua_toboolean(L, 7)) read_params(L, node, 4);
  return 1;
}

static rt_node *check_node(lua_State *L, int index) {
  rt_node *node = rt_node_at(L, index);
  if (!node) luaL_typeerror(L, index, "node");
  return node;
}

static int is_node(lua_State *L) {
  lua_pushboolean(L, rt_node_at(L, 1) != NULL);
  return 1;
}

/* core.node_name(node or function) -> what its calls are named */
static int node_name(lua_State *L) {
  const rt_node *node = rt_lib_node(L, rt_lib_engine(L), 1, "core.node_name");
  lua_pushlstring(L, node->name, node->name_size);
  return 1;
}

/* core.unrecord(function): what it is given and returns, called as a node, is not recorded. */
static int unrecord(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  rt_lib_node(L, rt_lib_engine(L), 1, "core.unrecord")->unrecorded = true;
  return 0;
}

/* core.is_unrecorded(node or function) */
static int is_unrecorded(lua_State *L) {
  lua_pushboolean(L, rt_lib_node(L, rt_lib_engine(L), 1, "core.is_unrecorded")->unrecorded);
  return 1;
}

/* core.node_body(node) -> its function, whether its params are checked before that runs, and
 * what it was defined as if that is something else */
static int node_body(lua_State *L) {
  const rt_node *node = check_node(L, 1);
  lua_getiuservalue(L, 1, BODY);
  lua_pushboolean(L, node->param_count > 0);
  lua_getiuservalue(L, 1, DEFINITION);
  return 3;
}

/* core.node_check(node, ...): raises what is wrong with the arguments. */
static int node_check(lua_State *L) {
  rt_node *node = check_node(L, 1);
  luaL_checkstack(L, LUA_MINSTACK, "too many arguments");
  if (rt_node_check(L, node, 2, lua_gettop(L) - 1)) return 0;
  return lua_error(L);
}

/* Pushes the field of what the node was defined as, or nil. */
static void push_defined(lua_State *L, const char *field) {
  if (lua_getiuservalue(L, 1, DEFINITION) == LUA_TTABLE) lua_getfield(L, -1, field);
  else lua_pushnil(L);
}

static void push_timeout(lua_State *L, const rt_node *node) {
  push_defined(L, "timeout");
  if (!lua_isnil(L, -1) || node->timeout <= 0) return;
  lua_pushnumber(L, node->timeout);
}

/* Fields, and the methods of the table in upvalue 2. */
static int node_index(lua_State *L) {
  const rt_node *node = rt_node_at(L, 1);
  const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (!node) lua_pushnil(L);  // a finalizer met a node that was finalized before
  else if (strcmp(key, "name") == 0) lua_pushlstring(L, node->name, node->name_size);
  else if (strcmp(key, "description") == 0) lua_getiuservalue(L, 1, DESCRIPTION);
  else if (strcmp(key, "params") == 0) lua_getiuservalue(L, 1, PARAMS);
  else if (strcmp(key, "record") == 0) lua_pushstring(L, node->unrecorded ? "none" : "all");
  else if (strcmp(key, "retries") == 0) push_defined(L, "retries");
  else if (strcmp(key, "timeout") == 0) push_timeout(L, node);
  else lua_settop(L, 2), lua_rawget(L, lua_upvalueindex(2));
  return 1;
}

static int node_tostring(lua_State *L) {
  const rt_node *node = rt_node_at(L, 1);
  if (node) lua_pushfstring(L, "Node %s", node->name);
  else lua_pushliteral(L, "Node");
  return 1;
}

/* The table at the top has rt.call already. */
void rt_lib_open_node(lua_State *L, rt_engine *e) {
  static const luaL_Reg functions[] = {
      {"is_node", is_node}, {"is_unrecorded", is_unrecorded}, {"node", node},
      {"node_body", node_body}, {"node_check", node_check}, {"node_name", node_name},
      {"unrecord", unrecord}, {NULL, NULL}};
  rt_lib_add(L, e, functions);

  lua_createtable(L, 0, 6);                 // the metatable
  lua_getfield(L, -2, "call");
  lua_setfield(L, -2, "__call");
  lua_pushcfunction(L, node_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushlightuserdata(L, e);
  lua_createtable(L, 0, 1);
  lua_pushvalue(L, -1);
  lua_setfield(L, -5, "node_methods");      // for railtracks/init.lua
  lua_pushcclosure(L, node_index, 2);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, rt_node_gc);
  lua_setfield(L, -2, "__gc");
  lua_pushliteral(L, "railtracks.Node");
  lua_setfield(L, -2, "__name");
  lua_pushliteral(L, "railtracks.Node");
  lua_setfield(L, -2, "__metatable");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &node_class);
}
