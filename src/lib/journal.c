/* journal.c -- the module railtracks.journal: recorded runs and calls, read from Lua.
 *
 *   journal.open(path)                     a reader; raises what is wrong with the file
 *   reader:runs([limit [, skip]])          a list of runs, newest first
 *   reader:run(name)                       "@1", or a unique beginning or end of an id
 *   reader:calls(run [, limit [, order]])  for call in ... do; run as above, or its name;
 *                                          in start order, or each below its caller, where
 *                                          siblings go as they started ("tree") or by "id"
 *   reader:since(number)                   a list of the runs with larger numbers, oldest first
 *   reader:tail(run)                       follows a run: see tail.c
 *   reader:close()
 *   journal.prune(path, before, keep)      removes the runs that ended before that time (nil:
 *                                          all that have ended), but none of the newest 'keep'
 *                                          (nil: 0): how many, the bytes given back to the
 *                                          disk, and why none could be
 *
 * A run is {number, id, name, status, started_at, ended_at, calls, error, script,
 * script_hash, host, pid, parent_run, parent_call}; a call is {id, parent, ordinal, node,
 * kind, status, spawned_at, started_at, ended_at, args, results, error, site, depth}. What
 * is not there is nil; args, results and error are JSON text, as recorded.
 */
#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>

#include "error.h"
#include "lib.h"
#include "store.h"

#define CALLS "railtracks.journal.Calls"

enum { BATCH = 128 };  // calls made into tables at once, the file let go of in between

typedef struct reader {
  rt_reader *reader;  // NULL once closed
  char *reason;       // why it could not be opened
} reader;

/* Calls being iterated. Its user values: the reader it reads from, and the batch. */
typedef struct call_list {
  rt_calls *calls;  // NULL once closed
  int at, size;     // in the batch: calls handed out, calls in it
} call_list;

enum { READER_SLOT = 1, BATCH_SLOT };

/* Raises a failure of the journal. */
_Noreturn static void fail(lua_State *L, const char *message) {
  rt_error_raise(L, "journal", "%s", message);
}

rt_reader *rt_lib_reader(lua_State *L, int index) {
  reader *r = luaL_checkudata(L, index, RT_READER);
  if (!r->reader) fail(L, "the journal has been closed");
  return r->reader;
}

/* ---- records as tables: each sets fields of the table at the top ---- */

static void set_text(lua_State *L, const char *field, rt_text text) {
  if (!text.data) return;
  lua_pushlstring(L, text.data, text.size);
  lua_setfield(L, -2, field);
}

static void set_name(lua_State *L, const char *field, const char *name) {
  if (!name) return;
  lua_pushstring(L, name);
  lua_setfield(L, -2, field);
}

static void set_time(lua_State *L, const char *field, double time) {
  if (time <= 0) return;
  lua_pushnumber(L, time);
  lua_setfield(L, -2, field);
}

static void set_integer(lua_State *L, const char *field, int64_t value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, field);
}

void rt_lib_push_run(lua_State *L, const rt_run_record *r) {
  lua_createtable(L, 0, 14);
  set_integer(L, "number", r->run);
  set_text(L, "id", r->id);
  set_text(L, "name", r->name);
  set_name(L, "status", rt_status_name(r->status));
  set_time(L, "started_at", r->started_at);
  set_time(L, "ended_at", r->ended_at);
  set_integer(L, "calls", r->calls);
  set_text(L, "error", r->error);
  set_text(L, "script", r->script);
  set_text(L, "script_hash", r->script_hash);
  set_text(L, "host", r->host);
  set_integer(L, "pid", r->pid);
  set_text(L, "parent_run", r->parent_run);
  if (r->parent_call) set_integer(L, "parent_call", r->parent_call);
}

