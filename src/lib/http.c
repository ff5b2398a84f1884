/* http.c -- the module railtracks.http.core: what railtracks/http.lua needs of C.
 *
 *   core.new(what, method, url, options or nil)  an exchange; options were checked there
 *   core.call(exchange, what [, headers])        calls it: what its driver's body returns
 *   core.name(exchange)                          what its call is called
 *   core.asked(exchange [, headers])             ... and given: what was asked, no secrets
 *   core.run(exchange)                           the function that core.call calls
 *   core.limit(connections)                      to one host at a time
 *   core.is_secret(header)                       by its name
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exchange.h"
#include "secret.h"

#define EXCHANGE "railtracks.Exchange"

static void close_client(rt_engine *e) {
  rt_http *http = e->http;
  e->http = NULL;
  rt_http_close(http);
}

rt_http *rt_lib_http(lua_State *L, rt_engine *e) {
  if (e->http) return e->http;
  rt_buf *why = rt_engine_text(e);
  e->http = rt_http_open(&e->scheduler.loop, "User-Agent: railtracks/" RT_VERSION, why);
  e->close_http = close_client;  // the engine knows nothing of it
  if (e->http) return e->http;
  rt_buf_char(why, '\0');
  rt_error_raise(L, "usage", "rt.http: %s", why->failed ? "not enough memory" : why->data);
}

size_t rt_lib_http_handles(const rt_engine *e) {
  return e->http ? rt_http_idle_handles(e->http) : 0;
}

/* core.limit(connections) */
static int limit(lua_State *L) {
  rt_http_limit(rt_lib_http(L, rt_lib_engine(L)), (long)luaL_checkinteger(L, 1));
  return 0;
}

/* ---- reading what is asked for: the options stand at 4, a table or nil ---- */

enum { OPTIONS = 4, MADE };  // places on the stack

static const char *text_option(lua_State *L, const char *name) {
  lua_getfield(L, OPTIONS, name);  // it stays in the table
  const char *text = lua_tostring(L, -1);
  lua_pop(L, 1);
  return text;
}

static double seconds_option(lua_State *L, const char *name, double other) {
  double seconds = lua_getfield(L, OPTIONS, name) == LUA_TNUMBER ? lua_tonumber(L, -1) : other;
  lua_pop(L, 1);
  return seconds;
}

static int64_t integer_option(lua_State *L, const char *name, int64_t other) {
  int64_t value = lua_getfield(L, OPTIONS, name) == LUA_TNUMBER ? lua_tointeger(L, -1) : other;
  lua_pop(L, 1);
  return value;
}

static bool flag_option(lua_State *L, const char *name) {
  lua_getfield(L, OPTIONS, name);
  bool on = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return on;
}

static void add_headers(lua_State *L, rt_transfer *t) {
  if (lua_getfield(L, OPTIONS, "headers") == LUA_TTABLE)
    for (lua_Integer i = 1; lua_rawgeti(L, -1, i) == LUA_TSTRING; i++, lua_pop(L, 1))
      if (!rt_transfer_header(t, lua_tostring(L, -1))) luaL_error(L, "not enough memory");
  lua_settop(L, MADE);
}

_Noreturn static void fail_file(lua_State *L, const char *path, const char *problem,
                                const char *code) {
  rt_error_push(L, "fs", "rt.http: %s: %s", path, problem);
  lua_pushstring(L, code);
  lua_setfield(L, -2, "code");
  lua_pushstring(L, path);
  lua_setfield(L, -2, "path");
  lua_error(L);
  __builtin_unreachable();
}

/* A file whose size is known: any other would have to be waited for. */
static void open_file(lua_State *L, rt_request *r, const char *path) {
  struct stat file;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0 || fstat(fd, &file) < 0) {
    int error = errno;
    if (fd >= 0) close(fd);
    fail_file(L, path, strerror(error), uv_err_name(-error));
  }
  if (!S_ISREG(file.st_mode)) {
    close(fd);
    fail_file(L, path, "it is no regular file; a function can read and give it", "EINVAL");
  }
  r->file = fd;
  r->upload = RT_UPLOAD_FILE;
  r->upload_size = file.st_size;
}

