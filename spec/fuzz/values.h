/* values.h -- Lua values made of an input, and whether two are the same. */
#ifndef RT_FUZZ_VALUES_H
#define RT_FUZZ_VALUES_H

#include "fuzz.h"
#include "value.h"

enum {
  DEEPEST = 1000,  /* as a table may be nested */
  TABLES = 64,     /* tables that are remembered, to be put into others again */
  NODES = 20000    /* larger values are not looked at: a table counts where it stands */
};

/* A Lua value being made: 'known' is the stack index of a list of its tables. */
typedef struct maker {
  lua_State *L;
  input *in;
  int known;
  int tables;
} maker;

static void make_value(maker *m, int depth);

static inline void make_text(maker *m) {
  static const char *const often[] = {"n", "n\0x", "", "a", "\0", "__index"};
  static const size_t sizes[] = {1, 3, 0, 1, 1, 7};
  unsigned first = next_byte(m->in);
  if (first < 6) {
    lua_pushlstring(m->L, often[first], sizes[first]);
  } else if (first < 8) {  // long ones take another way in Lua, and in the arena
    luaL_Buffer b;
    size_t size = 100 + 20 * (size_t)next_byte(m->in);
    memset(luaL_buffinitsize(m->L, &b, size), 'x', size);
    luaL_pushresultsize(&b, size);
  } else {
    size_t size = first % 32;
    const char *bytes = next_bytes(m->in, &size);
    lua_pushlstring(m->L, bytes, size);
  }
}

static inline void make_number(maker *m) {
  static const double special[] = {0.0, -0.0, 1.0, 3.0, 0.5, 1e300, 0x1p63, -0x1p63, 0x1p53};
  unsigned first = next_byte(m->in);
  if (first < 64) lua_pushinteger(m->L, (lua_Integer)first - 8);
  else if (first < 73) lua_pushnumber(m->L, special[first - 64]);
  else if (first < 80) lua_pushnumber(m->L, first < 76 ? HUGE_VAL : NAN);
  else if (first < 88) lua_pushinteger(m->L, first < 84 ? LUA_MAXINTEGER : LUA_MININTEGER);
  else if (first < 160) lua_pushinteger(m->L, (lua_Integer)next_word(m->in));
  else {
    uint64_t bits = next_word(m->in);
    double number;
    memcpy(&number, &bits, sizeof number);
    lua_pushnumber(m->L, number);
  }
}

/* What must not be called. */
static inline int never(lua_State *L) {
  check(L == NULL, "a metamethod was called");
  return 0;
}

static inline void make_metatable(maker *m, int table) {
  static const char *const events[] = {
      "__index", "__newindex", "__len", "__pairs", "__eq", "__gc", "__name", "__tostring"};
  lua_newtable(m->L);
  for (int i = 0; i < 8; i++) {
    if (i == 5) continue;
    lua_pushcfunction(m->L, never);
    lua_setfield(m->L, -2, events[i]);
  }
  lua_setmetatable(m->L, table);
}

/* A table that others may hold again, on top of the stack. */
static inline int new_table(maker *m) {
  lua_newtable(m->L);
  if (m->tables < TABLES) {
    lua_pushvalue(m->L, -1);
    lua_rawseti(m->L, m->known, ++m->tables);
  }
  return lua_gettop(m->L);
}

/* Puts the value on top of the stack under the key below it; not all may be keys. */
static inline void put_pair(maker *m, int t) {
  bool nan = lua_type(m->L, -2) == LUA_TNUMBER && lua_tonumber(m->L, -2) != lua_tonumber(m->L, -2);
  if (lua_isnil(m->L, -2) || nan) lua_pop(m->L, 2);
  else lua_rawset(m->L, t);
}

