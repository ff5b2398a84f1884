/* task.c -- rt.spawn and the Task it returns.
 *
 * A Task is a userdata. Until the call starts its user values hold the body and the
 * arguments; once it has ended they hold the results, or the error and its failure. In
 * between, and as long as nobody has asked for a failure, the engine keeps it from the
 * collector.
 */
#include <stdlib.h>

#include "lib.h"
#include "log.h"

typedef struct task_handle {
  rt_call *call;      /* owns a reference; NULL when collected */
  int values;         /* user values there are */
  int count;          /* user values in use: body and arguments, or results */
  bool packed;        /* more than that: user value 2 is a table of the arguments, later
                       * user value 1 one of the results */
} task_handle;

enum { MOST = 65000 };  // values a userdata can carry, a little less

static const char task_class = 't';  // the metatable's place in the registry

static task_handle *handle_at(lua_State *L, int index) {
  task_handle *h = lua_touserdata(L, index);
  if (!h || lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) return NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &task_class);
  bool ours = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return ours ? h : NULL;
}

rt_call *rt_task_at(lua_State *L, int index) {
  task_handle *h = handle_at(L, index);
  return h ? h->call : NULL;
}

void rt_task_push_class(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &task_class);
}

rt_call *rt_task_of_class(lua_State *L, int index, int class) {
  if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) return NULL;
  bool ours = lua_rawequal(L, -1, class);
  lua_pop(L, 1);
  return ours ? ((const task_handle *)lua_touserdata(L, index))->call : NULL;
}

/* ---- how a spawned call finds its arguments and leaves its results ---- */

static void push_spawned(rt_call *c, lua_State *co) {
  rt_anchor_push(&c->run->engine->scheduler, co, c->handle);
  task_handle *h = lua_touserdata(co, -1);
  int count = h->count;
  if (!lua_checkstack(co, count + 6)) count = 1;
  int at = lua_gettop(co);
  for (int i = 1; i <= (h->packed ? 2 : count); i++) {
    lua_getiuservalue(co, at, i);
    lua_pushnil(co);
    lua_setiuservalue(co, at, i);
  }
  if (h->packed) {
    for (int i = 2; i <= count; i++) lua_rawgeti(co, at + 2, i - 1);
    lua_remove(co, at + 2);
  }
  if (lua_type(co, at + 1) == LUA_TUSERDATA) {
    rt_node_push_body(co, at + 1);
    lua_replace(co, at + 1);
  }
  lua_remove(co, at);
}

static void keep_outcome(lua_State *L, task_handle *h, int handle, int first) {
  h->count = lua_gettop(L) - first;  // the handle itself stands at the top
  h->packed = h->count > h->values;
  if (h->packed) {
    lua_createtable(L, h->count, 0);
    for (int i = 1; i <= h->count; i++) {
      lua_pushvalue(L, first + i - 1);
      lua_rawseti(L, -2, i);
    }
    lua_setiuservalue(L, handle, 1);
    return;
  }
  for (int i = 1; i <= h->count; i++) {
    lua_pushvalue(L, first + i - 1);
    lua_setiuservalue(L, handle, i);
  }
}

static void warn(rt_call *c, const rt_failure *f) {
  if (c->lamented || (c->fatal && c->run->fatal)) return;  // what ends its run is told when that has ended
  c->lamented = true;
  rt_buf id = {0};
  rt_call_id(c, &id);
  rt_log(RT_LOG_WARNING, "call %.*s (%s) failed and nobody waits for it: %s", (int)id.size,
         id.failed ? "" : id.data, c->node->name, f ? f->message : "not enough memory");
  rt_buf_free(&id);
}

void rt_task_warn(rt_call *c) {
  rt_scheduler *s = &c->run->engine->scheduler;
  lua_State *L = s->own;
  // A caller that is cancelled with the one who waited has it in its traceback.
  if (!c->handle || (c->parent && c->parent->cancelled && !c->fatal) || !lua_checkstack(L, 2)) return;
  rt_anchor_push(s, L, c->handle);
  lua_getiuservalue(L, -1, 2);
  warn(c, rt_failure_at(L, -1));
  lua_pop(L, 2);
}

