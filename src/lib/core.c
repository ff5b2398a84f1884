/* core.c -- the module railtracks.core: nodes, calls, sleep, runs. */
#include <math.h>
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

rt_node *rt_lib_node(lua_State *L, rt_engine *e, int index, const char *what) {
  rt_node *node = rt_node_at(L, index);
  if (node) return node;
  if (lua_type(L, index) == LUA_TFUNCTION) return rt_place_node(&e->places, L, index);
  rt_error_raise(L, "usage", "%s: argument %d: expected a node or a function, got %s", what,
                 index, luaL_typename(L, index));
}

static const char node_class = 'c';  // the nodes' metatable's place in the registry

/* ---- rt.call(node, ...) ---- */

static void push_called(rt_call *c, lua_State *co) {
  lua_State *from = c->parent->task.wait.other.co;
  int count = lua_gettop(from);
  if (!lua_checkstack(from, count + 1) || !lua_checkstack(co, count + 4)) count = 1;
  rt_node_push_body(from, 1);
  for (int i = 2; i <= count; i++) lua_pushvalue(from, i);
  lua_xmove(from, co, count);
}

static void deliver_called(lua_State *L, rt_call *c, int first) {
  rt_call *p = c->parent;
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

static const rt_wait_kind call_wait = {
    .name = "a call", .finish = call_finish, .describe = call_describe};

static int call(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  rt_call *parent = rt_call_check(L, e, "rt.call");
  rt_node *node = rt_lib_node(L, e, 1, "rt.call");
  luaL_checkstack(L, LUA_MINSTACK, "too many arguments");
  rt_call *c = rt_call_new(parent->run, parent, node, &called_use, 0);
  if (!c) luaL_error(L, "not enough memory");
  c->observed = true;
  c->site = rt_place_here(&e->places, L);
  if (rt_call_may_nest(c)) return rt_call_nest(L, c, &call_wait);
  c->instant = !e->scheduler.first;
  parent->task.wait.other.co = L;
  rt_task_queue(&e->scheduler, &c->task);
  if (!c->instant) rt_call_keep_args(L, c, 2, lua_gettop(L) - 1);
  return rt_task_wait(L, &parent->task, &call_wait);
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

static int sleep_seconds(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  rt_call *c = rt_call_check(L, e, "rt.sleep");
  lua_Number seconds = lua_tonumber(L, 1);
  if (lua_type(L, 1) != LUA_TNUMBER || !(seconds >= 0))
    rt_error_raise(L, "usage", "rt.sleep: expected a number of seconds, not negative, got %s",
                   lua_type(L, 1) == LUA_TNUMBER ? luaL_tolstring(L, 1, NULL)
                                                 : luaL_typename(L, 1));
  // Ten thousand years are as good as for ever, and do not overflow.
  int64_t ns = seconds < 9e9 ? (int64_t)(seconds * 1e9) : INT64_MAX / 2;
  c->task.wait.timer = (rt_timer){.fire = nap_over};
  if (!rt_timer_arm(&e->scheduler, &c->task.wait.timer, rt_scheduler_now(&e->scheduler) + ns))
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

/* ---- rt.run(node, ...) ---- */

/* The file the body comes from, as a path; valid while the function lives. */
static const char *file_of_body(lua_State *L, int index) {
  lua_Debug ar;
  rt_node_push_body(L, index);
  lua_getinfo(L, ">S", &ar);
  return *ar.source == '@' ? ar.source + 1 : NULL;
}

/* core.exit(code, os.exit): cancels the run, which then ends the process. */
static int exit_run(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  rt_call *c = rt_call_current(e);
  e->exit_code = (int)luaL_checkinteger(L, 1);
  if (!e->exit_asked) {
    lua_settop(L, 2);
    e->exit_asked = rt_anchor_put(&e->scheduler, L);
  }
  rt_reason *reason = rt_reason_new("os.exit", 7);
  for (rt_run *r = e->runs; r; r = r->next)
    if (r->root) rt_call_cancel(r->root, reason);
  rt_reason_unref(reason);
  rt_call_raise_cancelled(L, c);
}

/* core.exit_code() -> what os.exit was called with in the run, or nil */
static int exit_code(lua_State *L) {
  const rt_engine *e = rt_lib_engine(L);
  if (e->exit_asked) lua_pushinteger(L, e->exit_code);
  else lua_pushnil(L);
  return 1;
}

/* Calls the os.exit that was there before ours. */
static int leave(lua_State *L, rt_engine *e) {
  rt_anchor_push(&e->scheduler, L, e->exit_asked);
  lua_pushinteger(L, e->exit_code);
  lua_pushboolean(L, true);
  lua_call(L, 2, 0);
  return 0;
}

/* Runs what stands at 'first' .. top of L; returns its results or raises. */
static int run_and_wait(lua_State *L, rt_engine *e, int first, const rt_run_options *options,
                        bool raise) {
  if (!e->L) rt_error_raise(L, "usage", "rt.run: Lua is closing");
  rt_call *waiter = rt_call_current(e);
  if (waiter) rt_call_check(L, e, "rt.run");
  else if (e->scheduler.from)
    rt_error_raise(L, "usage", "rt.run inside a callback of the event loop");
  rt_node *node = rt_lib_node(L, e, first, "rt.run");
  rt_run_options asked = *options;
  if (!asked.script) asked.script = file_of_body(L, first);
  if (asked.name.data) {
    // A node of that name, owned by a userdata on the stack in case something raises.
    node = rt_node_new(asked.name.data, asked.name.size);
    if (!node) luaL_error(L, "not enough memory");
    rt_node_push(L, node, 0);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &node_class);
    lua_setmetatable(L, -2);
    lua_insert(L, first);
    first++;
  }
  rt_run *run = rt_run_start(L, e, node, first, &asked);
  if (waiter) {
    waiter->task.wait.other.on = run;
    return rt_task_wait(L, &waiter->task, &rt_run_wait);
  }
  rt_engine_loop(e, L, &run->over);
  if (raise && e->exit_asked) return leave(L, e);
  int count = run->count;
  bool failed = run->failed;
  rt_status status = run->status;
  rt_run_unref(run);
  if (!raise) {
    // For the program: whether it went well, and the error with its traceback.
    const rt_failure *f = failed ? rt_failure_at(L, -1) : NULL;
    lua_pushstring(L, rt_status_name(status));
    lua_pushstring(L, f ? f->traceback : "");
    lua_pushvalue(L, failed ? -4 : -3);
    return 3;
  }
  if (!failed) return count;
  lua_pop(L, 1);
  return lua_error(L);
}

static int run(lua_State *L) {
  return run_and_wait(L, rt_lib_engine(L), 1, &(rt_run_options){0}, true);
}

/* core.run_script(name, path or nil, function, ...) -> status, traceback, error */
static int run_script(lua_State *L) {
  rt_run_options options = {0};
  options.name.data = luaL_checklstring(L, 1, &options.name.size);
  options.script = lua_tostring(L, 2);
  luaL_checktype(L, 3, LUA_TFUNCTION);
  return run_and_wait(L, rt_lib_engine(L), 3, &options, false);
}

/* ---- nodes ---- */

static void read_params(lua_State *L, rt_node *node, int index) {
  lua_Integer count = luaL_len(L, index);
  node->params = calloc((size_t)(count ? count : 1), sizeof *node->params);
  if (!node->params) luaL_error(L, "not enough memory");
  for (lua_Integer i = 1; i <= count; i++) {
    rt_param *param = &node->params[i - 1];
    lua_geti(L, index, i);
    lua_getfield(L, -1, "name");
    lua_getfield(L, -2, "type");
    lua_getfield(L, -3, "optional");
    param->name = strdup(luaL_checkstring(L, -3));
    if (!param->name) luaL_error(L, "not enough memory");
    node->param_count = (uint32_t)i;
    int type = lua_isnil(L, -2) ? RT_PARAM_ANY : rt_param_type_named(luaL_checkstring(L, -2));
    if (type < 0) luaL_error(L, "no such type");  // railtracks/init.lua has looked before
    param->type = (rt_param_type)type;
    param->optional = lua_toboolean(L, -1);
    lua_pop(L, 4);
  }
}

/* core.node(name, function, description, params or nil, unrecorded) -> Node. Called by
 * railtracks/init.lua, which checks what people give it. */
static int node(lua_State *L) {
  size_t size;
  const char *name = luaL_checklstring(L, 1, &size);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 5);
  rt_node *node = rt_node_new(name, size);
  if (!node) luaL_error(L, "not enough memory");
  node->unrecorded = lua_toboolean(L, 5);
  rt_node_push(L, node, 3);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &node_class);
  lua_setmetatable(L, -2);
  for (int i = 1; i <= 3; i++) {           // function, description, params
    lua_pushvalue(L, i + 1);
    lua_setiuservalue(L, -2, i);
  }
  if (lua_istable(L, 4)) read_params(L, node, 4);
  return 1;
}