static inline void make_table(maker *m, unsigned kind, int depth) {
  lua_State *L = m->L;
  int t = new_table(m);
  unsigned shape = next_byte(m->in), count = shape % 8;
  if (shape >= 240) count = 8 * (shape - 239);
  if (kind == 0) {  // a list
    for (unsigned i = 1; i <= count; i++) {
      make_value(m, depth);
      lua_rawseti(L, t, i);
    }
  } else if (kind == 1) {  // keys that are often those of a list, but not always
    for (unsigned i = 1; i <= count; i++) {
      unsigned key = next_byte(m->in);
      if (key < 16) lua_pushinteger(L, (lua_Integer)key - 4);
      else if (key < 20) lua_pushliteral(L, "n");
      else if (key < 128) lua_pushinteger(L, i);
      else if (key < 192) make_text(m);
      else make_value(m, depth);
      make_value(m, depth);
      put_pair(m, t);
    }
  } else if (count == 0 && shape & 8) {
    rt_value_mark_array(L, t);
    return;
  }
  if (shape & 16) {
    make_number(m);
    lua_setfield(L, t, "n");
  }
  if (shape & 32) {
    make_number(m);
    make_value(m, depth);
    put_pair(m, t);
  }
  if ((shape & 192) == 192) make_metatable(m, t);
}

/* Puts 'levels' tables around the value on top of the stack. */
static inline void wrap(maker *m, int levels, bool map) {
  for (int i = 0; i < levels; i++) {
    lua_createtable(m->L, !map, map);
    lua_insert(m->L, -2);
    if (map) lua_setfield(m->L, -2, "in");
    else lua_rawseti(m->L, -2, 1);
  }
}

/* Pushes a value; 'depth' bounds the recursion in here only. */
static inline void make_value(maker *m, int depth) {
  lua_State *L = m->L;
  luaL_checkstack(L, 20, NULL);
  unsigned kind = next_byte(m->in);
  if (depth > 40 && kind >= 96) kind %= 96;
  if (kind < 8) lua_pushnil(L);
  else if (kind < 16) lua_pushboolean(L, kind & 1);
  else if (kind < 56) make_number(m);
  else if (kind < 88) make_text(m);
  else if (kind < 96) {
    if (m->tables) lua_rawgeti(L, m->known, 1 + next_byte(m->in) % m->tables);
    else lua_pushboolean(L, 1);
  } else if (kind < 104) {
    unsigned levels = next_byte(m->in);
    make_value(m, depth + 1);
    wrap(m, (int)(kind < 98 ? DEEPEST - 10 + levels % 16 : levels % 24), kind & 1);
  } else if (kind == 104) lua_pushcfunction(L, never);
  else if (kind == 105) lua_newuserdatauv(L, 1, 0);
  else if (kind == 106) lua_pushlightuserdata(L, next_byte(m->in) & 1 ? m : NULL);
  else if (kind == 107) lua_pushthread(L);
  else make_table(m, kind % 3, depth + 1);
}

/* Pushes a value made of the input. */
static inline void push_value(lua_State *L, input *in) {
  lua_newtable(L);
  maker m = {.L = L, .in = in, .known = lua_gettop(L)};
  make_value(&m, 0);
  lua_remove(L, m.known);
}

/* ---- what must come of it: nothing in here asks the code that is tested ---- */

static inline bool is_marked(lua_State *L, int index) {
  if (!lua_getmetatable(L, index)) return false;
  lua_newtable(L);   // what the mark is, a table that is marked shows
  rt_value_mark_array(L, lua_gettop(L));
  lua_getmetatable(L, -1);
  bool is = lua_rawequal(L, -1, -3);
  lua_pop(L, 3);
  return is;
}

/* Whether the table is to be seen as a list, and of what length: keys 1..n; or integers from
 * 1 to the field n, which may be larger than there are items, but not by far. */
static inline bool is_list(lua_State *L, int t, lua_Integer *size) {
  lua_Integer keys = 0, items = 0, most = 0, n = -1;
  for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1)) {
    keys++;
    if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) < 1) continue;
    items++;
    if (lua_tointeger(L, -2) > most) most = lua_tointeger(L, -2);
  }
  *size = most;
  if (keys == items) return keys == most && (keys > 0 || is_marked(L, t));
  lua_pushliteral(L, "n");
  lua_rawget(L, t);
  if (lua_isinteger(L, -1)) n = lua_tointeger(L, -1);
  lua_pop(L, 1);
  *size = n;
  return keys == items + 1 && n >= most && n <= 2 * keys + 1000;
}

/* rt.json.null, which is nil elsewhere. */
static inline bool is_null(lua_State *L, int v) {
  return lua_islightuserdata(L, v) && !lua_touserdata(L, v);
}