void rt_lib_push_call(lua_State *L, const rt_call_view *view) {
  const rt_call_record *c = &view->record;
  lua_createtable(L, 0, 14);
  set_name(L, "id", view->id);
  set_name(L, "parent", view->parent_id);
  set_integer(L, "ordinal", c->ordinal);
  set_text(L, "node", c->node);
  set_name(L, "kind", rt_call_kind_name(c->kind));
  set_name(L, "status", rt_status_name(c->status));
  set_time(L, "spawned_at", c->spawned_at);
  set_time(L, "started_at", c->started_at);
  set_time(L, "ended_at", c->ended_at);
  set_text(L, "args", c->args);
  set_text(L, "results", c->results);
  set_text(L, "error", c->error);
  set_text(L, "site", c->site);
  set_integer(L, "depth", view->depth);
}

/* ---- runs ---- */

/* Appends a run to the list at the top. */
static int append_run(void *data, const rt_run_record *run) {
  lua_State *L = data;
  rt_lib_push_run(L, run);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  return 0;
}

static int put_run(void *data, const rt_run_record *run) {
  rt_lib_push_run(data, run);
  return 0;
}

static int list_runs(lua_State *L) {
  rt_reader *r = rt_lib_reader(L, 1);
  lua_Integer limit = luaL_optinteger(L, 2, -1), skip = luaL_optinteger(L, 3, 0);
  luaL_argcheck(L, skip >= 0, 3, "must not be negative");
  lua_newtable(L);
  if (rt_reader_runs(r, skip, limit < 0 ? -1 : limit, append_run, L) < 0)
    fail(L, rt_reader_error(r));
  return 1;
}

static int list_since(lua_State *L) {
  rt_reader *r = rt_lib_reader(L, 1);
  lua_Integer number = luaL_checkinteger(L, 2);
  lua_newtable(L);
  if (rt_reader_runs_since(r, number, append_run, L) < 0) fail(L, rt_reader_error(r));
  return 1;
}

/* Pushes the run of that name. */
static int find_run(lua_State *L) {
  rt_reader *r = rt_lib_reader(L, 1);
  const char *name = luaL_checkstring(L, 2);
  if (rt_reader_run(r, name, put_run, L) < 0) fail(L, rt_reader_error(r));
  return 1;
}

/* ---- calls ---- */

static int close_calls(lua_State *L) {
  call_list *list = luaL_checkudata(L, 1, CALLS);
  rt_calls_close(list->calls);
  list->calls = NULL;
  return 0;
}

/* Reads the next calls into the batch, which is at the top. */
static void fill_batch(lua_State *L, rt_reader *r, call_list *list) {
  rt_call_view view;
  int got = 1;
  list->at = list->size = 0;
  while (list->size < BATCH && (got = rt_calls_next(list->calls, &view)) > 0) {
    rt_lib_push_call(L, &view);
    lua_rawseti(L, -2, ++list->size);
  }
  rt_reader_pause(r);
  if (got < 0) fail(L, rt_reader_error(r));
}

/* The iterator; upvalue: the list. */
static int next_call(lua_State *L) {
  call_list *list = lua_touserdata(L, lua_upvalueindex(1));
  if (!list->calls) return 0;
  lua_settop(L, 0);
  lua_getiuservalue(L, lua_upvalueindex(1), BATCH_SLOT);
  if (list->at == list->size) {
    lua_getiuservalue(L, lua_upvalueindex(1), READER_SLOT);
    rt_reader *r = rt_lib_reader(L, 2);
    lua_settop(L, 1);
    fill_batch(L, r, list);
    if (list->size == 0) {
      rt_calls_close(list->calls);
      list->calls = NULL;
      return 0;
    }
  }
  lua_rawgeti(L, 1, ++list->at);
  lua_pushnil(L);  // what was handed out is the caller's alone
  lua_rawseti(L, 1, list->at);
  return 1;
}

