#include "call.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "deadline.h"
#include "engine.h"
#include "log.h"
#include "memory.h"
#include "protect.h"

enum {
  SPARE = 256,         // ended calls kept for the next ones
  ID_LONGEST = 255,    // bytes of a whole id
  ID_STEM = 224,       // of the beginning of a shortened one
};

/* ---- making and freeing ---- */

static void unlink_sibling(rt_call **list, rt_call *c) {
  if (c->previous) c->previous->next = c->next;
  else *list = c->next;
  if (c->next) c->next->previous = c->previous;
  c->next = c->previous = NULL;
}

rt_call_rare *rt_call_rare_of(rt_call *c) {
  if (!c->rare) c->rare = calloc(1, sizeof *c->rare);
  return c->rare;
}

/* Sets how long the id is and, for a shortened one, where it branches off. */
static bool measure_id(rt_call *c) {
  const rt_call *p = c->parent;
  if (!p) {
    c->id_size = 1;
    return true;
  }
  uint32_t size = p->id_size + 1 + (uint32_t)rt_digits(c->ordinal);
  c->id_size = (uint16_t)(size > ID_LONGEST ? ID_LONGEST + 1 : size);
  if (size <= ID_LONGEST) return true;
  if (!rt_call_rare_of(c)) return false;
  rt_call *stem = c->parent;
  if (stem->id_size > ID_LONGEST) stem = stem->rare->stem;
  else
    while (stem->id_size > ID_STEM) stem = stem->parent;
  c->rare->stem = stem;
  return true;
}

/* A Task, or a call below, may outlive it for long. */
static void forget_failures(rt_engine *e, rt_call *c) {
  rt_anchor_drop(&e->scheduler, c->rare->received);
  rt_anchor_drop(&e->scheduler, c->rare->failure);
  rt_anchor_drop(&e->scheduler, c->rare->told);
  c->rare->received = c->rare->failure = c->rare->told = 0;
}

static void free_call(rt_engine *e, rt_call *c) {
  if (c->rare) {
    rt_call_end_timers(c);
    forget_failures(e, c);
    free(c->rare->args);
    free(c->rare->second);
    rt_reason_unref(c->rare->reason);
    free(c->rare);
  }
  rt_anchor_drop(&e->scheduler, c->handle);
  rt_node_unref(c->node);
  if (e->spares < SPARE) {
    c->next = e->spare;
    e->spare = c;
    e->spares++;
  } else {
    free(c);
  }
}

void rt_call_unref(rt_call *c) {
  // A loop, not a recursion: a chain of 100,000 callers may go at once.
  while (c && --c->refs == 0) {
    rt_call *parent = c->parent;
    rt_run *run = c->run;
    free_call(run->engine, c);
    rt_run_unref(run);
    c = parent;
  }
}

rt_call *rt_call_new(rt_run *run, rt_call *parent, rt_node *node, const rt_use *use,
                     uint32_t ordinal) {
  rt_engine *e = run->engine;
  rt_call *c = e->spare;
  if (c) {
    e->spare = c->next;
    e->spares--;
  } else {
    c = malloc(sizeof *c);
    if (!c) return NULL;
  }
  *c = (rt_call){
      .run = rt_run_ref(run), .parent = parent, .node = rt_node_ref(node), .use = use,
      .refs = 1, .seq = ++run->next_seq, .status = RT_RUNNING, .outcome = RT_DONE,
      .spawned = rt_scheduler_now(&e->scheduler),
  };
  c->ordinal = ordinal ? ordinal : parent ? ++parent->made : 1;
  if (parent) rt_call_ref(parent);
  if (!measure_id(c)) {
    rt_call_unref(c);
    return NULL;
  }
  if (parent) {
    c->next = parent->children;
    if (c->next) c->next->previous = c;
    parent->children = c;
    parent->live++;
    c->shielded = parent->delivered && !parent->cut;  // cleanup: bounded by its grace
    if (parent->cancelled && !c->shielded)
      rt_call_cancel(c, parent->rare ? parent->rare->reason : NULL);
  }
  return c;
}

void rt_call_drop(rt_call *c) {
  c->status = RT_FAILED;
  unlink_sibling(&c->parent->children, c);
  c->parent->live--;
  rt_call_unref(c);
}

void rt_call_id(const rt_call *c, rt_buf *out) {
  uint32_t path[ID_LONGEST / 2 + 1];
  size_t depth = 0;
  bool whole = c->id_size <= ID_LONGEST;
  for (const rt_call *at = whole ? c : c->rare->stem; at; at = at->parent)
    path[depth++] = at->ordinal;
  while (depth--) {
    rt_buf_int(out, path[depth]);
    if (depth) rt_buf_char(out, '.');
  }
  if (!whole) {
    rt_buf_text(out, "…~");
    rt_buf_int(out, c->seq);
  }
}

