#ifndef _GNU_SOURCE
#define _GNU_SOURCE  // qsort_r
#endif
#include "value.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "json.h"

/* No Lua memory is allocated while a value is written, but for the stack, which tells
 * when it cannot grow. So nothing raises, the collector does not step, no finalizer can
 * change a table under us, and C memory may be held across Lua calls. */

/* Its address is the key of the array mark in the registry. */
static const char mark_key = 0;

/* The key of a map, for sorting; key and value are on the Lua stack. */
typedef struct key {
  const char *text;  // of a string; anchored by the stack
  size_t size;       // of the text
  int slot;          // where the key is; the value is one above
  int rank;          // booleans, numbers, strings, the rest
} key;

enum { BOOLEAN, NUMBER, STRING, REST };

enum { OWN_KEYS = 32 };  // maps up to here are sorted without malloc

/* One value being written. */
typedef struct writer {
  lua_State *L;
  rt_buf *out;
  size_t end;         // the size of 'out' at which reading stops
  bool cut;           // what was written is only a beginning, or not sorted
  bool stop;          // reading stopped
  int depth;          // tables we are in
  key *keys;          // of the maps we are in, innermost last
  size_t used, room;  // of 'keys'
  const void *path[RT_VALUE_DEPTH];
  key own[OWN_KEYS];
} writer;

static void write_any(writer *w, int index);

static size_t room_left(const writer *w) {
  return w->end > w->out->size ? w->end - w->out->size : 0;
}

/* To be asked after each piece: true when the rest need not be read. */
static bool is_over(writer *w) {
  if (w->out->size > w->end || w->out->failed) w->cut = w->stop = true;
  return w->stop;
}

/* Appends anything but strings and tables. */
static void write_short(lua_State *L, int index, int type, rt_buf *out) {
  switch (type) {
    case LUA_TNIL: rt_buf_add(out, "null", 4); break;
    case LUA_TBOOLEAN:
      if (lua_toboolean(L, index)) rt_buf_add(out, "true", 4);
      else rt_buf_add(out, "false", 5);
      break;
    case LUA_TNUMBER:
      if (lua_isinteger(L, index)) rt_json_int(out, lua_tointeger(L, index));
      else rt_json_float(out, lua_tonumber(L, index));
      break;
    case LUA_TLIGHTUSERDATA: rt_json_placeholder(out, "userdata"); break;
    default: rt_json_placeholder(out, lua_typename(L, type));
  }
}

static void write_string(writer *w, const char *text, size_t size) {
  if (!rt_json_text(w->out, text, size, room_left(w))) w->cut = w->stop = true;
}

/* Lists */

bool rt_value_is_array(lua_State *L, int t) {
  if (!lua_getmetatable(L, t)) return false;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &mark_key);
  bool marked = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return marked;
}

/* Tells whether the keys of the table are 1..n, or are so for longer than there is room
 * behind the first 'done': an element takes two bytes or more. Looks at keys only, so
 * that nested tables are not written twice, and their own nested tables four times. */
static bool is_list(writer *w, int t, lua_Integer done) {
  lua_State *L = w->L;
  lua_Integer most = done + (lua_Integer)(room_left(w) / 2 + 2), count = 0, last = 0;
  int top = lua_gettop(L);

  lua_pushnil(L);
  while (lua_next(L, t)) {
    lua_pop(L, 1);
    lua_Integer k = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : 0;
    if (k < 1) {
      lua_settop(L, top);
      return false;
    }
    if (k > last) last = k;
    if (++count <= most) continue;

    // In the hash part the keys come in any order, and the largest says nothing yet.
    bool whole = true;
    for (lua_Integer i = done + 1; whole && i <= most; i++) {
      whole = lua_rawgeti(L, t, i) != LUA_TNIL;
      lua_pop(L, 1);
    }
    lua_settop(L, top);
    return whole;
  }
  return last == count;
}

/* Writes the table as a list while its keys come as 1, 2, 3 ..., which they do in the
 * array part. On top of the stack are its first key and value; pops them. Returns false,
 * with nothing written, when it is no list. */
static bool write_list(writer *w, int t) {
  lua_State *L = w->L;
  int k = lua_gettop(L) - 1;
  size_t start = w->out->size;
  bool sure = false;
  lua_Integer i = 1;

  do {
    bool next = lua_isinteger(L, k) && lua_tointeger(L, k) == i;
    // Before anything is written that may be large, or out of order: is it a list?
    if (!sure && (!next || lua_type(L, k + 1) == LUA_TTABLE)) {
      sure = is_list(w, t, i - 1);
      if (!sure) {
        w->out->size = start;
        lua_settop(L, k - 1);
        return false;
      }
    }
    if (!next) break;
    rt_buf_char(w->out, i == 1 ? '[' : ',');
    write_any(w, k + 1);
    if (is_over(w)) goto done;
    lua_settop(L, k);
    i++;
  } while (lua_next(L, t));

  // Left when the keys were not in order: the rest is, or was, in the hash part.
  if (lua_gettop(L) >= k) {
    lua_settop(L, k - 1);
    for (; lua_rawgeti(L, t, i) != LUA_TNIL; i++) {
      rt_buf_char(w->out, i == 1 ? '[' : ',');
      write_any(w, k);
      if (is_over(w)) goto done;
      lua_pop(L, 1);
    }
  }
  rt_buf_char(w->out, ']');
done:
  lua_settop(L, k - 1);
  return true;
}

