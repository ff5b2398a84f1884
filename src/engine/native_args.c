/* native_args.c -- what a native node reads and returns. */
#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>

#include "deadline.h"
#include "engine.h"
#include "native.h"

static const char *const type_names[] = {
    "nil", "boolean", "number", "number", "string", "table", "table"};

void *rt_state(const rt_native_call *n) { return n->entry.home->state; }

int rt_failed(const rt_native_call *n) { return n->failed || n->arena.problem; }

/* While an inline node runs no timer fires. */
static bool is_over(const rt_engine *e) {
  const rt_call *c = rt_call_current(e);
  if (!c || c->cancelled || e->signal) return c != NULL;
  int64_t now = rt_scheduler_now(&e->scheduler);
  for (; c && !c->shielded; c = c->parent)
    if (c->rare && c->rare->deadline && c->rare->deadline->timer.due <= now) return true;
  return c && c->rare && c->rare->deadline && c->rare->deadline->timer.due <= now;
}

int rt_cancelled(const rt_native_call *n) {
  if (n->L) return is_over(n->entry.home->engine);
  return atomic_load_explicit(&n->cancelled, memory_order_relaxed);
}

/* ---- arguments ---- */

int rt_arg_count(const rt_native_call *n) { return n->arg_count; }

static void misfit(rt_native_call *n, int i, const char *expected, const char *given) {
  rt_native_fail(n, "usage", NULL, "%s: argument %d: expected %s, got %s",
                 n->entry.native->name, i, expected, given);
}

static bool is_absent(const rt_native_call *n, int i) {
  if (i < 1 || i > n->arg_count) return true;
  if (!n->L) return n->args[i - 1]->type == RT_NIL;
  int type = lua_type(n->L, n->base + i);
  return type == LUA_TNIL || (type == LUA_TLIGHTUSERDATA && !lua_touserdata(n->L, n->base + i));
}

static const char *given(const rt_native_call *n, int i) {
  if (i < 1 || i > n->arg_count) return "nothing";
  if (is_absent(n, i)) return "nil";
  return n->L ? luaL_typename(n->L, n->base + i) : type_names[n->args[i - 1]->type];
}

/* The copy of argument 'i', which exists; NULL if it cannot be copied, or memory is short. */
static const rt_value *copy_of(rt_native_call *n, int i, rt_misfit *m) {
  m->what = NULL;
  if (!n->args) {
    size_t size = (size_t)n->arg_count * sizeof *n->args;
    n->args = rt_arena_take(&n->arena, size);
    if (!n->args) return NULL;
    memset(n->args, 0, size);
  }
  if (!n->args[i - 1]) n->args[i - 1] = rt_tree_read(n->L, n->base + i, &n->arena, m);
  return n->args[i - 1];
}

static const rt_value nil = {.type = RT_NIL};

int rt_arg_type(rt_native_call *n, int i) {
  rt_misfit m;
  if (is_absent(n, i)) return RT_NIL;
  if (n->L) {
    switch (lua_type(n->L, n->base + i)) {
      case LUA_TBOOLEAN: return RT_BOOLEAN;
      case LUA_TNUMBER: return lua_isinteger(n->L, n->base + i) ? RT_INTEGER : RT_FLOAT;
      case LUA_TSTRING: return RT_TEXT;
      case LUA_TTABLE: break;
      default: return -1;
    }
  }
  const rt_value *v = copy_of(n, i, &m);
  return v ? (int)v->type : RT_MAP;
}

const rt_value *rt_arg_value(rt_native_call *n, int i) {
  rt_misfit m;
  if (is_absent(n, i)) return &nil;
  const rt_value *v = copy_of(n, i, &m);
  if (v) return v;
  if (m.what)
    rt_native_fail(n, "usage", NULL, "%s: argument %d%s%s: %s cannot be given to a native node",
                   n->entry.native->name, i, *m.where ? ", at " : "", m.where, m.what);
  return &nil;
}

int rt_arg_boolean(rt_native_call *n, int i) {
  if (!is_absent(n, i)) {
    if (n->L && lua_isboolean(n->L, n->base + i)) return lua_toboolean(n->L, n->base + i);
    if (!n->L && n->args[i - 1]->type == RT_BOOLEAN) return n->args[i - 1]->boolean;
  }
  misfit(n, i, "boolean", given(n, i));
  return 0;
}

int64_t rt_arg_int(rt_native_call *n, int i) {
  lua_Integer integer = 0;
  int is = 0;
  bool number = false;
  if (!is_absent(n, i)) {
    if (n->L) {
      number = lua_type(n->L, n->base + i) == LUA_TNUMBER;
      if (number) integer = lua_tointegerx(n->L, n->base + i, &is);
    } else {
      const rt_value *v = n->args[i - 1];
      number = v->type == RT_INTEGER || v->type == RT_FLOAT;
      if (v->type == RT_INTEGER) return v->integer;
      if (number && floor(v->number) == v->number) is = lua_numbertointeger(v->number, &integer);
    }
  }
  if (!is) misfit(n, i, "integer", number ? "a number that is not an integer" : given(n, i));
  return is ? integer : 0;
}

