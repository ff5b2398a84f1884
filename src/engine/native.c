#include "native.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine.h"
#include "pool.h"

/* ---- one call ---- */

void rt_native_init(rt_native_call *n, const rt_native_entry *entry) {
  n->entry = *entry;
  n->L = NULL;
  n->pool = NULL;
  n->task = NULL;
  n->box = NULL;
  n->queued = n->later = n->failed = false;
  n->kind = NULL;
  n->code = n->message = NULL;
  n->args = NULL;
  n->arg_count = n->result_count = 0;
  n->results = n->own;
  n->result_room = RT_RESULTS;
  n->owned = NULL;
  n->arena = (rt_arena){.at = n->room, .left = sizeof n->room};
  atomic_init(&n->refs, 1);
  atomic_init(&n->cancelled, false);
}

void rt_native_clear(rt_native_call *n) {
  for (rt_owned *o = n->owned; o; o = o->next) o->release(o->text);
  n->owned = NULL;
  rt_arena_free(&n->arena);
}

void rt_native_unref(rt_native_call *n) {
  if (!n || atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) != 1) return;
  rt_native_clear(n);
  rt_pool_unref(n->pool);
  free(n);
}

static void fail_with(rt_native_call *n, const char *kind, const char *code, const char *format,
                      va_list list) {
  if (n->failed) return;
  n->failed = true;
  n->kind = kind;
  va_list again;
  va_copy(again, list);
  int size = vsnprintf(NULL, 0, format, again);
  va_end(again);
  n->message = size < 0 ? NULL : rt_arena_take(&n->arena, (size_t)size + 1);
  if (n->message) vsnprintf(n->message, (size_t)size + 1, format, list);
  n->code = code ? rt_arena_take(&n->arena, strlen(code) + 1) : NULL;
  if (n->code) strcpy(n->code, code);
}

void rt_native_fail(rt_native_call *n, const char *kind, const char *code, const char *format,
                    ...) {
  va_list list;
  va_start(list, format);
  fail_with(n, kind, code, format, list);
  va_end(list);
}

void rt_native_judge(rt_native_call *n, int returned) {
  const char *problem = n->arena.problem, *name = n->entry.native->name;
  if (problem)
    rt_native_fail(n, "native", NULL, "%s: %s", name, problem);
  else if (returned != 0)
    rt_native_fail(n, "native", NULL, "%s: returned %d without saying why", name, returned);
}

/* ---- to Lua ---- */

/* In: n. Out: its results. */
static int push_results(lua_State *L) {
  const rt_native_call *n = lua_touserdata(L, 1);
  luaL_checkstack(L, n->result_count + LUA_MINSTACK, "too many results");
  for (int i = 0; i < n->result_count; i++) rt_tree_push(L, &n->results[i]);
  return n->result_count;
}

/* In: n. Out: its error. */
static int push_error(lua_State *L) {
  const rt_native_call *n = lua_touserdata(L, 1);
  const rt_call *c = rt_call_current(n->entry.home->engine);
  if (!n->message) luaL_error(L, "not enough memory");
  rt_error_push(L, n->kind, "%s", n->message);
  if (n->code) lua_pushstring(L, n->code), lua_setfield(L, -2, "code");
  if (c) rt_call_add_identity(L, c);
  return 1;
}

/* Leaves the results on L's stack and returns their number, or raises; clears what 'n' holds
 * by 'clear' before that. */
static int finish(lua_State *L, rt_native_call *n, void (*clear)(rt_native_call *)) {
  bool failed = n->failed;
  int before = lua_gettop(L);
  lua_pushcfunction(L, failed ? push_error : push_results);
  lua_pushlightuserdata(L, n);
  int status = lua_pcall(L, 1, LUA_MULTRET, 0);
  clear(n);
  if (failed || status != LUA_OK) return lua_error(L);
  return lua_gettop(L) - before;
}

/* ---- inline ---- */

static int run_inline(lua_State *L, const rt_native_entry *entry) {
  rt_native_call n;
  rt_native_init(&n, entry);
  n.L = L;
  n.arg_count = lua_gettop(L);
  luaL_checkstack(L, LUA_MINSTACK + RT_RESULTS, NULL);
  rt_native_judge(&n, entry->native->run(&n));
  // What allocates nothing outside Lua may raise as it likes.
  if (n.failed || n.owned || n.arena.chunks || n.result_count > RT_RESULTS)
    return finish(L, &n, rt_native_clear);
  for (int i = 0; i < n.result_count; i++) rt_tree_push(L, &n.results[i]);
  return n.result_count;
}

/* ---- offload and later ---- */

static const char box_class = 'b';  // the metatable's place in the registry

/* Takes the waiter's reference. */
static void let_go(rt_native_call *n) {
  n->box->call = NULL;
  n->box = NULL;
  rt_native_unref(n);
}

static int box_gc(lua_State *L) {
  const rt_native_box *box = lua_touserdata(L, 1);
  if (box->call) let_go(box->call);
  return 0;
}

static int answered(lua_State *L, rt_task *task) {
  return finish(L, ((rt_native_box *)task->wait.other.on)->call, let_go);
}