static int node_index(lua_State *L) {
  const rt_node *node = rt_node_at(L, 1);
  const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (!node) lua_pushnil(L);  // a finalizer met a node that was finalized before
  else if (strcmp(key, "name") == 0) lua_pushlstring(L, node->name, node->name_size);
  else if (strcmp(key, "description") == 0) lua_getiuservalue(L, 1, 2);
  else if (strcmp(key, "params") == 0) lua_getiuservalue(L, 1, 3);
  else lua_pushnil(L);
  return 1;
}

static int node_tostring(lua_State *L) {
  const rt_node *node = rt_node_at(L, 1);
  if (node) lua_pushfstring(L, "Node %s", node->name);
  else lua_pushliteral(L, "Node");
  return 1;
}

static int is_node(lua_State *L) {
  lua_pushboolean(L, rt_node_at(L, 1) != NULL);
  return 1;
}

static void open_nodes(lua_State *L, rt_engine *e) {
  static const luaL_Reg meta[] = {{"__call", call}, {"__index", node_index},
                                  {"__tostring", node_tostring}, {NULL, NULL}};
  lua_createtable(L, 0, 6);
  rt_lib_add(L, e, meta);
  lua_pushcfunction(L, rt_node_gc);
  lua_setfield(L, -2, "__gc");
  lua_pushliteral(L, "railtracks.Node");
  lua_setfield(L, -2, "__name");
  lua_pushliteral(L, "railtracks.Node");
  lua_setfield(L, -2, "__metatable");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &node_class);
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
  else lua_pushnil(L);
  return 1;
}