/* Maps */

/* An object's key; false when it cannot be one. */
static bool write_name(writer *w, int index) {
  if (lua_type(w->L, index) != LUA_TSTRING) return false;
  size_t size;
  const char *text = lua_tolstring(w->L, index, &size);

  rt_buf_char(w->out, '"');
  if (size && text[0] == '$') rt_buf_char(w->out, '$');
  if (rt_json_inside(w->out, text, size, room_left(w)) != RT_JSON_WHOLE) return false;
  rt_buf_add(w->out, "\":", 2);
  return true;
}

/* A key and the value above it, at 'slot'. Returns false when reading stopped. */
static bool write_pair(writer *w, int slot, bool object) {
  if (object) {
    if (!write_name(w, slot)) w->cut = w->stop = true;
  } else {
    rt_buf_char(w->out, '[');
    write_any(w, slot);
    rt_buf_char(w->out, ',');
  }
  if (is_over(w)) return false;
  write_any(w, slot + 1);
  if (!object) rt_buf_char(w->out, ']');
  return !is_over(w);
}

static bool add_key(writer *w) {
  if (w->used == w->room) {
    size_t room = w->room * 2;
    key *keys = w->keys == w->own ? malloc(room * sizeof *keys)
                                  : realloc(w->keys, room * sizeof *keys);
    if (!keys) {
      w->out->failed = true;
      return false;
    }
    if (w->keys == w->own) memcpy(keys, w->own, sizeof w->own);
    w->keys = keys;
    w->room = room;
  }
  key *k = &w->keys[w->used++];
  k->slot = lua_gettop(w->L) - 1;
  switch (lua_type(w->L, k->slot)) {
    case LUA_TSTRING:
      k->rank = STRING;
      k->text = lua_tolstring(w->L, k->slot, &k->size);
      break;
    case LUA_TNUMBER: k->rank = NUMBER; break;
    case LUA_TBOOLEAN: k->rank = BOOLEAN; break;
    default: k->rank = REST;
  }
  return true;
}

/* Leaves all keys and values on the Lua stack and lists the keys in w->keys. Returns
 * false when there are too many for that. */
static bool collect(writer *w, int t) {
  lua_State *L = w->L;
  int count = 0;
  lua_pushnil(L);
  while (lua_next(L, t)) {
    if (count++ == RT_VALUE_KEYS || !lua_checkstack(L, 8) || !add_key(w)) return false;
    lua_pushvalue(L, -2);  // lua_next takes this one, and the pair stays
  }
  return true;
}

static int compare(const void *x, const void *y, void *L) {
  const key *a = x, *b = y;
  if (a->rank != b->rank) return a->rank - b->rank;
  if (a->rank == STRING) {
    int order = memcmp(a->text, b->text, a->size < b->size ? a->size : b->size);
    if (order) return order;
    return (a->size > b->size) - (a->size < b->size);
  }
  if (a->rank == NUMBER) return lua_compare(L, a->slot, b->slot, LUA_OPLT) ? -1 : a != b;
  if (a->rank == BOOLEAN) return lua_toboolean(L, a->slot) - lua_toboolean(L, b->slot);
  return a->slot - b->slot;
}

static void sort(writer *w, key *keys, size_t count) {
  if (count > 16) {
    qsort_r(keys, count, sizeof *keys, compare, w->L);
    return;
  }
  for (size_t i = 1; i < count; i++) {
    key k = keys[i];
    size_t at = i;
    for (; at > 0 && compare(&keys[at - 1], &k, w->L) > 0; at--) keys[at] = keys[at - 1];
    keys[at] = k;
  }
}

/* Tells whether all keys can be the keys of an object. */
static bool are_names(const writer *w, const key *keys, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (keys[i].rank != STRING) return false;
    // What is beyond the room is not going to be written.
    size_t most = room_left(w) + 4;
    size_t size = rt_json_beginning(keys[i].text, keys[i].size, most);
    if (!rt_json_is_utf8(keys[i].text, size)) return false;
  }
  return true;
}