static void abandon(rt_scheduler *s, rt_task *task) {
  rt_native_call *n = ((rt_native_box *)task->wait.other.on)->call;
  (void)s;
  n->task = NULL;
  atomic_store_explicit(&n->cancelled, true, memory_order_relaxed);
  rt_pool_abandon(n->pool, n);
  let_go(n);
}

static void describe(const rt_task *task, rt_buf *out) {
  const rt_native_box *box = task->wait.other.on;
  rt_buf_printf(out, "native node %s", box->name);
}

static const rt_wait_kind native_wait = {
    .name = "a native node", .outside = true, .unlink = abandon, .finish = answered,
    .describe = describe};

/* A call that outlives this C frame, in a box on top of the stack. Raises. */
static rt_native_call *new_call(lua_State *L, rt_engine *e, const rt_native_entry *entry) {
  const char *why;
  rt_native_box *box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = (rt_native_box){.name = entry->native->name};
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &box_class) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, box_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &box_class);
  }
  lua_setmetatable(L, -2);
  rt_pool *pool = rt_pool_of(e, &why);
  if (!pool)
    rt_error_raise(L, "native", "%s: cannot open the worker pool: %s", entry->native->name, why);
  rt_native_call *n = malloc(sizeof *n);
  if (!n) luaL_error(L, "not enough memory");
  rt_native_init(n, entry);
  n->pool = pool;
  rt_pool_ref(pool);
  n->box = box;
  box->call = n;
  return n;
}

/* Copies the 'count' arguments that stand from 1 on. Raises, with 'n' in its box. */
static void copy_args(lua_State *L, rt_native_call *n, int count) {
  rt_misfit m;
  const char *name = n->entry.native->name;
  n->args = rt_arena_take(&n->arena, ((size_t)count + 1) * sizeof *n->args);
  if (!n->args) luaL_error(L, "not enough memory");
  for (int i = 0; i < count; i++) {
    n->args[i] = rt_tree_read(L, i + 1, &n->arena, &m);
    if (n->args[i]) continue;
    if (!m.what) luaL_error(L, "not enough memory");
    rt_error_raise(L, "usage", "%s: argument %d%s%s: %s cannot be given to a native node", name,
                   i + 1, *m.where ? ", at " : "", m.where, m.what);
  }
  n->arg_count = count;
}

static int run_elsewhere(lua_State *L, rt_engine *e, const rt_native_entry *entry) {
  rt_call *c = rt_call_check(L, e, entry->native->name);
  int count = lua_gettop(L);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  rt_native_call *n = new_call(L, e, entry);
  copy_args(L, n, count);
  if (entry->native->kind == RT_OFFLOAD) {
    atomic_store_explicit(&n->refs, 2, memory_order_relaxed);
    if (!rt_pool_submit(n->pool, n)) {
      atomic_store_explicit(&n->refs, 1, memory_order_relaxed);
      rt_error_raise(L, "native", "%s: no worker thread can be started", entry->native->name);
    }
  } else {
    int returned = entry->native->run(n);
    if (!n->later) {
      rt_native_judge(n, returned);
      return finish(L, n, let_go);
    }
  }
  n->task = &c->task;
  c->task.wait.other.on = n->box;
  c->task.wait.other.co = L;
  rt_pool_expect(n->pool, 1);
  return rt_task_wait(L, &c->task, &native_wait);
}

rt_native_call *rt_later(rt_native_call *n) {
  if (n->later) return n;
  if (n->entry.native->kind != RT_LATER) {
    rt_native_fail(n, "native", NULL, "%s: rt_later is for nodes of the kind RT_LATER",
                   n->entry.native->name);
    return n;
  }
  n->later = true;
  atomic_fetch_add_explicit(&n->refs, 1, memory_order_relaxed);
  rt_pool_lend(n->pool);
  return n;
}

void rt_finish(rt_native_call *n) {
  if (!n->later) return;
  rt_native_judge(n, 0);
  rt_pool_answer(n->pool, n);
}

void rt_drop(rt_native_call *n) {
  if (!n->later) return;
  rt_native_fail(n, "native", NULL, "%s: dropped without an answer", n->entry.native->name);
  rt_finish(n);
}

int rt_fail(rt_native_call *n, const char *code, const char *format, ...) {
  va_list list;
  va_start(list, format);
  fail_with(n, "native", code, format, list);
  va_end(list);
  if (n->later) rt_finish(n);
  return -1;
}

/* ---- the body ---- */

int rt_native_main(lua_State *L) {
  rt_engine *e = lua_touserdata(L, lua_upvalueindex(1));
  const rt_native_entry *entry = lua_touserdata(L, lua_upvalueindex(2));
  if (entry->native->kind == RT_INLINE) return run_inline(L, entry);
  return run_elsewhere(L, e, entry);
}

void rt_native_push(lua_State *L, rt_loaded *home, const rt_native *native) {
  lua_pushlightuserdata(L, home->engine);
  rt_native_entry *entry = lua_newuserdatauv(L, sizeof *entry, 0);
  *entry = (rt_native_entry){native, home};
  lua_pushcclosure(L, rt_native_main, 2);
}

void rt_native_unload(rt_engine *e, bool clean) {
  while (e->loaded) {
    rt_loaded *home = e->loaded;
    e->loaded = home->next;
    if (!clean) continue;  // somebody may still be in there
    if (home->plugin->close) home->plugin->close(home->state);
    rt_library_close(home->library);
    free(home);
  }
}
