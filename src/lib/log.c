/* log.c -- rt.log, rt.broadcast and rt.progress: what a run tells while it happens. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "lib.h"
#include "log.h"
#include "value.h"

/* Writes an event of the running call into the journal. */
static void record(rt_engine *e, const rt_call *c, const char *kind, const rt_buf *value) {
  if (!c || value->failed) return;
  int64_t at = rt_scheduler_now(&e->scheduler) + c->run->epoch;
  rt_journal_event(e->journal, &(rt_event_record){
      .run = c->run->number, .seq = c->seq, .at = (double)at / 1e9,
      .kind = {kind, strlen(kind)}, .value = {value->data, value->size}});
}

/* ---- rt.log ---- */

static void write_event(rt_buf *out, int level, rt_text message, rt_text fields) {
  rt_buf_printf(out, "{\"fields\":%s", fields.size ? "" : "null");
  rt_buf_add(out, fields.data, fields.size);
  rt_buf_printf(out, ",\"level\":\"%s\",\"message\":", rt_level_name(level));
  rt_value_write_text(out, message.data, message.size);
  rt_buf_char(out, '}');
}

/* The fields at 2 as JSON, in the engine's scratch. */
static rt_text written_fields(lua_State *L, rt_engine *e) {
  if (lua_isnil(L, 2)) return (rt_text){0};
  e->scratch.size = 0;
  e->scratch.failed = false;
  rt_value_write(L, 2, &e->scratch, e->record_limit);
  if (e->scratch.failed) luaL_error(L, "not enough memory");
  return (rt_text){e->scratch.data, e->scratch.size};
}

/* rt.log.info(message [, fields]); the level is the second upvalue. */
static int log_line(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  int level = (int)lua_tointeger(L, lua_upvalueindex(2));
  rt_text message;
  lua_settop(L, 2);
  if (!lua_isstring(L, 1))
    rt_error_raise(L, "usage", "rt.log.%s: argument 1: expected a string, got %s",
                   rt_level_name(level), rt_lib_given(L, 1));
  if (!lua_isnil(L, 2) && !lua_istable(L, 2))
    rt_error_raise(L, "usage", "rt.log.%s: argument 2: expected a table of fields, got %s",
                   rt_level_name(level), rt_lib_given(L, 2));
  message.data = lua_tolstring(L, 1, &message.size);
  const rt_call *c = rt_call_current(e);
  rt_text fields = written_fields(L, e);
  rt_buf *event = rt_engine_text(e);
  write_event(event, level, message, fields);
  record(e, c, "log", event);
  rt_notice_line(e, (rt_level)level, c, message, fields, "");
  if (!(e->notices.listening & RT_NOTICE_LOG)) return 0;
  lua_createtable(L, 0, 10);
  lua_pushliteral(L, "log");
  lua_setfield(L, 3, "event");
  lua_pushstring(L, rt_level_name(level));
  lua_setfield(L, 3, "level");
  lua_pushvalue(L, 1);
  lua_setfield(L, 3, "message");
  lua_pushvalue(L, 2);
  lua_setfield(L, 3, "fields");
  rt_notice_queue(L, e, c);
  return 0;
}

/* ---- rt.broadcast(value) ---- */

static int broadcast(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  e->scratch.size = 0;
  e->scratch.failed = false;
  rt_value_write(L, 1, &e->scratch, e->record_limit);
  record(e, rt_call_current(e), "broadcast", &e->scratch);
  if (!(e->notices.listening & RT_NOTICE_BROADCAST)) return 0;
  lua_createtable(L, 0, 7);
  lua_pushliteral(L, "broadcast");
  lua_setfield(L, 2, "event");
  lua_pushvalue(L, 1);
  lua_setfield(L, 2, "value");
  rt_notice_queue(L, e, rt_call_current(e));
  return 0;
}

/* ---- rt.progress(done, total [, label]) ---- */

enum { OFTEN_NS = 100000000 };  // between two of a call that are recorded

/* Whether the journal is to have this progress of the call: it is the first, or the last, or
 * the one before was a while ago. */
