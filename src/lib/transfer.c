/* transfer.c -- one transfer, as Lua sees it: made, read, written to, closed.
 *
 * railtracks/http.lua makes of this what people use; here is only what has to be C. Of each
 * transfer one task at a time waits.
 */
#include <lauxlib.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "http.h"
#include "lib.h"

enum {
  HIGH = 256 * 1024,       // bytes received and not read yet that make the server wait
  OUT = 64 * 1024,         // bytes to be sent that make the writer wait
  HEADERS_MOST = 1 << 20,  // bytes of headers
};

typedef enum want { NOTHING, HEAD, BODY, ROOM, END } want;

struct rt_transfer {
  rt_http *http;           /* NULL: it is closed */
  rt_transfer *next, **link;
  CURL *easy;
  struct curl_slist *headers;
  rt_task *task;           /* who waits; NULL: nobody */
  want want;               /* ... for what */
  rt_buf head;             /* header lines of the last response */
  rt_buf body;             /* received, not read yet */
  size_t read;             /* of that, what was read */
  rt_buf out;              /* to be sent */
  size_t sent;
  char *given;             /* a whole body to be sent; malloc'd */
  size_t given_size;
  FILE *file;              /* or a file that is */
  int64_t most;            /* bytes of the body that are taken; -1: any number */
  int64_t received;
  bool added, done;
  bool head_complete;
  bool follows;            /* redirects are not for the one who asked */
  bool streams;            /* the body is read in pieces */
  bool paused;             /* receiving waits until it is read */
  bool hungry;             /* sending waits for more */
  bool closed_out;         /* there will be no more to send */
  bool too_large;
  const char *too_large_what;
  CURLcode result;
  char problem[CURL_ERROR_SIZE];
};

static size_t unread(const rt_transfer *t) { return t->body.size - t->read; }

static bool has(const rt_transfer *t, want what) {
  if (t->done) return true;
  switch (what) {
    case HEAD: return t->head_complete;
    case BODY: return unread(t) > 0;
    case ROOM: return t->out.size - t->sent < OUT;
    default: return false;
  }
}

static void wake(rt_transfer *t) {
  if (!t->task || !has(t, t->want)) return;
  rt_task *task = t->task;
  t->task = NULL;
  rt_task_wake(&t->http->engine->scheduler, task);
}

/* ---- what libcurl calls ---- */

static size_t fail_too_large(rt_transfer *t, const char *what) {
  t->too_large = true;
  t->too_large_what = what;
  return CURL_WRITEFUNC_ERROR;
}

static size_t take_body(char *bytes, size_t one, size_t size, void *data) {
  rt_transfer *t = data;
  (void)one;
  if (t->streams && unread(t) >= HIGH) {
    t->paused = true;
    return CURL_WRITEFUNC_PAUSE;
  }
  t->received += (int64_t)size;
  if (t->most >= 0 && t->received > t->most) return fail_too_large(t, "body");
  t->head_complete = true;
  rt_buf_add(&t->body, bytes, size);
  if (t->body.failed) return CURL_WRITEFUNC_ERROR;
  wake(t);
  return size;
}

/* An empty line ends the headers of one response, which may not be the last. */
static void end_head(rt_transfer *t) {
  long status = 0;
  const rt_curl *curl = &t->http->curl;
  curl->curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
  if (status < 200 || (t->follows && status >= 300 && status < 400)) return;
  if (status == 401 || status == 407) return;  // libcurl may answer that itself
  t->head_complete = true;
  wake(t);
}

static size_t take_header(char *line, size_t one, size_t size, void *data) {
  rt_transfer *t = data;
  (void)one;
  if (t->received == 0 && size > 5 && memcmp(line, "HTTP/", 5) == 0) t->head.size = 0;
  if (t->head.size + size > HEADERS_MOST) return fail_too_large(t, "headers");
  rt_buf_add(&t->head, line, size);
  if (t->head.failed) return CURL_WRITEFUNC_ERROR;
  if (size <= 2 && (*line == '\r' || *line == '\n')) end_head(t);
  return size;
}

static size_t give_body(char *to, size_t one, size_t room, void *data) {
  rt_transfer *t = data;
  (void)one;
  if (t->file) return fread(to, 1, room, t->file);
  size_t left = t->out.size - t->sent, size = left < room ? left : room;
  if (!size && !t->closed_out) {
    t->hungry = true;
    return CURL_READFUNC_PAUSE;
  }
  if (size) memcpy(to, t->out.data + t->sent, size);
  t->sent += size;
  if (t->sent == t->out.size) t->sent = t->out.size = 0;
  wake(t);
  return size;
}