static void write_map(writer *w, int t) {
  lua_State *L = w->L;
  int top = lua_gettop(L);
  size_t first = w->used;

  bool sorted = collect(w, t);
  size_t count = w->used - first;
  bool object = are_names(w, w->keys + first, count);
  rt_buf_text(w->out, object ? "{" : "{\"$map\":[");

  if (sorted) {
    sort(w, w->keys + first, count);
    for (size_t i = 0; i < count; i++) {
      if (i > 0) rt_buf_char(w->out, ',');
      if (!write_pair(w, w->keys[first + i].slot, object)) goto done;
    }
  } else {
    w->cut = true;
    lua_settop(L, top);
    bool more = false;
    for (lua_pushnil(L); lua_next(L, t); lua_settop(L, top + 1)) {
      if (more) rt_buf_char(w->out, ',');
      if (!write_pair(w, top + 1, object)) goto done;
      more = true;
    }
  }
  rt_buf_text(w->out, object ? "}" : "]}");
done:
  w->used = first;
  lua_settop(L, top);
}

/* All together */

static void write_table(writer *w, int t) {
  lua_State *L = w->L;
  if (w->depth == RT_VALUE_DEPTH || !lua_checkstack(L, 8)) {
    rt_json_placeholder(w->out, "depth");
    return;
  }
  const void *self = lua_topointer(L, t);
  for (int i = 0; i < w->depth; i++) {
    if (w->path[i] != self) continue;
    rt_json_placeholder(w->out, "cycle");
    return;
  }

  w->path[w->depth++] = self;
  lua_pushnil(L);
  if (!lua_next(L, t)) {
    rt_buf_add(w->out, rt_value_is_array(L, t) ? "[]" : "{}", 2);
  } else if (!lua_isinteger(L, -2)) {
    lua_pop(L, 2);
    write_map(w, t);
  } else if (!write_list(w, t)) {
    write_map(w, t);
  }
  w->depth--;
}

/* A value within a table. */
static void write_any(writer *w, int index) {
  int type = lua_type(w->L, index);
  if (type == LUA_TSTRING) {
    size_t size;
    const char *text = lua_tolstring(w->L, index, &size);
    write_string(w, text, size);
  } else if (type == LUA_TTABLE) {
    write_table(w, index);
  } else {
    write_short(w->L, index, type, w->out);
  }
}

static void write_outer_string(lua_State *L, int index, rt_buf *out, size_t limit) {
  size_t size, start = out->size;
  const char *text = lua_tolstring(L, index, &size);
  if (size <= limit && rt_json_text(out, text, size, limit)) return;
  out->size = start;
  rt_json_cut(out, size, text, size, limit);
}

static void write_outer_table(lua_State *L, int index, rt_buf *out, size_t limit) {
  size_t start = out->size;
  writer w;
  w.L = L;
  w.out = out;
  // Far below what could overflow, and above all memory there is.
  w.end = start + (limit < SIZE_MAX / 4 ? limit : SIZE_MAX / 4);
  w.cut = w.stop = false;
  w.depth = 0;
  w.keys = w.own;
  w.used = 0;
  w.room = OWN_KEYS;

  write_table(&w, lua_absindex(L, index));
  if (w.keys != w.own) free(w.keys);
  if ((!w.cut && out->size <= w.end) || out->failed) return;

  // The head takes the place of the text it is the beginning of.
  size_t made = out->size - start;
  rt_buf head = {0};
  rt_buf_add(&head, out->data + start, rt_json_beginning(out->data + start, made, limit));
  out->size = start;
  rt_json_cut(out, made, head.data ? head.data : "", head.size, limit);
  if (head.failed) out->failed = true;
  rt_buf_free(&head);
}

static inline void write_outer(lua_State *L, int index, rt_buf *out, size_t limit) {
  int type = lua_type(L, index);
  if (type == LUA_TSTRING) write_outer_string(L, index, out, limit);
  else if (type == LUA_TTABLE) write_outer_table(L, index, out, limit);
  else write_short(L, index, type, out);
}

void rt_value_write(lua_State *L, int index, rt_buf *out, size_t limit) {
  write_outer(L, index, out, limit);
}

void rt_value_write_list(lua_State *L, int first, int count, rt_buf *out, size_t limit) {
  rt_buf_char(out, '[');
  for (int i = 0; i < count; i++) {
    if (i > 0) rt_buf_char(out, ',');
    write_outer(L, first + i, out, limit);
  }
  rt_buf_char(out, ']');
}

void rt_value_write_text(rt_buf *out, const char *text, size_t size) {
  rt_json_text(out, text, size, SIZE_MAX);
}

void rt_value_mark_array(lua_State *L, int index) {
  luaL_checktype(L, index, LUA_TTABLE);
  if (rt_value_is_array(L, index)) return;
  if (lua_getmetatable(L, index))
    luaL_argerror(L, index, "a table that has a metatable cannot be an array");

  index = lua_absindex(L, index);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &mark_key) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &mark_key);
  }
  lua_setmetatable(L, index);
}
