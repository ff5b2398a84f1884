/* made_fuzz.c -- values that a native node makes, and puts into one another in any order.
 *
 * Whatever the input says is done twice: with rt_new_list, rt_map_put and their like, and with
 * tables of Lua. What the node then returns must be the same, and its call must fail exactly
 * if something was done that is not allowed. In some inputs memory runs out. */
#include "native.h"
#include "values.h"

enum { SLOTS = 16 };

/* ---- both sides ---- */

typedef struct slot {
  rt_value *value;         // what the node has; its mirror is item i of a Lua list
  bool made;               // by rt_new_list or rt_new_map
  lua_Integer count;       // of a made list
} slot;

typedef struct maker_of_both {
  lua_State *L;
  input *in;
  rt_native_call *c;
  int mirrors, returned;   // stack indices of that, and of the results
  bool mistaken;           // something was done that fails the call
  int owned, released;     // texts of rt_return_owned
  slot slots[SLOTS];
} both;

static int pick(both *b) { return (int)(next_byte(b->in) % SLOTS); }

static bool is_table(const slot *s) {
  rt_type type = rt_value_type(s->value);
  return type == RT_LIST || type == RT_MAP;
}

/* Puts a new value, whose mirror is on top of the stack, into a slot. */
static void keep(both *b, rt_value *v, bool made) {
  int i = pick(b);
  b->slots[i] = (slot){v, made, 0};
  lua_rawseti(b->L, b->mirrors, i + 1);
}

static void make_scalar(both *b, bool give_back) {
  lua_State *L = b->L;
  rt_native_call *c = b->c;
  maker m = {.L = L, .in = b->in};
  size_t size;
  const char *text;
  rt_value *v = NULL;
  switch (next_byte(b->in) % 4) {
    case 0:
      lua_pushnil(L);
      if (give_back) rt_return_nil(c);
      else v = rt_new_nil(c);
      break;
    case 1:
      lua_pushboolean(L, next_byte(b->in) & 1);
      if (give_back) rt_return_boolean(c, 2 * lua_toboolean(L, -1));
      else v = rt_new_boolean(c, 2 * lua_toboolean(L, -1));
      break;
    case 2:
      make_number(&m);
      if (!lua_isinteger(L, -1)) {
        if (give_back) rt_return_number(c, lua_tonumber(L, -1));
        else v = rt_new_number(c, lua_tonumber(L, -1));
      } else if (give_back) rt_return_int(c, lua_tointeger(L, -1));
      else v = rt_new_int(c, lua_tointeger(L, -1));
      break;
    default:
      make_text(&m);
      text = lua_tolstring(L, -1, &size);
      if (give_back) rt_return_text(c, text, size);
      else v = rt_new_text(c, text, size);
  }
  if (!give_back) keep(b, v, false);
}

/* ---- what a node may do ---- */

/* The mirror of a made list. */
static void push_list(lua_State *L) {
  lua_newtable(L);
  rt_value_mark_array(L, lua_gettop(L));
}

static void add_to_list(both *b, slot *to, int item) {
  if (to->value) {
    if (!to->made || rt_value_type(to->value) != RT_LIST || !b->slots[item].value)
      b->mistaken = true;
    else {
      lua_rawgeti(b->L, b->mirrors, to - b->slots + 1);
      lua_rawgeti(b->L, b->mirrors, item + 1);
      lua_rawseti(b->L, -2, ++to->count);
      lua_pop(b->L, 1);
    }
  }
  rt_list_add(to->value, b->slots[item].value);
}

static bool may_be_key(lua_State *L, int v) {
  if (lua_type(L, v) == LUA_TNUMBER) return lua_tonumber(L, v) == lua_tonumber(L, v);
  return !lua_isnil(L, v);
}

