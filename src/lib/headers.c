/* headers.c -- the headers of an answer: headers["Content-Type"], pairs(headers).
 *
 * A userdata that holds them as they came, and looks when it is asked: most are never asked
 * for. A raw look, which is how values are recorded, finds nothing in it.
 */
#include <string.h>
#include <strings.h>

#include "exchange.h"
#include "secret.h"

#define HEADERS "railtracks.Headers"

typedef struct headers {
  size_t size;
  char text[];        /* the lines; the first is the status */
} headers;

void rt_headers_push(lua_State *L, const rt_buf *head) {
  headers *h = lua_newuserdatauv(L, sizeof *h + head->size, 0);
  h->size = head->size;
  if (head->size) memcpy(h->text, head->data, head->size);
  luaL_setmetatable(L, HEADERS);
}

/* The next line behind '*at': its name and value. False at the end. */
static bool next_line(const headers *h, size_t *at, rt_text *name, rt_text *value) {
  while (*at < h->size) {
    const char *line = h->text + *at, *newline = memchr(line, '\n', h->size - *at);
    size_t size = newline ? (size_t)(newline - line) : h->size - *at;
    *at += size + 1;
    const char *colon = memchr(line, ':', size);
    if (!colon || colon == line) continue;
    const char *first = colon + 1, *end = line + size;
    while (first < end && (*first == ' ' || *first == '\t')) first++;
    while (end > first && (unsigned char)end[-1] <= ' ') end--;
    *name = (rt_text){line, (size_t)(colon - line)};
    *value = (rt_text){first, (size_t)(end - first)};
    return true;
  }
  return false;
}

static bool same(rt_text name, rt_text other) {
  return name.size == other.size && strncasecmp(name.data, other.data, name.size) == 0;
}

static rt_text text_at(lua_State *L, int index) {
  rt_text text;
  text.data = lua_tolstring(L, index, &text.size);
  return text;
}

/* Pushes the values of that name from '*at' on, joined by commas, of cookies by newlines,
 * since they have commas in them; nil if there are none. */
static void push_value(lua_State *L, const headers *h, size_t at, rt_text wanted) {
  static const rt_text cookie = {"set-cookie", 10};
  const char *between = same(wanted, cookie) ? "\n" : ", ";
  rt_text name, value;
  int count = 0;
  luaL_Buffer b;
  lua_pushnil(L);
  while (next_line(h, &at, &name, &value)) {
    if (!same(name, wanted)) continue;
    if (count++ == 0) {
      lua_pop(L, 1);
      luaL_buffinit(L, &b);
    } else {
      luaL_addstring(&b, between);
    }
    luaL_addlstring(&b, value.data, value.size);
  }
  if (count) luaL_pushresult(&b);
}

static int index_headers(lua_State *L) {
  const headers *h = luaL_checkudata(L, 1, HEADERS);
  if (lua_type(L, 2) == LUA_TSTRING) push_value(L, h, 0, text_at(L, 2));
  else lua_pushnil(L);
  return 1;
}

static void push_lower(lua_State *L, rt_text name) {
  luaL_Buffer b;
  char *to = luaL_buffinitsize(L, &b, name.size);
  for (size_t i = 0; i < name.size; i++) {
    char c = name.data[i];
    to[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
  }
  luaL_pushresultsize(&b, name.size);
}

/* Upvalues: the headers, where to go on, and the names that were told. */
static int next_header(lua_State *L) {
  const headers *h = lua_touserdata(L, lua_upvalueindex(1));
  size_t at = (size_t)lua_tointeger(L, lua_upvalueindex(2)), before = at;
  rt_text name, value;
  for (; next_line(h, &at, &name, &value); before = at) {
    push_lower(L, name);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, lua_upvalueindex(3)) != LUA_TNIL) {
      lua_pop(L, 2);
      continue;
    }
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_pushboolean(L, true);
    lua_rawset(L, lua_upvalueindex(3));
    lua_pushinteger(L, (lua_Integer)at);
    lua_replace(L, lua_upvalueindex(2));
    push_value(L, h, before, name);
    return 2;
  }
  lua_pushnil(L);
  return 1;
}

/* for name, value in pairs(headers): names in small letters, each once. */
static int pairs_of(lua_State *L) {
  luaL_checkudata(L, 1, HEADERS);
  lua_settop(L, 1);
  lua_pushinteger(L, 0);
  lua_newtable(L);
  lua_pushcclosure(L, next_header, 3);
  return 1;
}

/* The lines, without secrets. */
static int tostring(lua_State *L) {
  const headers *h = luaL_checkudata(L, 1, HEADERS);
  rt_text name, value;
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (size_t at = 0; next_line(h, &at, &name, &value);) {
    luaL_addlstring(&b, name.data, name.size);
    luaL_addstring(&b, ": ");
    if (rt_secret_header(name.data, name.size)) luaL_addstring(&b, RT_HIDDEN);
    else luaL_addlstring(&b, value.data, value.size);
    luaL_addchar(&b, '\n');
  }
  luaL_pushresult(&b);
  return 1;
}

/* core.values(headers, name) -> the list of the values that came by that name */
static int values(lua_State *L) {
  const headers *h = luaL_checkudata(L, 1, HEADERS);
  luaL_checktype(L, 2, LUA_TSTRING);
  rt_text name, value, wanted = text_at(L, 2);
  lua_Integer count = 0;
  lua_newtable(L);
  for (size_t at = 0; next_line(h, &at, &name, &value);) {
    if (!same(name, wanted)) continue;
    lua_pushlstring(L, value.data, value.size);
    lua_rawseti(L, -2, ++count);
  }
  return 1;
}

void rt_headers_open(lua_State *L, rt_engine *e) {
  static const luaL_Reg functions[] = {{"values", values}, {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__index", index_headers}, {"__pairs", pairs_of}, {"__tostring", tostring},
      {NULL, NULL}};
  rt_lib_add(L, e, functions);
  if (luaL_newmetatable(L, HEADERS)) luaL_setfuncs(L, meta, 0);
  lua_pop(L, 1);
}
