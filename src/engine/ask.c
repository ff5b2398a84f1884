/* ask.c -- native nodes that call other nodes: rt_ask.
 *
 * A C function cannot wait in the middle: it says what it wants to ask, and who is to be told
 * the answer, and returns. The asked node is then called by Lua's own means, from the frame
 * of the one who asks, protected and with a continuation. What it answers is copied, so that
 * 'then' and whoever gets a handle from it may read it in any thread.
 */
#include <lauxlib.h>

#include "engine.h"
#include "native.h"
#include "pool.h"
#include "protect.h"

static int refuse(rt_native_call *n, const char *why) {
  rt_native_fail(n, "native", NULL, "%s: rt_ask: %s", n->entry.native->name, why);
  return -1;
}

int rt_ask(rt_native_call *n, const char *node, const rt_value *args, rt_then *then, void *data) {
  bool runs = n->L || n->pool;
  if (n->failed || n->asked.told) return -1;
  if (!runs || n->entry.native->kind == RT_OFFLOAD)
    return refuse(n, "only functions of the kinds RT_INLINE and RT_LATER can ask");
  if (!node || !then) return refuse(n, "a name and a function are needed");
  if (n->asked.then) return refuse(n, "one node after the other");
  n->asked.node = rt_arena_text(&n->arena, node, strlen(node));
  if (!n->asked.node) return -1;
  n->asked.args = args;
  n->asked.then = then;
  n->asked.data = data;
  if (n->later) rt_pool_answer(n->pool, n);
  return 0;
}

int rt_answer_count(const rt_native_call *n) { return n->asked.answer_count; }

const rt_value *rt_answer(const rt_native_call *n, int i) {
  return i >= 1 && i <= n->asked.answer_count ? n->asked.answers[i - 1] : NULL;
}

void rt_native_ask_no_more(rt_native_call *n) {
  rt_problem problem = {"cancelled", NULL, "nobody waits for the call any more", ""};
  rt_then *then = n->asked.then;
  if (!then) return;
  if (n->failed)
    problem = (rt_problem){n->kind, n->code, n->message ? n->message : "not enough memory", ""};
  n->asked.then = NULL;
  n->asked.told = true;
  then(n, &problem, n->asked.data);
}

/* ---- calling ---- */

/* The answers are all that stands on the stack. */
static int take_answers(lua_State *L, int status, lua_KContext context) {
  rt_native_call *n = (rt_native_call *)context;
  rt_asked *a = &n->asked;
  rt_misfit m;
  int count = lua_gettop(L);
  (void)status;
  a->answers = rt_arena_take(&n->arena, ((size_t)count + 1) * sizeof *a->answers);
  if (!a->answers) luaL_error(L, "not enough memory");
  for (int i = 0; i < count; i++) {
    a->answers[i] = rt_tree_read(L, i + 1, &n->arena, &m);
    if (a->answers[i]) continue;
    if (!m.what) luaL_error(L, "not enough memory");
    rt_error_raise(L, "usage", "%s: result %d of %s%s%s: %s cannot be given to a native node",
                   n->entry.native->name, i + 1, a->node, *m.where ? ", at " : "", m.where,
                   m.what);
  }
  a->answer_count = count;
  return 0;
}

/* In: n. Calls what it has asked for, and takes the answers. */
int rt_native_call_asked(lua_State *L) {
  rt_native_call *n = lua_touserdata(L, 1);
  const rt_value *args = n->asked.args;
  size_t count = rt_value_count(args);
  lua_settop(L, 0);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, "railtracks");
  lua_getfield(L, -1, "nodes");
  lua_getfield(L, -1, n->asked.node);
  if (!rt_node_at(L, -1))
    rt_error_raise(L, "usage", "%s: rt_ask: there is no node '%s'", n->entry.native->name,
                   n->asked.node);
  if (args && rt_value_type(args) != RT_LIST)
    rt_error_raise(L, "usage", "%s: rt_ask: the arguments must be a list",
                   n->entry.native->name);
  lua_replace(L, 1);
  lua_settop(L, 1);
  if (count > INT32_MAX / 2) luaL_error(L, "too many arguments");
  luaL_checkstack(L, (int)count + LUA_MINSTACK, "too many arguments");
  for (size_t i = 0; i < count; i++)
    rt_tree_push(L, rt_value_at(args, i, NULL), n->entry.native->name);
  lua_callk(L, (int)count, LUA_MULTRET, (lua_KContext)n, take_answers);
  return take_answers(L, LUA_OK, (lua_KContext)n);
}

