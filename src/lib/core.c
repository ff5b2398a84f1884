/* core.c -- the module railtracks.core: calls, sleep, what is asked of the engine. */
#include <stdlib.h>

#include "lib.h"
#include "locate.h"
#include "memory.h"
#include "value.h"

void rt_lib_add(lua_State *L, rt_engine *e, const luaL_Reg *functions) {
  for (; functions->name; functions++) {
    lua_pushlightuserdata(L, e);
    lua_pushcclosure(L, functions->func, 1);
    lua_setfield(L, -2, functions->name);
  }
}

void rt_lib_add_methods(lua_State *L, rt_engine *e, const luaL_Reg *functions) {
  for (; functions->name; functions++) {
    lua_pushlightuserdata(L, e);
    lua_pushvalue(L, -3);
    lua_pushcclosure(L, functions->func, 2);
    lua_setfield(L, -2, functions->name);
  }
}

void *rt_lib_self(lua_State *L, const char *what, const char *expected) {
  if (lua_type(L, 1) == LUA_TUSERDATA && lua_getmetatable(L, 1)) {
    bool ours = lua_rawequal(L, -1, lua_upvalueindex(2));
    lua_pop(L, 1);
    if (ours) return lua_touserdata(L, 1);
  }
  rt_error_raise(L, "usage", "%s: expected %s, got %s (a method wants a colon)", what, expected,
                 lua_isnone(L, 1) ? "nothing" : luaL_typename(L, 1));
}

rt_node *rt_lib_node(lua_State *L, rt_engine *e, int index, const char *what) {
  rt_node *node = rt_node_at(L, index);
  if (node) return node;
  if (lua_type(L, index) == LUA_TFUNCTION) return rt_place_node(&e->places, L, index);
  rt_error_raise(L, "usage", "%s: argument %d: expected a node or a function, got %s", what,
                 index, luaL_typename(L, index));
}


/* ---- rt.sleep(seconds), rt.now() ---- */

static void nap_over(rt_scheduler *s, rt_timer *timer) {
  rt_task *task = (rt_task *)((char *)timer - offsetof(rt_task, wait));
  rt_task_wake(s, task);
}

static void nap_unlink(rt_scheduler *s, rt_task *task) {
  rt_timer_disarm(s, &task->wait.timer);
}

static int nap_finish(lua_State *L, rt_task *task) {
  (void)L, (void)task;
  return 0;
}

static const rt_wait_kind nap_wait = {
    .name = "sleep", .outside = true, .unlink = nap_unlink, .finish = nap_finish};

static void endless_unlink(rt_scheduler *s, rt_task *task) { (void)s, (void)task; }

/* rt.sleep(math.huge) and the like: nothing but cancellation ends it, so nothing counts on
 * its end. */
static const rt_wait_kind endless_wait = {
    .name = "sleep without end", .unlink = endless_unlink, .finish = nap_finish};

static int sleep_seconds(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  rt_call *c = rt_call_check(L, e, "rt.sleep");
  lua_Number seconds = lua_tonumber(L, 1);
  if (lua_type(L, 1) != LUA_TNUMBER || !(seconds >= 0))
    rt_error_raise(L, "usage", "rt.sleep: expected a number of seconds, not negative, got %s",
                   lua_type(L, 1) == LUA_TNUMBER ? luaL_tolstring(L, 1, NULL)
                                                 : luaL_typename(L, 1));
  int64_t due = rt_scheduler_after(&e->scheduler, seconds);
  if (due == RT_NEVER) return rt_task_wait(L, &c->task, &endless_wait);
  c->task.wait.timer = (rt_timer){.fire = nap_over};
  if (!rt_timer_arm(&e->scheduler, &c->task.wait.timer, due))
    luaL_error(L, "not enough memory");
  return rt_task_wait(L, &c->task, &nap_wait);
}

static int now(lua_State *L) {
  lua_pushnumber(L, (lua_Number)rt_scheduler_now(&rt_lib_engine(L)->scheduler) / 1e9);
  return 1;
}

/* ---- rt.current() ---- */

static int current(lua_State *L) {
  const rt_call *c = rt_call_current(rt_lib_engine(L));
  if (!c) return lua_pushnil(L), 1;
  rt_buf id = {0};
  rt_call_id(c, &id);
  if (id.failed) luaL_error(L, "not enough memory");
  lua_createtable(L, 0, 3);
  lua_pushlstring(L, id.data, id.size);
  rt_buf_free(&id);
  lua_setfield(L, -2, "call");
  lua_pushstring(L, c->run->id);
  lua_setfield(L, -2, "run");
  lua_pushlstring(L, c->node->name, c->node->name_size);
  lua_setfield(L, -2, "node");
  return 1;
}