/* The file is opened last, since nothing owns it until it is handed over. */
static void read_upload(lua_State *L, rt_request *r) {
  size_t size;
  const char *path = text_option(L, "file");
  if (lua_getfield(L, OPTIONS, "body") == LUA_TSTRING) {
    r->upload = RT_UPLOAD_BYTES;
    r->bytes = lua_tolstring(L, -1, &size);
    r->upload_size = (int64_t)size;
    lua_setiuservalue(L, MADE, RT_EXCHANGE_BODY);
  } else if (flag_option(L, "upload")) {
    r->upload = RT_UPLOAD_PIECES;
    r->upload_size = -1;
  } else if (path) {
    open_file(L, r, path);
  }
  lua_settop(L, MADE);
}

static void read_options(lua_State *L, rt_exchange *x, rt_request *r) {
  r->user = text_option(L, "user");  // "name:password"
  r->proxy = text_option(L, "proxy");
  r->ca = text_option(L, "ca");
  r->timeout = seconds_option(L, "timeout", 0);
  r->connect_timeout = seconds_option(L, "connect_timeout", r->connect_timeout);
  r->idle_timeout = seconds_option(L, "idle_timeout", 0);
  r->max_body = integer_option(L, "max_body", -1);
  r->follow = (int)integer_option(L, "follow", r->follow);
  if (flag_option(L, "http2")) {
    if (!x->transfer->url.tls) r->version = RT_HTTP_2_ONLY;
  } else if (lua_getfield(L, OPTIONS, "http2") == LUA_TBOOLEAN) {
    r->version = RT_HTTP_1;
  }
  lua_settop(L, MADE);
  r->insecure = flag_option(L, "insecure");
  r->stream = flag_option(L, "streams");
  r->compressed = flag_option(L, "compressed");
  x->raise = flag_option(L, "raise");
  x->unrecorded = flag_option(L, "unrecorded");
}

/* ---- making one ---- */

enum { NAME_MOST = 200 };  // bytes of host and path in a name

static void name_it(rt_exchange *x, const char *method, size_t method_size) {
  const rt_url *url = &x->transfer->url;
  size_t size = url->query - url->host;
  rt_buf name = {.data = x->name, .capacity = SIZE_MAX / 2, .fixed = true};
  rt_buf_text(&name, "http ");
  rt_buf_add(&name, method, method_size);
  rt_buf_char(&name, ' ');
  rt_buf_add(&name, url->text + url->host, size < NAME_MOST ? size : NAME_MOST);
  if (size > NAME_MOST) rt_buf_text(&name, "…");
  x->method_size = (uint16_t)method_size;
  x->name_size = (uint16_t)name.size;
  rt_buf_char(&name, '\0');
}

void rt_exchange_push_method(lua_State *L, const rt_exchange *x) {
  lua_pushlstring(L, x->name + strlen("http "), x->method_size);
}

void rt_exchange_push_address(lua_State *L, const rt_exchange *x) {
  const rt_url *url = &x->transfer->url;
  rt_buf *text = rt_engine_text(x->engine);
  if (!rt_url_has_secrets(url)) {
    lua_pushlstring(L, url->text, url->size);
    return;
  }
  rt_url_show(url, text);
  if (text->failed) luaL_error(L, "not enough memory");
  lua_pushlstring(L, text->data, text->size);
}

_Noreturn static void refuse(lua_State *L, const char *what, const char *url,
                             const char *problem) {
  // Not with a password in it, nor with a key: either may have the other's marks in it.
  const char *at = strrchr(url, '@');
  if (at && at > url + strcspn(url, "?#")) url = RT_HIDDEN;
  else if (at) url = at + 1;
  lua_pushlstring(L, url, strcspn(url, "?&"));
  rt_error_raise(L, "usage", "%s: url: %s, got '%s'", what, problem, lua_tostring(L, -1));
}