/* ---- the answer ---- */

static const char *copy(rt_arena *a, const char *text) {
  return text ? rt_arena_text(a, text, strlen(text)) : NULL;
}

/* In: n, the error. Out: a rt_problem, in n's arena. */
static int read_problem(lua_State *L) {
  rt_native_call *n = lua_touserdata(L, 1);
  rt_engine *e = n->entry.home->engine;
  rt_problem *problem = rt_arena_take(&n->arena, sizeof *problem);
  if (!problem) luaL_error(L, "not enough memory");
  *problem = (rt_problem){.kind = copy(&n->arena, rt_error_kind(L, 2)), .traceback = ""};
  problem->message = copy(&n->arena, luaL_tolstring(L, 2, NULL));
  rt_call_push_traceback(L, rt_call_current(e), 2);
  if (lua_isstring(L, -1)) problem->traceback = copy(&n->arena, lua_tostring(L, -1));
  if (lua_istable(L, 2)) {
    lua_pushliteral(L, "code");
    if (lua_rawget(L, 2) == LUA_TSTRING) problem->code = copy(&n->arena, lua_tostring(L, -1));
  }
  if (!problem->message || !problem->traceback) luaL_error(L, "not enough memory");
  lua_pushlightuserdata(L, problem);
  return 1;
}

static const rt_problem no_memory = {NULL, NULL, "not enough memory", ""};

/* Why the node has failed whose error is on top. */
static const rt_problem *problem_of(lua_State *L, rt_native_call *n) {
  int error = lua_gettop(L);
  if (!lua_checkstack(L, LUA_MINSTACK)) return &no_memory;
  lua_pushcfunction(L, read_problem);
  lua_pushlightuserdata(L, n);
  lua_pushvalue(L, error);
  const rt_problem *problem = &no_memory;
  if (lua_pcall(L, 2, 1, 0) == LUA_OK) problem = lua_touserdata(L, -1);
  lua_settop(L, error);
  return problem;
}

/* The asked node has answered; its error, if it failed, is on top. */
static int answered(lua_State *L, int status, lua_KContext context) {
  rt_native_call *n = (rt_native_call *)context;
  rt_asked *a = &n->asked;
  rt_then *then = a->then;
  bool failed = status != LUA_OK && status != LUA_YIELD;
  const rt_problem *problem = failed ? problem_of(L, n) : NULL;
  a->told = failed && rt_protect_passes(L, n->entry.home->engine, a->since);
  if (a->told) atomic_store_explicit(&n->cancelled, true, memory_order_relaxed);
  a->then = NULL;
  int returned = then(n, problem, a->data);
  if (a->told && n->later) rt_native_desert(n);
  if (a->told || (problem && returned != 0 && !n->failed && !n->later && !a->then)) {
    rt_native_let_go(n);
    return lua_error(L);
  }
  lua_settop(L, a->floor);
  return rt_native_go_on(L, n, returned);
}

int rt_native_ask(lua_State *L, rt_native_call *n) {
  rt_asked *a = &n->asked;
  a->floor = lua_gettop(L);
  a->answer_count = 0;
  a->since = rt_protect_enter(n->entry.home->engine);
  lua_pushcfunction(L, rt_native_call_asked);
  lua_pushlightuserdata(L, n);
  lua_KContext context = (lua_KContext)n;
  return answered(L, lua_pcallk(L, 1, 0, 0, context, answered), context);
}
