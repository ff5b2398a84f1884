/* scope.c -- rt.scope(fn, ...): runs fn in place; what it has spawned has ended when it
 * returns.
 *
 * A scope is no call: its tasks are children of the call it stands in, those that were
 * started after it began. The children of a call stand newest first, so one look tells
 * whether any of them lives.
 */
#include "lib.h"
#include "protect.h"

/* On the stack: a true, fn, its arguments; then what it returned or its error. The context
 * is the ordinal before the first of its tasks. */
enum { BODY = 2 };

static bool has_live(const rt_call *c, uint32_t before) {
  return c->children && c->children->ordinal > before;
}

static void scope_unlink(rt_scheduler *s, rt_task *task) { (void)s, (void)task; }

static bool scope_over(const rt_task *task) {
  rt_call_tell_orphans(rt_call_of(task), (uint32_t)task->wait.other.count);
  return !has_live((const rt_call *)task, (uint32_t)task->wait.other.count);
}

/* The earliest unobserved failure among its tasks. */
static rt_call *unobserved(rt_call *c, uint32_t before) {
  rt_call *first = NULL;
  for (rt_call *f = c->rare ? c->rare->failures : NULL; f; f = f->next)
    if (f->ordinal > before) first = f;
  return first;
}

static int end_scope(lua_State *L, rt_call *c, uint32_t before, bool failed) {
  rt_call *first = unobserved(c, before);
  if (first && !failed) {
    rt_anchor_push(&c->run->engine->scheduler, L, first->handle);
    lua_getiuservalue(L, -1, 1);
    lua_getiuservalue(L, -2, 2);
    for (rt_call *f = c->rare->failures; f; f = f->next)
      if (f != first && f->ordinal > before) rt_call_add_unobserved(L, c, f);
    rt_call_receive(L, c);
    failed = true;
  }
  while ((first = unobserved(c, before))) rt_call_observe(first);
  if (failed) return lua_error(L);
  return lua_gettop(L) - 1;
}

static int scope_finish(lua_State *L, rt_task *task) {
  return end_scope(L, rt_call_of(task), (uint32_t)task->wait.other.count,
                   task->wait.other.status != LUA_OK);
}

static const rt_wait_kind scope_wait = {
    .name = "the tasks of its scope", .unlink = scope_unlink, .finish = scope_finish,
    .over = scope_over};

static int body_over(lua_State *L, int status, lua_KContext context) {
  rt_call *c = rt_call_current(rt_lib_engine(L));
  uint32_t before = (uint32_t)context;
  bool failed = status != LUA_OK && status != LUA_YIELD;
  if (failed)
    for (rt_call *child = c->children; child && child->ordinal > before; child = child->next)
      rt_call_cancel_for(child, "the scope it was started in has failed");
  if (!has_live(c, before)) return end_scope(L, c, before, failed);
  rt_call_tell_orphans(c, before);
  c->task.wait.other.co = L;
  c->task.wait.other.count = (int)before;
  c->task.wait.other.status = failed ? LUA_ERRRUN : LUA_OK;
  return rt_task_wait(L, &c->task, &scope_wait);
}

static int scope(lua_State *L) {
  rt_call *c = rt_call_check(L, rt_lib_engine(L), "rt.scope");
  if (lua_type(L, 1) != LUA_TFUNCTION)
    rt_error_raise(L, "usage", "rt.scope: argument 1: expected a function, got %s",
                   luaL_typename(L, 1));
  lua_pushboolean(L, true);
  lua_insert(L, 1);
  lua_KContext before = c->made;
  return body_over(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, before, body_over),
                   before);
}

void rt_lib_open_scope(lua_State *L, rt_engine *e) {
  static const luaL_Reg functions[] = {{"scope", scope}, {NULL, NULL}};
  rt_lib_add(L, e, functions);
  rt_protect_register(e, scope, BODY, RT_CATCHES_NONE);
}