static bool is_to_be_recorded(rt_engine *e, rt_call *c, bool last) {
  int64_t now = rt_scheduler_now(&e->scheduler);
  rt_call_rare *rare = rt_call_rare_of(c);
  if (!rare || (rare->progressed && !last && now - rare->progressed < OFTEN_NS)) return false;
  rare->progressed = now ? now : 1;
  return true;
}

static lua_Number check_amount(lua_State *L, int index, bool needed) {
  lua_Number amount = lua_tonumber(L, index);
  if (!needed && lua_isnil(L, index)) return 0;
  if (lua_type(L, index) != LUA_TNUMBER || !(amount >= 0) || isinf(amount))
    rt_error_raise(L, "usage", "rt.progress: argument %d: expected a number, not negative, got %s",
                   index, rt_lib_given(L, index));
  return amount;
}

static int progress(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  lua_settop(L, 3);
  lua_Number done = check_amount(L, 1, true), total = check_amount(L, 2, false);
  if (!lua_isnil(L, 3) && lua_type(L, 3) != LUA_TSTRING)
    rt_error_raise(L, "usage", "rt.progress: argument 3: expected a string, got %s",
                   rt_lib_given(L, 3));
  rt_call *c = rt_call_current(e);
  if (!c) rt_error_raise(L, "usage", "rt.progress: outside a run there is nothing to do");
  if (is_to_be_recorded(e, c, !lua_isnil(L, 2) && done >= total)) {
    rt_buf *event = rt_engine_text(e);
    rt_buf_printf(event, "{\"done\":%.14g,\"label\":", done);
    rt_value_write(L, 3, event, e->record_limit);
    if (lua_isnil(L, 2)) rt_buf_text(event, ",\"total\":null}");
    else rt_buf_printf(event, ",\"total\":%.14g}", total);
    record(e, c, "progress", event);
  }
  if (!(e->notices.listening & RT_NOTICE_PROGRESS)) return 0;
  static const char *const names[] = {"done", "total", "label"};
  lua_createtable(L, 0, 9);
  lua_pushliteral(L, "progress");
  lua_setfield(L, 4, "event");
  for (int i = 1; i <= 3; i++) lua_pushvalue(L, i), lua_setfield(L, 4, names[i - 1]);
  rt_notice_queue(L, e, c);
  return 0;
}

void rt_lib_map_progress(lua_State *L, rt_call *c, uint32_t done, uint32_t total, uint32_t first,
                         const rt_node *node) {
  rt_engine *e = c->run->engine;
  rt_buf *event = rt_engine_text(e);
  rt_buf_printf(event, "{\"done\":%u,\"first\":%u,\"label\":null,\"map\":", done, first);
  rt_value_write_text(event, node->name, node->name_size);
  rt_buf_printf(event, ",\"total\":%u}", total);
  record(e, c, "progress", event);
  if (!(e->notices.listening & RT_NOTICE_PROGRESS)) return;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_createtable(L, 0, 9);
  lua_pushliteral(L, "progress");
  lua_setfield(L, -2, "event");
  lua_pushinteger(L, done);
  lua_setfield(L, -2, "done");
  lua_pushinteger(L, total);
  lua_setfield(L, -2, "total");
  lua_pushlstring(L, node->name, node->name_size);
  lua_setfield(L, -2, "map");
  rt_notice_queue(L, e, c);
}

/* ---- who listens ---- */

/* core.dispatch(function(queue, first, last)): what calls the handlers; once. */
static int dispatch(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  e->notices.dispatch = rt_anchor_put(&e->scheduler, L);
  lua_createtable(L, 0, 0);
  e->notices.queue = rt_anchor_put(&e->scheduler, L);
  if (e->own_anchors) e->own_anchors += 2;
  return 0;
}

/* core.listen(bits): which events there are handlers for, as RT_NOTICE_STARTED and so on. */
static int listen_to(lua_State *L) {
  rt_notices *n = &rt_lib_engine(L)->notices;
  lua_Integer bits = luaL_checkinteger(L, 1) & RT_NOTICE_HANDLERS;
  n->listening = (uint8_t)((n->listening & ~RT_NOTICE_HANDLERS) | bits);
  return 0;
}

