#include "tree.h"

#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "value.h"

enum { CHUNK = 2048, ALIGN = 16 };

typedef struct rt_chunk {
  struct rt_chunk *next;
  _Alignas(ALIGN) char bytes[];
} rt_chunk;

/* ---- arena ---- */

void *rt_arena_take(rt_arena *a, size_t size) {
  if (size > SIZE_MAX / 4) goto fail;
  size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
  if (size > a->left) {
    size_t room = size > CHUNK / 4 ? size : CHUNK;
    rt_chunk *chunk = malloc(sizeof *chunk + room);
    if (!chunk) goto fail;
    if (room == size && a->chunks) {  // a large one: the rest of the first stays in use
      chunk->next = a->chunks->next;
      a->chunks->next = chunk;
      return chunk->bytes;
    }
    chunk->next = a->chunks;
    a->chunks = chunk;
    a->at = chunk->bytes;
    a->left = room;
  }
  void *taken = a->at;
  a->at += size;
  a->left -= size;
  return taken;

fail:
  if (!a->problem) a->problem = "not enough memory";
  return NULL;
}

char *rt_arena_text(rt_arena *a, const char *text, size_t size) {
  char *copy = size < SIZE_MAX ? rt_arena_take(a, size + 1) : NULL;
  if (!copy) return NULL;
  if (size) memcpy(copy, text, size);
  copy[size] = '\0';
  return copy;
}

void rt_arena_free(rt_arena *a) {
  while (a->chunks) {
    rt_chunk *chunk = a->chunks;
    a->chunks = chunk->next;
    free(chunk);
  }
  a->at = NULL;
  a->left = 0;
}

rt_value *rt_tree_new(rt_arena *a, rt_type type) {
  rt_value *v = rt_arena_take(a, sizeof *v);
  if (!v) return NULL;
  *v = (rt_value){.type = type, .arena = a};
  return v;
}

rt_value *rt_tree_text(rt_arena *a, const char *text, size_t size) {
  rt_value *v = rt_tree_new(a, RT_TEXT);
  char *copy = v ? rt_arena_text(a, text, size) : NULL;
  if (!copy) return NULL;
  v->text.bytes = copy;
  v->text.size = size;
  return v;
}

/* ---- from Lua ---- */

typedef struct reader {
  lua_State *L;
  rt_arena *arena;
  rt_misfit *misfit;
  int depth;
  const void *path[RT_TREE_DEPTH];  // the tables we are in
} reader;

static const char too_deep[] = "a table nested more than 1000 deep";

static rt_value *read_any(reader *r, int index);

/* Puts one step of the way in front of what is known of it. */
static void add_step(reader *r, int key) {
  char step[40], rest[sizeof r->misfit->where];
  if (!r->misfit->what) return;
  if (lua_type(r->L, key) == LUA_TSTRING)
    snprintf(step, sizeof step, ".%.30s", lua_tostring(r->L, key));
  else if (lua_isinteger(r->L, key))
    snprintf(step, sizeof step, "[%lld]", (long long)lua_tointeger(r->L, key));
  else
    snprintf(step, sizeof step, "[a %s]", luaL_typename(r->L, key));
  memcpy(rest, r->misfit->where, sizeof rest);
  snprintf(r->misfit->where, sizeof r->misfit->where, "%s%.*s", step,
           (int)(sizeof rest - 1 - strlen(step)), rest);
}

/* What stands in a table. */
typedef struct measures {
  size_t count;    // keys
  bool list;       // they are 1..n, or integers up to the field n
  bool counted;    // there is that field, as in what rt.gather and table.pack return
  size_t size;     // of the list
} measures;

/* Of the value on top of the stack and its key: the length it tells, else -1. */
static lua_Integer told_length(lua_State *L) {
  if (lua_type(L, -2) != LUA_TSTRING || lua_rawlen(L, -2) != 1) return -1;
  return *lua_tostring(L, -2) == 'n' && lua_isinteger(L, -1) ? lua_tointeger(L, -1) : -1;
}

