#include "node.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

static const char *const type_names[] = {"any", "string", "number", "integer", "boolean", "table"};

rt_node *rt_node_new(const char *name, size_t size) {
  rt_node *node = malloc(sizeof *node + size + 1);
  if (!node) return NULL;
  *node = (rt_node){.refs = 1, .name_size = size};
  memcpy(node->name, name, size);
  node->name[size] = '\0';
  return node;
}

void rt_node_unref(rt_node *node) {
  if (!node || --node->refs) return;
  for (uint32_t i = 0; i < node->param_count; i++) free(node->params[i].name);
  free(node->params);
  free(node);
}

/* Checking a name in the registry would cost more than the rest of a call: a node's
 * userdata is known by its size and by this address at its beginning. */
static const char node_mark = 'n';

typedef struct node_handle {
  const char *mark;
  rt_node *node;
} node_handle;

rt_node *rt_node_push(lua_State *L, const char *name, size_t size, int user_values) {
  node_handle *handle = lua_newuserdatauv(L, sizeof *handle, user_values);
  handle->mark = &node_mark;
  handle->node = rt_node_new(name, size);
  if (!handle->node) luaL_error(L, "not enough memory");
  return handle->node;
}

rt_node *rt_node_at(lua_State *L, int index) {
  if (lua_type(L, index) != LUA_TUSERDATA || lua_rawlen(L, index) != sizeof(node_handle))
    return NULL;
  const node_handle *handle = lua_touserdata(L, index);
  return handle->mark == &node_mark ? handle->node : NULL;
}

int rt_node_gc(lua_State *L) {
  node_handle *handle = lua_touserdata(L, 1);
  rt_node_unref(handle->node);
  handle->node = NULL;
  return 0;
}

void rt_node_push_body(lua_State *L, int index) {
  if (lua_type(L, index) == LUA_TUSERDATA) lua_getiuservalue(L, index, 1);
  else lua_pushvalue(L, index);
}

int rt_param_type_named(const char *name) {
  for (int i = 0; i < (int)(sizeof type_names / sizeof *type_names); i++)
    if (strcmp(name, type_names[i]) == 0) return i;
  return -1;
}

const char *rt_param_type_name(rt_param_type type) { return type_names[type]; }

static bool fits(lua_State *L, int index, rt_param_type type) {
  int is_integer = 0;
  switch (type) {
    case RT_PARAM_ANY: return !lua_isnoneornil(L, index);
    case RT_PARAM_STRING: return lua_type(L, index) == LUA_TSTRING;
    case RT_PARAM_NUMBER: return lua_type(L, index) == LUA_TNUMBER;
    case RT_PARAM_INTEGER:
      if (lua_type(L, index) == LUA_TNUMBER) lua_tointegerx(L, index, &is_integer);
      return is_integer;
    case RT_PARAM_BOOLEAN: return lua_type(L, index) == LUA_TBOOLEAN;
    case RT_PARAM_TABLE: return lua_type(L, index) == LUA_TTABLE;
  }
  return false;
}

/* The first parameter that is not fitted, and in '*given' what stands in its place; -1: all
 * fit. */
static int misfit(lua_State *L, const rt_node *node, int first, int count, const char **given) {
  for (int i = 0; i < (int)node->param_count; i++) {
    const rt_param *param = &node->params[i];
    int index = i < count ? first + i : 0;
    if (index ? lua_isnil(L, index) : true) {
      if (param->optional) continue;
    } else if (fits(L, index, param->type)) {
      continue;
    }
    *given = index ? luaL_typename(L, index) : "nothing";
    if (index && lua_type(L, index) == LUA_TNUMBER && param->type == RT_PARAM_INTEGER)
      *given = "a number that is not an integer";
    return i;
  }
  return -1;
}

/* In: the node, the parameter, what was given. */
static int push_misfit(lua_State *L) {
  const rt_node *node = lua_touserdata(L, 1);
  const rt_param *param = &node->params[lua_tointeger(L, 2)];
  rt_error_push(L, "usage", "%s: parameter '%s': expected %s, got %s", node->name, param->name,
                rt_param_type_name(param->type), (const char *)lua_touserdata(L, 3));
  return 1;
}

bool rt_node_check(lua_State *L, rt_node *node, int first, int count) {
  const char *given;
  int i = misfit(L, node, first, count, &given);
  if (i < 0) return true;
  lua_pushcfunction(L, push_misfit);
  lua_pushlightuserdata(L, node);
  lua_pushinteger(L, i);
  lua_pushlightuserdata(L, (void *)given);
  lua_pcall(L, 3, 1, 0);  // out of memory: that is the error then
  return false;
}