/* core.tally(true): from now on calls are counted.
 * core.tally() -> a list of {node, done, failed, cancelled, seconds}, of those that have ended */
static int tally(lua_State *L) {
  rt_notices *n = &rt_lib_engine(L)->notices;
  if (lua_toboolean(L, 1)) {
    n->listening |= RT_NOTICE_TALLY;
    return 0;
  }
  lua_createtable(L, (int)n->tally.used, 0);
  lua_Integer count = 0;
  for (const rt_count *c = rt_tally_newest(&n->tally); c; c = c->next) {
    int64_t ended = 0;
    for (int status = RT_DONE; status <= RT_CANCELLED; status++)
      ended += rt_count_now(&c->ended[status]);
    if (!ended) continue;
    lua_createtable(L, 0, 5);
    lua_pushlstring(L, c->name, c->size);
    lua_setfield(L, -2, "node");
    for (int status = RT_DONE; status <= RT_CANCELLED; status++) {
      lua_pushinteger(L, rt_count_now(&c->ended[status]));
      lua_setfield(L, -2, rt_status_name((rt_status)status));
    }
    lua_pushnumber(L, (lua_Number)rt_count_now(&c->ns) / 1e9);
    lua_setfield(L, -2, "seconds");
    lua_rawseti(L, -2, ++count);
  }
  return 1;
}

/* core.warn(message): a line of the engine's own. */
static int warn(lua_State *L) {
  rt_text message;
  message.data = luaL_checklstring(L, 1, &message.size);
  rt_notice_line(rt_lib_engine(L), RT_LEVEL_WARNING, NULL, message, (rt_text){0}, "");
  return 0;
}

/* core.set_log(level or nil, format or nil, path or nil, bytes of the file or nil) -> nothing, or
 * what is wrong */
static int set_log(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  const char *level = luaL_optstring(L, 1, NULL), *format = luaL_optstring(L, 2, NULL);
  const char *path = luaL_optstring(L, 3, NULL);
  if (level) rt_notice_set_level(e, (rt_level)rt_level_named(level));
  if (format) e->notices.json = strcmp(format, "json") == 0;
  e->notices.most = luaL_optinteger(L, 4, e->notices.most);
  if (!path || rt_notice_open_file(e, path) == 0) return 0;
  lua_pushfstring(L, "cannot open the log file %s: %s", path, strerror(errno));
  return 1;
}

/* What the environment says; a program's options come later. */
static void read_environment(rt_engine *e) {
  const char *level = getenv("RAILTRACKS_LOG_LEVEL"), *path = getenv("RAILTRACKS_LOG_FILE");
  int number = level && *level ? rt_level_named(level) : (int)e->notices.level;
  if (number >= 0) rt_notice_set_level(e, (rt_level)number);
  else
    rt_log(RT_LOG_WARNING, "RAILTRACKS_LOG_LEVEL: expected debug, info, warning, error or none, "
           "got '%s'", level);
  if (path && *path && !e->notices.path) e->notices.path = strdup(path);
}

void rt_lib_open_log(lua_State *L, rt_engine *e) {
  static const luaL_Reg functions[] = {
      {"broadcast", broadcast}, {"dispatch", dispatch}, {"listen", listen_to},
      {"progress", progress}, {"set_log", set_log}, {"tally", tally},
      {"warn", warn}, {NULL, NULL}};
  rt_lib_add(L, e, functions);
  lua_createtable(L, 0, RT_LEVEL_NONE);
  for (int level = 0; level < RT_LEVEL_NONE; level++) {
    lua_pushlightuserdata(L, e);
    lua_pushinteger(L, level);
    lua_pushcclosure(L, log_line, 2);
    lua_setfield(L, -2, rt_level_name(level));
  }
  lua_setfield(L, -2, "log");
  read_environment(e);
}
