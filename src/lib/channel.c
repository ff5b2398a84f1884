/* channel.c -- rt.channel([capacity]): values from one task to another.
 *
 * A value goes from the sender's stack straight to that of the receiver who waits longest;
 * if there is none into the buffer; if that is full it stays on the sender's stack, who
 * waits until a receiver takes it from there, or room in the buffer has come to its turn.
 * So receivers wait only while the buffer is empty and no sender waits, and senders only
 * while it is full.
 *
 * The buffer is a Lua table used as a ring: the channel's user value.
 */
#include <math.h>
#include <stddef.h>

#include "lib.h"
#include "line.h"

typedef struct channel {
  rt_line senders;       /* their values are on top of their stacks */
  rt_line receivers;
  lua_Integer capacity;  /* LUA_MAXINTEGER: no bound */
  lua_Integer count;     /* values in the buffer; the oldest at 'head', from 0 */
  lua_Integer head;
  lua_Integer size;      /* places of the ring, a power of two; 0: there is none yet */
  lua_Integer number;    /* the how-manieth of its engine */
  rt_place site;         /* of the code that made it */
  bool closed;
} channel;

enum {
  RING = 8,              // places at first,
  RING_KEPT = 1024,      // and at most when the buffer has become empty
};

typedef enum outcome { PASSED, CLOSED } outcome;  // of waiting

static channel *self(lua_State *L, const char *what) {
  return rt_lib_self(L, what, "a Channel");
}

/* "capacity 3", in two parts */
static const char *bound(const channel *ch) {
  return ch->capacity == LUA_MAXINTEGER ? "no bound" : "capacity ";
}

/* "channel 2 (capacity 3, made at flow.lua:18)": for errors. */
static const char *push_name(lua_State *L, const channel *ch) {
  rt_text file = rt_place_file(&rt_lib_engine(L)->places, ch->site);
  if (ch->capacity == LUA_MAXINTEGER) lua_pushliteral(L, "");
  else lua_pushfstring(L, "%I", ch->capacity);
  return lua_pushfstring(L, file.data ? "channel %I (%s%s, made at %s:%d)" : "channel %I (%s%s)",
                         ch->number, bound(ch), lua_tostring(L, -1), file.data,
                         (int)ch->site.line);
}

static void describe(const rt_task *task, const channel *ch, const char *what, rt_buf *out) {
  rt_text file = rt_place_file(&rt_call_of(task)->run->engine->places, ch->site);
  rt_buf_printf(out, "%s on channel %lld (%s", what, (long long)ch->number, bound(ch));
  if (ch->capacity != LUA_MAXINTEGER) rt_buf_int(out, ch->capacity);
  if (file.data) rt_buf_printf(out, ", made at %s:%u", file.data, ch->site.line);
  rt_buf_char(out, ')');
}

/* ---- the buffer ---- */

/* Twice the places. The channel stands at 1. Raises, and then nothing has changed. */
static void grow(lua_State *L, channel *ch) {
  lua_Integer size = ch->size ? ch->size * 2 : RING;
  if (size > INT32_MAX / 2) luaL_error(L, "not enough memory");
  lua_createtable(L, (int)size, 0);
  lua_getiuservalue(L, 1, 1);
  for (lua_Integer i = 0; i < ch->count; i++) {
    lua_rawgeti(L, -1, ((ch->head + i) & (ch->size - 1)) + 1);
    lua_rawseti(L, -3, i + 1);
  }
  lua_pop(L, 1);
  lua_setiuservalue(L, 1, 1);
  ch->head = 0;
  ch->size = size;
}

/* Puts the value at the top into the ring that stands below it, and pops both. There is
 * room; does not raise. */
static void put(lua_State *L, channel *ch) {
  lua_rawseti(L, -2, ((ch->head + ch->count) & (ch->size - 1)) + 1);
  lua_pop(L, 1);
  ch->count++;
}

/* Pushes the oldest value, and lets the first sender who waits have its place. The channel
 * stands at 1. */
