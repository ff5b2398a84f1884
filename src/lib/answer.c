/* answer.c -- what has come of a request, as Lua values: the response, and errors. */
#include <string.h>

#include "exchange.h"
#include "request.h"

static const char classes_key = 'c';  // the metatables' place in the registry

/* ---- the response ---- */

static void set_seconds(lua_State *L, const char *name, double seconds) {
  lua_pushnumber(L, seconds);
  lua_setfield(L, -2, name);
}

void rt_answer_push_timings(lua_State *L, const rt_exchange *x, int exchange) {
  const rt_timings *t = &x->transfer->timings;
  if (lua_getiuservalue(L, exchange, RT_EXCHANGE_TIMINGS) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_createtable(L, 0, 5);
  set_seconds(L, "name_lookup", t->lookup);
  set_seconds(L, "connect", t->connect);
  if (t->tls > 0) set_seconds(L, "tls", t->tls);
  set_seconds(L, "first_byte", t->first_byte);
  set_seconds(L, "total", t->total);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, exchange, RT_EXCHANGE_TIMINGS);
}

/* "1.1", "2": what stands in the first line of the head. */
static void push_version(lua_State *L, const rt_transfer *t) {
  const char *space = t->head.size ? memchr(t->head.data, ' ', t->head.size) : NULL;
  size_t size = space ? (size_t)(space - t->head.data) : 0;
  lua_pushlstring(L, size > 5 ? t->head.data + 5 : "", size > 5 ? size - 5 : 0);
}

/* core.response(exchange) -> {status=, version=, headers=, body=, url=, timings=} with the
 * metatable; of a stream without body and timings. Else the exchange is over with that. */
static int response(lua_State *L) {
  rt_exchange *x = rt_exchange_at(L, 1);
  rt_transfer *t = x->transfer;
  lua_settop(L, 1);
  lua_createtable(L, 0, 6);
  lua_pushinteger(L, t->status);
  lua_setfield(L, 2, "status");
  push_version(L, t);
  lua_setfield(L, 2, "version");
  rt_headers_push(L, &t->head);
  lua_setfield(L, 2, "headers");
  if (!t->request.stream) {
    lua_pushlstring(L, t->body.size ? t->body.data : "", t->body.size);
    lua_setfield(L, 2, "body");
    rt_answer_push_timings(L, x, 1);
    lua_setfield(L, 2, "timings");
  }
  lua_rawgetp(L, LUA_REGISTRYINDEX, &classes_key);
  lua_pushlstring(L, t->url.text, t->url.size);
  if (rt_url_has_secrets(&t->url)) {
    // Not where a raw look finds it: that is what the journal records.
    lua_getfield(L, 3, "addresses");
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 4);
    lua_rawset(L, -3);
  } else {
    lua_setfield(L, 2, "url");
  }
  lua_getfield(L, 3, t->request.stream ? "stream" : "response");
  lua_setmetatable(L, 2);
  lua_settop(L, 2);
  if (t->request.stream) return 1;
  x->transfer = NULL;  // not when the collector gets there
  rt_transfer_close(t);
  return 1;
}

/* core.classes{response=, stream=, addresses=}: the metatables, and the table of those
 * addresses that have secrets, by response. */
static int set_classes(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &classes_key);
  return 0;
}

/* ---- errors ---- */

static void set_text(lua_State *L, const char *name, const char *text, size_t size) {
  lua_pushlstring(L, text, size);
  lua_setfield(L, -2, name);
}

/* Sets what all errors of a request have, in the one at the top. */
static void describe_error(lua_State *L, const rt_exchange *x, const char *code) {
  const rt_call *c = rt_call_current(x->engine);
  set_text(L, "code", code, strlen(code));
  rt_exchange_push_method(L, x);
  lua_setfield(L, -2, "method");
  rt_exchange_push_address(L, x);
  lua_setfield(L, -2, "url");
  if (c) rt_call_add_identity(L, c);
}

/* Pushes the error: METHOD ADDRESS: message. */
static void push_error(lua_State *L, const rt_exchange *x, const char *code,
                       const char *message) {
  rt_exchange_push_method(L, x);
  rt_exchange_push_address(L, x);
  rt_error_push(L, "http", "%s %s: %s", lua_tostring(L, -2), lua_tostring(L, -1), message);
  describe_error(L, x, code);
}

enum { MESSAGE_PART = 200 };  // bytes of a body in the message of an error

_Noreturn static void raise_status(lua_State *L, rt_exchange *x) {
  rt_transfer *t = x->transfer;
  rt_buf *text = rt_engine_text(x->engine);
  rt_buf_printf(text, "status %ld", t->status);
  if (t->body.size) {
    rt_buf_text(text, ": ");
    rt_request_scrub(t, t->body.data, t->body.size, MESSAGE_PART, text);
    if (t->body.size > MESSAGE_PART) rt_buf_text(text, " ...");
  }
  if (text->failed) luaL_error(L, "not enough memory");
  lua_pushlstring(L, text->data, text->size);  // the buffer is used again
  push_error(L, x, "status", lua_tostring(L, -1));
  lua_pushinteger(L, t->status);
  lua_setfield(L, -2, "status");
  set_text(L, "body", t->body.size ? t->body.data : "",
           t->body.size < RT_ERROR_BODY ? t->body.size : RT_ERROR_BODY);
  rt_headers_push(L, &t->head);
  lua_setfield(L, -2, "headers");
  lua_error(L);
  __builtin_unreachable();
}

_Noreturn void rt_answer_raise(lua_State *L, rt_exchange *x) {
  const rt_transfer *t = x->transfer;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (t->state != RT_TRANSFER_FAILED) raise_status(L, x);
  push_error(L, x, t->code, t->message);
  lua_error(L);
  __builtin_unreachable();
}

/* core.raise_status(exchange): of a stream, with what has come of its body. */
static int raise_it(lua_State *L) { raise_status(L, rt_exchange_at(L, 1)); }

/* core.raise(exchange, code, message) */
static int raise_as(lua_State *L) {
  rt_exchange *x = rt_exchange_at(L, 1);
  push_error(L, x, luaL_checkstring(L, 2), luaL_checkstring(L, 3));
  return lua_error(L);
}

void rt_answer_add(lua_State *L, rt_engine *e) {
  static const luaL_Reg functions[] = {
      {"classes", set_classes}, {"raise", raise_as}, {"raise_status", raise_it},
      {"response", response}, {NULL, NULL}};
  rt_lib_add(L, e, functions);
}
