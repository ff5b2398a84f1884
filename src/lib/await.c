/* await.c -- waiting for one task: task:await. */
#include "group.h"

/* A userdata above the Task on the stack of the one who waits. */
typedef struct await {
  rt_group group;     /* first */
  rt_call *call;
  rt_member member;   /* its place among those who wait for the call, unless ... */
  bool first;         /* ... it stands in the call itself */
} await;

static void await_ended(lua_State *L, rt_group *g, uint32_t index, rt_call *member, int first) {
  (void)L, (void)index, (void)first;  // the Task keeps the outcome
  rt_call *waiter = g->waiter;
  if (rt_group_doomed(g)) return;
  rt_call_observe(member);
  rt_task_wake(&waiter->run->engine->scheduler, &waiter->task);
}

static const rt_group_kind await_kind = {"task:await", await_ended};

bool rt_group_awaits(const rt_group *g) { return g->kind == &await_kind; }

static int push_outcome(lua_State *L, rt_call *waiter, const rt_call *c) {
  int count = rt_task_push_outcome(L, 1);
  if (c->status != RT_DONE) rt_call_raise_outcome(L, waiter, (rt_status)c->status);
  return count;
}

static int await_finish(lua_State *L, rt_task *task) {
  const await *a = task->wait.other.on;
  return push_outcome(L, rt_call_of(task), a->call);
}

static void await_unlink(rt_scheduler *s, rt_task *task) {
  await *a = task->wait.other.on;
  (void)s;
  if (!a->first) rt_member_leave(&a->member);
  else a->call->group = NULL;
}

static void await_describe(const rt_task *task, rt_buf *out) {
  const rt_call *c = rt_await_target(task);
  rt_buf_text(out, "task ");
  rt_call_id(c, out);
  rt_buf_printf(out, " (%s)", c->node->name);
}

const rt_wait_kind rt_await_wait = {
    .name = "a task", .unlink = await_unlink, .finish = await_finish,
    .describe = await_describe};

rt_call *rt_await_target(const rt_task *task) {
  return ((const await *)task->wait.other.on)->call;
}

static int await_task(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  rt_call *c = rt_task_at(L, 1);
  if (!c)
    rt_error_raise(L, "usage", "task:await: expected a Task, got %s (a method wants a colon)",
                   luaL_typename(L, 1));
  if (c->run->engine != e)
    rt_error_raise(L, "usage", "task:await: the task belongs to another engine");
  rt_call *waiter = rt_call_check(L, e, "task:await");
  lua_settop(L, 1);
  if (c->status != RT_RUNNING) {
    rt_call_observe(c);
    return push_outcome(L, waiter, c);
  }
  if (c == waiter) rt_error_raise(L, "deadlock", "task:await: a call cannot wait for itself");
  if (rt_call_closes_circle(waiter, c))
    rt_error_raise(L, "deadlock", "task:await: call %s waits for this one to end",
                   rt_lib_call_text(L, c));
  await *a = lua_newuserdatauv(L, sizeof *a, 0);
  *a = (await){.group = {&await_kind, waiter}, .call = c};
  a->first = rt_group_join(&a->group, c, 0);
  if (!a->first && !rt_member_join(&a->member, &a->group, c, 0))
    luaL_error(L, "not enough memory");
  waiter->task.wait.other.on = a;
  waiter->task.wait.other.co = L;
  return rt_task_wait(L, &waiter->task, &rt_await_wait);
}

void rt_lib_open_await(lua_State *L, rt_engine *e) {
  static const luaL_Reg methods[] = {{"await", await_task}, {NULL, NULL}};
  lua_getfield(L, -1, "task_methods");
  rt_lib_add(L, e, methods);
  lua_pop(L, 1);
}