static void take(lua_State *L, rt_engine *e, channel *ch) {
  lua_getiuservalue(L, 1, 1);
  lua_rawgeti(L, -1, ch->head + 1);
  lua_pushnil(L);
  lua_rawseti(L, -3, ch->head + 1);
  lua_insert(L, -2);                       // value, ring
  ch->head = (ch->head + 1) & (ch->size - 1);
  ch->count--;

  rt_task *sender = rt_line_take(&ch->senders);
  if (sender) {
    lua_xmove(sender->wait.other.co, L, 1);
    put(L, ch);
    rt_line_wake(&e->scheduler, sender, PASSED);
    return;
  }
  lua_pop(L, 1);
  if (ch->count == 0 && ch->size > RING_KEPT) {
    lua_pushnil(L);
    lua_setiuservalue(L, 1, 1);
    ch->head = ch->size = 0;
  }
}

/* ---- ch:send(value) ---- */

static void send_describe(const rt_task *task, rt_buf *out) {
  const char *line = task->wait.other.on;
  describe(task, (const channel *)(line - offsetof(channel, senders)), "channel:send", out);
}

static int send_finish(lua_State *L, rt_task *task) {
  if (task->wait.other.status == PASSED) return 0;
  rt_error_raise(L, "usage", "channel:send: %s was closed before anybody took the value",
                 push_name(L, lua_touserdata(L, 1)));
}

static const rt_wait_kind send_wait = {
    .name = "channel:send", .unlink = rt_line_unlink, .finish = send_finish,
    .describe = send_describe};

static int send_value(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  channel *ch = self(L, "channel:send");
  rt_call *c = rt_call_check(L, e, "channel:send");
  if (lua_isnoneornil(L, 2))
    rt_error_raise(L, "usage", "channel:send: argument 1: expected any value but nil, got %s",
                   lua_isnone(L, 2) ? "nothing" : "nil");
  if (ch->closed)
    rt_error_raise(L, "usage", "channel:send: %s is closed", push_name(L, ch));
  lua_settop(L, 2);

  rt_task *receiver = rt_line_take(&ch->receivers);
  if (receiver) {
    // Its stack has room: it has not used what every C function gets.
    lua_xmove(L, receiver->wait.other.co, 1);
    rt_line_wake(&e->scheduler, receiver, PASSED);
    return 0;
  }
  if (ch->count == ch->capacity) return rt_line_wait(L, &ch->senders, &c->task, &send_wait);
  if (ch->count == ch->size) grow(L, ch);
  lua_getiuservalue(L, 1, 1);
  lua_insert(L, 2);
  put(L, ch);
  return 0;
}

/* ---- ch:receive() -> value, true or nil, false; ch:each() ---- */

static const channel *received_from(const rt_task *task) {
  const char *line = task->wait.other.on;
  return (const channel *)(line - offsetof(channel, receivers));
}

static void receive_describe(const rt_task *task, rt_buf *out) {
  describe(task, received_from(task), "channel:receive", out);
}

static void each_describe(const rt_task *task, rt_buf *out) {
  describe(task, received_from(task), "channel:each", out);
}

/* The value, if there is one, stands at the top. */
static int receive_finish(lua_State *L, rt_task *task) {
  if (task->wait.other.status == CLOSED) lua_pushnil(L);
  lua_pushboolean(L, task->wait.other.status == PASSED);
  return 2;
}

static int each_finish(lua_State *L, rt_task *task) {
  if (task->wait.other.status == CLOSED) lua_pushnil(L);
  return 1;
}

static const rt_wait_kind receive_wait = {
    .name = "channel:receive", .unlink = rt_line_unlink, .finish = receive_finish,
    .describe = receive_describe};

static const rt_wait_kind each_wait = {
    .name = "channel:each", .unlink = rt_line_unlink, .finish = each_finish,
    .describe = each_describe};

static int receive_as(lua_State *L, const rt_wait_kind *kind) {
  rt_engine *e = rt_lib_engine(L);
  channel *ch = self(L, kind->name);
  rt_call *c = rt_call_check(L, e, kind->name);
  rt_task *sender;
  outcome how = PASSED;
  lua_settop(L, 1);
  if (ch->count) {
    take(L, e, ch);
  } else if ((sender = rt_line_take(&ch->senders))) {
    lua_xmove(sender->wait.other.co, L, 1);
    rt_line_wake(&e->scheduler, sender, PASSED);
  } else if (ch->closed) {
    how = CLOSED;
  } else {
    return rt_line_wait(L, &ch->receivers, &c->task, kind);
  }
  c->task.wait.other.status = how;
  return kind->finish(L, &c->task);
}

static int receive(lua_State *L) { return receive_as(L, &receive_wait); }

