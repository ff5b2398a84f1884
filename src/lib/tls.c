/* tls.c -- TLS on a connected socket, by libcurl: what railtracks/tls.lua is made of.
 *
 * libcurl is given the socket and asked to connect only; from then on bytes are sent and
 * received through it. Nothing here waits: who gets no answer waits until the socket can be
 * read or written, and asks again.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "exchange.h"
#include "request.h"

typedef struct session {
  rt_curl curl;             /* libcurl's functions */
  CURLM *multi;             /* of its own; NULL: it is closed */
  CURL *easy;
  struct curl_slist *known; /* the host's address */
  curl_socket_t socket;
  bool given;               /* libcurl has it, and closes it */
  int wants;                /* CURL_POLL_IN and the like */
  long ms;                  /* until it is to be called anyhow; -1: never */
  bool ended;               /* with 'result' */
  CURLcode result;
  char problem[CURL_ERROR_SIZE];
} session;

/* ---- what libcurl calls ---- */

static curl_socket_t give_socket(void *data, curlsocktype purpose, struct curl_sockaddr *address) {
  session *s = data;
  (void)purpose, (void)address;
  if (s->given) return CURL_SOCKET_BAD;
  s->given = true;
  return s->socket;
}

static int is_connected(void *data, curl_socket_t socket, curlsocktype purpose) {
  (void)data, (void)socket, (void)purpose;
  return CURL_SOCKOPT_ALREADY_CONNECTED;
}

static int note_wants(CURL *easy, curl_socket_t socket, int what, void *data, void *known) {
  session *s = data;
  (void)easy, (void)socket, (void)known;
  s->wants = what == CURL_POLL_REMOVE ? CURL_POLL_NONE : what;
  return 0;
}

static int note_time(CURLM *multi, long ms, void *data) {
  (void)multi;
  ((session *)data)->ms = ms;
  return 0;
}

/* ---- opening and closing ---- */

static session *self(lua_State *L) {
  session *s = rt_lib_self(L, "tls", "a session");
  if (!s->multi) rt_error_raise(L, "usage", "tls: the session is closed");
  return s;
}

static int close_session(lua_State *L) {
  session *s = lua_touserdata(L, 1);
  rt_quiet quiet;
  rt_quiet_begin(&quiet, true);
  if (s->multi) {
    if (s->easy) s->curl.multi_remove_handle(s->multi, s->easy);
    if (s->easy) s->curl.easy_cleanup(s->easy);
    s->curl.multi_cleanup(s->multi);
  }
  rt_quiet_end(&quiet);
  s->curl.slist_free_all(s->known);
  if (s->socket >= 0 && !s->given) close(s->socket);
  s->multi = NULL;
  s->easy = NULL;
  s->known = NULL;
  s->socket = -1;
  return 0;
}

#define SET(option, value) s->curl.easy_setopt(s->easy, option, value)

static void set_options(session *s, const char *url) {
  SET(CURLOPT_URL, url);
  SET(CURLOPT_CONNECT_ONLY, 1L);
  SET(CURLOPT_RESOLVE, s->known);
  SET(CURLOPT_OPENSOCKETFUNCTION, give_socket);
  SET(CURLOPT_OPENSOCKETDATA, s);
  SET(CURLOPT_SOCKOPTFUNCTION, is_connected);
  SET(CURLOPT_PROXY, "");
  SET(CURLOPT_SSL_ENABLE_ALPN, 0L);  // it is not HTTP that will be spoken
  SET(CURLOPT_NOSIGNAL, 1L);
  SET(CURLOPT_ERRORBUFFER, s->problem);
  SET(CURLOPT_PRIVATE, s);
  s->curl.multi_setopt(s->multi, CURLMOPT_SOCKETFUNCTION, note_wants);
  s->curl.multi_setopt(s->multi, CURLMOPT_SOCKETDATA, s);
  s->curl.multi_setopt(s->multi, CURLMOPT_TIMERFUNCTION, note_time);
  s->curl.multi_setopt(s->multi, CURLMOPT_TIMERDATA, s);
}

/* core.tls(descriptor, url, "host:port:address", ca or nil, insecure) -> a session on a copy of
 * the descriptor, and that. Upvalue 2: the class. */
