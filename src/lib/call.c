/* call.c -- calls that are waited for: rt.call, rt.timeout, rt.shield; and rt.fatal. */
#include <math.h>

#include "deadline.h"
#include "lib.h"

/* ---- rt.call(node, ...) ---- */

static void push_called(rt_call *c, lua_State *co) {
  lua_State *from = c->parent->task.wait.other.co;
  int count = lua_gettop(from);
  if (!lua_checkstack(from, count + 1) || !lua_checkstack(co, count + 4)) {
    rt_lib_push_too_many(co);
    return;
  }
  rt_node_push_body(from, 1);
  for (int i = 2; i <= count; i++) lua_pushvalue(from, i);
  lua_xmove(from, co, count);
}

static void deliver_called(lua_State *L, rt_call *c, int first) {
  rt_call *p = c->parent;
  if (rt_call_unwinds(p) && !c->shielded) {
    // It is interrupted when all its children have ended.
    if (c->status == RT_FAILED) rt_call_add_failed(p, c, rt_failure_at(L, first + 1));
    return;
  }
  lua_State *to = p->task.wait.other.co;
  int count = lua_gettop(L) - first + 1;
  if (!lua_checkstack(to, count + 4)) luaL_error(L, "not enough memory for %d results", count);
  lua_xmove(L, to, count);
  p->task.wait.other.count = count;
  p->task.wait.other.status = c->status;
  rt_task_wake(&c->run->engine->scheduler, &p->task);
}

static const rt_use called_use = {
    .verb = "called", .push = push_called, .deliver = deliver_called};

static int call_finish(lua_State *L, rt_task *task) {
  if (task->wait.other.status == RT_DONE) return task->wait.other.count;
  rt_call_raise_outcome(L, rt_call_of(task), (rt_status)task->wait.other.status);
}

static void call_describe(const rt_task *task, rt_buf *out) {
  const rt_call *child = rt_call_of(task)->children;
  while (child && child->use != &called_use) child = child->next;
  rt_buf_text(out, "call ");
  if (!child) return;
  rt_call_id(child, out);
  rt_buf_printf(out, " (%s)", child->node->name);
}

static void call_unlink(rt_scheduler *s, rt_task *task) { (void)s, (void)task; }

static const rt_wait_kind call_wait = {
    .name = "a call", .unlink = call_unlink, .finish = call_finish,
    .describe = call_describe};

/* Makes a child of 'parent' of what stands on the whole stack, not queued yet. */
static rt_call *new_call_of(lua_State *L, rt_engine *e, rt_call *parent, rt_node *node) {
  rt_call *c = rt_call_new(parent->run, parent, node, &called_use, 0);
  if (!c) return NULL;
  c->observed = true;
  c->site = rt_place_here(&e->places, L);
  return c;
}

static rt_call *new_call(lua_State *L, rt_engine *e, rt_call *parent, const char *what) {
  rt_node *node = rt_lib_node(L, e, 1, what);
  luaL_checkstack(L, LUA_MINSTACK, "too many arguments");
  rt_call *c = new_call_of(L, e, parent, node);
  if (!c) luaL_error(L, "not enough memory");
  return c;
}

static int start_call(lua_State *L, rt_engine *e, rt_call *parent, rt_call *c) {
  if (rt_call_may_nest(c)) return rt_call_nest(L, c, &call_wait);
  c->instant = rt_scheduler_idle(&e->scheduler);
  parent->task.wait.other.co = L;
  rt_call_queue(e, c);
  if (!c->instant) rt_call_keep_args(L, c, 2, lua_gettop(L) - 1);
  return rt_task_wait(L, &parent->task, &call_wait);
}

int rt_lib_call(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  rt_call *parent = rt_call_check(L, e, "rt.call");
  return start_call(L, e, parent, new_call(L, e, parent, "rt.call"));
}

int rt_lib_call_as(lua_State *L, rt_call *parent, rt_node *node) {
  rt_engine *e = parent->run->engine;
  rt_call *c = node ? new_call_of(L, e, parent, node) : NULL;
  rt_node_unref(node);
  if (!c) luaL_error(L, "not enough memory");
  return start_call(L, e, parent, c);
}


/* ---- rt.timeout(seconds, node, ...) ---- */

static int timeout(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  rt_call *parent = rt_call_check(L, e, "rt.timeout");
  lua_Number seconds = lua_tonumber(L, 1);
  if (lua_type(L, 1) != LUA_TNUMBER || !(seconds > 0))
    rt_error_raise(L, "usage", "rt.timeout: argument 1: expected a number of seconds above 0, "
                   "got %s", lua_type(L, 1) == LUA_TNUMBER ? luaL_tolstring(L, 1, NULL)
                                                           : luaL_typename(L, 1));
  rt_lib_node(L, e, 2, "rt.timeout");
  lua_remove(L, 1);
  rt_call *c = new_call(L, e, parent, "rt.timeout");
  if (!rt_deadline_set(c, seconds, c->site, NULL)) {
    rt_call_drop(c);
    luaL_error(L, "not enough memory");
  }
  return start_call(L, e, parent, c);
}

/* ---- rt.shield(node, ...) ---- */

static int shield(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  rt_call *parent = rt_call_check(L, e, "rt.shield");
  rt_call *c = new_call(L, e, parent, "rt.shield");
  c->shielded = true;
  return start_call(L, e, parent, c);
}

/* ---- rt.fatal(message) ---- */

static int fatal(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  rt_call *c = rt_call_current(e);
  if (lua_isnone(L, 1))
    rt_error_raise(L, "usage", "rt.fatal: argument 1: expected a message, got no value");
  rt_error_push(L, "fatal", "%s", luaL_tolstring(L, 1, NULL));
  if (!c) return lua_error(L);
  rt_call_add_identity(L, c);
  rt_run_raise(L, c);
}

void rt_lib_open_call(lua_State *L, rt_engine *e) {
  static const luaL_Reg functions[] = {
      {"call", rt_lib_call}, {"fatal", fatal}, {"shield", shield}, {"timeout", timeout},
      {NULL, NULL}};
  rt_lib_add(L, e, functions);
}