/* core.observe(task): its failure will be learnt of in another way than by waiting for it. */
static int observe(lua_State *L) {
  rt_call *c = rt_task_at(L, 1);
  if (c) c->observed = true;
  return 0;
}

static void deliver_spawned(lua_State *L, rt_call *c, int first) {
  rt_scheduler *s = &c->run->engine->scheduler;
  luaL_checkstack(L, 8, NULL);
  rt_anchor_push(s, L, c->handle);
  int handle = lua_gettop(L);
  keep_outcome(L, lua_touserdata(L, handle), handle, first);
  lua_settop(L, handle - 1);

  rt_group_tell(L, c, first);
  if (c->status != RT_FAILED || c->observed) {
    rt_anchor_drop(s, c->handle);
    c->handle = 0;
  } else if (!c->rare || !c->rare->held) {
    warn(c, rt_failure_at(L, first + 1));
    if (c->alone) rt_call_observe(c);
  }
}

static const rt_use spawned_use = {
    .verb = "spawned", .push = push_spawned, .deliver = deliver_spawned};

int rt_task_push_outcome(lua_State *L, int index) {
  index = lua_absindex(L, index);
  const task_handle *h = lua_touserdata(L, index);
  luaL_checkstack(L, h->count + 2, "too many results");
  if (h->packed) {
    lua_getiuservalue(L, index, 1);
    int table = lua_gettop(L);
    for (int i = 1; i <= h->count; i++) lua_rawgeti(L, table, i);
    lua_remove(L, table);
  } else {
    for (int i = 1; i <= h->count; i++) lua_getiuservalue(L, index, i);
  }
  return h->count;
}

void rt_task_push_result(lua_State *L, int index) {
  const task_handle *h = lua_touserdata(L, index);
  if (h->count == 0) {
    lua_pushnil(L);
  } else {
    lua_getiuservalue(L, index, 1);
    if (!h->packed) return;
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
  }
}

/* ---- rt.spawn(node, ...) -> Task ---- */

static int spawn(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  rt_call *parent = rt_call_current(e);
  rt_node *node = rt_lib_node(L, e, 1, "rt.spawn");
  if (!parent) rt_call_refuse_outside(L, e, "rt.spawn");
  if (parent->over || parent->status != RT_RUNNING)
    rt_error_raise(L, "usage", "rt.spawn by a finalizer: call %s has just ended",
                   parent->node->name);

  int count = lua_gettop(L);
  bool packed = count > MOST;
  int values = count < 2 || packed ? 2 : count;
  task_handle *h = lua_newuserdatauv(L, sizeof *h, values);
  *h = (task_handle){.values = values, .count = count, .packed = packed};
  lua_rawgetp(L, LUA_REGISTRYINDEX, &task_class);
  lua_setmetatable(L, -2);
  for (int i = 1; i <= (packed ? 1 : count); i++) {
    lua_pushvalue(L, i);
    lua_setiuservalue(L, -2, i);
  }
  if (packed) {
    lua_createtable(L, count - 1, 0);
    for (int i = 2; i <= count; i++) {
      lua_pushvalue(L, i);
      lua_rawseti(L, -2, i - 1);
    }
    lua_setiuservalue(L, -2, 2);
  }
  lua_pushvalue(L, -1);
  int slot = rt_anchor_put(&e->scheduler, L);
  rt_call *c = rt_call_new(parent->run, parent, node, &spawned_use, 0);
  if (!c) {
    rt_anchor_drop(&e->scheduler, slot);
    luaL_error(L, "not enough memory");
  }
  c->handle = slot;
  c->site = rt_place_here(&e->places, L);
  h->call = rt_call_ref(c);
  rt_call_queue(e, c);
  rt_call_keep_args(L, c, 2, count - 1);
  return 1;
}

/* ---- the Task ---- */

static task_handle *check_task(lua_State *L, const char *what) {
  task_handle *h = handle_at(L, 1);
  if (!h || !h->call)
    rt_error_raise(L, "usage", "%s: expected a Task, got %s", what, luaL_typename(L, 1));
  return h;
}