static measures measure(lua_State *L, int t) {
  measures m = {0};
  size_t items = 0;
  lua_Integer most = 0, n = -1;
  for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1)) {
    m.count++;
    if (lua_isinteger(L, -2) && lua_tointeger(L, -2) >= 1) {
      items++;
      if (lua_tointeger(L, -2) > most) most = lua_tointeger(L, -2);
    } else if (n < 0) {
      n = told_length(L);
    }
  }
  // Not any field that is called n: one that could be told as easily by its items.
  m.counted = items + 1 == m.count && n >= most && (size_t)n <= 2 * m.count + 1000;
  m.list = m.counted || (items == m.count && (size_t)most == m.count);
  if (!m.count) m.list = rt_value_is_array(L, t);
  m.size = (size_t)(m.counted ? n : most);
  return m;
}

static rt_value *read_list(reader *r, int t, size_t count, bool counted) {
  rt_value *v = rt_tree_new(r->arena, RT_LIST);
  if (!v || !(v->table.items = rt_arena_take(r->arena, (count + 1) * sizeof *v->table.items)))
    return NULL;
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(r->L, t, (lua_Integer)i + 1);
    const rt_value *item = read_any(r, lua_gettop(r->L));
    lua_pop(r->L, 1);
    if (!item) {
      char rest[sizeof r->misfit->where];
      memcpy(rest, r->misfit->where, sizeof rest);
      snprintf(r->misfit->where, sizeof rest, "[%zu]%.50s", i + 1, rest);
      return NULL;
    }
    v->table.items[v->table.count++] = item;
  }
  if (!counted) return v;
  rt_value *n = rt_tree_new(r->arena, RT_INTEGER);
  if (!n) return NULL;
  n->integer = (lua_Integer)count;
  v->table.items[count] = n;
  v->counted = true;
  return v;
}

static rt_value *read_map(reader *r, int t, size_t count) {
  rt_value *v = rt_tree_new(r->arena, RT_MAP);
  if (!v || !(v->table.pairs = rt_arena_take(r->arena, count * sizeof *v->table.pairs)))
    return NULL;
  int key = lua_gettop(r->L) + 1;
  for (lua_pushnil(r->L); lua_next(r->L, t); lua_pop(r->L, 1)) {
    rt_pair pair = {.key = lua_istable(r->L, key) ? NULL : read_any(r, key)};
    if (lua_istable(r->L, key)) r->misfit->what = "a table as a key";
    if (pair.key && pair.key->type == RT_NIL) {
      pair.key = NULL;
      r->misfit->what = "rt.json.null as a key";
    }
    if (pair.key) pair.value = read_any(r, key + 1);
    if (!pair.value) {
      add_step(r, key);
      lua_settop(r->L, key - 1);
      return NULL;
    }
    v->table.pairs[v->table.count++] = pair;
  }
  return v;
}

static rt_value *read_table(reader *r, int t) {
  const void *self = lua_topointer(r->L, t);
  for (int i = r->depth; i-- > 0;) {
    if (r->path[i] != self) continue;
    r->misfit->what = "a table that holds itself";
    return NULL;
  }
  if (r->depth == RT_TREE_DEPTH || !lua_checkstack(r->L, 8)) {
    r->misfit->what = too_deep;
    return NULL;
  }
  r->path[r->depth++] = self;
  measures m = measure(r->L, t);
  rt_value *v = m.list ? read_list(r, t, m.size, m.counted) : read_map(r, t, m.count);
  r->depth--;
  return v;
}