static int next_of_each(lua_State *L) { return receive_as(L, &each_wait); }

static int each(lua_State *L) {
  self(L, "channel:each");
  lua_pushvalue(L, lua_upvalueindex(3));
  lua_pushvalue(L, 1);
  return 2;
}

/* ---- ch:close() ---- */

static int close_channel(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  channel *ch = self(L, "channel:close");
  if (ch->closed)
    rt_error_raise(L, "usage", "channel:close: %s is closed already", push_name(L, ch));
  ch->closed = true;
  for (rt_task *task; (task = rt_line_take(&ch->senders));)
    rt_line_wake(&e->scheduler, task, CLOSED);
  for (rt_task *task; (task = rt_line_take(&ch->receivers));)
    rt_line_wake(&e->scheduler, task, CLOSED);
  return 0;
}

/* ---- making one ---- */

static int new_channel(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  int whole = 0;
  lua_Integer capacity = lua_type(L, 1) == LUA_TNUMBER ? lua_tointegerx(L, 1, &whole) : 0;
  if (lua_isnoneornil(L, 1)) whole = 1;
  if (lua_type(L, 1) == LUA_TNUMBER && lua_tonumber(L, 1) == (lua_Number)HUGE_VAL) {
    capacity = LUA_MAXINTEGER;
    whole = 1;
  }
  if (!whole || capacity < 0)
    rt_error_raise(L, "usage", "rt.channel: argument 1: expected a whole number, not negative, "
                   "or math.huge, got %s",
                   lua_type(L, 1) == LUA_TNUMBER ? luaL_tolstring(L, 1, NULL)
                                                 : luaL_typename(L, 1));
  channel *ch = lua_newuserdatauv(L, sizeof *ch, 1);
  *ch = (channel){
      .capacity = capacity, .number = lua_tointeger(L, lua_upvalueindex(3)) + 1,
      .site = rt_place_here(&e->places, L),
  };
  rt_line_open(&ch->senders);
  rt_line_open(&ch->receivers);
  lua_pushinteger(L, ch->number);
  lua_replace(L, lua_upvalueindex(3));
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  return 1;
}

static int channel_length(lua_State *L) {
  lua_pushinteger(L, self(L, "#")->count);
  return 1;
}

static int channel_tostring(lua_State *L) {
  const channel *ch = self(L, "tostring");
  rt_text file = rt_place_file(&rt_lib_engine(L)->places, ch->site);
  if (ch->capacity == LUA_MAXINTEGER) lua_pushliteral(L, "");
  else lua_pushfstring(L, "%I", ch->capacity);
  lua_pushfstring(L, file.data ? "Channel %I (%s%s, %I buffered%s, made at %s:%d)"
                               : "Channel %I (%s%s, %I buffered%s)",
                  ch->number, bound(ch), lua_tostring(L, -1), ch->count,
                  ch->closed ? ", closed" : "", file.data, (int)ch->site.line);
  return 1;
}

void rt_lib_open_channel(lua_State *L, rt_engine *e) {
  static const luaL_Reg methods[] = {
      {"send", send_value}, {"receive", receive}, {"close", close_channel}, {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__len", channel_length}, {"__tostring", channel_tostring}, {NULL, NULL}};
  lua_createtable(L, 0, 5);                // the metatable
  lua_createtable(L, 0, 4);
  rt_lib_add_methods(L, e, methods);
  lua_pushlightuserdata(L, e);             // each: upvalue 3 is the iterator
  lua_pushvalue(L, -3);
  lua_pushlightuserdata(L, e);
  lua_pushvalue(L, -5);
  lua_pushcclosure(L, next_of_each, 2);
  lua_pushcclosure(L, each, 3);
  lua_setfield(L, -2, "each");
  lua_setfield(L, -2, "__index");
  lua_pushvalue(L, -1);
  rt_lib_add_methods(L, e, meta);          // below the metatable stands it itself
  lua_pop(L, 1);
  lua_pushliteral(L, "railtracks.Channel");
  lua_setfield(L, -2, "__name");
  lua_pushliteral(L, "railtracks.Channel");
  lua_setfield(L, -2, "__metatable");
  lua_pushlightuserdata(L, e);
  lua_insert(L, -2);
  lua_pushinteger(L, 0);                   // how many were made
  lua_pushcclosure(L, new_channel, 3);
  lua_setfield(L, -2, "channel");
}
