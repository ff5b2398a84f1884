/* Writes random Lua values at random limits, reads the outcome with a JSON reader that
 * accepts nothing doubtful, and compares it with the value. The same values each time;
 * an argument is another seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>
#include <time.h>

#include "value.h"

/* The reader. It raises where the text is no JSON, and makes of null, lists and objects
 * {"null"}, {"list", ...} and {"object", key, value, key, value, ...}. */

typedef struct reader {
  lua_State *L;
  const uint8_t *at, *end;
} reader;

static void refuse(reader *r, const char *why) {
  luaL_error(r->L, "%s at the last %d bytes", why, (int)(r->end - r->at));
}

static void take(reader *r, const char *word) {
  for (; *word; word++, r->at++)
    if (r->at == r->end || *r->at != (uint8_t)*word) refuse(r, "another word expected");
}

static int peek(const reader *r) { return r->at < r->end ? *r->at : -1; }

/* As the ABNF of RFC 3629 has it. */
static void read_utf8(reader *r, luaL_Buffer *b) {
  static const uint8_t forms[][5] = {
      // first byte from, to; second byte from, to; bytes
      {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
      {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3},
      {0xEE, 0xEF, 0x80, 0xBF, 3}, {0xF0, 0xF0, 0x90, 0xBF, 4},
      {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
  };
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    const uint8_t *f = forms[i], *s = r->at;
    if (s[0] < f[0] || s[0] > f[1]) continue;
    if (r->end - s < f[4] || s[1] < f[2] || s[1] > f[3]) break;
    for (int k = 2; k < f[4]; k++)
      if ((s[k] & 0xC0) != 0x80) refuse(r, "not UTF-8");
    luaL_addlstring(b, (const char *)s, f[4]);
    r->at += f[4];
    return;
  }
  refuse(r, "not UTF-8");
}

static void read_escape(reader *r, luaL_Buffer *b) {
  static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
  int c = peek(r);
  const char *found = c > 0 ? strchr(from, c) : NULL;
  if (found) {
    r->at++;
    luaL_addchar(b, to[found - from]);
    return;
  }
  take(r, "u00");  // others need no escape
  int code = 0;
  for (int i = 0; i < 2; i++) {
    static const char hex[] = "0123456789abcdef";
    found = peek(r) > 0 ? strchr(hex, peek(r)) : NULL;
    if (!found) refuse(r, "a hexadecimal digit expected");
    code = code * 16 + (int)(found - hex);
    r->at++;
  }
  luaL_addchar(b, (char)code);
}

static void read_string(reader *r) {
  luaL_Buffer b;
  luaL_buffinit(r->L, &b);
  take(r, "\"");
  while (peek(r) != '"') {
    int c = peek(r);
    if (c < 0x20) refuse(r, "a control character or the end in a string");
    if (c >= 0x80) {
      read_utf8(r, &b);
      continue;
    }
    r->at++;
    if (c == '\\') read_escape(r, &b);
    else luaL_addchar(&b, (char)c);
  }
  r->at++;
  luaL_pushresult(&b);
}

static void read_digits(reader *r) {
  if (peek(r) < '0' || peek(r) > '9') refuse(r, "a digit expected");
  while (peek(r) >= '0' && peek(r) <= '9') r->at++;
}

static void read_number(reader *r) {
  const uint8_t *start = r->at;
  if (peek(r) == '-') r->at++;
  if (peek(r) == '0') r->at++;
  else read_digits(r);
  if (peek(r) == '.') {
    r->at++;
    read_digits(r);
  }
  if (peek(r) == 'e') {
    r->at++;
    if (peek(r) == '-' || peek(r) == '+') r->at++;
    read_digits(r);
  }
  lua_pushlstring(r->L, (const char *)start, (size_t)(r->at - start));
  if (!lua_stringtonumber(r->L, lua_tostring(r->L, -1))) refuse(r, "no number");
  lua_remove(r->L, -2);
}

static void read_value(reader *r);

static void read_members(reader *r, const char *kind, const char *open,
                         const char *close) {
  lua_Integer n = 1;
  take(r, open);
  lua_newtable(r->L);
  lua_pushstring(r->L, kind);
  lua_rawseti(r->L, -2, n++);
  while (peek(r) != *close) {
    if (n > 2) take(r, ",");
    if (*close == '}') {
      read_string(r);
      lua_rawseti(r->L, -2, n++);
      take(r, ":");
    }
    read_value(r);
    lua_rawseti(r->L, -2, n++);
  }
  take(r, close);
}

static void read_value(reader *r) {
  luaL_checkstack(r->L, 10, NULL);
  switch (peek(r)) {
    case '{': read_members(r, "object", "{", "}"); break;
    case '[': read_members(r, "list", "[", "]"); break;
    case '"': read_string(r); break;
    case 't': take(r, "true"), lua_pushboolean(r->L, 1); break;
    case 'f': take(r, "false"), lua_pushboolean(r->L, 0); break;
    case 'n':
      take(r, "null");
      lua_newtable(r->L);
      lua_pushliteral(r->L, "null");
      lua_rawseti(r->L, -2, 1);
      break;
    default: read_number(r);
  }
}

/* read(json) */
static int read_json(lua_State *L) {
  size_t size;
  const char *text = luaL_checklstring(L, 1, &size);
  reader r = {.L = L, .at = (const uint8_t *)text, .end = (const uint8_t *)text + size};
  read_value(&r);
  if (r.at != r.end) refuse(&r, "the end expected");
  return 1;
}

/* write(value, limit) */
static int write_json(lua_State *L) {
  rt_buf out = {0};
  rt_value_write(L, 1, &out, (size_t)lua_tointeger(L, 2));
  lua_pushlstring(L, out.data, out.size);
  rt_buf_free(&out);
  return 1;
}

static int mark(lua_State *L) {
  rt_value_mark_array(L, 1);
  lua_settop(L, 1);
  return 1;
}

static const char code[] =
    "local write, read, array, seed = ...\n"
    "local random, floor = math.random, math.floor\n"
    "math.randomseed(seed)\n"
    "\n"
    "local function pick(list) return list[random(#list)] end\n"
    "\n"
    "local pieces = {'a', 'xyz', '$', '\"', '\\\\', '/', '\\n', '\\0', '\\31', '\\127',\n"
    "  '\\u{E9}', '\\u{20AC}', '\\u{2028}', '\\u{1F682}', '\\u{D7FF}', '\\u{10FFFF}'}\n"
    "local broken = {'\\xff', '\\x80', '\\xc3', '\\xed\\xa0\\x80', '\\xc0\\x80',\n"
    "  '\\xf0\\x9f'}\n"
    "\n"
    "local function text()\n"
    "  local t = {}\n"
    "  for i = 1, pick{0, 1, 3, 10, random(100)} do t[i] = pick(pieces) end\n"
    "  if random(10) == 1 then table.insert(t, random(#t + 1), pick(broken)) end\n"
    "  return table.concat(t):rep(random(40) == 1 and 100 or 1)\n"
    "end\n"
    "\n"
    "local function number()\n"
    "  return pick{random(10), random(0), -random(1000), random(), random() * 1e9,\n"
    "    random(100000) / 100, 2.0 ^ random(-1074, 1023), -0.0, 1/0, -1/0, 0/0, 1e15,\n"
    "    math.mininteger, string.unpack('d', string.pack('j', random(0)))}\n"
    "end\n"
    "\n"
    "local value\n"
    "local path = {}\n"
    "local function key(depth)\n"
    "  local k = pick{text, text, number, function() return random(5) end,\n"
    "    function() return random(2) == 1 end,\n"
    "    function() return value(depth + 3) end}()\n"
    "  if k == nil or k ~= k then return 'nan' end\n"
    "  return k\n"
    "end\n"
    "\n"
    "local kinds = {\n"
    "  text, text, number, number,\n"
    "  function() return nil end, function() return random(2) == 1 end,\n"
    "  function() return pick{print, io.stdout, coroutine.create(print)} end,\n"
    "  function() return path[random(#path + 1)] end,\n"
    "  function(depth)\n"
    "    local t = {}\n"
    "    path[#path + 1] = t\n"
    "    for _ = 1, pick{0, 2, random(30)} do t[#t + 1] = value(depth) end\n"
    "    path[#path] = nil\n"
    "    return t\n"
    "  end,\n"
    "  function(depth)\n"
    "    local t = {}\n"
    "    for i = random(30), 1, -1 do t[i] = value(depth) end\n"
    "    return t\n"
    "  end,\n"
    "  function(depth)\n"
    "    local t = {}\n"
    "    path[#path + 1] = t\n"
    "    for _ = 1, random(0, 30) do t[text()] = value(depth) end\n"
    "    path[#path] = nil\n"
    "    return t\n"
    "  end,\n"
    "  function(depth)\n"
    "    local t = {}\n"
    "    for _ = 1, random(0, 20) do t[key(depth)] = value(depth) end\n"
    "    return t\n"
    "  end,\n"
    "  function() return array{} end,\n"
    "}\n"
    "function value(depth)\n"
    "  return kinds[random(depth > 2 and 7 or #kinds)](depth + 1)\n"
    "end\n"
    "\n"
    "local digits = {}\n"
    "for i = 0, 63 do\n"
    "  digits[('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/')\n"
    "    :byte(i + 1)] = i\n"
    "end\n"
    "local function unbase64(s)\n"
    "  assert(#s % 4 == 0 and s:match('^[%w+/]*=?=?$'))\n"
    "  local bytes = s:gsub('....', function(four)\n"
    "    local a, b, c, d = four:byte(1, 4)\n"
    "    local n = digits[a] << 18 | digits[b] << 12 | (digits[c] or 0) << 6\n"
    "      | (digits[d] or 0)\n"
    "    return string.pack('>I3', n):sub(1, 3 - select(2, four:gsub('=', '')))\n"
    "  end)\n"
    "  return bytes\n"
    "end\n"
    "\n"
    "local function is_list(t)\n"
    "  local n = 0\n"
    "  for _ in next, t do n = n + 1 end\n"
    "  for i = 1, n do\n"
    "    if rawget(t, i) == nil then return false end\n"
    "  end\n"
    "  return n > 0 or getmetatable(t) ~= nil\n"
    "end\n"
    "\n"
    "local function is_object(t)\n"
    "  for k in next, t do\n"
    "    if type(k) ~= 'string' or not utf8.len(k) then return false end\n"
    "  end\n"
    "  return true\n"
    "end\n"
    "\n"
    "local rank = {boolean = 1, number = 2, string = 3}\n"
    "local function before(a, b)\n"
    "  local x, y = rank[type(a)] or 4, rank[type(b)] or 4\n"
    "  if x ~= y or x == 4 then return x < y end\n"
    "  if x == 1 then return not a and b end\n"
    "  return a < b\n"
    "end\n"
    "\n"
    "local same\n"
    "function same(v, j, above)\n"
    "  local kind = type(v)\n"
    "  if kind == 'nil' then\n"
    "    assert(j[1] == 'null')\n"
    "  elseif kind == 'number' and (v ~= v or v == 1/0 or v == -1/0) then\n"
    "    assert(#j == 3 and j[2] == '$lua')\n"
    "    assert(j[3] == (v ~= v and 'nan' or v > 0 and 'inf' or '-inf'))\n"
    "  elseif kind == 'number' then\n"
    "    assert(v == j and math.type(v) == math.type(j) and 1 / v == 1 / j)\n"
    "  elseif kind == 'boolean' then\n"
    "    assert(v == j)\n"
    "  elseif kind == 'string' then\n"
    "    if not utf8.len(v) then\n"
    "      assert(#j == 3 and j[2] == '$bytes')\n"
    "      j = unbase64(j[3])\n"
    "    end\n"
    "    assert(v == j)\n"
    "  elseif kind ~= 'table' or above[v] then\n"
    "    assert(#j == 3 and j[2] == '$lua' and j[3] == (above[v] and 'cycle' or kind))\n"
    "  else\n"
    "    above[v] = true\n"
    "    if is_list(v) then\n"
    "      assert(j[1] == 'list' and #j - 1 == #v)\n"
    "      for i = 1, #v do same(v[i], j[i + 1], above) end\n"
    "    elseif is_object(v) then\n"
    "      local names = {}\n"
    "      for k in next, v do names[#names + 1] = k end\n"
    "      table.sort(names)\n"
    "      assert(j[1] == 'object' and #j - 1 == 2 * #names)\n"
    "      for i, k in ipairs(names) do\n"
    "        assert(j[2 * i] == k:gsub('^%$', '$$'))\n"
    "        same(v[k], j[2 * i + 1], above)\n"
    "      end\n"
    "    else\n"
    "      local keys, pairs_of = {}, j[3]\n"
    "      for k in next, v do keys[#keys + 1] = k end\n"
    "      table.sort(keys, before)\n"
    "      assert(#j == 3 and j[2] == '$map' and #pairs_of - 1 == #keys)\n"
    "      for i, k in ipairs(keys) do\n"
    "        if not rank[type(k)] then break end  -- those come in any order\n"
    "        same(k, pairs_of[i + 1][2], above)\n"
    "        same(v[k], pairs_of[i + 1][3], above)\n"
    "      end\n"
    "    end\n"
    "    above[v] = nil\n"
    "  end\n"
    "end\n"
    "\n"
    "local function check_cut(v, limit, json, full)\n"
    "  local j = read(json)\n"
    "  assert(#j == 5 and j[2] == '$cut' and j[4] == 'head')\n"
    "  assert(#json <= math.max(limit, 30), 'longer than the limit')\n"
    "  local bytes, head = j[3], j[5]\n"
    "  if type(v) == 'string' then\n"
    "    if type(head) == 'table' then\n"
    "      assert(#head == 3 and head[2] == '$bytes')\n"
    "      head = unbase64(head[3])\n"
    "    end\n"
    "    assert(bytes == #v and head == v:sub(1, #head))\n"
    "  elseif not full:find('$bytes', 1, true) and not full:find('$map', 1, true) then\n"
    "    -- what makes them necessary may stand behind the place where reading stopped\n"
    "    assert(bytes <= #full and head == full:sub(1, #head))\n"
    "  end\n"
    "end\n"
    "\n"
    "return function()\n"
    "  local v = value(0)\n"
    "  local full = write(v, 1 << 40)\n"
    "  same(v, read(full), {})\n"
    "  assert(write(v, #full) == full)\n"
    "  for _ = 1, 10 do\n"
    "    local limit = pick{0, 1, 50, random(200), random(0, #full + 10), #full - 1}\n"
    "    local json = write(v, limit)\n"
    "    if #full <= limit or type(v) ~= 'string' and type(v) ~= 'table' then\n"
    "      assert(json == full)\n"
    "    else\n"
    "      check_cut(v, limit, json, full)\n"
    "    end\n"
    "  end\n"
    "end\n";

static lua_Integer seed = 20240229;

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void what_is_written_is_the_value_in_valid_json(void **state) {
  (void)state;
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  if (luaL_loadstring(L, code)) fail_msg("%s", lua_tostring(L, -1));
  lua_pushcfunction(L, write_json);
  lua_pushcfunction(L, read_json);
  lua_pushcfunction(L, mark);
  lua_pushinteger(L, seed);
  if (lua_pcall(L, 4, 1, 0)) fail_msg("%s", lua_tostring(L, -1));

  int values = 0;
  for (double end = seconds() + 2; seconds() < end; values++) {
    lua_pushvalue(L, 1);
    if (lua_pcall(L, 0, 0, 0))
      fail_msg("value %d of seed %lld: %s", values, seed, lua_tostring(L, -1));
  }
  print_message("%d values\n", values);
  lua_close(L);
}

int main(int argc, char **argv) {
  if (argc > 1) seed = strtoll(argv[1], NULL, 10);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_written_is_the_value_in_valid_json),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