rt_call *rt_call_current(const rt_engine *e) { return rt_call_of(e->scheduler.current); }

uint64_t rt_call_identity(const rt_call *c) {
  return (uint64_t)c->run->number << 32 | c->seq;
}

static int interrupted(lua_State *L, rt_task *task) {
  rt_call_raise_cancelled(L, rt_call_of(task));
}

/* ---- children and their failures ---- */

/* Takes it from its parent's list of failures. */
static void stop_failing(rt_call *c) {
  if (!c->failing) return;
  c->failing = false;
  unlink_sibling(&c->parent->rare->failures, c);
  rt_call_unref(c);
}

static void drop_handle(rt_call *c) {
  rt_anchor_drop(&c->run->engine->scheduler, c->handle);
  c->handle = 0;
}

void rt_call_observe(rt_call *c) {
  c->observed = true;
  if (c->status == RT_RUNNING) return;
  drop_handle(c);
  stop_failing(c);
}

/* A spawned call failed and nobody waits for it: its caller will fail with it, unless
 * somebody asks for it before. */
static void keep_failure(rt_call *c) {
  rt_call_rare *rare = rt_call_rare_of(c->parent);
  if (!rare || !c->handle || c->parent->status != RT_RUNNING) {
    drop_handle(c);
    return;
  }
  // Newest first; one that was held may be older than others.
  rt_call *newer = NULL, *older = rare->failures;
  while (older && (int32_t)(c->index - older->index) < 0) {
    newer = older;
    older = older->next;
  }
  c->failing = true;
  c->previous = newer;
  c->next = older;
  if (older) older->previous = c;
  if (newer) newer->next = rt_call_ref(c);
  else rare->failures = rt_call_ref(c);
}

bool rt_call_hold(rt_call *c) {
  rt_call_rare *rare = rt_call_rare_of(c);
  if (!rare) {
    rt_call_observe(c);
    return false;
  }
  rare->held++;
  stop_failing(c);
  return true;
}

void rt_call_release(rt_call *c) {
  // One that is just ending is kept by end_of_child.
  if (--c->rare->held == 0 && !c->observed && c->gone) keep_failure(c);
}

static void end_of_child(rt_call *c) {
  rt_call *p = c->parent;
  rt_scheduler *s = &c->run->engine->scheduler;
  unlink_sibling(&p->children, c);
  p->live--;
  c->gone = true;
  if (c->handle && c->status == RT_FAILED && !c->observed && !(c->rare && c->rare->held))
    keep_failure(c);
  if (p->task.ready || !p->task.kind) return;
  if (p->task.kind->over && !rt_call_unwinds(p) && p->task.kind->over(&p->task)) {
    rt_task_wake(s, &p->task);
    return;
  }
  if (p->live) return;
  if (p->over) rt_task_wake(s, &p->task);
  else if (rt_call_unwinds(p)) rt_task_interrupt(s, &p->task);
}

/* ---- one call, from its beginning to its end ----
 *
 * A coroutine's stack holds, from the first slot of the C function that runs the call on:
 * the message handler, then the body and its arguments, later the results, or the error
 * and its failure. That function is call_main at the bottom of a coroutine of the pool, or
 * rt_call_nest when the caller's coroutine is used.
 */

static int after_children(lua_State *L, rt_task *task);

static const rt_wait_kind children_wait = {.name = "its children", .finish = after_children};

/* What cleanup has raised while 'c' was unwound does not replace the reason for it. */
static void add_cleanup_error(lua_State *L, rt_call *c, int index) {
  size_t size;
  const char *message = luaL_tolstring(L, index, &size);
  char room[RT_ID_ROOM];
  rt_buf id = {.data = room, .capacity = sizeof room, .fixed = true};
  rt_call_id(c, &id);
  rt_log(RT_LOG_WARNING, "call %.*s (%s) was cancelled, and its cleanup failed: %s",
         (int)id.size, id.data, c->node->name, message);
  static const char begin[] = "\nand its cleanup failed: ";
  rt_call_add_second(c, begin, sizeof begin - 1);
  rt_call_add_second(c, message, size);
  lua_pop(L, 1);
}

