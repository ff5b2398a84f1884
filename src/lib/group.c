/* group.c -- waiting for tasks: task:await, rt.gather, rt.settle.
 *
 * A group is a userdata on the stack of the one who waits, with the table of results
 * above it. Each member points to the group and leaves its outcome when it ends, so the
 * group need not look again at what it was given.
 */
#include <stdlib.h>

#include "lib.h"

typedef struct group_kind {
  const char *name;   /* "rt.gather" */
  /* Stores the outcome at 'first' .. top of L of the member 'index'. */
  void (*store)(lua_State *L, rt_group *g, uint32_t index, rt_call *member, int first);
} group_kind;

struct rt_group {
  const group_kind *kind;
  rt_call *waiter;
  int results;        /* index of the table of results on the waiter's stack */
  uint32_t count;
  uint32_t pending;   /* members that have not ended */
  rt_status status;   /* of the first member that failed, if any */
  bool failed;        /* the results are its error and failure, at 1 and 2 */
  rt_call *members[]; /* references; NULL for a place that was let go */
};

/* ---- members ---- */

static bool join_group(rt_group *g, uint32_t index) {
  rt_call *c = g->members[index];
  if (!c->group && !(c->rare && c->rare->more)) {
    c->group = g;
    c->index = index;
    return true;
  }
  rt_call_rare *rare = rt_call_rare_of(c);
  struct rt_member *m = rare ? malloc(sizeof *m) : NULL;
  if (!m) return false;
  *m = (struct rt_member){rare->more, g, index};
  rare->more = m;
  return true;
}

/* Takes the group out of everything that could tell it of an end. A member nobody else
 * waits for is unobserved again, unless its failure could change nothing any more. */
static void leave_all(rt_group *g) {
  for (uint32_t i = 0; i < g->count; i++) {
    rt_call *c = g->members[i];
    if (!c || c->status != RT_RUNNING) continue;
    if (c->group == g && c->index == i) c->group = NULL;
    for (struct rt_member **m = c->rare ? &c->rare->more : NULL; m && *m;) {
      struct rt_member *at = *m;
      if (at->group != g) {
        m = &at->next;
        continue;
      }
      *m = at->next;
      free(at);
    }
    if (!g->failed && !c->group && !(c->rare && c->rare->more)) c->observed = false;
  }
}

static int group_gc(lua_State *L) {
  rt_group *g = lua_touserdata(L, 1);
  for (uint32_t i = 0; i < g->count; i++)
    if (g->members[i]) rt_call_unref(g->members[i]);
  g->count = 0;
  return 0;
}

static void cancel_others(rt_group *g, const rt_call *failed) {
  rt_buf text = {0};
  rt_buf_printf(&text, "call ");
  rt_call_id(failed, &text);
  rt_buf_printf(&text, " (%s), gathered with it, has failed", failed->node->name);
  rt_reason *reason = text.failed ? NULL : rt_reason_new(text.data, text.size);
  rt_buf_free(&text);
  for (uint32_t i = 0; i < g->count; i++)
    if (g->members[i] && g->members[i] != failed) rt_call_cancel(g->members[i], reason);
  rt_reason_unref(reason);
}

/* Moves the top of L into the results, at 'index' counted from 0. */
static void put_result(lua_State *L, rt_group *g, uint32_t index) {
  lua_State *to = g->waiter->task.wait.other.co;
  if (L != to) lua_xmove(L, to, 1);
  lua_rawseti(to, g->results, (lua_Integer)index + 1);
}

void rt_group_ended(lua_State *L, rt_group *g, uint32_t index, rt_call *member, int first) {
  if (!lua_checkstack(g->waiter->task.wait.other.co, 2)) luaL_error(L, "not enough memory");
  g->kind->store(L, g, index, member, first);
  // A waiter that was cancelled meanwhile is interrupted when all its children have ended.
  rt_call *c = g->waiter;
  if (--g->pending == 0 && c->task.kind && !rt_call_unwinds(c))
    rt_task_wake(&c->run->engine->scheduler, &c->task);
}

/* ---- gather and await: the first failure is the outcome ---- */

static void store_or_fail(lua_State *L, rt_group *g, uint32_t index, rt_call *member,
                          int first) {
  if (g->failed) return;
  if (member->status == RT_DONE) {
    if (lua_gettop(L) >= first) lua_pushvalue(L, first);
    else lua_pushnil(L);
    put_result(L, g, index);
    return;
  }
  // The waiter's own end has ended the member; it will unwind when all of its have.
  if (rt_call_unwinds(g->waiter)) return;
  g->failed = true;
  g->status = (rt_status)member->status;
  lua_pushvalue(L, first);
  put_result(L, g, 0);
  lua_pushvalue(L, first + 1);
  put_result(L, g, 1);
  cancel_others(g, member);
}

/* ---- settle: every outcome, none raised ---- */