/* core.fail(kind, message): raises an error of the engine's. */
static int fail(lua_State *L) {
  rt_error_raise(L, luaL_checkstring(L, 1), "%s", luaL_checkstring(L, 2));
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

/* Nanoseconds of the seconds in the field of the table at 1; 'other' if there are none. */
static int64_t take_seconds(lua_State *L, const char *field, int64_t other) {
  lua_getfield(L, 1, field);
  if (!lua_isnil(L, -1)) {
    lua_Number seconds = luaL_checknumber(L, -1);
    other = seconds < 9e9 ? (int64_t)(seconds * 1e9) : INT64_MAX / 2;
    if (other < 1) other = 1;
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
 * memory_limit=}, before the first run. */
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
  e->run_timeout = take_seconds(L, "timeout", e->run_timeout);
  e->grace = take_seconds(L, "grace", e->grace);
  e->slice_limit = take_seconds(L, "slice_limit", e->slice_limit);
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
      {"array", array}, {"call", call}, {"configure", configure}, {"current", current},
      {"exit", exit_run}, {"exit_code", exit_code}, {"fail", fail}, {"is_node", is_node},
      {"journal_path", journal_path}, {"kept", kept}, {"kind", kind}, {"lost", lost},
      {"node", node}, {"now", now}, {"run", run}, {"run_script", run_script},
      {"sleep", sleep_seconds}, {"traceback", traceback}, {NULL, NULL}};
  rt_engine *e = rt_engine_open(L);
  lua_pop(L, 1);
  lua_createtable(L, 0, 32);
  open_nodes(L, e);
  rt_lib_add(L, e, functions);
  rt_lib_open_task(L, e);
  rt_lib_open_group(L, e);
  rt_lib_open_map(L, e);
  lua_pushnil(L);
  lua_setfield(L, -2, "task_methods");
  lua_pushliteral(L, RT_VERSION);
  lua_setfield(L, -2, "version");
  return 1;
}