/* Pushes the cancellation that ends 'c'; whatever else it left is at index 2. */
static void push_end(lua_State *L, rt_call *c) {
  rt_scheduler *s = &c->run->engine->scheduler;
  if (c->rare && c->rare->told) rt_anchor_push(s, L, c->rare->told);
  else rt_call_push_cancelled(L, c, c->over ? &children_wait : NULL);
  const char *kind = rt_error_kind(L, 2);
  bool cancelled = kind && strcmp(kind, "cancelled") == 0;
  if (c->unwound && !cancelled && !lua_rawequal(L, 2, -1)) add_cleanup_error(L, c, 2);
}

/* A child has failed and nobody has asked for it; the call ends with another failure. */
void rt_call_add_unobserved(lua_State *L, rt_call *c, const rt_call *child) {
  rt_anchor_push(&c->run->engine->scheduler, L, child->handle);
  lua_getiuservalue(L, -1, 2);
  rt_call_add_failed(c, child, rt_failure_at(L, -1));
  lua_pop(L, 2);
}

/* Whether the body was unwound by the very error its run is to fail with. */
static bool fails_with_fatal(lua_State *L, const rt_call *c) {
  const char *kind = c->unwound ? rt_error_kind(L, 2) : NULL;
  return kind && !c->run->fatal_error && strcmp(kind, c->run->fatal_kind) == 0;
}

/* In: c and what the body left (nothing, or an error). Out: the error of the call and its
 * failure. */
static int make_failure(lua_State *L) {
  rt_call *c = lua_touserdata(L, 1);
  rt_scheduler *s = &c->run->engine->scheduler;
  const rt_deadline *deadline = c->rare ? c->rare->deadline : NULL;
  lua_settop(L, 2);
  if (!c->parent && c->run->fatal && !fails_with_fatal(L, c)) {
    lua_settop(L, 1);
    rt_run_push_fatal(L, c->run);
    if (!lua_isnil(L, 3)) return 2;
    lua_settop(L, 2);
    rt_call_note_passed(L, c, 2);
  } else if (c->outcome == RT_CANCELLED) {
    push_end(L, c);
    if (deadline && deadline->passed) {
      c->outcome = RT_FAILED;
      rt_deadline_push_error(L, c);
      lua_replace(L, 2);
      rt_call_note_passed(L, c, 2);
    } else {
      lua_replace(L, 2);
      rt_call_note_failure(L, c, 2);
    }
    lua_settop(L, 2);
    if (c->rare)
      for (rt_call *f = c->rare->failures; f; f = f->next) rt_call_add_unobserved(L, c, f);
  } else if (!c->unwound) {
    // The earliest unobserved failure of a child.
    rt_call *first = c->rare->failures;
    for (; first->next; first = first->next) rt_call_add_unobserved(L, c, first);
    rt_anchor_push(s, L, first->handle);
    lua_getiuservalue(L, 3, 1);
    lua_getiuservalue(L, 3, 2);
    lua_remove(L, 3);
    lua_remove(L, 2);
    rt_call_pass_failure(L, c, 3);
    lua_settop(L, 2);
  } else {
    rt_call_note_failure(L, c, 2);
    if (c->rare)
      for (rt_call *f = c->rare->failures; f; f = f->next) rt_call_add_unobserved(L, c, f);
  }
  rt_call_note_second(L, c, 2);
  if (c->rare && c->rare->failure) rt_anchor_push(s, L, c->rare->failure);
  else lua_pushnil(L);
  return 2;
}

/* Leaves the error and the failure of 'c' above the handler. Does not raise. */
static void put_failure(lua_State *L, rt_call *c) {
  lua_settop(L, c->unwound ? 2 : 1);
  lua_pushcfunction(L, make_failure);
  lua_insert(L, 2);
  lua_pushlightuserdata(L, c);
  lua_insert(L, 3);
  if (lua_pcall(L, lua_gettop(L) - 2, 2, 0) == LUA_OK) return;
  lua_settop(L, 1);
  rt_anchor_push(&c->run->engine->scheduler, L, c->run->engine->no_memory);
  lua_pushnil(L);
}

/* The body and all children have ended: settles how the call ends and writes it down. */
static void conclude(lua_State *L, rt_call *c) {
  if (c->outcome == RT_DONE && c->rare && c->rare->failures) c->outcome = RT_FAILED;
  if (!c->parent && c->run->fatal) c->outcome = RT_FAILED;
  if (c->outcome != RT_DONE) put_failure(L, c);
  rt_call_end_timers(c);
  if (c->outcome == RT_FAILED && c->run->stop_on_error && c->parent)
    rt_run_fail_with(c->run, L, 2);
  while (c->rare && c->rare->failures) rt_call_observe(c->rare->failures);

  if (c->recorded) {
    rt_text error = {0};
    if (c->outcome != RT_DONE) error = rt_call_written_error(c, rt_failure_at(L, 3));
    rt_call_record_end(L, c, (rt_status)c->outcome, error);
  }
  if (c->rare) forget_failures(c->run->engine, c);
  c->status = c->outcome;
}