static rt_value *read_any(reader *r, int index) {
  lua_State *L = r->L;
  rt_value *v;
  size_t size;
  switch (lua_type(L, index)) {
    case LUA_TNONE:
    case LUA_TNIL: return rt_tree_new(r->arena, RT_NIL);
    case LUA_TBOOLEAN:
      v = rt_tree_new(r->arena, RT_BOOLEAN);
      if (v) v->boolean = lua_toboolean(L, index);
      return v;
    case LUA_TNUMBER:
      v = rt_tree_new(r->arena, lua_isinteger(L, index) ? RT_INTEGER : RT_FLOAT);
      if (v && v->type == RT_INTEGER) v->integer = lua_tointeger(L, index);
      else if (v) v->number = lua_tonumber(L, index);
      return v;
    case LUA_TSTRING: {
      const char *text = lua_tolstring(L, index, &size);
      return rt_tree_text(r->arena, text, size);
    }
    case LUA_TTABLE: return read_table(r, index);
    case LUA_TLIGHTUSERDATA:
      if (!lua_touserdata(L, index)) return rt_tree_new(r->arena, RT_NIL);  // rt.json.null
      r->misfit->what = "a userdata";
      return NULL;
    case LUA_TFUNCTION: r->misfit->what = "a function"; return NULL;
    case LUA_TTHREAD: r->misfit->what = "a thread"; return NULL;
    default: r->misfit->what = "a userdata"; return NULL;
  }
}

rt_value *rt_tree_read(lua_State *L, int index, rt_arena *a, rt_misfit *m) {
  reader r;
  r.L = L;
  r.arena = a;
  r.misfit = m;
  r.depth = 0;
  m->what = NULL;
  m->where[0] = '\0';
  rt_value *v = read_any(&r, index);
  if (m->what == too_deep) m->where[0] = '\0';  // it would be very long
  return v;
}

/* ---- to Lua ---- */

static void push(lua_State *L, const rt_value *v, const char *who, int depth);

static int size_hint(size_t count) { return (int)(count < 1 << 20 ? count : 1 << 20); }

