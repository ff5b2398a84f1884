/* outcome.c -- how a call ends: its results, its own failure, that of a child nobody has asked
 * for, its cancellation, its deadline, or what ends the whole run.
 */
#include <lauxlib.h>

#include "deadline.h"
#include "engine.h"
#include "life.h"
#include "log.h"

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
  else rt_call_push_cancelled(L, c, c->over ? &rt_children_wait : NULL);
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
int rt_call_make_failure(lua_State *L) {
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
  } else if (c->rare && c->rare->fatal_error) {
    lua_settop(L, 1);
    rt_anchor_push(s, L, c->rare->fatal_error);
    rt_anchor_push(s, L, c->rare->fatal_failure);
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
    } else if (c->rare && c->rare->deadlock) {
      c->outcome = RT_FAILED;
      rt_error_push(L, "deadlock", "%s", c->rare->deadlock);
      rt_call_add_identity(L, c);
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
  lua_pushcfunction(L, rt_call_make_failure);
  lua_insert(L, 2);
  lua_pushlightuserdata(L, c);
  lua_insert(L, 3);
  if (lua_pcall(L, lua_gettop(L) - 2, 2, 0) == LUA_OK) return;
  lua_settop(L, 1);
  rt_anchor_push(&c->run->engine->scheduler, L, c->run->engine->no_memory);
  lua_pushnil(L);
}

void rt_call_conclude(lua_State *L, rt_call *c) {
  if (c->outcome == RT_DONE && c->rare && c->rare->failures) c->outcome = RT_FAILED;
  if (!c->parent && c->run->fatal) c->outcome = RT_FAILED;
  if (c->rare && c->rare->fatal_error) c->outcome = RT_FAILED;
  if (c->outcome != RT_DONE) put_failure(L, c);
  rt_call_end_timers(c);
  if (c->outcome == RT_FAILED && c->run->stop_on_error && c->parent)
    rt_run_fail_with(c->run, L, 2);
  while (c->rare && c->rare->failures) rt_call_observe(c->rare->failures);

  if (c->recorded) {
    rt_text error = {0};
    const rt_failure *failure = c->outcome != RT_DONE ? rt_failure_at(L, 3) : NULL;
    if (c->outcome != RT_DONE) error = rt_call_written_error(c, failure);
    if (c->run->engine->notices.listening) rt_notice_end(c, (rt_status)c->outcome, failure);
    rt_call_record_end(L, c, (rt_status)c->outcome, error);
  } else if (c->run->engine->notices.listening & RT_NOTICE_TALLY) {
    rt_notice_drop_call(c);
  }
  if (c->rare) rt_call_forget(c->run->engine, c);
  c->status = c->outcome;
}