/* The body has returned or failed. False: the call is to wait for its children first. */
static bool leave_body(lua_State *L, rt_call *c, int status) {
  c->over = true;
  if (status != LUA_OK && status != LUA_YIELD) {
    c->unwound = true;
    if (rt_memory_refused(c->run->engine)) {
      rt_memory_fail(c);
      c->fatal = true;
    }
    c->outcome = c->delivered && !c->fatal ? RT_CANCELLED : RT_FAILED;
    rt_call_cancel_children(c, c->cancelled ? "the call that started it was cancelled"
                                            : "the call that started it has failed");
  } else if (c->cancelled && c->delivered) {
    // Lua's own pcall has caught what it was told.
    c->outcome = RT_CANCELLED;
    rt_call_cancel_children(c, "the call that started it was cancelled");
  } else if (c->cancelled && c->live) {
    c->outcome = RT_CANCELLED;
  }
  (void)L;
  return c->live == 0;
}

/* Writes the beginning down. False if the body shall not run: then the stack is as after a
 * failed body. */
static bool enter_body(lua_State *L, rt_call *c) {
  int count = lua_gettop(L) - 2;
  if (!c->unrun) rt_call_record_begin(L, c, 3, count, !c->cancelled);
  if (c->cancelled) {
    c->outcome = RT_CANCELLED;
    return false;
  }
  bool fits = !c->node->param_count || rt_node_check(L, c->node, 3, count);
  if (fits) {
    if (!(c->node->timeout > 0)) return true;
    if (rt_deadline_set(c, c->node->timeout, c->site, "by its node")) return true;
    rt_anchor_push(&c->run->engine->scheduler, L, c->run->engine->no_memory);
  }
  lua_replace(L, 2);
  lua_settop(L, 2);
  c->unwound = true;
  c->outcome = RT_FAILED;
  return false;
}

/* ---- on a coroutine of the pool ---- */

static int run_calls(lua_State *L, rt_call *c);

/* The call has ended. The coroutine goes on with the next call that has not begun, if
 * that is what the scheduler would do with it. */
static int end_call(lua_State *L, rt_call *c) {
  rt_engine *e = c->run->engine;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  conclude(L, c);
  c->use->deliver(L, c, 2);
  c->index = ++e->ended;
  if (c->parent) end_of_child(c);
  rt_task *next = rt_task_succeed(&e->scheduler, &c->task);
  rt_call_unref(c);
  return next ? run_calls(L, rt_call_of(next)) : 0;
}

static int body_over(lua_State *L, int status, lua_KContext context) {
  rt_call *c = rt_call_current(rt_engine_of(L));
  (void)context;
  if (!leave_body(L, c, status)) return rt_task_wait(L, &c->task, &children_wait);
  return end_call(L, c);
}

static void push_call(rt_call *c, lua_State *co) {
  lua_pushcfunction(co, rt_call_on_error);
  c->use->push(c, co);
}

static int run_calls(lua_State *L, rt_call *c) {
  lua_settop(L, 0);
  if (c->over) {  // it has crashed, and its children have ended since
    lua_pushcfunction(L, rt_call_on_error);
    rt_anchor_push(&c->run->engine->scheduler, L, c->run->engine->no_memory);
    return end_call(L, c);
  }
  push_call(c, L);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (!enter_body(L, c)) return end_call(L, c);
  return body_over(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, 0, body_over), 0);
}

static int call_main(lua_State *L) {
  return run_calls(L, rt_call_current(rt_engine_of(L)));
}

/* ---- on the caller's coroutine ---- */

enum { NESTED = 6 };  // levels of the C stack: Lua has 200 of them, coroutines want most

bool rt_call_may_nest(rt_call *c) {
  return !c->run->engine->scheduler.first && c->parent->depth < NESTED &&
         rt_scheduler_in_slice(&c->run->engine->scheduler, c->spawned);
}

static int lost_over(lua_State *L, rt_task *task) {
  rt_call_raise_cancelled(L, rt_call_of(task));
}

static void lost_unlink(rt_scheduler *s, rt_task *task) { (void)s, (void)task; }

/* The caller was cancelled while it waited for a call that has ended; others of its children
 * have not. */
static const rt_wait_kind lost_wait = {
    .name = "its children", .unlink = lost_unlink, .finish = lost_over};

