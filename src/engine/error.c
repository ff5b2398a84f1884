#include "error.h"

#include <lauxlib.h>
#include <stdarg.h>

static const char class_key = 0;  // the metatable's place in the registry

static void push_class(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &class_key);
}

static void push_error(lua_State *L, const char *kind, const char *format, va_list args) {
  lua_createtable(L, 0, 4);
  lua_pushstring(L, kind);
  lua_setfield(L, -2, "kind");
  lua_pushvfstring(L, format, args);  // knows %s %d %f %p %c %U only
  lua_setfield(L, -2, "message");
  push_class(L);
  lua_setmetatable(L, -2);
}

void rt_error_push(lua_State *L, const char *kind, const char *format, ...) {
  va_list args;
  va_start(args, format);
  push_error(L, kind, format, args);
  va_end(args);
}

_Noreturn void rt_error_raise(lua_State *L, const char *kind, const char *format, ...) {
  va_list args;
  va_start(args, format);
  push_error(L, kind, format, args);
  va_end(args);
  lua_error(L);
  __builtin_unreachable();
}

_Noreturn void rt_error_argument(lua_State *L, const char *function, int argument,
                                 const char *problem) {
  rt_error_raise(L, "usage", "%s: argument %d: %s", function, argument, problem);
}

const char *rt_error_kind(lua_State *L, int index) {
  if (!lua_istable(L, index) || !lua_getmetatable(L, index)) return NULL;
  push_class(L);
  bool ours = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  if (!ours) return NULL;
  index = lua_absindex(L, index);
  lua_pushliteral(L, "kind");
  lua_rawget(L, index);
  const char *kind = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  lua_pop(L, 1);
  return kind;
}

static int readable(lua_State *L) {
  luaL_tolstring(L, 1, NULL);
  return 1;
}

void rt_error_text(lua_State *L, int index, rt_buf *out) {
  index = lua_absindex(L, index);
  lua_pushcfunction(L, readable);
  lua_pushvalue(L, index);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK) {
    size_t size;
    const char *text = lua_tolstring(L, -1, &size);
    rt_buf_add(out, text, size);
  } else {
    rt_buf_printf(out, "(%s error that cannot be shown)", luaL_typename(L, index));
  }
  lua_pop(L, 1);
}

static int error_tostring(lua_State *L) {
  lua_settop(L, 1);
  lua_pushliteral(L, "kind");
  lua_rawget(L, 1);
  lua_pushliteral(L, "message");
  lua_rawget(L, 1);
  lua_pushfstring(L, "%s: %s", luaL_tolstring(L, 2, NULL), luaL_tolstring(L, 3, NULL));
  return 1;
}

void rt_error_open(lua_State *L) {
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, error_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushliteral(L, "railtracks.Error");
  lua_setfield(L, -2, "__name");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &class_key);
}

rt_failure *rt_failure_push(lua_State *L, const char *origin, const char *kind,
                            const rt_buf *message, const rt_buf *traceback) {
  size_t origin_size = strlen(origin) + 1, kind_size = kind ? strlen(kind) + 1 : 0;
  size_t size = sizeof(rt_failure) + origin_size + kind_size + message->size + 1 +
                traceback->size + 1;
  rt_failure *f = lua_newuserdatauv(L, size, 1);
  char *at = (char *)(f + 1);
  *f = (rt_failure){.message_size = message->size};
  f->origin = memcpy(at, origin, origin_size);
  at += origin_size;
  if (kind) f->kind = memcpy(at, kind, kind_size);
  at += kind_size;
  f->message = at;
  if (message->size) memcpy(at, message->data, message->size);
  at += message->size;
  *at++ = '\0';
  f->traceback = at;
  if (traceback->size) memcpy(at, traceback->data, traceback->size);
  at[traceback->size] = '\0';
  return f;
}

rt_failure *rt_failure_at(lua_State *L, int index) { return lua_touserdata(L, index); }
