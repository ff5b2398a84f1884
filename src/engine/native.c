#include "native.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine.h"
#include "pool.h"

enum { SPARE = 256 };  // calls kept for the next ones

/* ---- one call ---- */

void rt_native_init(rt_native_call *n, const rt_native_entry *entry) {
  n->entry = *entry;
  n->L = NULL;
  n->base = 0;
  n->pool = NULL;
  n->task = NULL;
  n->live_link = NULL;
  n->queued = n->running = n->lost = n->later = n->failed = false;
  n->kind = NULL;
  n->code = n->message = NULL;
  n->args = NULL;
  n->arg_count = n->result_count = 0;
  n->results = n->own;
  n->result_room = RT_RESULTS;
  n->owned = NULL;
  n->asked = (rt_asked){0};
  n->arena = (rt_arena){.at = n->room, .left = sizeof n->room};
  atomic_init(&n->refs, 1);
  atomic_init(&n->cancelled, false);
}

void rt_native_clear(rt_native_call *n) {
  for (rt_owned *o = n->owned; o; o = o->next) o->release(o->text);
  n->owned = NULL;
  rt_arena_free(&n->arena);
}

static bool drop(rt_native_call *n) {
  if (!n || atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) != 1) return false;
  if (n->asked.then) {  // who is told that it is over may take a handle even so
    atomic_store_explicit(&n->refs, 1, memory_order_relaxed);
    n->later = false;
    rt_native_ask_no_more(n);
    if (n->later && rt_pool_handle(n->pool)) rt_native_desert(n);
    return drop(n);
  }
  rt_native_clear(n);
  return true;
}

void rt_native_unref(rt_native_call *n) {
  if (drop(n)) free(n);
}

void rt_native_recycle(rt_native_call *n) {
  rt_engine *e = n->entry.home->engine;
  if (!drop(n)) return;
  if (e->native_spares >= SPARE) {
    free(n);
    return;
  }
  n->next = e->native_spare;
  e->native_spare = n;
  e->native_spares++;
}