static lua_Integer number_of(const rt_call *c) { return (lua_Integer)rt_call_identity(c); }

/* core.call_number() -> what the current call is known by below */
static int call_number(lua_State *L) {
  const rt_call *c = rt_call_current(rt_lib_engine(L));
  lua_pushinteger(L, c ? number_of(c) : 0);
  return 1;
}

/* core.is_in_call(number): whether the current call is that one, or was made by it. */
static int is_in_call(lua_State *L) {
  const rt_call *c = rt_call_current(rt_lib_engine(L));
  lua_Integer number = luaL_checkinteger(L, 1);
  while (c && number_of(c) != number) c = c->parent ? c->parent : c->run->waiter;
  lua_pushboolean(L, c != NULL);
  return 1;
}

/* ---- errors, lists, settings ---- */

static int kind(lua_State *L) {
  lua_settop(L, 1);
  const char *name = rt_error_kind(L, 1);
  if (name) lua_pushstring(L, name);
  else lua_pushnil(L);
  return 1;
}

static int traceback(lua_State *L) {
  rt_call *c = rt_call_current(rt_lib_engine(L));
  lua_settop(L, 1);
  if (c) rt_call_push_traceback(L, c, 1);
  else rt_lib_push_raised(L, 1);
  return 1;
}

/* core.fail(kind, message [, fields]): raises an error of the engine's. */
static int fail(lua_State *L) {
  lua_settop(L, 3);
  rt_error_push(L, luaL_checkstring(L, 1), "%s", luaL_checkstring(L, 2));
  if (lua_istable(L, 3))
    for (lua_pushnil(L); lua_next(L, 3); lua_pop(L, 1)) {
      lua_pushvalue(L, -2);
      lua_pushvalue(L, -2);
      lua_rawset(L, 4);
    }
  return lua_error(L);
}

/* core.may_wait(function): raises what rt.FUNCTION would, were it to wait here. For what is
 * Lua and starts something before it waits. */
static int may_wait(lua_State *L) {
  rt_call_check(L, rt_lib_engine(L), luaL_checkstring(L, 1));
  return 0;
}

static int passed_through(lua_State *L, int status, lua_KContext context) {
  (void)status, (void)context;
  return lua_gettop(L);
}

/* core.through(f, ...): f(...), called from C and free to wait. */
static int through(lua_State *L) {
  luaL_checkany(L, 1);
  lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, passed_through);
  return lua_gettop(L);
}

static int array(lua_State *L) {
  if (lua_isnoneornil(L, 1)) {
    lua_settop(L, 0);
    lua_createtable(L, 0, 0);
  }
  if (!lua_istable(L, 1))
    rt_error_raise(L, "usage", "rt.array: expected a table, got %s", luaL_typename(L, 1));
  lua_settop(L, 1);
  rt_value_mark_array(L, 1);
  return 1;
}

/* Nanoseconds of the seconds in the field of the table at 1, not less than 'least'; 'other'
 * if there are none. */
static int64_t take_seconds(lua_State *L, const char *field, int64_t least, int64_t other) {
  lua_getfield(L, 1, field);
  if (!lua_isnil(L, -1)) {
    lua_Number seconds = luaL_checknumber(L, -1);
    other = seconds < 9e9 ? (int64_t)(seconds * 1e9) : INT64_MAX / 2;
    if (other < least) other = least;
  }
  lua_pop(L, 1);
  return other;
}

static int64_t take_integer(lua_State *L, const char *field, int64_t other) {
  lua_getfield(L, 1, field);
  if (!lua_isnil(L, -1)) other = luaL_checkinteger(L, -1);
  lua_pop(L, 1);
  return other;
}

/* core.configure{journal=, journal_max=, record_limit=, timeout=, grace=, slice_limit=,
 * memory_limit=, workers=}, before the first run. */
static int configure(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_getfield(L, 1, "journal");
  if (!lua_isnil(L, 2)) {
    const char *path = luaL_checkstring(L, 2);
    free(e->journal_path);
    e->journal_none = strcmp(path, "none") == 0;
    e->journal_path = e->journal_none ? NULL : strdup(path);
  }
  e->journal_max = take_integer(L, "journal_max", e->journal_max);
  e->record_limit = (size_t)take_integer(L, "record_limit", (int64_t)e->record_limit);
  e->run_timeout = take_seconds(L, "timeout", 1, e->run_timeout);
  e->grace = take_seconds(L, "grace", 0, e->grace);
  e->slice_limit = take_seconds(L, "slice_limit", 1, e->slice_limit);
  e->workers = (int)take_integer(L, "workers", e->workers);
  int64_t memory = take_integer(L, "memory_limit", 0);
  if (memory > 0) rt_memory_bound(L, e, (size_t)memory);
  return 0;
}