static void store_settled(lua_State *L, rt_group *g, uint32_t index, rt_call *member,
                          int first) {
  bool ok = member->status == RT_DONE;
  lua_createtable(L, 0, 2);
  lua_pushboolean(L, ok);
  lua_setfield(L, -2, "ok");
  if (lua_gettop(L) > first) {
    lua_pushvalue(L, first);
    lua_setfield(L, -2, ok ? "value" : "error");
  }
  if (!ok) {
    lua_pushvalue(L, first);
    lua_pushvalue(L, first + 1);
    rt_call_receive(L, g->waiter);
    lua_pop(L, 1);
  }
  put_result(L, g, index);
}

/* ---- waiting ---- */

static int group_finish(lua_State *L, rt_task *task) {
  rt_group *g = task->wait.other.on;
  if (g->failed) {
    lua_rawgeti(L, g->results, 1);
    lua_rawgeti(L, g->results, 2);
    rt_call_raise_outcome(L, g->waiter, g->status);
  }
  lua_pushvalue(L, g->results);
  lua_pushinteger(L, g->count);
  lua_setfield(L, -2, "n");
  return 1;
}

static void group_unlink(rt_scheduler *s, rt_task *task) {
  (void)s;
  leave_all(task->wait.other.on);
}

static void group_describe(const rt_task *task, rt_buf *out) {
  const rt_group *g = task->wait.other.on;
  rt_buf_printf(out, "%s of %u tasks, %u still to end", g->kind->name, g->count, g->pending);
}

static const rt_wait_kind group_wait = {
    .name = "tasks", .unlink = group_unlink, .finish = group_finish,
    .describe = group_describe};

static void name_problem(lua_State *L, const char *what, lua_Integer index, bool list) {
  rt_error_raise(L, "usage", list ? "%s: item %d of the list: expected a Task, got %s"
                                  : "%s: argument %d: expected a Task, got %s",
                 what, (int)index, luaL_typename(L, -1));
}

/* The group for the tasks that were given (a list, or varargs), still without members
 * joined; with it the table of results. */
static rt_group *new_group(lua_State *L, rt_engine *e, rt_call *waiter,
                           const group_kind *kind) {
  int given = lua_gettop(L);
  bool list = given == 1 && lua_istable(L, 1);
  lua_Integer count = list ? luaL_len(L, 1) : given;
  if (list && lua_getfield(L, 1, "n") == LUA_TNUMBER) count = lua_tointeger(L, -1);
  lua_settop(L, given);
  if (count < 0 || count > INT32_MAX) count = 0;

  rt_group *g = lua_newuserdatauv(
      L, sizeof *g + (size_t)(count ? count : 1) * sizeof *g->members, 0);
  *g = (rt_group){.kind = kind, .waiter = waiter};
  lua_pushvalue(L, lua_upvalueindex(3));
  lua_setmetatable(L, -2);
  for (lua_Integer i = 1; i <= count; i++) {
    if (list) lua_geti(L, 1, i);
    else lua_pushvalue(L, (int)i);
    rt_call *c = rt_task_at(L, -1);
    if (!c) name_problem(L, kind->name, i, list);
    if (c->run->engine != e)
      rt_error_raise(L, "usage", "%s: task %d belongs to another engine", kind->name, (int)i);
    if (c == waiter)
      rt_error_raise(L, "deadlock", "%s: the call would wait for itself", kind->name);
    g->members[g->count++] = rt_call_ref(c);
    lua_pop(L, 1);
  }
  lua_createtable(L, (int)(count < 2 ? 2 : count), 1);
  g->results = lua_gettop(L);
  return g;
}

/* Takes the outcome of a member that had ended before. */
static void take_ended(lua_State *L, rt_group *g, uint32_t index) {
  if (g->results == 3 && lua_istable(L, 1)) lua_geti(L, 1, (lua_Integer)index + 1);
  else lua_pushvalue(L, (int)index + 1);
  int handle = lua_gettop(L);
  if (rt_task_at(L, handle) != g->members[index])
    rt_error_raise(L, "usage", "%s: item %d of the list changed while it was read",
                   g->kind->name, (int)index + 1);
  rt_task_push_outcome(L, handle);
  g->kind->store(L, g, index, g->members[index], handle + 1);
  lua_settop(L, handle - 1);
}

/* Takes what has ended already, the earliest failure first, then joins the others and
 * waits for them. Nothing raises once the first has been joined. */
static int wait_for_group(lua_State *L, rt_group *g) {
  g->waiter->task.wait.other.on = g;
  g->waiter->task.wait.other.co = L;
  uint32_t failed = g->count;
  for (uint32_t i = 0; i < g->count; i++) {
    const rt_call *c = g->members[i];
    if (c->status != RT_RUNNING && c->status != RT_DONE &&
        (failed == g->count || c->index < g->members[failed]->index))
      failed = i;
  }
  if (failed < g->count) take_ended(L, g, failed);
  for (uint32_t i = 0; i < g->count; i++) {
    rt_call_observe(g->members[i]);
    if (g->members[i]->status != RT_RUNNING && i != failed) take_ended(L, g, i);
  }
  for (uint32_t i = 0; i < g->count; i++) {
    if (g->members[i]->status != RT_RUNNING) continue;
    if (!join_group(g, i)) {
      leave_all(g);
      luaL_error(L, "not enough memory");
    }
    g->pending++;
  }
  if (g->pending) return rt_task_wait(L, &g->waiter->task, &group_wait);
  return group_finish(L, &g->waiter->task);
}