static int end_nested(lua_State *L, rt_call *c) {
  rt_engine *e = c->run->engine;
  rt_call *parent = c->parent;
  conclude(L, c);
  rt_status status = (rt_status)c->status;
  bool lost = rt_call_unwinds(parent) && !c->shielded;
  if (lost && status == RT_FAILED) rt_call_add_failed(parent, c, rt_failure_at(L, 3));
  c->index = ++e->ended;
  parent->task.kind = NULL;  // it goes on here, not by being woken
  end_of_child(c);
  e->scheduler.current = &parent->task;
  rt_call_unref(c);
  if (lost && parent->live) return rt_task_wait(L, &parent->task, &lost_wait);
  if (lost) rt_call_raise_cancelled(L, parent);
  if (status == RT_DONE) return lua_gettop(L) - 1;
  rt_call_raise_outcome(L, parent, status);
}

static int nested_over(lua_State *L, int status, lua_KContext context) {
  rt_call *c = rt_call_current(rt_engine_of(L));
  (void)context;
  if (!leave_body(L, c, status)) return rt_task_wait(L, &c->task, &children_wait);
  return end_nested(L, c);
}

int rt_call_nest(lua_State *L, rt_call *c, const rt_wait_kind *kind) {
  rt_call *parent = c->parent;
  c->instant = true;
  c->nested = true;
  c->depth = (uint8_t)(parent->depth + 1);
  c->task.co = L;
  c->task.base = parent->task.base;
  c->task.started = true;
  parent->task.kind = kind;
  parent->task.wait.other.co = L;
  c->run->engine->scheduler.current = &c->task;

  lua_pushcfunction(L, rt_call_on_error);
  lua_insert(L, 1);
  rt_node_push_body(L, 2);
  lua_replace(L, 2);
  if (!enter_body(L, c)) return end_nested(L, c);
  return nested_over(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, 0, nested_over), 0);
}

static int after_children(lua_State *L, rt_task *task) {
  rt_call *c = rt_call_of(task);
  return c->nested ? end_nested(L, c) : end_call(L, c);
}

_Noreturn void rt_call_raise_outcome(lua_State *L, rt_call *c, rt_status status) {
  if (status == RT_CANCELLED && rt_call_unwinds(c)) rt_call_raise_cancelled(L, c);
  rt_call_receive(L, c);
  lua_error(L);
  __builtin_unreachable();
}

/* Delivers without a coroutine of the call's own; for use under lua_pcall. */
static int deliver_crash(lua_State *L) {
  rt_call *c = lua_touserdata(L, 1);
  c->use->deliver(L, c, 2);
  return 0;
}

/* The coroutine of the call is lost: it ends with the error at 'error' of the scheduler's
 * own stack, when its children have ended. */
static void crash(rt_scheduler *s, rt_call *c, int error) {
  lua_State *L = s->own;
  int top = lua_gettop(L);
  if (rt_memory_refused(c->run->engine)) rt_memory_fail(c);
  c->outcome = RT_FAILED;
  c->unwound = true;
  rt_call_cancel_children(c, "the call that started it has failed");
  if (c->live) {
    c->over = true;
    c->nested = false;
    c->task.started = false;
    c->task.kind = &children_wait;
    return;
  }
  c->status = RT_FAILED;
  rt_call_end_timers(c);
  if (c->recorded) rt_call_record_end(L, c, RT_FAILED, rt_call_written_error(c, NULL));
  lua_pushcfunction(L, deliver_crash);
  lua_pushlightuserdata(L, c);
  lua_pushvalue(L, error);
  lua_pushnil(L);
  lua_pcall(L, 3, 0, 0);
  lua_settop(L, top);
  c->index = ++c->run->engine->ended;
  if (c->parent) end_of_child(c);
  rt_call_unref(c);
}

static void crash_nothing(lua_State *L, rt_call *c, int first) { (void)L, (void)c, (void)first; }

/* The caller's coroutine is lost as well. */
static const rt_use lost_use = {.verb = "called", .deliver = crash_nothing};

static void crashed(rt_scheduler *s, rt_task *task, lua_State *co) {
  lua_State *L = s->own;
  int top = lua_gettop(L);
  if (co && lua_gettop(co) > 0) lua_xmove(co, L, 1);
  else rt_anchor_push(s, L, rt_call_of(task)->run->engine->no_memory);
  for (rt_call *c = rt_call_of(task), *outer; c; c = outer) {
    outer = c->nested ? c->parent : NULL;
    if (outer) {
      c->use = &lost_use;
      outer->task.kind = NULL;
    }
    crash(s, c, top + 1);
  }
  lua_settop(L, top);
}

const rt_task_class rt_call_class = {
    .main = call_main,
    .interrupt = interrupted,
    .crashed = crashed,
};