static void push_list(lua_State *L, const rt_value *v, const char *who, int depth) {
  bool empty = true;  // or nothing but nil in it
  lua_createtable(L, size_hint(v->table.count), v->counted);
  for (size_t i = 0; i < v->table.count; i++) {
    push(L, v->table.items[i], who, depth);
    if (rt_value_type(v->table.items[i]) != RT_NIL) empty = false;
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  if (v->counted) {
    lua_pushinteger(L, (lua_Integer)v->table.count);
    lua_setfield(L, -2, "n");
  } else if (empty) {
    rt_value_mark_array(L, lua_gettop(L));
  }
}

static void push_map(lua_State *L, const rt_value *v, const char *who, int depth) {
  lua_createtable(L, 0, size_hint(v->table.count));
  for (size_t i = 0; i < v->table.count; i++) {
    push(L, v->table.pairs[i].key, who, depth);
    push(L, v->table.pairs[i].value, who, depth);
    lua_rawset(L, -3);
  }
}

static void push(lua_State *L, const rt_value *v, const char *who, int depth) {
  switch (v ? v->type : RT_NIL) {
    case RT_NIL: lua_pushnil(L); break;
    case RT_BOOLEAN: lua_pushboolean(L, v->boolean); break;
    case RT_INTEGER: lua_pushinteger(L, v->integer); break;
    case RT_FLOAT: lua_pushnumber(L, v->number); break;
    case RT_TEXT: lua_pushlstring(L, v->text.bytes, v->text.size); break;
    case RT_LIST:
    case RT_MAP:
      if (depth == RT_TREE_DEPTH)
        rt_error_raise(L, "native", "%s: %s, or in a circle, cannot be given to Lua", who,
                       too_deep);
      luaL_checkstack(L, 8, NULL);
      if (v->type == RT_LIST) push_list(L, v, who, depth + 1);
      else push_map(L, v, who, depth + 1);
  }
}

void rt_tree_push(lua_State *L, const rt_value *v, const char *who) {
  luaL_checkstack(L, 8, NULL);
  push(L, v, who, 0);
}

/* ---- reading, for everybody ---- */

static bool is_table(const rt_value *v) {
  return v && (v->type == RT_LIST || v->type == RT_MAP);
}

rt_type rt_value_type(const rt_value *v) { return v ? v->type : RT_NIL; }

int rt_value_boolean(const rt_value *v) {
  return v && v->type == RT_BOOLEAN && v->boolean;
}

int64_t rt_value_int(const rt_value *v) {
  lua_Integer integer = 0;
  if (v && v->type == RT_INTEGER) return v->integer;
  if (v && v->type == RT_FLOAT && floor(v->number) == v->number)
    lua_numbertointeger(v->number, &integer);
  return integer;
}

double rt_value_number(const rt_value *v) {
  if (v && v->type == RT_INTEGER) return (double)v->integer;
  return v && v->type == RT_FLOAT ? v->number : 0;
}

const char *rt_value_text(const rt_value *v, size_t *size) {
  bool is = v && v->type == RT_TEXT;
  if (size) *size = is ? v->text.size : 0;
  return is ? v->text.bytes : "";
}

size_t rt_value_count(const rt_value *v) { return is_table(v) ? v->table.count : 0; }

const rt_value *rt_value_at(const rt_value *v, size_t i, const rt_value **key) {
  if (key) *key = NULL;
  if (!is_table(v) || i >= v->table.count) return NULL;
  if (v->type == RT_LIST) return v->table.items[i];
  if (key) *key = v->table.pairs[i].key;
  return v->table.pairs[i].value;
}

const rt_value *rt_value_get(const rt_value *map, const char *key) {
  size_t size = strlen(key);
  if (map && map->type == RT_LIST && map->counted && strcmp(key, "n") == 0)
    return map->table.items[map->table.count];
  if (!map || map->type != RT_MAP) return NULL;
  for (size_t i = map->table.count; i-- > 0;) {
    const rt_value *k = map->table.pairs[i].key;
    if (k->type == RT_TEXT && k->text.size == size && memcmp(k->text.bytes, key, size) == 0)
      return map->table.pairs[i].value;
  }
  return NULL;
}

/* ---- growing ---- */

/* Room for one more thing of 'size' bytes, which all tables' things are made of. */
static bool grow(rt_value *v, size_t size) {
  if (v->table.count < v->table.capacity) return true;
  size_t capacity = v->table.capacity ? v->table.capacity * 2 : 8;
  void *things = rt_arena_take(v->arena, capacity * size);
  if (!things) return false;
  if (v->table.count) memcpy(things, v->table.items, v->table.count * size);
  v->table.items = things;
  v->table.capacity = capacity;
  return true;
}

static void complain(rt_value *v, const char *problem) {
  if (!v->arena->problem) v->arena->problem = problem;
}

/* A NULL may stand for what there was no memory for; then the arena knows that already. */
static bool may_add(rt_value *v, rt_type type, const rt_value *item) {
  if (!v) return false;
  if (v->type == type && v->made && item) return true;
  complain(v, item ? "a value was added to what is no list or map of the node's own"
                   : "NULL was added to a list or map");
  return false;
}

void rt_list_add(rt_value *list, const rt_value *item) {
  if (!may_add(list, RT_LIST, item) || !grow(list, sizeof *list->table.items)) return;
  list->table.items[list->table.count++] = item;
}

void rt_map_put(rt_value *map, const rt_value *key, const rt_value *value) {
  if (!may_add(map, RT_MAP, key ? value : NULL)) return;
  if (is_table(key) || key->type == RT_NIL || (key->type == RT_FLOAT && isnan(key->number))) {
    complain(map, "a map cannot have a list, a map, nil or NaN as a key");
    return;
  }
  if (grow(map, sizeof *map->table.pairs))
    map->table.pairs[map->table.count++] = (rt_pair){key, value};
}

void rt_map_set(rt_value *map, const char *key, const rt_value *value) {
  if (map) rt_map_put(map, key ? rt_tree_text(map->arena, key, strlen(key)) : NULL, value);
}