/* core.journal_path() -> the file that is or would be written, or nil for none */
static int journal_path(lua_State *L) {
  const rt_engine *e = rt_lib_engine(L);
  char *path = NULL, *error = NULL;
  if (e->journal_path) {
    lua_pushstring(L, e->journal_path);
  } else if (e->journal_none) {
    lua_pushnil(L);
  } else if (rt_journal_locate(&path, false, &error) < 0) {
    lua_pushstring(L, error);
    free(error);
    return lua_error(L);
  } else {
    lua_pushstring(L, path);
    free(path);
  }
  return 1;
}

static void put_text(lua_State *L, const char *field, rt_text text) {
  if (text.data) lua_pushlstring(L, text.data, text.size);
  else lua_pushnil(L);
  lua_setfield(L, -2, field);
}

static void put_time(lua_State *L, const char *field, double at) {
  if (at <= 0) return;
  lua_pushnumber(L, at);
  lua_setfield(L, -2, field);
}

static int put_kept(void *data, const rt_call_record *c) {
  lua_State *L = data;
  lua_createtable(L, 0, 14);
  lua_pushinteger(L, c->seq);
  lua_setfield(L, -2, "seq");
  lua_pushinteger(L, c->parent);
  lua_setfield(L, -2, "parent_seq");
  lua_pushinteger(L, c->ordinal);
  lua_setfield(L, -2, "ordinal");
  lua_pushinteger(L, c->run);
  lua_setfield(L, -2, "run");
  lua_pushstring(L, rt_status_name(c->status));
  lua_setfield(L, -2, "status");
  put_text(L, "node", c->node);
  put_text(L, "site", c->site);
  put_text(L, "args", c->args);
  put_text(L, "results", c->results);
  put_text(L, "error", c->error);
  put_time(L, "spawned_at", c->spawned_at);
  put_time(L, "started_at", c->started_at);
  put_time(L, "ended_at", c->ended_at);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  return 0;
}

/* core.kept() -> list of the calls that are kept in memory, as long as no file is written */
static int kept(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  lua_settop(L, 0);
  lua_createtable(L, 0, 0);
  if (e->journal && !rt_journal_path(e->journal) &&
      rt_journal_kept(e->journal, put_kept, L) != 0)
    luaL_error(L, "not enough memory");
  return 1;
}

/* core.lost() -> calls that are not in the journal's file, and why */
static int lost(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  const char *why = "";
  lua_pushinteger(L, e->journal ? (lua_Integer)rt_journal_lost(e->journal, &why) : 0);
  lua_pushstring(L, why);
  return 2;
}

int rt_open_core(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"array", array}, {"call_number", call_number}, {"configure", configure},
      {"current", current}, {"fail", fail}, {"is_in_call", is_in_call},
      {"journal_path", journal_path}, {"kept", kept}, {"kind", kind}, {"lost", lost},
      {"may_wait", may_wait}, {"now", now}, {"sleep", sleep_seconds}, {"through", through},
      {"traceback", traceback}, {NULL, NULL}};
  rt_engine *e = rt_engine_open(L);
  lua_pop(L, 1);
  lua_createtable(L, 0, 32);
  rt_lib_add(L, e, functions);
  rt_lib_open_call(L, e);
  rt_lib_open_node(L, e);
  rt_lib_open_run(L, e);
  rt_lib_open_plugin(L, e);
  rt_lib_open_scope(L, e);
  rt_lib_open_protect(L, e);
  rt_lib_open_task(L, e);
  rt_lib_open_members(L);
  rt_lib_open_await(L, e);
  rt_lib_open_group(L, e);
  rt_lib_open_completed(L, e);
  rt_lib_open_log(L, e);
  rt_lib_open_map(L, e);
  rt_lib_open_semaphore(L, e);
  rt_lib_open_channel(L, e);
  rt_lib_open_resume(L, e);
  rt_lib_open_uv(L, e);
  rt_lib_open_process(L, e);
  rt_lib_open_tls(L, e);
  rt_lib_open_testing(L, e);
  lua_pushnil(L);
  lua_setfield(L, -2, "task_methods");
  lua_pushliteral(L, RT_VERSION);
  lua_setfield(L, -2, "version");
  return 1;
}