static int new_exchange(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  size_t size, method_size;
  const char *what = luaL_checkstring(L, 1), *method = luaL_checklstring(L, 2, &method_size);
  const char *url = luaL_checklstring(L, 3, &size);
  luaL_argcheck(L, method_size <= 100, 2, "that is no method");
  lua_settop(L, OPTIONS);
  size_t room = sizeof(rt_exchange) + method_size + 3 * (size < NAME_MOST ? size : NAME_MOST) + 20;
  rt_exchange *x = lua_newuserdatauv(L, room, RT_EXCHANGE_TIMINGS);
  *x = (rt_exchange){.engine = e, .events = {.retry = -1}};
  luaL_setmetatable(L, EXCHANGE);
  rt_transfer *t = x->transfer = rt_transfer_open(rt_lib_http(L, e));
  if (!t) return luaL_error(L, "not enough memory");
  t->owner = x;
  t->changed = rt_exchange_changed;
  const char *problem = rt_transfer_address(t, url, size);
  if (problem) refuse(L, what, url, problem);
  name_it(x, method, method_size);
  rt_request r = {
      .method = method, .connect_timeout = 30, .max_body = 64 << 20, .follow = 10,
      .compressed = true, .file = -1,
      .plain = !lua_istable(L, OPTIONS) && strcmp(method, "GET") == 0,
  };
  if (lua_istable(L, OPTIONS)) {
    add_headers(L, t);
    read_options(L, x, &r);
    x->events.most = (size_t)integer_option(L, "max_event", 0);
    read_upload(L, &r);
  }
  if (!rt_transfer_prepare(t, &r)) luaL_error(L, "not enough memory");
  return 1;
}

rt_exchange *rt_exchange_at(lua_State *L, int index) {
  rt_exchange *x = luaL_checkudata(L, index, EXCHANGE);
  if (!x->transfer) luaL_error(L, "it was closed");
  return x;
}

static int exchange_gc(lua_State *L) {
  rt_exchange *x = lua_touserdata(L, 1);
  rt_transfer_close(x->transfer);
  x->transfer = NULL;
  rt_events_free(&x->events);
  return 0;
}

/* ---- its call ---- */

/* Pushes what is recorded of what was asked: the method, the address and, if there is more to
 * tell, the headers that stand at 'headers' and the bytes of the body. Returns how many. */
static int push_asked(lua_State *L, const rt_exchange *x, int headers) {
  const rt_request *r = &x->transfer->request;
  bool bytes = r->upload != RT_UPLOAD_NONE && r->upload_size > 0;
  rt_exchange_push_method(L, x);
  rt_exchange_push_address(L, x);
  if (!bytes && !lua_istable(L, headers)) return 2;
  if (lua_istable(L, headers)) lua_pushvalue(L, headers);
  else lua_newtable(L);
  if (!bytes) return 3;
  lua_pushinteger(L, r->upload_size);
  return 4;
}

/* core.asked(exchange [, headers]) */
static int asked(lua_State *L) {
  lua_settop(L, 2);
  return push_asked(L, rt_exchange_at(L, 1), 2);
}

/* core.call(exchange, what [, headers]): 'what' is the function that may wait or not */
static int call(lua_State *L) {
  rt_exchange *x = rt_exchange_at(L, 1);
  rt_call *parent = rt_call_check(L, x->engine, luaL_checkstring(L, 2));
  lua_settop(L, 3);
  lua_pushlightuserdata(L, x->engine);
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, rt_exchange_run, 2);
  int count = 1 + push_asked(L, x, 3);
  lua_rotate(L, 1, count);
  lua_settop(L, count);
  rt_node *node = rt_node_new(x->name, x->name_size);
  if (node) node->unrecorded = x->unrecorded;
  return rt_lib_call_as(L, parent, node);
}

static int name(lua_State *L) {
  const rt_exchange *x = rt_exchange_at(L, 1);
  lua_pushlstring(L, x->name, x->name_size);
  return 1;
}

/* core.run(exchange) */
static int run(lua_State *L) {
  rt_exchange *x = rt_exchange_at(L, 1);
  lua_pushlightuserdata(L, x->engine);
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, rt_exchange_run, 2);
  return 1;
}

static int is_secret(lua_State *L) {
  size_t size;
  const char *header = luaL_checklstring(L, 1, &size);
  lua_pushboolean(L, rt_secret_header(header, size));
  return 1;
}

int rt_open_http(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"asked", asked}, {"call", call}, {"is_secret", is_secret}, {"limit", limit},
      {"name", name}, {"new", new_exchange}, {"run", run}, {NULL, NULL}};
  rt_engine *e = rt_engine_open(L);
  lua_pop(L, 1);
  lua_createtable(L, 0, 24);
  rt_lib_add(L, e, functions);
  rt_answer_add(L, e);
  rt_headers_open(L, e);
  rt_exchange_add_methods(L, e);
  luaL_newmetatable(L, EXCHANGE);
  lua_pushcfunction(L, exchange_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  return 1;
}
