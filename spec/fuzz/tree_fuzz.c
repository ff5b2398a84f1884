/* tree_fuzz.c -- the copy of Lua values that crosses to native nodes and back.
 *
 * A value made of the input is read, looked at through the functions of railtracks.h, pushed,
 * made again by rt_new_list and its like, and pushed once more: what comes must be what went.
 * One that cannot cross must be refused for the right reason. In some inputs memory runs out. */
#include "native.h"
#include "values.h"

/* ---- what C sees ---- */

static void compare(lua_State *L, int v, const rt_value *seen);

static void compare_text(lua_State *L, int v, const rt_value *seen) {
  size_t size, seen_size;
  const char *text = lua_tolstring(L, v, &size), *copy = rt_value_text(seen, &seen_size);
  check(seen_size == size && memcmp(text, copy, size) == 0, "%zu bytes", size);
  check(copy[size] == '\0', "no zero behind a text of %zu bytes", size);
}

static void compare_number(lua_State *L, int v, const rt_value *seen) {
  if (lua_isinteger(L, v)) {
    check(rt_value_type(seen) == RT_INTEGER, "type %d", rt_value_type(seen));
    check(rt_value_int(seen) == lua_tointeger(L, v), "%lld", (long long)lua_tointeger(L, v));
    return;
  }
  int is;
  lua_Integer integer = lua_tointegerx(L, v, &is);
  check(rt_value_type(seen) == RT_FLOAT, "type %d", rt_value_type(seen));
  check(same_number(rt_value_number(seen), lua_tonumber(L, v)), "%a", lua_tonumber(L, v));
  check(rt_value_int(seen) == (is ? integer : 0), "%a", lua_tonumber(L, v));
}

static void compare_list(lua_State *L, int t, const rt_value *seen, lua_Integer size) {
  const rt_value *key = seen;
  check(rt_value_type(seen) == RT_LIST, "type %d", rt_value_type(seen));
  check(rt_value_count(seen) == (size_t)size, "%zu", rt_value_count(seen));
  for (lua_Integer i = 1; i <= size; i++) {
    lua_rawgeti(L, t, i);
    compare(L, lua_gettop(L), rt_value_at(seen, (size_t)i - 1, &key));
    check(key == NULL, "a list has keys");
    lua_pop(L, 1);
  }
}

/* What 'name' stands for in a table, seen through rt_value_get. */
static void compare_field(lua_State *L, int t, const char *name, const rt_value *seen) {
  const rt_value *field = rt_value_get(seen, name);
  lua_pushstring(L, name);
  if (lua_rawget(L, t) == LUA_TNIL) check(!field, "%s", name);
  else compare(L, lua_gettop(L), field);
  lua_pop(L, 1);
}

static void compare_map(lua_State *L, int t, const rt_value *seen) {
  size_t keys = 0, size;
  check(rt_value_type(seen) == RT_MAP, "type %d", rt_value_type(seen));
  for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1)) {
    const rt_value *key, *value = rt_value_at(seen, keys++, &key);
    compare(L, lua_gettop(L) - 1, key);  // they stand in the order of lua_next
    compare(L, lua_gettop(L), value);
    const char *text = rt_value_text(key, &size);
    if (rt_value_type(key) == RT_TEXT && strlen(text) == size)
      check(rt_value_get(seen, text) == value, "%s", text);
  }
  check(rt_value_count(seen) == keys, "%zu", rt_value_count(seen));
}

static void compare(lua_State *L, int v, const rt_value *seen) {
  static const rt_type types[] = {[LUA_TNIL] = RT_NIL, [LUA_TBOOLEAN] = RT_BOOLEAN,
                                  [LUA_TLIGHTUSERDATA] = RT_NIL, [LUA_TSTRING] = RT_TEXT};
  int type = lua_type(L, v);
  lua_Integer size;
  check(seen != NULL, "a %s is missing", lua_typename(L, type));
  luaL_checkstack(L, 8, NULL);
  if (type == LUA_TNUMBER) {
    compare_number(L, v, seen);
  } else if (type == LUA_TTABLE) {
    if (is_list(L, v, &size)) compare_list(L, v, seen, size);
    else compare_map(L, v, seen);
    compare_field(L, v, "n", seen);
    size_t count = rt_value_count(seen);
    check(rt_value_at(seen, count, NULL) == NULL, "more than %zu", count);
  } else {
    check(rt_value_type(seen) == types[type], "type %d", rt_value_type(seen));
    if (type == LUA_TSTRING) compare_text(L, v, seen);
    if (type == LUA_TBOOLEAN) check(rt_value_boolean(seen) == lua_toboolean(L, v), "boolean");
  }
}