double rt_arg_number(rt_native_call *n, int i) {
  if (!is_absent(n, i)) {
    if (n->L && lua_type(n->L, n->base + i) == LUA_TNUMBER) return lua_tonumber(n->L, n->base + i);
    if (!n->L && (n->args[i - 1]->type == RT_INTEGER || n->args[i - 1]->type == RT_FLOAT))
      return rt_value_number(n->args[i - 1]);
  }
  misfit(n, i, "number", given(n, i));
  return 0;
}

const char *rt_arg_text(rt_native_call *n, int i, size_t *size) {
  if (!is_absent(n, i)) {
    if (n->L && lua_type(n->L, n->base + i) == LUA_TSTRING)
      return lua_tolstring(n->L, n->base + i, size);
    if (!n->L && n->args[i - 1]->type == RT_TEXT) return rt_value_text(n->args[i - 1], size);
  }
  misfit(n, i, "string", given(n, i));
  if (size) *size = 0;
  return "";
}

int rt_arg_boolean_or(rt_native_call *n, int i, int other) {
  return is_absent(n, i) ? other : rt_arg_boolean(n, i);
}

int64_t rt_arg_int_or(rt_native_call *n, int i, int64_t other) {
  return is_absent(n, i) ? other : rt_arg_int(n, i);
}

double rt_arg_number_or(rt_native_call *n, int i, double other) {
  return is_absent(n, i) ? other : rt_arg_number(n, i);
}

const char *rt_arg_text_or(rt_native_call *n, int i, size_t *size, const char *other) {
  if (!is_absent(n, i)) return rt_arg_text(n, i, size);
  if (size) *size = other ? strlen(other) : 0;
  return other;
}

/* ---- values ---- */

rt_value *rt_new_nil(rt_native_call *n) { return rt_tree_new(&n->arena, RT_NIL); }

rt_value *rt_new_boolean(rt_native_call *n, int boolean) {
  rt_value *v = rt_tree_new(&n->arena, RT_BOOLEAN);
  if (v) v->boolean = boolean != 0;
  return v;
}

rt_value *rt_new_int(rt_native_call *n, int64_t integer) {
  rt_value *v = rt_tree_new(&n->arena, RT_INTEGER);
  if (v) v->integer = integer;
  return v;
}

rt_value *rt_new_number(rt_native_call *n, double number) {
  rt_value *v = rt_tree_new(&n->arena, RT_FLOAT);
  if (v) v->number = number;
  return v;
}

rt_value *rt_new_text(rt_native_call *n, const char *text, size_t size) {
  return rt_tree_text(&n->arena, text, size);
}

static rt_value *new_table(rt_native_call *n, rt_type type) {
  rt_value *v = rt_tree_new(&n->arena, type);
  if (v) v->made = true;
  return v;
}

rt_value *rt_new_list(rt_native_call *n) { return new_table(n, RT_LIST); }
rt_value *rt_new_map(rt_native_call *n) { return new_table(n, RT_MAP); }

/* ---- results ---- */

static int add_result(rt_native_call *n, const rt_value *v) {
  if (!v) return 0;  // out of memory: the arena knows
  if (n->result_count == n->result_room) {
    rt_value *more = rt_arena_take(&n->arena, (size_t)n->result_room * 2 * sizeof *more);
    if (!more) return 0;
    memcpy(more, n->results, (size_t)n->result_count * sizeof *more);
    n->results = more;
    n->result_room *= 2;
  }
  n->results[n->result_count++] = *v;
  return 0;
}

int rt_return_nil(rt_native_call *n) { return add_result(n, &nil); }

int rt_return_boolean(rt_native_call *n, int boolean) {
  return add_result(n, &(rt_value){.type = RT_BOOLEAN, .boolean = boolean != 0});
}

int rt_return_int(rt_native_call *n, int64_t integer) {
  return add_result(n, &(rt_value){.type = RT_INTEGER, .integer = integer});
}

int rt_return_number(rt_native_call *n, double number) {
  return add_result(n, &(rt_value){.type = RT_FLOAT, .number = number});
}

int rt_return_text(rt_native_call *n, const char *text, size_t size) {
  return add_result(n, rt_tree_text(&n->arena, text, size));
}

int rt_return_value(rt_native_call *n, const rt_value *v) {
  if (!v) n->arena.problem = n->arena.problem ? n->arena.problem : "returned no value";
  return add_result(n, v);
}

int rt_return_owned(rt_native_call *n, char *text, size_t size, void (*release)(void *)) {
  rt_owned *o = release ? rt_arena_take(&n->arena, sizeof *o) : NULL;
  if (o) {
    *o = (rt_owned){n->owned, text, release};
    n->owned = o;
  } else if (release) {
    release(text);
    return 0;
  }
  return add_result(n, &(rt_value){.type = RT_TEXT, .text = {text, size}});
}
