/* group.c -- waiting for several tasks: rt.gather, rt.settle, rt.race, rt.any.
 *
 * They differ in which end of a member decides, so that the others are cancelled, and in
 * what they make of the outcomes once all have ended. While they wait, the table of Tasks
 * stands on the stack of the one who waits; a gather's results take the Tasks' places.
 */
#include "group.h"

typedef struct wait_kind {
  rt_group_kind group;   /* first */
  bool on_success;       /* a member that succeeds decides */
  bool on_failure;       /* one that fails does */
  bool eager;            /* results are stored as they come */
  const char *how;       /* what is said of the one that decided */
  int (*finish)(lua_State *L, rt_tasks *t);
} wait_kind;

static const wait_kind *kind_of(const rt_tasks *t) { return (const wait_kind *)t->group.kind; }

static bool decides(const wait_kind *kind, const rt_call *c) {
  return c->status == RT_DONE ? kind->on_success : kind->on_failure;
}

/* ---- while it waits ---- */

static void cancel_others(rt_tasks *t, const rt_call *decided) {
  rt_buf text = {0};
  rt_buf_text(&text, "call ");
  rt_call_id(decided, &text);
  rt_buf_printf(&text, " (%s) %s", decided->node->name, kind_of(t)->how);
  rt_reason *reason = text.failed ? NULL : rt_reason_new(text.data, text.size);
  rt_buf_free(&text);
  for (uint32_t i = 0; i < t->count; i++) {
    rt_call *c = rt_tasks_member(t, i);
    if (c) rt_call_cancel(c, reason);
  }
  rt_reason_unref(reason);
}

static void member_ended(lua_State *L, rt_group *g, uint32_t index, rt_call *member,
                         int first) {
  rt_tasks *t = (rt_tasks *)g;
  const wait_kind *kind = kind_of(t);
  rt_call *waiter = g->waiter;
  rt_tasks_told(t, index);
  if (!rt_group_doomed(g)) {
    if (!t->chosen && decides(kind, member)) {
      t->chosen = index + 1;
      cancel_others(t, member);
      if (waiter->task.ready) return;  // it was below one of them, and waits no more
    } else if (kind->eager && member->status == RT_DONE) {
      lua_State *to = waiter->task.wait.other.co;
      if (lua_gettop(L) >= first) lua_pushvalue(L, first);
      else lua_pushnil(L);
      if (L != to) lua_xmove(L, to, 1);
      lua_rawseti(to, t->table, (lua_Integer)index + 1);
    }
    if (t->pending == 0) {
      rt_tasks_observe(t);
      rt_call_observe(member);
      rt_task_wake(&waiter->run->engine->scheduler, &waiter->task);
      return;
    }
  }
  rt_tasks_hold(t, index, member);
}

static int wait_finish(lua_State *L, rt_task *task) {
  rt_tasks *t = task->wait.other.on;
  return kind_of(t)->finish(L, t);
}

static void wait_unlink(rt_scheduler *s, rt_task *task) {
  (void)s;
  rt_tasks_leave(task->wait.other.on);
}

static void wait_describe(const rt_task *task, rt_buf *out) {
  const rt_tasks *t = task->wait.other.on;
  rt_buf_printf(out, "%s of %u tasks, %u still to end", t->group.kind->name, t->count,
                t->pending);
}

static const rt_wait_kind tasks_wait = {
    .name = "tasks", .unlink = wait_unlink, .finish = wait_finish, .describe = wait_describe};

/* ---- beginning ---- */

/* Refuses to wait for oneself, and for a call above where only a deadlock can come of it. */
static void check_members(lua_State *L, const rt_tasks *t) {
  const wait_kind *kind = kind_of(t);
  for (uint32_t i = 0; i < t->count; i++) {
    const rt_call *c = rt_tasks_member(t, i);
    if (c == t->group.waiter)
      rt_error_raise(L, "deadlock", "%s: a call cannot wait for itself", kind->group.name);
    if (!kind->on_success && rt_call_is_above(c, t->group.waiter))
      rt_error_raise(L, "deadlock", "%s: call %s waits for this one to end", kind->group.name,
                     rt_lib_call_text(L, c));
  }
}

/* Takes the results of members that have ended, and lets the earliest one that decides do so.
 * Changes nothing that others could see. Returns that one, or NULL. */
static const rt_call *take_ended(lua_State *L, rt_tasks *t) {
  const wait_kind *kind = kind_of(t);
  const rt_call *decided = NULL;
  for (uint32_t i = 0; i < t->count; i++) {
    const rt_call *c = rt_tasks_member(t, i);
    if (c->status == RT_RUNNING) continue;
    if (decides(kind, c) && (!decided || rt_call_ended_before(c, decided))) {
      decided = c;
      t->chosen = i + 1;
    }
    if (!kind->eager || c->status != RT_DONE) continue;
    lua_rawgeti(L, t->table, (lua_Integer)i + 1);
    rt_task_push_result(L, -1);
    lua_rawseti(L, t->table, (lua_Integer)i + 1);
    lua_pop(L, 1);
  }
  return decided;
}

static int wait_for(lua_State *L, const wait_kind *kind) {
  rt_engine *e = rt_lib_engine(L);
  rt_call *waiter = rt_call_check(L, e, kind->group.name);
  rt_tasks *t = rt_tasks_new(L, e, &kind->group, 0);
  t->group.waiter = waiter;
  if (kind->on_success && !t->count)
    rt_error_raise(L, "usage", "%s: expected at least one Task", kind->group.name);
  check_members(L, t);
  const rt_call *decided = take_ended(L, t);
  waiter->task.wait.other.on = t;
  waiter->task.wait.other.co = L;
  if (!rt_tasks_join(t, true)) luaL_error(L, "not enough memory");
  if (decided) cancel_others(t, decided);
  if (t->pending == 0) {
    rt_tasks_observe(t);
    return kind->finish(L, t);
  }
  if (rt_group_doomed(&t->group)) {  // it stands below one of those it has cancelled
    rt_tasks_leave(t);
    rt_call_raise_cancelled(L, waiter);
  }
  return rt_task_wait(L, &waiter->task, &tasks_wait);
}

