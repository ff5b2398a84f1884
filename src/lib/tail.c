/* tail.c -- for railtracks.journal: a run followed while it is recorded.
 *
 *   reader:tail(run)    run as reader:run gives it
 *   tail:look([most])   what has come since the last look: the run, a list of calls that are new
 *                       or have begun or ended, without site, arguments, results and error, but
 *                       with their 'seq' and 'above' (seq of the caller); by seq what was last
 *                       told of their progress, {at, value}; and whether there is more ('most'
 *                       calls at a time)
 *   tail:read(seqs)     a list of those calls, with all that is recorded, in that order; what is
 *                       not there (any more) is left out
 *   tail:close()
 */
#include "lib.h"

#define TAIL "railtracks.journal.Tail"

enum { MOST = 10000, RUN = 2, CALLS, PROGRESS };

int rt_lib_tail(lua_State *L) {
  rt_reader *r = rt_lib_reader(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_getfield(L, 2, "number");
  lua_Integer run = luaL_checkinteger(L, -1);
  rt_tail **t = lua_newuserdatauv(L, sizeof *t, 1);
  *t = NULL;
  luaL_setmetatable(L, TAIL);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  if (rt_tail_open(t, r, run) < 0)
    rt_error_raise(L, "journal", "%s", rt_reader_error(r));
  return 1;
}

static int close_tail(lua_State *L) {
  rt_tail **t = luaL_checkudata(L, 1, TAIL);
  rt_tail_close(*t);
  *t = NULL;
  return 0;
}

/* Each of these runs protected: what follows the run is not to be left by a jump. */
static int put_run(lua_State *L) {
  rt_lib_push_run(L, lua_touserdata(L, 1));
  return 1;
}

static int put_call(lua_State *L) {
  const rt_call_view *call = lua_touserdata(L, 1);
  rt_lib_push_call(L, call);
  lua_pushinteger(L, call->record.seq);
  lua_setfield(L, -2, "seq");
  if (call->record.parent) {
    lua_pushinteger(L, call->record.parent);
    lua_setfield(L, -2, "above");
  }
  return 1;
}

static int put_event(lua_State *L) {
  const rt_event_record *e = lua_touserdata(L, 1);
  lua_createtable(L, 0, 2);
  lua_pushnumber(L, e->at);
  lua_setfield(L, -2, "at");
  lua_pushlstring(L, e->value.data, e->value.size);
  lua_setfield(L, -2, "value");
  return 1;
}

/* Makes a value of 'record'; 1, with the error at the top, when out of memory. */
static int make(lua_State *L, lua_CFunction f, const void *record) {
  lua_pushcfunction(L, f);
  lua_pushlightuserdata(L, (void *)(uintptr_t)record);
  return lua_pcall(L, 1, 1, 0) == LUA_OK ? 0 : 1;
}

static int note_run(void *data, const rt_run_record *run) {
  lua_State *L = data;
  if (make(L, put_run, run)) return 2;
  lua_replace(L, RUN);
  return 0;
}

/* In: a list, or a table, what is to be put into it, and where. */
static int put_item(lua_State *L) {
  lua_rawset(L, 1);
  return 0;
}

static int put(lua_State *L, int table, lua_Integer key) {
  lua_pushcfunction(L, put_item);
  lua_pushvalue(L, table);
  lua_pushinteger(L, key);
  lua_pushvalue(L, -4);
  int status = lua_pcall(L, 3, 0, 0);
  if (status != LUA_OK) return 2;
  lua_pop(L, 1);
  return 0;
}

static int note_call(void *data, const rt_call_view *call) {
  lua_State *L = data;
  if (make(L, put_call, call)) return 2;
  return put(L, CALLS, (lua_Integer)lua_rawlen(L, CALLS) + 1);
}

static int note_progress(void *data, const rt_event_record *e) {
  lua_State *L = data;
  if (make(L, put_event, e)) return 2;
  return put(L, PROGRESS, e->seq);
}

/* The tail at 1, which is open, or raises; with the reader that it reads from. */
static rt_tail *check_tail(lua_State *L, rt_reader **reader) {
  rt_tail **t = luaL_checkudata(L, 1, TAIL);
  lua_getiuservalue(L, 1, 1);
  *reader = rt_lib_reader(L, -1);
  lua_pop(L, 1);
  if (!*t) rt_error_raise(L, "journal", "what followed the run has been closed");
  return *t;
}

static int look(lua_State *L) {
  static const rt_follower follower = {note_run, note_call, note_progress};
  rt_reader *r;
  rt_tail *t = check_tail(L, &r);
  lua_Integer most = luaL_optinteger(L, 2, MOST);
  luaL_argcheck(L, most > 0 && most <= INT32_MAX, 2, "out of range");
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_settop(L, 1);
  lua_pushnil(L);
  lua_newtable(L);
  lua_newtable(L);
  int more = rt_tail_look(t, (uint32_t)most, &follower, L);
  if (more == 2) return lua_error(L);
  if (more < 0) rt_error_raise(L, "journal", "%s", rt_reader_error(r));
  lua_pushboolean(L, more);
  return 4;
}

static int read_calls(lua_State *L) {
  rt_reader *r;
  rt_tail *t = check_tail(L, &r);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  size_t count = lua_rawlen(L, 2);
  uint32_t *seqs = lua_newuserdatauv(L, count * sizeof *seqs, 0);
  for (size_t i = 0; i < count; i++) {
    if (lua_rawgeti(L, 2, (lua_Integer)i + 1) != LUA_TNUMBER) luaL_argerror(L, 2, "not seqs");
    seqs[i] = (uint32_t)lua_tointeger(L, -1);
    lua_pop(L, 1);
  }
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_replace(L, 2);
  lua_createtable(L, (int)count, 0);  // at CALLS
  int result = rt_tail_read(t, seqs, count, note_call, L);
  if (result == 2) return lua_error(L);
  if (result < 0) rt_error_raise(L, "journal", "%s", rt_reader_error(r));
  return 1;
}

void rt_lib_open_tails(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"look", look}, {"read", read_calls}, {"close", close_tail}, {NULL, NULL}};
  luaL_newmetatable(L, TAIL);
  lua_pushcfunction(L, close_tail);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, close_tail);
  lua_setfield(L, -2, "__close");
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