static int rewind_body(void *data, curl_off_t offset, int origin) {
  rt_transfer *t = data;
  if (!t->file) return CURL_SEEKFUNC_CANTSEEK;
  return fseeko(t->file, offset, origin) == 0 ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

void rt_transfer_done(rt_transfer *t, CURLcode result) {
  t->added = false;
  t->done = true;
  t->result = result;
  wake(t);
}

/* ---- closing ---- */

static void close_transfer(rt_transfer *t, bool reuse) {
  rt_http *h = t->http;
  if (!h) return;
  if (t->added) h->curl.curl_multi_remove_handle(h->multi, t->easy);
  if (reuse && h->spares < (int)(sizeof h->spare / sizeof *h->spare)) {
    h->curl.curl_easy_reset(t->easy);
    h->spare[h->spares++] = t->easy;
  } else {
    h->curl.curl_easy_cleanup(t->easy);
  }
  h->curl.curl_slist_free_all(t->headers);
  *t->link = t->next;
  if (t->next) t->next->link = t->link;
  t->http = NULL;
  t->added = false;
  if (!t->done) t->result = CURLE_ABORTED_BY_CALLBACK;
  t->done = true;
  rt_buf_free(&t->head);
  rt_buf_free(&t->body);
  rt_buf_free(&t->out);
  free(t->given);
  if (t->file) fclose(t->file);
  t->file = NULL;
  t->given = NULL;
  t->read = 0;
}

void rt_transfer_lose(rt_transfer *t) { close_transfer(t, false); }

static int collect(lua_State *L) {
  close_transfer(lua_touserdata(L, 1), true);
  return 0;
}

/* ---- making ---- */

static const char *field_text(lua_State *L, const char *name) {
  lua_getfield(L, 1, name);
  const char *text = lua_tostring(L, -1);
  lua_pop(L, 1);  // the table keeps it
  return text;
}

static bool field_true(lua_State *L, const char *name) {
  lua_getfield(L, 1, name);
  bool is = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return is;
}

/* Milliseconds, above 0; 0 if it is not there. */
static long field_ms(lua_State *L, const char *name) {
  lua_getfield(L, 1, name);
  lua_Number seconds = lua_tonumber(L, -1);
  lua_pop(L, 1);
  if (!(seconds > 0)) return 0;
  return seconds < 0.001 ? 1 : seconds < 1e6 ? (long)(seconds * 1000) : 1000000000L;
}

#define SET(option, value) curl->curl_easy_setopt(t->easy, option, value)

static void set_headers(lua_State *L, rt_transfer *t) {
  const rt_curl *curl = &t->http->curl;
  lua_getfield(L, 1, "headers");
  for (lua_Integer i = 1; lua_rawgeti(L, -1, i) == LUA_TSTRING; i++) {
    struct curl_slist *more = curl->curl_slist_append(t->headers, lua_tostring(L, -1));
    if (!more) luaL_error(L, "not enough memory");
    t->headers = more;
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
  SET(CURLOPT_HTTPHEADER, t->headers);
}

/* The body: a text, a file's path, or what is written later. */
static void set_body(lua_State *L, rt_transfer *t) {
  const rt_curl *curl = &t->http->curl;
  const char *path = field_text(L, "file");
  bool later = field_true(L, "upload");
  lua_getfield(L, 1, "body");
  if (lua_isstring(L, -1)) {
    size_t size;
    const char *text = lua_tolstring(L, -1, &size);
    if (!(t->given = malloc(size + 1))) luaL_error(L, "not enough memory");
    memcpy(t->given, text, size + 1);
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
    SET(CURLOPT_POSTFIELDS, t->given);
  } else if (path || later) {
    curl_off_t size = -1;
    struct stat file;
    if (path) {
      if (!(t->file = fopen(path, "rbe")) || fstat(fileno(t->file), &file) != 0) {
        lua_pushnil(L);
        lua_setfield(L, 1, "file");
        rt_error_raise(L, "fs", "rt.http: %s: %s", path, strerror(errno));
      }
      if (S_ISREG(file.st_mode)) size = file.st_size;
    }
    SET(CURLOPT_UPLOAD, 1L);
    SET(CURLOPT_READFUNCTION, give_body);
    SET(CURLOPT_READDATA, t);
    SET(CURLOPT_SEEKFUNCTION, rewind_body);
    SET(CURLOPT_SEEKDATA, t);
    SET(CURLOPT_INFILESIZE_LARGE, size);
  }
  lua_pop(L, 1);
}

static void set_version(lua_State *L, rt_transfer *t) {
  const rt_curl *curl = &t->http->curl;
  const char *url = field_text(L, "url");
  lua_getfield(L, 1, "http2");
  long version = CURL_HTTP_VERSION_2TLS;
  if (lua_isboolean(L, -1) && !lua_toboolean(L, -1)) version = CURL_HTTP_VERSION_1_1;
  else if (lua_toboolean(L, -1) && strncmp(url, "http:", 5) == 0)
    version = CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
  lua_pop(L, 1);
  SET(CURLOPT_HTTP_VERSION, version);
  SET(CURLOPT_PIPEWAIT, version == CURL_HTTP_VERSION_1_1 ? 0L : 1L);
}

static void set_options(lua_State *L, rt_transfer *t) {
  const rt_curl *curl = &t->http->curl;
  const char *method = field_text(L, "method"), *proxy = field_text(L, "proxy");
  const char *user = field_text(L, "user"), *encoding = field_text(L, "encoding");
  SET(CURLOPT_PRIVATE, t);
  SET(CURLOPT_URL, field_text(L, "url"));
  SET(CURLOPT_NOSIGNAL, 1L);
  SET(CURLOPT_QUICK_EXIT, 1L);
  SET(CURLOPT_NOPROGRESS, 1L);
  SET(CURLOPT_ERRORBUFFER, t->problem);
  SET(CURLOPT_PROTOCOLS_STR, "http,https");
  SET(CURLOPT_REDIR_PROTOCOLS_STR, strncmp(field_text(L, "url"), "https:", 6) == 0
                                       ? "https" : "http,https");
  SET(CURLOPT_WRITEFUNCTION, take_body);
  SET(CURLOPT_WRITEDATA, t);
  SET(CURLOPT_HEADERFUNCTION, take_header);
  SET(CURLOPT_HEADERDATA, t);
  set_body(L, t);
  if (strcmp(method, "HEAD") == 0) SET(CURLOPT_NOBODY, 1L);
  else if (strcmp(method, "GET") != 0 || t->given || t->file || field_true(L, "upload"))
    SET(CURLOPT_CUSTOMREQUEST, method);
  lua_getfield(L, 1, "follow");
  long follow = (long)lua_tointeger(L, -1);
  lua_pop(L, 1);
  t->follows = follow > 0;
  SET(CURLOPT_FOLLOWLOCATION, follow > 0 ? 1L : 0L);
  SET(CURLOPT_MAXREDIRS, follow);
  SET(CURLOPT_TIMEOUT_MS, field_ms(L, "timeout"));
  SET(CURLOPT_CONNECTTIMEOUT_MS, field_ms(L, "connect_timeout"));
  lua_getfield(L, 1, "idle_timeout");
  if (lua_tonumber(L, -1) > 0) {
    SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
    SET(CURLOPT_LOW_SPEED_TIME, (long)(lua_tonumber(L, -1) + 0.999));
  }
  lua_pop(L, 1);
  if (proxy) SET(CURLOPT_PROXY, proxy);
  if (user) {
    SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
    SET(CURLOPT_USERPWD, user);
  }
  if (encoding) SET(CURLOPT_ACCEPT_ENCODING, encoding);
  set_version(L, t);
  rt_http_trust(curl, t->easy, field_text(L, "ca"), field_true(L, "insecure"));
  set_headers(L, t);
}

/* core.transfer(options) -> a transfer that has begun. What the options are has been looked at
 * before. Upvalue 2: the metatable. */
static int make(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  rt_http *h = rt_http_of(L, e);
  lua_settop(L, 1);
  rt_transfer *t = lua_newuserdatauv(L, sizeof *t, 0);
  *t = (rt_transfer){.most = -1, .result = CURLE_OK};
  t->easy = h->spares ? h->spare[--h->spares] : h->curl.curl_easy_init();
  if (!t->easy) luaL_error(L, "not enough memory");
  t->http = h;
  t->next = h->live;
  t->link = &h->live;
  if (t->next) t->next->link = &t->next;
  h->live = t;
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  lua_getfield(L, 1, "max_body");
  if (lua_isinteger(L, -1)) t->most = lua_tointeger(L, -1);
  lua_pop(L, 1);
  t->streams = field_true(L, "streams");
  set_options(L, t);
  if (h->curl.curl_multi_add_handle(h->multi, t->easy) != CURLM_OK)
    luaL_error(L, "not enough memory");
  t->added = true;
  return 1;
}

/* core.http_limit(connections): at once to one host */
static int limit(lua_State *L) {
  const rt_http *h = rt_http_of(L, rt_lib_engine(L));
  h->curl.curl_multi_setopt(h->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                            (long)luaL_checkinteger(L, 1));
  return 0;
}

/* ---- waiting ---- */

static rt_transfer *self(lua_State *L) { return lua_touserdata(L, 1); }

static void unlink_transfer(rt_scheduler *s, rt_task *task) {
  (void)s;
  ((rt_transfer *)task->wait.other.on)->task = NULL;
}

static int push_head(lua_State *L, rt_transfer *t) {
  lua_pushboolean(L, t->head_complete);
  return 1;
}

static int push_body(lua_State *L, rt_transfer *t) {
  size_t size = unread(t);
  if (!size) return lua_pushnil(L), 1;
  lua_pushlstring(L, t->body.data + t->read, size);
  t->body.size = t->read = 0;
  if (t->paused && t->http) {
    t->paused = false;
    t->http->curl.curl_easy_pause(t->easy, t->hungry ? CURLPAUSE_SEND : CURLPAUSE_CONT);
  }
  return 1;
}

static int over(lua_State *L, rt_task *task) {
  rt_transfer *t = task->wait.other.on;
  return t->want == BODY ? push_body(L, t) : push_head(L, t);
}

static void describe(const rt_task *task, rt_buf *out) {
  static const char *const names[] = {"nothing", "a response", "more of a response",
                                      "room for a request", "the end of a response"};
  rt_buf_text(out, names[((const rt_transfer *)task->wait.other.on)->want]);
}

static const rt_wait_kind transfer_wait = {
    .name = "rt.http", .outside = true, .unlink = unlink_transfer, .finish = over,
    .describe = describe};

static int wait(lua_State *L, rt_transfer *t, want what) {
  rt_call *c = rt_call_check(L, rt_lib_engine(L), "rt.http");
  if (t->task) rt_error_raise(L, "usage", "rt.http: another task waits for this response");
  t->want = what;
  if (has(t, what)) return what == BODY ? push_body(L, t) : push_head(L, t);
  t->task = &c->task;
  c->task.wait.other.on = t;
  c->task.wait.other.co = L;
  return rt_task_wait(L, &c->task, &transfer_wait);
}

/* transfer:head() waits for the headers of the last response -> whether they have come */
static int head(lua_State *L) { return wait(L, self(L), HEAD); }

/* transfer:read() waits for more of the body -> text, or nil at the end */
static int read_more(lua_State *L) { return wait(L, self(L), BODY); }

/* transfer:finish() waits for the end */
static int finish(lua_State *L) { return wait(L, self(L), END); }

static void send_more(rt_transfer *t) {
  if (!t->hungry || !t->http || t->done) return;
  t->hungry = false;
  t->http->curl.curl_easy_pause(t->easy, t->paused ? CURLPAUSE_RECV : CURLPAUSE_CONT);
}

/* transfer:write(text or nil at the end) waits until there is room for more */
static int write_more(lua_State *L) {
  rt_transfer *t = self(L);
  rt_call_check(L, rt_lib_engine(L), "rt.http");
  if (lua_isnil(L, 2)) {
    t->closed_out = true;
  } else {
    size_t size;
    const char *text = luaL_checklstring(L, 2, &size);
    if (!t->done) rt_buf_add(&t->out, text, size);
    if (t->out.failed) luaL_error(L, "not enough memory");
  }
  send_more(t);
  return wait(L, t, ROOM);
}

/* ---- what came of it ---- */

/* transfer:lines() -> the header lines of the last response */
static int lines(lua_State *L) {
  const rt_transfer *t = self(L);
  lua_pushlstring(L, t->head.size ? t->head.data : "", t->head.size);
  return 1;
}

static double seconds(const rt_transfer *t, CURLINFO what) {
  curl_off_t us = 0;
  t->http->curl.curl_easy_getinfo(t->easy, what, &us);
  return (double)us / 1e6;
}

/* transfer:info() -> status, url, received, sent, version and the timings */
static int info(lua_State *L) {
  const rt_transfer *t = self(L);
  if (!t->http) return 0;
  const rt_curl *curl = &t->http->curl;
  long status = 0, version = 0;
  const char *url = NULL;
  curl_off_t up = 0;
  curl->curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
  curl->curl_easy_getinfo(t->easy, CURLINFO_HTTP_VERSION, &version);
  curl->curl_easy_getinfo(t->easy, CURLINFO_EFFECTIVE_URL, &url);
  curl->curl_easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &up);
  lua_pushinteger(L, status);
  lua_pushstring(L, url ? url : "");
  lua_pushinteger(L, t->received);
  lua_pushinteger(L, up);
  lua_pushstring(L, version == CURL_HTTP_VERSION_2_0 ? "2" : version == CURL_HTTP_VERSION_1_0
                                                                  ? "1.0" : "1.1");
  lua_pushnumber(L, seconds(t, CURLINFO_NAMELOOKUP_TIME_T));
  lua_pushnumber(L, seconds(t, CURLINFO_CONNECT_TIME_T));
  lua_pushnumber(L, seconds(t, CURLINFO_APPCONNECT_TIME_T));
  lua_pushnumber(L, seconds(t, CURLINFO_STARTTRANSFER_TIME_T));
  lua_pushnumber(L, seconds(t, CURLINFO_TOTAL_TIME_T));
  return 10;
}

static const char *code_of(const rt_transfer *t) {
  // libcurl has a limit of its own for headers, and no code for it.
  if (t->too_large || strncmp(t->problem, "Too large response headers", 26) == 0)
    return "too_large";
  switch ((int)t->result) {
    case CURLE_OK: return NULL;
    case CURLE_URL_MALFORMAT: return "url";
    case CURLE_COULDNT_RESOLVE_HOST: return "could_not_resolve";
    case CURLE_COULDNT_RESOLVE_PROXY: case CURLE_PROXY: return "proxy";
    case CURLE_COULDNT_CONNECT: case CURLE_INTERFACE_FAILED: return "connect";
    case CURLE_OPERATION_TIMEDOUT: return "timeout";
    case CURLE_TOO_MANY_REDIRECTS: return "too_many_redirects";
    case CURLE_SSL_CONNECT_ERROR: case CURLE_PEER_FAILED_VERIFICATION: case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER: case CURLE_USE_SSL_FAILED: case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR: case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_INVALIDCERTSTATUS: return "tls";
    case CURLE_PARTIAL_FILE: return "partial";
    case CURLE_SEND_ERROR: case CURLE_RECV_ERROR: case CURLE_GOT_NOTHING: return "closed";
    case CURLE_OUT_OF_MEMORY: return "memory";
    case CURLE_ABORTED_BY_CALLBACK: return "closed";
    case CURLE_READ_ERROR: return "read";
    default: return "protocol";
  }
}

/* transfer:failure() -> code, message; nothing if it has not failed */
static int failure(lua_State *L) {
  const rt_transfer *t = self(L);
  const char *code = code_of(t);
  if (!t->done || !code) return 0;
  lua_pushstring(L, code);
  if (t->too_large) lua_pushfstring(L, "the %s is too large", t->too_large_what);
  else if (*t->problem) lua_pushstring(L, t->problem);
  else if (t->http) lua_pushstring(L, t->http->curl.curl_easy_strerror(t->result));
  else lua_pushliteral(L, "it was closed");
  return 2;
}

void rt_lib_open_http(lua_State *L, rt_engine *e) {
  static const luaL_Reg methods[] = {
      {"head", head}, {"read", read_more}, {"finish", finish}, {"write", write_more},
      {"lines", lines}, {"info", info}, {"failure", failure}, {"close", collect}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"http_limit", limit}, {NULL, NULL}};
  rt_lib_add(L, e, functions);
  lua_pushlightuserdata(L, e);
  lua_createtable(L, 0, 5);
  luaL_getsubtable(L, -1, "__index");
  rt_lib_add(L, e, methods);
  lua_pop(L, 1);
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "__close");
  lua_pushliteral(L, "railtracks.Transfer");
  lua_setfield(L, -2, "__name");
  lua_pushcclosure(L, make, 2);
  lua_setfield(L, -2, "transfer");
}