/* ---- what becomes of the outcomes ---- */

/* Pushes the outcome of the member at 'index', from 1: one value, or error and failure. */
static rt_status push_outcome(lua_State *L, const rt_tasks *t, uint32_t index) {
  lua_rawgeti(L, t->table, index);
  rt_status status = (rt_status)rt_task_at(L, -1)->status;
  if (status == RT_DONE) rt_task_push_result(L, -1);
  else rt_task_push_outcome(L, -1);
  lua_remove(L, status == RT_DONE ? -2 : -3);
  return status;
}

static int push_table(lua_State *L, const rt_tasks *t) {
  lua_pushvalue(L, t->table);
  lua_pushinteger(L, t->count);
  lua_setfield(L, -2, "n");
  return 1;
}

/* The error and the failure that decided are at the top: what else has failed stands behind
 * the traceback. */
static void add_others(lua_State *L, rt_tasks *t) {
  enum { MOST = 4096 };  // bytes, and one failure
  rt_buf *text = rt_engine_text(t->group.waiter->run->engine);
  for (uint32_t i = 1; i <= t->count && text->size < MOST; i++) {
    if (i == t->chosen) continue;
    lua_rawgeti(L, t->table, i);
    const rt_call *c = rt_task_at(L, -1);
    lua_pop(L, 1);
    if (!c || c->status != RT_FAILED) continue;
    push_outcome(L, t, i);
    rt_call_write_failed(c, rt_failure_at(L, -1), text);
    lua_pop(L, 2);
  }
  if (text->size) rt_call_extend_failure(L, text);
}

static int gathered(lua_State *L, rt_tasks *t) {
  if (!t->chosen) return push_table(L, t);
  rt_status status = push_outcome(L, t, t->chosen);
  add_others(L, t);
  rt_call_raise_outcome(L, t->group.waiter, status);
}

static int settled(lua_State *L, rt_tasks *t) {
  for (uint32_t i = 1; i <= t->count; i++) {
    lua_createtable(L, 0, 2);
    bool ok = push_outcome(L, t, i) == RT_DONE;
    if (!ok) rt_call_receive(L, t->group.waiter);
    lua_setfield(L, -2, ok ? "value" : "error");
    lua_pushboolean(L, ok);
    lua_setfield(L, -2, "ok");
    lua_rawseti(L, t->table, i);
  }
  return push_table(L, t);
}

/* The result of the one that decided, and which it was. */
static int chosen(lua_State *L, rt_tasks *t) {
  rt_status status = push_outcome(L, t, t->chosen);
  if (status != RT_DONE) rt_call_raise_outcome(L, t->group.waiter, status);
  lua_pushinteger(L, t->chosen);
  return 2;
}

/* All have failed: the errors take the places of the Tasks. */
static int none_succeeded(lua_State *L, rt_tasks *t) {
  uint32_t first = 0;
  const rt_call *earliest = NULL;
  for (uint32_t i = 1; i <= t->count; i++) {
    lua_rawgeti(L, t->table, i);
    const rt_call *c = rt_task_at(L, -1);
    lua_pop(L, 1);
    if (earliest && !rt_call_ended_before(c, earliest)) continue;
    earliest = c;
    first = i;
  }
  push_outcome(L, t, first);
  const rt_failure *f = rt_failure_at(L, -1);
  const char *text = f ? f->message : "not enough memory";
  if (t->count == 1) rt_error_push(L, "any", "the only task failed: %s", text);
  else rt_error_push(L, "any", "all %d tasks failed, the first of them with: %s", (int)t->count,
                     text);
  for (uint32_t i = 1; i <= t->count; i++) {
    push_outcome(L, t, i);
    rt_call_receive(L, t->group.waiter);
    lua_rawseti(L, t->table, i);
  }
  lua_pushvalue(L, t->table);
  lua_setfield(L, -2, "errors");
  return lua_error(L);
}

static int succeeded(lua_State *L, rt_tasks *t) {
  return t->chosen ? chosen(L, t) : none_succeeded(L, t);
}

/* ---- rt.gather, rt.settle, rt.race, rt.any ---- */

static int gather(lua_State *L) {
  static const wait_kind kind = {
      .group = {"rt.gather", member_ended}, .on_failure = true, .eager = true,
      .how = "has failed, gathered with it", .finish = gathered};
  return wait_for(L, &kind);
}

static int settle(lua_State *L) {
  static const wait_kind kind = {.group = {"rt.settle", member_ended}, .finish = settled};
  return wait_for(L, &kind);
}

static int race(lua_State *L) {
  static const wait_kind kind = {
      .group = {"rt.race", member_ended}, .on_success = true, .on_failure = true,
      .how = "has won the race", .finish = chosen};
  return wait_for(L, &kind);
}

static int any(lua_State *L) {
  static const wait_kind kind = {
      .group = {"rt.any", member_ended}, .on_success = true,
      .how = "has succeeded before it", .finish = succeeded};
  return wait_for(L, &kind);
}

void rt_lib_open_group(lua_State *L, rt_engine *e) {
  static const luaL_Reg functions[] = {
      {"any", any}, {"gather", gather}, {"race", race}, {"settle", settle}, {NULL, NULL}};
  rt_lib_add(L, e, functions);
}
