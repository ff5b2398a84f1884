/* drive.c -- calls of an embedded engine from their start to their end, and its loop. */
#include <lauxlib.h>
#include <signal.h>
#include <stdlib.h>

#include "embed.h"
#include "engine.h"

/* ---- starting ---- */

/* Scripts find what stands beside them, and their arguments, as under `railtracks run`. */
static void set_surroundings(lua_State *L, const rt_prepared *p, int first) {
  const char *slash = strrchr(p->text, '/');
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "path");
  if (slash) lua_pushlstring(L, p->text, (size_t)(slash - p->text) + 1);
  else lua_pushliteral(L, "./");
  const char *folder = lua_tostring(L, -1);
  const char *path = lua_pushfstring(L, "%s?.lua;%s?/init.lua;", folder, folder);
  const char *now = lua_tostring(L, -3);
  if (now && strncmp(now, path, strlen(path)) != 0) {
    lua_pushfstring(L, "%s%s", path, now);
    lua_setfield(L, -5, "path");
  }
  lua_pop(L, 4);
  int count = lua_gettop(L) - first;
  lua_createtable(L, count, 1);
  lua_pushstring(L, p->text);
  lua_rawseti(L, -2, 0);
  for (int i = 1; i <= count; i++) {
    lua_pushvalue(L, first + i);
    lua_rawseti(L, -2, i);
  }
  lua_setglobal(L, "arg");
}

/* Pushes the node to be run, and what stands for its body. */
static void push_body(lua_State *L, const rt_prepared *p) {
  if (p->what == RT_A_NODE) {
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, -1, "railtracks");
    lua_getfield(L, -1, "nodes");
    lua_getfield(L, -1, p->text);
    if (!rt_node_at(L, -1)) rt_error_raise(L, "usage", "rt_prepare: there is no node %s", p->text);
    lua_pushvalue(L, -1);
    return;
  }
  rt_lib_push_node(L, p->name, strlen(p->name));
  int status = p->what == RT_A_FILE
                   ? luaL_loadfilex(L, p->text, NULL)
                   : luaL_loadbufferx(L, p->text, strlen(p->text),
                                      lua_pushfstring(L, "=%s", p->name), "t");
  if (status == LUA_ERRMEM) lua_error(L);
  if (status != LUA_OK) rt_error_raise(L, "usage", "%s", lua_tostring(L, -1));
  if (p->what == RT_A_TEXT) lua_remove(L, -2);
}

/* In: the call. What its run needs goes to a Lua thread of its own. */
static int start(lua_State *L) {
  rt_prepared *p = lua_touserdata(L, 1);
  rt_native_call *c = &p->values;
  rt_engine *e = p->host->engine;
  p->co = lua_newthread(L);
  p->anchor = rt_anchor_put(&e->scheduler, L);
  push_body(L, p);
  int first = lua_gettop(L), count = c->result_count + 1;
  luaL_checkstack(L, count + LUA_MINSTACK, "too many arguments");
  if (!lua_checkstack(p->co, count + LUA_MINSTACK)) luaL_error(L, "too many arguments");
  for (int i = 0; i < c->result_count; i++) rt_tree_push(L, &c->results[i], "rt_perform");
  if (p->what == RT_A_FILE) set_surroundings(L, p, first);
  lua_xmove(L, p->co, count);
  c->result_count = 0;
  rt_run_options options = {
      .name = {p->name, strlen(p->name)}, .script = p->what == RT_A_FILE ? p->text : NULL};
  p->run = rt_run_start(p->co, e, rt_node_at(L, first - 1), 1, &options);
  return 0;
}

/* Fills the problem of the call from the error and the failure (or nil) at 'index'. */
static void read_problem(lua_State *L, rt_prepared *p, int index) {
  rt_native_call *c = &p->values;
  const rt_failure *f = rt_failure_at(L, index + 1);
  const char *kind = rt_error_kind(L, index), *trace = f ? f->traceback : "";
  rt_buf *text = rt_engine_text(p->host->engine);
  rt_error_text(L, index, text);
  if (!text->failed && text->size)
    p->problem.message = rt_arena_text(&c->arena, text->data, text->size);
  if (kind) p->problem.kind = rt_arena_text(&c->arena, kind, strlen(kind));
  p->problem.traceback = rt_arena_text(&c->arena, trace, strlen(trace));
  if (!lua_istable(L, index)) return;
  lua_pushliteral(L, "code");
  lua_rawget(L, index);
  if (lua_type(L, -1) == LUA_TSTRING) {
    size_t size;
    const char *code = lua_tolstring(L, -1, &size);
    p->problem.code = rt_arena_text(&c->arena, code, size);
  }
  lua_pop(L, 1);
}

/* Does it protected; what goes wrong is the call's problem. */
static bool protect(rt_prepared *p, lua_CFunction f) {
  lua_State *L = p->host->L;
  int top = lua_gettop(L);
  lua_pushcfunction(L, f);
  lua_pushlightuserdata(L, p);
  int status = lua_pcall(L, 1, 0, 0);
  if (status != LUA_OK) {
    lua_pushnil(L);
    read_problem(L, p, top + 1);
    rt_prepared_fail(p, "not enough memory");
  }
  lua_settop(L, top);
  return status == LUA_OK;
}