static int open_session(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1);
  const char *url = luaL_checkstring(L, 2), *known = luaL_checkstring(L, 3);
  const char *ca = luaL_optstring(L, 4, NULL);
  rt_http *http = rt_lib_http(L, rt_lib_engine(L));
  session *s = lua_newuserdatauv(L, sizeof *s, 0);
  *s = (session){.curl = http->curl, .socket = -1, .ms = -1};
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  s->multi = s->curl.multi_init();
  s->easy = s->curl.easy_init();
  s->known = s->curl.slist_append(NULL, known);
  s->socket = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (!s->multi || !s->easy || !s->known || s->socket < 0)
    luaL_error(L, "not enough memory or descriptors");
  set_options(s, url);
  rt_request_trust(&s->curl, s->easy, ca, lua_toboolean(L, 5));
  if (s->curl.multi_add_handle(s->multi, s->easy) != CURLM_OK)
    luaL_error(L, "not enough memory");
  lua_pushinteger(L, s->socket);
  return 2;
}

/* ---- connecting ---- */

/* session:step(readable, writable) -> true once it is connected; false and why not; or nil,
 * whether to wait for reading, for writing, and for how many seconds at most (nil: any). */
static int step(lua_State *L) {
  session *s = self(L);
  bool readable = lua_toboolean(L, 2), writable = lua_toboolean(L, 3);
  int running, left;
  rt_quiet quiet;
  rt_quiet_begin(&quiet, true);
  s->curl.multi_socket_action(
      s->multi, readable || writable ? s->socket : CURL_SOCKET_TIMEOUT,
      (readable ? CURL_CSELECT_IN : 0) | (writable ? CURL_CSELECT_OUT : 0), &running);
  rt_quiet_end(&quiet);
  for (CURLMsg *m; (m = s->curl.multi_info_read(s->multi, &left));)
    if (m->msg == CURLMSG_DONE) {
      s->ended = true;
      s->result = m->data.result;
    }
  if (s->ended) {
    lua_pushboolean(L, s->result == CURLE_OK);
    lua_pushstring(L, *s->problem ? s->problem : s->curl.easy_strerror(s->result));
    return 2;
  }
  lua_pushnil(L);
  lua_pushboolean(L, s->wants & CURL_POLL_IN);
  lua_pushboolean(L, s->wants & CURL_POLL_OUT);
  if (s->ms >= 0) lua_pushnumber(L, (lua_Number)s->ms / 1e3);
  else lua_pushnil(L);
  return 4;
}

/* ---- bytes ---- */

/* Nothing yet, or why not at all. */
static int push_problem(lua_State *L, session *s, CURLcode result) {
  if (result == CURLE_AGAIN) return 0;
  lua_pushboolean(L, false);
  lua_pushstring(L, *s->problem ? s->problem : s->curl.easy_strerror(result));
  return 2;
}

/* session:receive() -> what has come ("" at the end); nothing if nothing has; false and why not */
static int receive(lua_State *L) {
  session *s = self(L);
  char room[16384];  // of a record there is no more
  size_t size = 0;
  rt_quiet quiet;
  rt_quiet_begin(&quiet, true);
  CURLcode result = s->curl.easy_recv(s->easy, room, sizeof room, &size);
  rt_quiet_end(&quiet);
  if (result != CURLE_OK) return push_problem(L, s, result);
  lua_pushlstring(L, room, size);
  return 1;
}

/* session:send(bytes) -> how many were taken; nothing if none were; false and why not */
static int send_bytes(lua_State *L) {
  session *s = self(L);
  size_t size, sent = 0;
  const char *bytes = luaL_checklstring(L, 2, &size);
  rt_quiet quiet;
  rt_quiet_begin(&quiet, true);
  CURLcode result = s->curl.easy_send(s->easy, bytes, size, &sent);
  rt_quiet_end(&quiet);
  if (result != CURLE_OK) return push_problem(L, s, result);
  lua_pushinteger(L, (lua_Integer)sent);
  return 1;
}

void rt_lib_open_tls(lua_State *L, rt_engine *e) {
  static const luaL_Reg methods[] = {{"step", step}, {"receive", receive}, {"send", send_bytes},
                                     {"close", close_session}, {NULL, NULL}};
  lua_pushlightuserdata(L, e);
  lua_createtable(L, 0, 2);
  lua_createtable(L, 0, 4);
  rt_lib_add_methods(L, e, methods);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, close_session);
  lua_setfield(L, -2, "__gc");
  lua_pushcclosure(L, open_session, 2);
  lua_setfield(L, -2, "tls");
}
