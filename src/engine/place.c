#include "place.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

/* What people call the source: a file's name as given, else Lua's short form of it. */
static rt_text name_of(const lua_Debug *ar) {
  if (*ar->source == '@' || *ar->source == '=')
    return (rt_text){ar->source + 1, ar->srclen - 1};
  return (rt_text){ar->short_src, strlen(ar->short_src)};
}

static bool is_file(const rt_places *p, uint32_t file, rt_text name) {
  return p->files[file].size == name.size &&
         memcmp(p->files[file].text, name.data, name.size) == 0;
}

static uint32_t add_file(rt_places *p, rt_text name) {
  if (p->count == p->capacity) {
    uint32_t capacity = p->capacity ? p->capacity * 2 : 16;
    struct rt_place_file *files = realloc(p->files, capacity * sizeof *files);
    if (!files) return 0;
    p->files = files;
    p->capacity = capacity;
    if (!p->count) p->files[p->count++] = (struct rt_place_file){0};
  }
  char *text = malloc(name.size + 1);
  if (!text) return 0;
  memcpy(text, name.data, name.size);
  text[name.size] = '\0';
  p->files[p->count] = (struct rt_place_file){text, name.size};
  return p->count++;
}

static uint32_t file_of(rt_places *p, const lua_Debug *ar) {
  rt_text name = name_of(ar);
  size_t slot = ((uintptr_t)ar->source >> 4) % RT_PLACE_CACHE;
  uint32_t file = p->cache[slot].file;
  if (file && p->cache[slot].source == ar->source && is_file(p, file, name)) return file;

  for (file = 1; file < p->count; file++)
    if (is_file(p, file, name)) break;
  if (file >= p->count) file = add_file(p, name);
  p->cache[slot].source = ar->source;
  p->cache[slot].file = file;
  return file;
}

rt_place rt_place_here(rt_places *p, lua_State *L) {
  lua_Debug ar;
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline >= 0 && !rt_place_is_ours(&ar))
      return (rt_place){file_of(p, &ar), (uint32_t)ar.currentline};
  }
  return (rt_place){0, 0};
}

/* ---- nodes of plain functions ---- */

/* Whether the string at the top is a better name than the one at 'best': shorter, or the
 * first of its length, so that it does not depend on the order of a table. */
static bool is_better(lua_State *L, int best) {
  size_t size = lua_rawlen(L, -1), best_size = lua_rawlen(L, best);
  return size != best_size ? size < best_size : lua_compare(L, -1, best, LUA_OPLT);
}

void rt_place_push_name(lua_State *L, int index) {
  index = lua_absindex(L, index);
  luaL_checkstack(L, 8, NULL);
  lua_pushnil(L);
  int best = lua_gettop(L);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING || !lua_istable(L, -1)) continue;
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
      if (lua_type(L, -2) != LUA_TSTRING || !lua_rawequal(L, -1, index)) continue;
      const char *module = lua_tostring(L, -4);
      if (strcmp(module, LUA_GNAME) == 0) lua_pushvalue(L, -2);
      else lua_pushfstring(L, "%s.%s", module, lua_tostring(L, -2));
      if (lua_isnil(L, best) || is_better(L, best)) lua_copy(L, -1, best);
      lua_pop(L, 1);
    }
  }
  lua_pop(L, 1);
}

/* Pushes the name of the function at 'index', which 'ar' describes unless it is of C. What
 * is ours has a name people know it by, whether it is C or not. */
static void push_name(lua_State *L, int index, const lua_Debug *ar) {
  if (!ar || rt_place_is_ours(ar)) {
    rt_place_push_name(L, index);
    if (!lua_isnil(L, -1)) return;
    lua_pop(L, 1);
  }
  if (!ar) {
    lua_pushliteral(L, "[C]");
    return;
  }
  rt_text file = name_of(ar);
  lua_pushlstring(L, file.data, file.size);
  lua_pushfstring(L, "%s:%d", lua_tostring(L, -1), ar->linedefined);
  lua_remove(L, -2);
}

static struct rt_place_node *find_node(const rt_places *p, uint64_t key) {
  size_t slot = (size_t)((key * 0x9E3779B97F4A7C15u) >> 32) & (p->slots - 1);
  while (p->nodes[slot].node && p->nodes[slot].key != key) slot = (slot + 1) & (p->slots - 1);
  return &p->nodes[slot];
}

static bool grow_nodes(rt_places *p) {
  rt_places bigger = {.slots = p->slots ? p->slots * 2 : 64};
  bigger.nodes = calloc(bigger.slots, sizeof *bigger.nodes);
  if (!bigger.nodes) return false;
  for (size_t i = 0; i < p->slots; i++)
    if (p->nodes[i].node) *find_node(&bigger, p->nodes[i].key) = p->nodes[i];
  free(p->nodes);
  p->nodes = bigger.nodes;
  p->slots = bigger.slots;
  return true;
}

rt_node *rt_place_node(rt_places *p, lua_State *L, int index) {
  lua_Debug ar;
  lua_CFunction c = lua_tocfunction(L, index);
  uint64_t key;
  if (c) {
    key = (uint64_t)(uintptr_t)c << 1 | 1;
  } else {
    lua_pushvalue(L, index);
    lua_getinfo(L, ">S", &ar);
    key = ((uint64_t)file_of(p, &ar) << 32 | (uint32_t)ar.linedefined) << 1;
  }
  if (p->slots) {
    struct rt_place_node *found = find_node(p, key);
    if (found->node) return found->node;
  }
  if (p->node_count * 2 >= p->slots && !grow_nodes(p)) luaL_error(L, "not enough memory");

  push_name(L, index, c ? NULL : &ar);
  size_t size;
  const char *name = lua_tolstring(L, -1, &size);
  rt_node *node = rt_node_new(name, size);
  lua_pop(L, 1);
  if (!node) luaL_error(L, "not enough memory");
  *find_node(p, key) = (struct rt_place_node){key, node};
  p->node_count++;
  return node;
}

void rt_places_free(rt_places *p) {
  for (uint32_t i = 1; i < p->count; i++) free(p->files[i].text);
  for (size_t i = 0; i < p->slots; i++) rt_node_unref(p->nodes[i].node);
  free(p->files);
  free(p->nodes);
  *p = (rt_places){0};
}
