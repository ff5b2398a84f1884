/* args_fuzz.c -- how a native node reads its arguments.
 *
 * The same arguments, made of the input, are read in two ways: from the Lua stack, as inline
 * nodes do, and from copies, as the others do. Both must tell the same of them, and that must
 * be what Lua knows of them; a wrong one must fail the call with the same words. */
#include "native.h"
#include "values.h"

enum { MOST = 6 };

static const rt_native native = {.name = "fuzzed", .kind = RT_OFFLOAD};

/* What was read, by which the two ways are compared. */
typedef struct answer {
  int type, boolean;
  int64_t integer;
  double number;
  const char *text;
  size_t size;
  const rt_value *value;
} answer;

static answer ask(rt_native_call *c, unsigned how, int i) {
  answer a = {0};
  bool or = how & 8;
  switch (how % 8) {
    case 0: case 1: a.type = rt_arg_type(c, i); break;
    case 2: a.boolean = or ? rt_arg_boolean_or(c, i, 7) : rt_arg_boolean(c, i); break;
    case 3: a.integer = or ? rt_arg_int_or(c, i, 7) : rt_arg_int(c, i); break;
    case 4: a.number = or ? rt_arg_number_or(c, i, 7) : rt_arg_number(c, i); break;
    case 5:
      a.text = or ? rt_arg_text_or(c, i, &a.size, "other") : rt_arg_text(c, i, &a.size);
      break;
    case 6:
      a.text = or ? rt_arg_text_or(c, i, NULL, "other") : rt_arg_text(c, i, NULL);
      a.size = strlen(a.text);
      break;
    default:
      a.value = rt_arg_value(c, i);
      a.type = (int)rt_value_type(a.value);
      a.size = rt_value_count(a.value);
  }
  return a;
}

/* Whether the argument is one that may be read so; and then, whether the answer is it. */
static bool is_right(lua_State *L, int v, unsigned how, answer a) {
  lua_Integer integer = 0;
  size_t size;
  int is = 0, type = v && !is_null(L, v) ? lua_type(L, v) : LUA_TNIL;
  bool absent = type == LUA_TNIL, or = how & 8 && absent;
  switch (how % 8) {
    case 2:
      if (!or && type != LUA_TBOOLEAN) return false;
      check(a.boolean == (or ? 7 : lua_toboolean(L, v)), "boolean %d", a.boolean);
      return true;
    case 3:
      if (type == LUA_TNUMBER) integer = lua_tointegerx(L, v, &is);
      if (or) integer = 7;
      if (!or && !is) return false;
      check(a.integer == integer, "integer %lld", (long long)a.integer);
      return true;
    case 4:
      if (!or && type != LUA_TNUMBER) return false;
      check(same_number(a.number, or ? 7 : lua_tonumber(L, v)), "number %a", a.number);
      return true;
    case 5: case 6: {
      if (!or && type != LUA_TSTRING) return false;
      const char *text = or ? (size = 5, "other") : lua_tolstring(L, v, &size);
      if (how % 8 == 6) size = strlen(text);
      check(a.size == size && memcmp(a.text, text, size) == 0, "%zu bytes", a.size);
      return true;
    }
    default: return true;
  }
}

static void same(lua_State *L, int v, answer a, answer b) {
  check(a.type == b.type && a.boolean == b.boolean && a.integer == b.integer, "type %d", a.type);
  check(same_number(a.number, b.number) && a.size == b.size, "number %a", a.number);
  check(!a.text == !b.text && (!a.text || memcmp(a.text, b.text, a.size) == 0), "text");
  if (a.type == RT_NIL) check(!v || lua_isnil(L, v) || is_null(L, v) || !a.value, "a nil");
}

/* In: the input. */
static int one(lua_State *L) {
  input *in = lua_touserdata(L, 1);
  rt_native_call here, there;
  rt_loaded home = {0};
  rt_misfit m;
  const rt_value *copies[MOST];
  int left = NODES, count = (int)(next_byte(in) % (MOST + 1));
  lua_settop(L, 0);
  luaL_checkstack(L, 100, NULL);
  for (int i = 1; i <= count; i++) {
    push_value(L, in);
    if (why_unfit(L, i, &left)) return 0;
  }
  rt_native_init(&here, &(rt_native_entry){&native, &home});
  rt_native_init(&there, &(rt_native_entry){&native, &home});
  here.L = L;
  here.arg_count = there.arg_count = count;
  for (int i = 0; i < count; i++) copies[i] = rt_tree_read(L, i + 1, &there.arena, &m);
  there.args = copies;
  check(rt_arg_count(&here) == count, "%d", rt_arg_count(&here));
  while (!at_end(in) && !here.failed) {
    unsigned how = next_byte(in), which = next_byte(in);
    int i = which < 240 ? (int)which % (MOST + 1) : which < 250 ? -(int)which : INT32_MAX;
    int v = i >= 1 && i <= count ? i : 0;
    answer a = ask(&here, how, i), b = ask(&there, how, i);
    same(L, v, a, b);
    bool right = is_right(L, v, how, a);
    check(rt_failed(&here) == !right, "%d", right);
    check(rt_failed(&there) == !right, "%d", right);
    check(right || strcmp(here.message, there.message) == 0, "%s", here.message);
    check(lua_gettop(L) == count, "the stack has grown");
  }
  rt_native_clear(&here);
  rt_native_clear(&there);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  run_in_lua(one, data, size);
  return 0;
}