/* Its key is on top of the stack; takes it. */
static void mirror_put(both *b, const slot *to, int value, bool key_is_table) {
  lua_State *L = b->L;
  bool may = to->made && rt_value_type(to->value) == RT_MAP && b->slots[value].value;
  if (!may || key_is_table || !may_be_key(L, -1)) {
    lua_pop(L, 1);
    if (to->value) b->mistaken = true;
    return;
  }
  lua_rawgeti(L, b->mirrors, to - b->slots + 1);
  lua_insert(L, -2);
  lua_rawgeti(L, b->mirrors, value + 1);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

static void put_into_map(both *b) {
  const slot *to = &b->slots[pick(b)];
  int key = pick(b), value = pick(b);
  lua_rawgeti(b->L, b->mirrors, key + 1);
  mirror_put(b, to, value, is_table(&b->slots[key]));
  rt_map_put(to->value, b->slots[key].value, b->slots[value].value);
}

static void set_in_map(both *b) {
  const slot *to = &b->slots[pick(b)];
  int value = pick(b);
  char key[8] = "";
  size_t size = next_byte(b->in) % 8;
  const char *bytes = next_bytes(b->in, &size);
  if (size) memcpy(key, bytes, size);
  key[7] = '\0';
  lua_pushstring(b->L, key);
  mirror_put(b, to, value, false);
  rt_map_set(to->value, key, b->slots[value].value);
}

/* So many that tables have to grow. */
static void add_many(both *b) {
  slot *to = &b->slots[pick(b)];
  int item = pick(b);
  for (unsigned i = next_byte(b->in); i && !b->mistaken; i--) {
    if (rt_value_type(to->value) == RT_LIST) {
      add_to_list(b, to, item);
    } else {
      lua_pushinteger(b->L, i);
      mirror_put(b, to, item, false);
      rt_map_put(to->value, rt_new_int(b->c, i), b->slots[item].value);
    }
  }
}

/* Lists in one another, from the outermost on or from the innermost. */
static void make_deep(both *b, bool outermost_first) {
  lua_State *L = b->L;
  unsigned levels = next_byte(b->in);
  if (levels >= 224) levels = DEEPEST - 6 + levels % 8;
  else levels %= 32;
  int i = pick(b);
  rt_value *first = rt_new_list(b->c), *list = first;
  push_list(L);
  int mirror = lua_gettop(L);
  lua_pushvalue(L, mirror);
  for (; levels; levels--) {
    rt_value *other = rt_new_list(b->c);
    rt_list_add(outermost_first ? list : other, outermost_first ? other : list);
    list = other;
    push_list(L);
    if (outermost_first) {
      lua_pushvalue(L, -1);
      lua_rawseti(L, -3, 1);
      lua_remove(L, -2);
    } else {
      lua_insert(L, -2);
      lua_rawseti(L, -2, 1);
    }
  }
  if (outermost_first) lua_settop(L, mirror);
  b->slots[i] = (slot){outermost_first ? first : list, true, 0};
  b->slots[i].count = (lua_Integer)rt_value_count(b->slots[i].value);
  lua_rawseti(L, b->mirrors, i + 1);
  lua_settop(L, mirror - 1);
}

/* A value that was read of an argument; if it cannot be, there is none. */
static void read_argument(both *b) {
  rt_misfit m;
  int left = NODES;
  push_value(b->L, b->in);
  int v = lua_gettop(b->L);
  if (why_unfit(b->L, v, &left)) return lua_pop(b->L, 1);
  keep(b, rt_tree_read(b->L, v, &b->c->arena, &m), false);
}

static void drop_owned(void *text) {
  both *b;
  memcpy(&b, (char *)text + 8, sizeof b);
  b->released++;
  free(text);
}

static void give_back_owned(both *b) {
  char *text = __real_malloc(8 + sizeof b);
  memcpy(text, "owned\0by", 8);
  memcpy(text + 8, &b, sizeof b);
  b->owned++;
  rt_return_owned(b->c, text, 8, drop_owned);
  lua_pushlstring(b->L, "owned\0by", 8);
}

/* ---- what is returned ---- */

/* How deep a value is nested; 'left' counts down what is in it. */
static int depth_of(const rt_value *v, int above, int *left) {
  int most = above;
  const rt_value *key;
  if (--*left < 0 || (rt_value_type(v) != RT_LIST && rt_value_type(v) != RT_MAP)) return above;
  if (above > DEEPEST) return above;
  most = above + 1;
  for (size_t i = 0; i < rt_value_count(v) && most <= DEEPEST; i++) {
    int depth = depth_of(rt_value_at(v, i, &key), above + 1, left);
    if (depth > most) most = depth;
  }
  return most;
}

static int push_tree(lua_State *L) {
  rt_tree_push(L, lua_touserdata(L, 1), "fuzzed");
  return 1;
}

/* Takes the mirror of the last result from the top of the stack. */
static void note_result(both *b, int count) {
  check(b->c->arena.problem || b->c->result_count == count + 1, "%d results",
        b->c->result_count);
  if (b->c->arena.problem) return lua_pop(b->L, 1);
  lua_pushvalue(b->L, -1);
  lua_rawseti(b->L, b->returned, count + 1);
  int left = NODES;
  const rt_value *result = &b->c->results[count];
  bool deep = depth_of(result, 0, &left) > DEEPEST;
  if (left < 0) return lua_pop(b->L, 1);
  lua_pushcfunction(b->L, push_tree);
  lua_pushlightuserdata(b->L, (void *)result);
  bool pushed = lua_pcall(b->L, 1, 1, 0) == LUA_OK;
  if (deep) {
    check(!pushed && strstr(lua_tostring(b->L, -1) ? lua_tostring(b->L, -1) : "nested more than",
                            "nested more than"), "too deep, and pushed");
  } else {
    check(pushed, "%s", luaL_tolstring(b->L, -1, NULL));
    check(alike(b->L, lua_gettop(b->L) - 1, lua_gettop(b->L)), "another result");
  }
  lua_pop(b->L, 2);
}

/* All results; but tables may have grown meanwhile, and are seen above. */
static void check_results(both *b) {
  for (int i = 0; i < b->c->result_count; i++) {
    const rt_value *result = &b->c->results[i];
    lua_rawgeti(b->L, b->returned, i + 1);
    if (lua_istable(b->L, -1)) {
      check(result->type == RT_LIST || result->type == RT_MAP, "type %d", result->type);
    } else {
      rt_tree_push(b->L, result, "fuzzed");
      check(alike(b->L, lua_gettop(b->L) - 1, lua_gettop(b->L)), "another result %d", i + 1);
      lua_pop(b->L, 1);
    }
    lua_pop(b->L, 1);
  }
}

static void give_back(both *b) {
  int before = b->c->result_count, i = pick(b);
  unsigned how = next_byte(b->in) % 4;
  if (how == 0) {
    make_scalar(b, true);
  } else if (how == 1) {
    give_back_owned(b);
  } else {
    lua_rawgeti(b->L, b->mirrors, i + 1);
    if (!b->slots[i].value) b->mistaken = true;
    rt_return_value(b->c, b->slots[i].value);
  }
  note_result(b, before);
}

static void step(both *b) {
  switch (next_byte(b->in) % 16) {
    case 0: case 1: make_scalar(b, false); break;
    case 2: lua_newtable(b->L), keep(b, rt_new_map(b->c), true); break;
    case 3: push_list(b->L), keep(b, rt_new_list(b->c), true); break;
    case 4: case 5: add_to_list(b, &b->slots[pick(b)], pick(b)); break;
    case 6: add_many(b); break;
    case 7: case 8: put_into_map(b); break;
    case 9: set_in_map(b); break;
    case 10: make_deep(b, true); break;
    case 11: make_deep(b, false); break;
    case 12: read_argument(b); break;
    default: give_back(b);
  }
}

static const rt_native native = {.name = "fuzzed", .kind = RT_OFFLOAD};

/* In: the input. */
static int one(lua_State *L) {
  rt_native_call c;
  rt_loaded home = {0};
  input *in = lua_touserdata(L, 1);
  lua_newtable(L);
  lua_newtable(L);
  int top = lua_gettop(L);
  both b = {.L = L, .in = in, .c = &c, .mirrors = top - 1, .returned = top};
  rt_native_init(&c, &(rt_native_entry){&native, &home});
  long fault = (long)next_byte(in);
  until_fault = fault;
  while (!at_end(in) && !b.mistaken && !c.arena.problem) step(&b);
  bool short_of = c.arena.problem && strcmp(c.arena.problem, "not enough memory") == 0;
  until_fault = 0;
  for (int i = 0; short_of && i < 100; i++) step(&b);  // nothing of it may do harm
  rt_native_judge(&c, 0);
  if (!c.failed) check_results(&b);
  if (short_of) check(fault, "memory was not short");
  else check(c.failed == b.mistaken, "%s", c.failed ? c.message : "not failed");
  check(b.released == 0 || short_of, "released too early");
  rt_native_clear(&c);
  check(b.released == b.owned, "%d texts given, %d released", b.owned, b.released);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  run_in_lua(one, data, size);
  return 0;
}