/* NULL when out of memory. */
static rt_native_call *take_call(rt_engine *e, const rt_native_entry *entry) {
  rt_native_call *n = e->native_spare;
  if (n) {
    e->native_spare = n->next;
    e->native_spares--;
  } else {
    n = malloc(sizeof *n);
  }
  if (n) rt_native_init(n, entry);
  return n;
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
  bool bad = size < 0;  // a %ls that cannot be written: the format is better than nothing
  size_t room = bad ? strlen(format) + 1 : (size_t)size + 1;
  n->message = rt_arena_take(&n->arena, room);
  if (n->message && bad) memcpy(n->message, format, room);
  else if (n->message) vsnprintf(n->message, room, format, list);
  n->code = code ? rt_arena_text(&n->arena, code, strlen(code)) : NULL;
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
  for (int i = 0; i < n->result_count; i++) rt_tree_push(L, &n->results[i], n->entry.native->name);
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

/* Leaves the results on L's stack and returns their number, or raises; 'n' is done with by
 * 'clear' before that. */
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

/* ---- what outlives the C frame ---- */

static void keep(rt_engine *e, rt_native_call *n) {
  if (n->live_link) return;
  n->live_next = e->native_live;
  n->live_link = &e->native_live;
  if (n->live_next) n->live_next->live_link = &n->live_next;
  e->native_live = n;
}

static void unlink_live(rt_native_call *n) {
  if (!n->live_link) return;
  *n->live_link = n->live_next;
  if (n->live_next) n->live_next->live_link = n->live_link;
  n->live_link = NULL;
}

void rt_native_let_go(rt_native_call *n) {
  unlink_live(n);
  rt_native_recycle(n);
}

static int answered(lua_State *L, rt_task *task) {
  rt_native_call *n = task->wait.other.on;
  n->later = false;
  return rt_native_go_on(L, n, 0);
}

static void leave(rt_native_call *n) {
  n->task = NULL;
  atomic_store_explicit(&n->cancelled, true, memory_order_relaxed);
  rt_pool_abandon(n->pool, n);
}

enum { ABANDONED = 1 };  // then what was waited for may be gone, and only the node is known

static void abandon(rt_scheduler *s, rt_task *task) {
  rt_native_call *n = task->wait.other.on;
  (void)s;
  task->wait.other.on = (void *)n->entry.native;
  task->wait.other.status = ABANDONED;
  leave(n);
  rt_native_let_go(n);
}

static void describe(const rt_task *task, rt_buf *out) {
  const rt_native_call *n = task->wait.other.on;
  const rt_native *native =
      task->wait.other.status == ABANDONED ? task->wait.other.on : n->entry.native;
  rt_buf_printf(out, "native node %s", native->name);
}

static const rt_wait_kind native_wait = {
    .name = "a native node", .outside = true, .unlink = abandon, .finish = answered,
    .describe = describe};

static int wait(lua_State *L, rt_native_call *n) {
  rt_call *c = rt_call_current(n->entry.home->engine);
  n->task = &c->task;
  c->task.wait.other.on = n;
  c->task.wait.other.status = 0;
  c->task.wait.other.co = L;
  rt_pool_expect(n->pool, 1);
  return rt_task_wait(L, &c->task, &native_wait);
}

void rt_native_desert(rt_native_call *n) {
  rt_pool_expect(n->pool, 1);
  leave(n);
}

int rt_native_go_on(lua_State *L, rt_native_call *n, int returned) {
  if (n->later) return wait(L, n);
  rt_native_judge(n, returned);
  if (n->asked.then && !n->failed) return rt_native_ask(L, n);
  return finish(L, n, rt_native_let_go);
}

/* Copies the 'count' arguments that stand from 1 on. */
static void copy_args(lua_State *L, rt_native_call *n, int count) {
  rt_misfit m;
  n->args = rt_arena_take(&n->arena, ((size_t)count + 1) * sizeof *n->args);
  for (int i = 0; n->args && i < count; i++) {
    n->args[i] = rt_tree_read(L, i + 1, &n->arena, &m);
    if (n->args[i]) continue;
    if (m.what)
      rt_native_fail(n, "usage", NULL, "%s: argument %d%s%s: %s cannot be given to a native node",
                     n->entry.native->name, i + 1, *m.where ? ", at " : "", m.where, m.what);
    return;
  }
  n->arg_count = count;
}

static int run_elsewhere(lua_State *L, rt_engine *e, const rt_native_entry *entry) {
  const char *why;
  rt_call_check(L, e, entry->native->name);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  rt_pool *pool = rt_pool_of(e, &why);
  if (!pool)
    rt_error_raise(L, "native", "%s: cannot open the worker pool: %s", entry->native->name, why);
  rt_native_call *n = take_call(e, entry);
  if (!n) luaL_error(L, "not enough memory");
  n->pool = pool;
  keep(e, n);
  copy_args(L, n, lua_gettop(L));
  if (n->failed || n->arena.problem) return rt_native_go_on(L, n, 0);
  if (entry->native->kind == RT_LATER) return rt_native_go_on(L, n, entry->native->run(n));
  atomic_store_explicit(&n->refs, 2, memory_order_relaxed);
  if (rt_pool_submit(n->pool, n)) return wait(L, n);
  atomic_store_explicit(&n->refs, 1, memory_order_relaxed);
  rt_native_fail(n, "native", NULL, "%s: no worker thread can be started", entry->native->name);
  return rt_native_go_on(L, n, 0);
}

/* ---- inline ---- */

/* Whether the results can be pushed by what does not raise. */
static bool is_plain(const rt_native_call *n) {
  if (n->failed || n->arena.problem || n->asked.then || n->result_count > RT_RESULTS) return false;
  for (int i = 0; i < n->result_count; i++)
    if (n->results[i].type >= RT_TEXT) return false;
  return true;
}

static int push_plain(lua_State *L, rt_native_call *n) {
  int count = n->result_count;
  for (int i = 0; i < count; i++) rt_tree_push(L, &n->results[i], n->entry.native->name);
  rt_native_recycle(n);
  return count;
}

int rt_native_try(lua_State *L, rt_engine *e, const rt_native_entry *entry) {
  int top = lua_gettop(L);
  rt_native_call *n = lua_checkstack(L, LUA_MINSTACK) ? take_call(e, entry) : NULL;
  e->native_tried = n;
  if (!n) return -1;
  n->L = L;
  n->base = 1;
  n->arg_count = top - 1;
  rt_native_judge(n, entry->native->run(n));
  return is_plain(n) ? push_plain(L, n) : -1;
}

/* Goes on with an inline call whose function has returned. */
static int run_on(lua_State *L, rt_native_call *n) {
  n->L = L;
  n->base = 0;
  if (n->failed || !n->asked.then) return finish(L, n, rt_native_recycle);
  keep(n->entry.home->engine, n);
  return rt_native_go_on(L, n, 0);
}

int rt_native_resume(lua_State *L) {
  rt_engine *e = rt_engine_of(L);
  rt_native_call *n = e->native_tried;
  if (!n) luaL_error(L, "not enough memory");
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  return run_on(L, n);
}

static int run_inline(lua_State *L, rt_engine *e, const rt_native_entry *entry) {
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  rt_native_call *n = take_call(e, entry);
  if (!n) luaL_error(L, "not enough memory");
  n->L = L;
  n->arg_count = lua_gettop(L);
  rt_native_judge(n, entry->native->run(n));
  return is_plain(n) ? push_plain(L, n) : run_on(L, n);
}

/* ---- what a function says ---- */

rt_native_call *rt_later(rt_native_call *n) {
  if (n->later) return n;
  if (n->entry.native->kind != RT_LATER) {
    rt_native_fail(n, "native", NULL, "%s: rt_later is for nodes of the kind RT_LATER",
                   n->entry.native->name);
    return n;
  }
  n->later = true;
  atomic_fetch_add_explicit(&n->refs, 1, memory_order_relaxed);
  rt_pool_lend(n->pool, n);
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
  if (entry->native->kind == RT_INLINE) return run_inline(L, e, entry);
  return run_elsewhere(L, e, entry);
}

const rt_native_entry *rt_native_push(lua_State *L, rt_loaded *home, const rt_native *native) {
  lua_pushlightuserdata(L, home->engine);
  rt_native_entry *entry = lua_newuserdatauv(L, sizeof *entry, 0);
  *entry = (rt_native_entry){native, home};
  lua_pushcclosure(L, rt_native_main, 2);
  return entry;
}

void rt_native_unload(rt_engine *e, rt_pool *closed) {
  while (e->native_live) {  // of coroutines that were lost
    rt_native_call *n = e->native_live;
    unlink_live(n);
    rt_native_unref(n);
  }
  while (e->native_spare) {
    rt_native_call *n = e->native_spare;
    e->native_spare = n->next;
    free(n);
  }
  while (e->loaded) {
    rt_loaded *home = e->loaded;
    e->loaded = home->next;
    if (home->stuck) continue;
    if (home->plugin->close) home->plugin->close(home->state);
    if (!rt_pool_is_rid_of(closed, home)) continue;  // somebody may still be in there
    rt_library_close(home->library);
    free(home);
  }
}