/* What a value is that is searched for what cannot cross. */
typedef struct search {
  int depth;
  int left;          /* counts down what is in it */
  const void *above[DEEPEST];
} search;

static const char *why_unfit_in(lua_State *L, int v, search *s);

static inline const char *why_list_unfit(lua_State *L, int t, search *s,
                                         lua_Integer size) {
  const char *why = NULL;
  for (lua_Integer i = 1; i <= size && !why; i++) {
    lua_rawgeti(L, t, i);
    why = why_unfit_in(L, lua_gettop(L), s);
    lua_pop(L, 1);
  }
  return why;
}

static inline const char *why_map_unfit(lua_State *L, int t, search *s) {
  for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1)) {
    int key = lua_gettop(L) - 1;
    const char *why = lua_istable(L, key) ? "a table as a key"
                      : is_null(L, key)   ? "rt.json.null as a key"
                                          : why_unfit_in(L, key, s);
    if (!why) why = why_unfit_in(L, key + 1, s);
    if (why) return lua_pop(L, 2), why;
  }
  return NULL;
}

/* Of no interest to the fuzzer, and slow under its eyes. */
__attribute__((no_sanitize("coverage"))) static inline bool is_above(const search *s,
                                                                     const void *table) {
  for (int i = 0; i < s->depth; i++)
    if (s->above[i] == table) return true;
  return false;
}

static inline const char *why_unfit_in(lua_State *L, int v, search *s) {
  lua_Integer size;
  if (--s->left < 0) return "too large for this fuzzer";
  luaL_checkstack(L, 8, NULL);
  switch (lua_type(L, v)) {
    case LUA_TFUNCTION: return "a function";
    case LUA_TTHREAD: return "a thread";
    case LUA_TLIGHTUSERDATA: return is_null(L, v) ? NULL : "a userdata";
    case LUA_TUSERDATA: return "a userdata";
    case LUA_TTABLE: break;
    default: return NULL;
  }
  if (is_above(s, lua_topointer(L, v))) return "a table that holds itself";
  if (s->depth == DEEPEST) return "a table nested more than 1000 deep";
  s->above[s->depth++] = lua_topointer(L, v);
  const char *why =
      is_list(L, v, &size) ? why_list_unfit(L, v, s, size) : why_map_unfit(L, v, s);
  s->depth--;
  return why;
}

/* Why a value cannot cross, the first reason there is; NULL if it can. 'left' counts down
 * what is in it. */
static inline const char *why_unfit(lua_State *L, int v, int *left) {
  search s = {.left = *left};
  const char *why = why_unfit_in(L, v, &s);
  *left = s.left;
  return why;
}

static inline bool same_number(double a, double b) {
  return a != a ? b != b : a == b && signbit(a) == signbit(b);
}

/* Whether the second is what the first was: of the same types, tables raw and with the same
 * keys; but for null, which has become nil. */
static inline bool alike(lua_State *L, int a, int b) {
  if (is_null(L, a)) return lua_isnil(L, b);
  if (lua_type(L, a) != lua_type(L, b)) return false;
  if (lua_type(L, a) == LUA_TNUMBER) {
    if (lua_isinteger(L, a) != lua_isinteger(L, b)) return false;
    if (lua_isinteger(L, a)) return lua_tointeger(L, a) == lua_tointeger(L, b);
    return same_number(lua_tonumber(L, a), lua_tonumber(L, b));
  }
  if (!lua_istable(L, a)) return lua_rawequal(L, a, b);
  luaL_checkstack(L, 8, NULL);
  size_t all = 0, keys = 0, others = 0;
  for (lua_pushnil(L); lua_next(L, a); lua_pop(L, 1), all++) {
    lua_pushvalue(L, -2);
    lua_rawget(L, b);
    int top = lua_gettop(L);
    if (!alike(L, top - 1, top)) return lua_pop(L, 3), false;
    keys += !lua_isnil(L, top);
    lua_pop(L, 1);
  }
  for (lua_pushnil(L); lua_next(L, b); lua_pop(L, 1)) others++;
  // A list of nothing but nulls comes back as one that is marked.
  return keys == others && (all || is_marked(L, a) == is_marked(L, b));
}

#endif