static const group_kind gather_kind = {"rt.gather", store_or_fail};
static const group_kind settle_kind = {"rt.settle", store_settled};

static int gather(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  rt_call *c = rt_call_check(L, e, "rt.gather");
  return wait_for_group(L, new_group(L, e, c, &gather_kind));
}

static int settle(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  rt_call *c = rt_call_check(L, e, "rt.settle");
  return wait_for_group(L, new_group(L, e, c, &settle_kind));
}

/* ---- task:await() ---- */

static void store_nothing(lua_State *L, rt_group *g, uint32_t index, rt_call *member,
                          int first) {
  (void)L, (void)g, (void)index, (void)member, (void)first;  // the Task keeps it
}

static int await_outcome(lua_State *L, rt_call *waiter, const rt_call *c) {
  int count = rt_task_push_outcome(L, 1);
  if (c->status != RT_DONE) rt_call_raise_outcome(L, waiter, (rt_status)c->status);
  return count;
}

static int await_finish(lua_State *L, rt_task *task) {
  const rt_group *g = task->wait.other.on;
  return await_outcome(L, rt_call_of(task), g->members[0]);
}

static void await_describe(const rt_task *task, rt_buf *out) {
  const rt_group *g = task->wait.other.on;
  rt_buf_text(out, "task ");
  rt_call_id(g->members[0], out);
  rt_buf_printf(out, " (%s)", g->members[0]->node->name);
}

static const rt_wait_kind await_wait = {
    .name = "a task", .unlink = group_unlink, .finish = await_finish,
    .describe = await_describe};
static const group_kind await_kind = {"task:await", store_nothing};

static bool is_above(const rt_call *at, const rt_call *c) {
  // A call is older than all below it: what is older than 'at' cannot be 'at'.
  const rt_call *up = at->run == c->run ? c : NULL;
  while (up && up->seq > at->seq) up = up->parent;
  return up == at;
}

/* What 'at' cannot end before: the task it awaits, else its child if it has just one. */
static const rt_call *holder(const rt_call *at) {
  if (at->task.kind == &await_wait && !at->task.ready)
    return ((const rt_group *)at->task.wait.other.on)->members[0];
  return at->live == 1 ? at->children : NULL;
}

static bool awaited_by_others(const rt_call *c) {
  if (!c->handle) return false;
  if (c->group && c->group->waiter != c->parent) return true;
  for (const struct rt_member *m = c->rare ? c->rare->more : NULL; m; m = m->next)
    if (m->group->waiter != c->parent) return true;
  return false;
}

/* Whether waiting for 'target' would close a circle: what 'target' waits for, and so on,
 * leads back to 'c' or a call above it. A long way is followed only if somebody waits for
 * one of those, so that a chain of awaits is not walked again with every link. */
static bool closes_circle(const rt_call *c, const rt_call *target) {
  enum { SHORT = 8 };
  int steps = 0;
  for (const rt_call *at = target; at && at->status == RT_RUNNING; at = holder(at)) {
    if (is_above(at, c)) return true;
    if (++steps != SHORT) continue;
    const rt_call *up = c;
    while (up && !awaited_by_others(up)) up = up->parent;
    if (!up) return false;
  }
  return false;
}

static int await(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  rt_call *c = rt_task_at(L, 1);
  if (!c)
    rt_error_raise(L, "usage", "task:await: expected a Task, got %s (a method wants a colon)",
                   luaL_typename(L, 1));
  rt_call *waiter = rt_call_check(L, e, "task:await");
  lua_settop(L, 1);
  if (closes_circle(waiter, c))
    rt_error_raise(L, "deadlock", "task:await: call %s waits for this one to end",
                   c == waiter ? "itself" : c->node->name);
  rt_call_observe(c);
  if (c->status != RT_RUNNING) return await_outcome(L, waiter, c);
  rt_group *g = new_group(L, e, waiter, &await_kind);
  if (!join_group(g, 0)) luaL_error(L, "not enough memory");
  g->pending = 1;
  waiter->task.wait.other.on = g;
  waiter->task.wait.other.co = L;
  return rt_task_wait(L, &waiter->task, &await_wait);
}

void rt_lib_open_group(lua_State *L, rt_engine *e) {
  lua_createtable(L, 0, 1);                // the groups' metatable
  lua_pushcfunction(L, group_gc);
  lua_setfield(L, -2, "__gc");
  static const luaL_Reg functions[] = {{"gather", gather}, {"settle", settle}};
  for (size_t i = 0; i < 2; i++) {
    lua_pushlightuserdata(L, e);
    lua_pushnil(L);
    lua_pushvalue(L, -3);
    lua_pushcclosure(L, functions[i].func, 3);
    lua_setfield(L, -3, functions[i].name);
  }
  lua_getfield(L, -2, "task_methods");
  lua_pushlightuserdata(L, e);
  lua_pushnil(L);
  lua_pushvalue(L, -4);
  lua_pushcclosure(L, await, 3);
  lua_setfield(L, -2, "await");
  lua_pop(L, 2);
}
