/* completed.c -- rt.as_completed: an iterator over tasks in the order they end.
 *
 * The group is the second upvalue of the iterator, not a thing of one wait: members tell it
 * of their ends also while nobody waits, and leave it when it is collected.
 */
#include <stdlib.h>

#include "group.h"

enum { GROUP = 2 };  // its upvalue; the table of Tasks is the group's user value

/* Behind the slots: the members that have ended, in order. */
typedef struct completed {
  uint32_t index;
  uint32_t when;      /* of use while they are sorted */
} completed;

/* t->chosen counts those that have been handed out. */
static completed *ended_of(rt_tasks *t) { return (completed *)(t->slots + t->count); }

static uint32_t ended_count(const rt_tasks *t) { return t->count - t->pending; }

static void member_ended(lua_State *L, rt_group *g, uint32_t index, rt_call *member,
                         int first) {
  rt_tasks *t = (rt_tasks *)g;
  rt_call *waiter = g->waiter;
  (void)L, (void)first;  // the Task keeps the outcome
  ended_of(t)[ended_count(t)].index = index;
  rt_tasks_told(t, index);
  if (!waiter || waiter->task.ready || rt_group_doomed(g)) return;
  rt_call_observe(member);  // it will be handed out, whatever comes
  rt_task_wake(&waiter->run->engine->scheduler, &waiter->task);
}

static const rt_group_kind completed_kind = {"rt.as_completed", member_ended};

/* Hands the next one out: its index, whether it succeeded, the result or the error. */
static int hand_out(lua_State *L, rt_tasks *t, rt_call *c) {
  uint32_t index = ended_of(t)[t->chosen].index + 1;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_pushinteger(L, index);
  lua_getiuservalue(L, lua_upvalueindex(GROUP), 1);
  int table = lua_gettop(L);
  lua_rawgeti(L, table, index);
  rt_call *member = rt_task_at(L, -1);
  bool ok = member->status == RT_DONE;
  if (ok) rt_task_push_result(L, -1);
  else rt_task_push_outcome(L, -1);
  rt_call_observe(member);
  if (!ok) rt_call_receive(L, c);
  t->chosen++;
  lua_pushnil(L);
  lua_rawseti(L, table, index);
  lua_pushboolean(L, ok);
  lua_replace(L, table);
  lua_remove(L, table + 1);
  return 3;
}

static int completed_finish(lua_State *L, rt_task *task) {
  rt_tasks *t = task->wait.other.on;
  t->group.waiter = NULL;
  return hand_out(L, t, rt_call_of(task));
}

static void completed_unlink(rt_scheduler *s, rt_task *task) {
  rt_tasks *t = task->wait.other.on;
  (void)s;
  t->group.waiter = NULL;
}

static void completed_describe(const rt_task *task, rt_buf *out) {
  const rt_tasks *t = task->wait.other.on;
  rt_buf_printf(out, "rt.as_completed of %u tasks, %u still to end", t->count, t->pending);
}

static const rt_wait_kind completed_wait = {
    .name = "tasks", .unlink = completed_unlink, .finish = completed_finish,
    .describe = completed_describe};

static int next_completed(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  rt_tasks *t = lua_touserdata(L, lua_upvalueindex(GROUP));
  rt_call *c = rt_call_check(L, e, "rt.as_completed");
  if (t->group.waiter)
    rt_error_raise(L, "usage", "rt.as_completed: call %s waits in this iterator already",
                   rt_lib_call_text(L, t->group.waiter));
  if (t->chosen < ended_count(t)) return hand_out(L, t, c);
  if (t->chosen == t->count) return 0;
  t->group.waiter = c;
  c->task.wait.other.on = t;
  c->task.wait.other.co = L;
  return rt_task_wait(L, &c->task, &completed_wait);
}

static int by_end(const void *a, const void *b) {
  int32_t apart = (int32_t)(((const completed *)a)->when - ((const completed *)b)->when);
  return (apart > 0) - (apart < 0);
}

static int as_completed(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  if (!rt_call_current(e))
    rt_error_raise(L, "usage",
                   "rt.as_completed outside a run: start one with rt.run(node, ...)");
  rt_tasks *t = rt_tasks_new(L, e, &completed_kind, sizeof(completed));
  lua_setiuservalue(L, -2, 1);
  int group = lua_gettop(L);
  lua_pushlightuserdata(L, e);
  lua_pushvalue(L, group);
  lua_pushcclosure(L, next_completed, 2);

  uint32_t ended = 0;
  for (uint32_t i = 0; i < t->count; i++) {
    const rt_call *c = rt_tasks_member(t, i);
    if (c->status != RT_RUNNING) ended_of(t)[ended++] = (completed){i, c->index};
  }
  qsort(ended_of(t), ended, sizeof(completed), by_end);
  if (!rt_tasks_join(t, false)) luaL_error(L, "not enough memory");
  return 1;
}

void rt_lib_open_completed(lua_State *L, rt_engine *e) {
  static const luaL_Reg functions[] = {{"as_completed", as_completed}, {NULL, NULL}};
  rt_lib_add(L, e, functions);
}