/* ---- there and back ---- */

static int push_tree(lua_State *L) {
  rt_tree_push(L, lua_touserdata(L, 1), "fuzzed");
  return 1;
}

/* Pushes 'tree' and compares that with the value at 'v'. */
static void compare_pushed(lua_State *L, int v, const rt_value *tree) {
  lua_pushcfunction(L, push_tree);
  lua_pushlightuserdata(L, (void *)tree);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) check(!tree, "%s", lua_tostring(L, -1));
  check(alike(L, v, lua_gettop(L)), "another value came back");
  lua_pop(L, 1);
}

/* The same value once more, as a node of the user's makes it. */
static rt_value *again(rt_native_call *c, const rt_value *v) {
  size_t count = rt_value_count(v), size;
  const rt_value *key;
  const char *text;
  rt_value *made;
  switch (rt_value_type(v)) {
    case RT_NIL: return rt_new_nil(c);
    case RT_BOOLEAN: return rt_new_boolean(c, rt_value_boolean(v));
    case RT_INTEGER: return rt_new_int(c, rt_value_int(v));
    case RT_FLOAT: return rt_new_number(c, rt_value_number(v));
    case RT_TEXT:
      text = rt_value_text(v, &size);
      return rt_new_text(c, text, size);
    case RT_LIST:
      made = rt_new_list(c);
      for (size_t i = 0; i < count; i++) rt_list_add(made, again(c, rt_value_at(v, i, NULL)));
      return made;
    case RT_MAP:
      made = rt_new_map(c);
      for (size_t i = 0; i < count; i++) {
        const rt_value *value = again(c, rt_value_at(v, i, &key));
        text = rt_value_text(key, &size);
        if (rt_value_type(key) == RT_TEXT && strlen(text) == size) rt_map_set(made, text, value);
        else rt_map_put(made, again(c, key), value);
      }
      return made;
  }
  return NULL;
}

/* A made list has no field n. */
static bool has_counted(const rt_value *v) {
  if (v->type == RT_LIST && v->counted) return true;
  for (size_t i = 0; i < rt_value_count(v); i++)
    if (has_counted(rt_value_at(v, i, NULL))) return true;
  return false;
}

static const rt_native native = {.name = "fuzzed", .kind = RT_OFFLOAD};

/* Reads the value at 'v' and judges what comes; with 'fault' that allocation fails. */
static void cross(lua_State *L, int v, const char *unfit, long fault) {
  rt_native_call c;
  rt_loaded home = {0};
  rt_misfit m;
  rt_native_init(&c, &(rt_native_entry){&native, &home});

  int top = lua_gettop(L);
  until_fault = fault;
  rt_value *tree = rt_tree_read(L, v, &c.arena, &m);
  until_fault = 0;
  check(lua_gettop(L) == top, "the stack has grown by %d", lua_gettop(L) - top);
  check(strnlen(m.where, sizeof m.where) < sizeof m.where, "where does not end");
  bool short_of = c.arena.problem != NULL;
  if (short_of) check(fault && !tree && !m.what, "%s", c.arena.problem);
  else if (unfit) check(!tree && m.what && strcmp(m.what, unfit) == 0, "%s", unfit);
  else check(tree && !m.what && !*m.where, "refused: %s at %s", m.what, m.where);

  if (tree) {
    compare(L, v, tree);
    compare_pushed(L, v, tree);
    until_fault = fault;
    rt_value *made = again(&c, tree);
    until_fault = 0;
    if (c.arena.problem) check(fault, "%s", c.arena.problem);
    else if (!has_counted(tree)) compare_pushed(L, v, made);
  }
  rt_native_clear(&c);
}

/* In: the input. */
static int one(lua_State *L) {
  input *in = lua_touserdata(L, 1);
  int left = NODES;
  long fault = (long)next_byte(in);
  push_value(L, in);
  int v = lua_gettop(L);
  const char *unfit = why_unfit(L, v, &left);
  if (left < 0) return 0;
  cross(L, v, unfit, 0);
  if (fault) cross(L, v, unfit, fault);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  run_in_lua(one, data, size);
  return 0;
}