static int task_status(lua_State *L) {
  const rt_call *c = check_task(L, "task:status")->call;
  const char *status = rt_status_name((rt_status)c->status);
  if (c->status == RT_RUNNING && !c->task.started) status = "pending";
  lua_pushstring(L, status);
  return 1;
}

static int task_cancel(lua_State *L) {
  rt_call *c = check_task(L, "task:cancel")->call;
  size_t size = 0;
  rt_engine *e = c->run->engine;
  const char *given = lua_isnoneornil(L, 2) ? "task:cancel()" : luaL_tolstring(L, 2, &size);
  if (!size) size = strlen(given);
  rt_buf text = {0};
  rt_buf_add(&text, given, size);
  const rt_call *by = rt_call_current(e);
  if (by) {
    rt_buf_text(&text, ", by call ");
    rt_call_id(by, &text);
    rt_buf_printf(&text, " (%s)", by->node->name);
  }
  rt_place here = rt_place_here(&e->places, L);
  rt_text file = rt_place_file(&e->places, here);
  if (file.data) rt_buf_printf(&text, " at %.*s:%u", (int)file.size, file.data, here.line);
  rt_reason *reason = rt_reason_from(&text, size);
  lua_pushboolean(L, rt_call_cancel(c, reason));
  rt_reason_unref(reason);
  return 1;
}

/* core.let_alone(task): when it fails that is told on standard error and in the journal, and
 * its caller does not fail with it. */
static int let_alone(lua_State *L) {
  check_task(L, "core.let_alone")->call->alone = true;
  return 0;
}

static void push_id(lua_State *L, const rt_call *c) {
  rt_buf id = {0};
  rt_call_id(c, &id);
  if (id.failed) luaL_error(L, "not enough memory");
  lua_pushlstring(L, id.data, id.size);
  rt_buf_free(&id);
}

const char *rt_lib_call_text(lua_State *L, const rt_call *c) {
  push_id(L, c);
  return lua_pushfstring(L, "%s (%s)", lua_tostring(L, -1), c->node->name);
}

static int task_tostring(lua_State *L) {
  const task_handle *h = handle_at(L, 1);
  if (!h || !h->call) {
    lua_pushliteral(L, "Task");
    return 1;
  }
  push_id(L, h->call);
  lua_pushcfunction(L, task_status);
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  lua_pushfstring(L, "Task %s (%s, %s)", lua_tostring(L, -2), h->call->node->name,
                  lua_tostring(L, -1));
  return 1;
}

/* Methods from the table in upvalue 3; id and node are made when asked for. */
static int task_index(lua_State *L) {
  const task_handle *h = handle_at(L, 1);
  const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (h && h->call && strcmp(key, "id") == 0) {
    push_id(L, h->call);
  } else if (h && h->call && strcmp(key, "node") == 0) {
    lua_pushlstring(L, h->call->node->name, h->call->node->name_size);
  } else {
    lua_settop(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
  }
  return 1;
}

static int task_gc(lua_State *L) {
  task_handle *h = lua_touserdata(L, 1);
  if (h->call) rt_call_unref(h->call);
  h->call = NULL;
  return 0;
}

void rt_lib_open_task(lua_State *L, rt_engine *e) {
  static const luaL_Reg functions[] = {
      {"let_alone", let_alone}, {"observe", observe}, {"spawn", spawn}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"status", task_status}, {"cancel", task_cancel}, {NULL, NULL}};
  rt_lib_add(L, e, functions);

  lua_createtable(L, 0, 6);                 // the metatable
  lua_pushliteral(L, "railtracks.Task");
  lua_setfield(L, -2, "__name");
  lua_pushcfunction(L, task_gc);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, task_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_createtable(L, 0, 4);
  rt_lib_add(L, e, methods);
  lua_pushvalue(L, -1);
  lua_setfield(L, -4, "task_methods");      // for the files that add to them
  lua_pushcclosure(L, task_index, 1);
  lua_setfield(L, -2, "__index");
  lua_pushliteral(L, "railtracks.Task");
  lua_setfield(L, -2, "__metatable");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &task_class);
}