int rt_start(rt_native_call *c, void (*done)(rt_native_call *, void *), void *data) {
  rt_prepared *p = rt_prepared_of(c);
  rt_host *h = p->host;
  rt_engine *e = h->engine;
  if (p->started) return -1;
  p->started = true;
  p->done = done;
  p->data = data;
  if (c->arena.problem) return rt_prepared_fail(p, c->arena.problem), -1;
  if (e->scheduler.current)
    return rt_prepared_fail(p, "rt_start inside a node: use rt_ask, or Lua's rt.run"), -1;
  if (!e->runs) e->signal = e->signal_seen = 0;
  bool fine = protect(p, start);
  if (!fine) {
    rt_anchor_drop(&e->scheduler, p->anchor);
    return -1;
  }
  p->next = h->started;
  h->started = p;
  return 0;
}

/* ---- ending ---- */

/* In: the call, whose run is over. */
static int collect(lua_State *L) {
  rt_prepared *p = lua_touserdata(L, 1);
  rt_native_call *c = &p->values;
  int count = p->run->count;
  luaL_checkstack(L, count + LUA_MINSTACK, "too many results");
  lua_xmove(p->co, L, count);
  if (p->run->failed) {
    read_problem(L, p, 2);
    rt_prepared_fail(p, "not enough memory");
    return 0;
  }
  rt_misfit m;
  for (int i = 0; i < count; i++) {
    const rt_value *v = rt_tree_read(L, 2 + i, &c->arena, &m);
    if (!v && m.what)
      rt_error_raise(L, "usage", "result %d%s%s: %s cannot be given to C", i + 1,
                     *m.where ? ", at " : "", m.where, m.what);
    rt_return_value(c, v);
  }
  if (c->arena.problem) luaL_error(L, "%s", c->arena.problem);
  return 0;
}

/* Takes out a call whose run is over; NULL if there is none. */
static rt_prepared *take_over(rt_host *h) {
  for (rt_prepared **at = &h->started; *at; at = &(*at)->next) {
    rt_prepared *p = *at;
    if (!p->run->over) continue;
    *at = p->next;
    return p;
  }
  return NULL;
}

/* Tells those who wait for calls that have ended. They may start and release others. */
static void tell(rt_host *h) {
  for (rt_prepared *p; (p = take_over(h));) {
    protect(p, collect);
    rt_run_unref(p->run);
    rt_anchor_drop(&h->engine->scheduler, p->anchor);
    p->run = NULL;
    p->over = true;
    if (p->released) rt_prepared_free(p);
    else if (p->done) p->done(&p->values, p->data);
  }
}

void rt_cancel(rt_native_call *c) {
  const rt_prepared *p = rt_prepared_of(c);
  if (p->run && p->run->root) rt_call_cancel_for(p->run->root, "the program has cancelled it");
}

void rt_interrupt(rt_host *h) { rt_engine_interrupt(h->engine, SIGINT); }

/* ---- the loop ---- */

/* In: a run. */
static int loop_until_over(lua_State *L) {
  rt_run *run = lua_touserdata(L, 1);
  rt_engine_loop(run->engine, L, &run->over);
  return 0;
}

static void finish(rt_host *h, rt_run *run) {
  rt_run_ref(run);
  while (!run->over) {
    lua_pushcfunction(h->L, loop_until_over);
    lua_pushlightuserdata(h->L, run);
    if (lua_pcall(h->L, 1, 0, 0) != LUA_OK) lua_pop(h->L, 1);
  }
  rt_run_unref(run);
  tell(h);
}

int rt_perform(rt_native_call *c) {
  rt_prepared *p = rt_prepared_of(c);
  if (p->started) return -1;
  if (p->host->engine->scheduler.from) {
    p->started = true;
    return rt_prepared_fail(p, "rt_perform inside a run: use rt_ask, or Lua's rt.run"), -1;
  }
  if (rt_start(c, NULL, NULL) < 0) return -1;
  finish(p->host, p->run);
  return c->failed ? -1 : 0;
}

/* In: the host, milliseconds. Out: whether anything can happen yet. */
static int step(lua_State *L) {
  const rt_host *h = lua_touserdata(L, 1);
  int64_t most = lua_tointeger(L, 2);
  lua_pushboolean(L, rt_scheduler_step(&h->engine->scheduler, L,
                                       most < 0 ? RT_NEVER : most * 1000000));
  return 1;
}

int rt_loop_step(rt_host *h, int milliseconds) {
  if (h->engine->scheduler.from) return RT_INSIDE;
  lua_pushcfunction(h->L, step);
  lua_pushlightuserdata(h->L, h);
  lua_pushinteger(h->L, milliseconds);
  bool more = lua_pcall(h->L, 2, 1, 0) != LUA_OK || lua_toboolean(h->L, -1);
  lua_pop(h->L, 1);
  tell(h);
  int count = 0;
  for (const rt_prepared *p = h->started; p; p = p->next) count++;
  return count && !more && rt_loop_timeout(h) < 0 ? RT_STANDSTILL : count;
}

int rt_loop_timeout(rt_host *h) {
  int64_t left = rt_scheduler_left(&h->engine->scheduler);
  for (const rt_prepared *p = h->started; p; p = p->next)
    if (p->run->over) return 0;
  if (left == RT_NEVER) return -1;
  int64_t ms = (left + 999999) / 1000000;
  return ms < INT32_MAX ? (int)ms : INT32_MAX;
}

int rt_loop_fd(const rt_host *h) { return uv_backend_fd(&h->engine->scheduler.loop); }

void rt_host_end_all(rt_host *h) {
  for (const rt_prepared *p = h->started; p; p = p->next) rt_cancel((void *)(uintptr_t)&p->values);
  while (h->started) finish(h, h->started->run);
}