static int list_calls(lua_State *L) {
  static const char *const names[] = {"start", "tree", "id", NULL};
  static const rt_call_order orders[] = {RT_BY_START, RT_BY_TREE, RT_BY_ID};
  rt_reader *r = rt_lib_reader(L, 1);
  lua_Integer limit = luaL_optinteger(L, 3, -1);
  rt_call_order order = orders[luaL_checkoption(L, 4, "start", names)];
  lua_settop(L, 2);
  if (!lua_istable(L, 2)) {
    find_run(L);
    lua_replace(L, 2);
  }
  if (lua_getfield(L, 2, "number") != LUA_TNUMBER) luaL_argerror(L, 2, "not a run");
  lua_Integer run = lua_tointeger(L, -1);

  call_list *list = lua_newuserdatauv(L, sizeof *list, 2);
  *list = (call_list){0};
  luaL_setmetatable(L, CALLS);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, READER_SLOT);
  lua_createtable(L, BATCH, 0);
  lua_setiuservalue(L, -2, BATCH_SLOT);
  if (rt_calls_open(&list->calls, r, run, limit < 0 ? -1 : limit, order) < 0)
    fail(L, rt_reader_error(r));

  int at = lua_gettop(L);
  lua_pushvalue(L, at);
  lua_pushcclosure(L, next_call, 1);
  lua_pushnil(L);
  lua_pushnil(L);
  lua_pushvalue(L, at);  // closed by the loop that is left early
  return 4;
}

/* ---- the module ---- */

static int close_reader(lua_State *L) {
  reader *r = luaL_checkudata(L, 1, RT_READER);
  rt_reader_close(r->reader);
  free(r->reason);
  *r = (reader){0};
  return 0;
}

static int open_reader(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  reader *r = lua_newuserdatauv(L, sizeof *r, 0);
  *r = (reader){0};
  luaL_setmetatable(L, RT_READER);
  if (rt_reader_open(&r->reader, path, &r->reason) < 0)
    fail(L, r->reason ? r->reason : "not enough memory");
  return 1;
}

static const luaL_Reg reader_methods[] = {
    {"runs", list_runs}, {"run", find_run}, {"calls", list_calls}, {"since", list_since},
    {"tail", rt_lib_tail}, {"close", close_reader}, {NULL, NULL},
};

/* Closes the store and raises why. */
_Noreturn static void fail_store(lua_State *L, rt_store *s) {
  lua_pushstring(L, rt_store_error(s));
  s->api->close(s);
  fail(L, lua_tostring(L, -1));
}

static int prune(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  double before = luaL_optnumber(L, 2, HUGE_VAL);
  int64_t keep = luaL_optinteger(L, 3, 0), last = 0, run = 0, bytes = 0;
  lua_Integer removed = 0;
  rt_store *s;
  char *error;
  luaL_argcheck(L, keep >= 0, 3, "must not be negative");
  if (rt_sqlite_open(&s, path, &error) < 0) {
    lua_pushstring(L, error ? error : "not enough memory");
    free(error);
    fail(L, lua_tostring(L, -1));
  }
  if (s->api->find_past(s, keep, &last) < 0) fail_store(L, s);
  for (;;) {
    if (s->api->drop_next(s, before, last, &run) < 0) fail_store(L, s);
    if (!run) break;
    removed++;
  }
  lua_pushinteger(L, removed);
  bool shrunk = !removed || s->api->compact(s, &bytes) == 0;
  lua_pushinteger(L, bytes);
  lua_pushstring(L, shrunk ? NULL : rt_store_error(s));
  s->api->close(s);
  return 3;
}

static const luaL_Reg module_functions[] = {
    {"open", open_reader}, {"prune", prune}, {NULL, NULL}};

/* Makes the class 'name', which 'close' ends, and leaves its metatable at the top. */
static void new_class(lua_State *L, const char *name, lua_CFunction close) {
  luaL_newmetatable(L, name);
  lua_pushcfunction(L, close);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, close);
  lua_setfield(L, -2, "__close");
}

int rt_open_journal(lua_State *L) {
  new_class(L, CALLS, close_calls);
  lua_pop(L, 1);
  rt_lib_open_tails(L);
  new_class(L, RT_READER, close_reader);
  luaL_newlib(L, reader_methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  luaL_newlib(L, module_functions);
  return 1;
}
