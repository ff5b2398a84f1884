/* socket.c -- for railtracks.console: a socket at which a running program is looked at.
 *
 *   console.listen(path, fn)   calls fn(fd) in a run of its own for each of our own who
 *                              connects; raises why that cannot be done
 *   console.unlisten()         ends those runs, waits for them, and takes the socket away
 *   console.connect(path)      a descriptor; raises why not
 *   console.send(fd, text)     sends what can be sent at once: how many bytes, nil and why
 *   console.receive(fd, s)     as console.read, waiting up to s seconds, the loop with it
 *   console.close(fd)
 *
 * Only processes of the same user get in: the file is theirs alone, and the kernel is asked
 * who it is that connects.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib.h"
#include "log.h"

enum { MOST_SESSIONS = 64, WAITING = 16 };

#define SLICE_NS INT64_C(1000000000)  /* that a line typed from outside may keep the others */

/* A run of somebody who has connected. */
typedef struct session {
  struct session *next;
  rt_run *run;     /* with a reference */
  int host;        /* anchors the coroutine on whose stack it begins and ends */
} session;

typedef struct server {
  uv_poll_t handle;
  rt_engine *engine;
  int fd;
  int spare;       /* given up for a connection that is to be refused for want of others */
  int function;    /* anchors fn */
  session *sessions;
  int count;
  struct stat file;
  struct sockaddr_un address;
} server;

static const char server_key = 's';  // registry: a userdata that points to the server

/* ---- addresses and peers ---- */

static void fill_address(lua_State *L, struct sockaddr_un *address, const char *path) {
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  // Linux would make a socket of it that has no file, nor a mode.
  if (!*path) rt_error_raise(L, "usage", "the path of a socket is empty");
  if (strlen(path) >= sizeof address->sun_path)
    rt_error_raise(L, "usage", "%s: the path of a socket has at most %d bytes", path,
                   (int)sizeof address->sun_path - 1);
  strcpy(address->sun_path, path);
}

static _Noreturn void fail(lua_State *L, int fd, const char *path) {
  lua_pushfstring(L, "%s: %s", path, strerror(errno));
  if (fd >= 0) close(fd);
  lua_error(L);
  __builtin_unreachable();
}

/* Whether the other end is a process of the same user. */
static bool is_ours(int fd, uid_t *uid) {
  struct ucred peer;
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) return false;
  *uid = peer.uid;
  return peer.uid == geteuid();
}

/* Tells the client why it is sent away, in a frame as repl/wire.lua makes them. */
static void send_away(int fd, const char *why) {
  unsigned char head[] = {3, 'b', 'y', 'e', 0, 0, 0, (unsigned char)strlen(why)};
  if (send(fd, head, sizeof head, MSG_NOSIGNAL) > 0) send(fd, why, strlen(why), MSG_NOSIGNAL);
  close(fd);
}

/* ---- sessions ---- */

static void drop_ended(server *s) {
  for (session **at = &s->sessions; *at;) {
    session *one = *at;
    if (!one->run->over) {
      at = &one->next;
      continue;
    }
    *at = one->next;
    rt_run_unref(one->run);
    rt_anchor_drop(&s->engine->scheduler, one->host);
    free(one);
    s->count--;
  }
}

/* In: the server, the session, fn, the descriptor. Its frame stays, suspended: the run finds
 * its body there and leaves its results. */
static int host_session(lua_State *L) {
  server *s = lua_touserdata(L, 1);
  session *one = lua_touserdata(L, 2);
  rt_run_options options = {
      .name = {.data = "console", .size = 7}, .slice_limit = SLICE_NS};
  rt_node *node = rt_lib_push_node(L, options.name.data, options.name.size);
  lua_insert(L, 3);
  one->run = rt_run_start(L, s->engine, node, 4, &options);
  return lua_yield(L, 0);
}

/* In: the server, the session, the descriptor. */
static int begin_session(lua_State *L) {
  server *s = lua_touserdata(L, 1);
  session *one = lua_touserdata(L, 2);
  rt_scheduler *scheduler = &s->engine->scheduler;
  lua_State *co = lua_newthread(L);
  rt_coroutine_init(co, scheduler, false);
  one->host = rt_anchor_put(scheduler, L);
  lua_pushcfunction(co, host_session);
  lua_pushlightuserdata(co, s);
  lua_pushlightuserdata(co, one);
  rt_anchor_push(scheduler, co, s->function);
  lua_pushinteger(co, lua_tointeger(L, 3));
  int results;
  if (lua_resume(co, L, 4, &results) == LUA_YIELD) return 0;
  lua_xmove(co, L, 1);
  return lua_error(L);
}

static void welcome(server *s, int fd) {
  uid_t uid = (uid_t)-1;
  drop_ended(s);
  if (!is_ours(fd, &uid)) {
    rt_log(RT_LOG_WARNING, "console %s: refused a connection by user %ld",
           s->address.sun_path, (long)uid);
    send_away(fd, "only processes of the same user may attach");
    return;
  }
  session *one = s->count < MOST_SESSIONS ? calloc(1, sizeof *one) : NULL;
  if (!one) {
    send_away(fd, "too many are attached already");
    return;
  }
  lua_State *L = s->engine->scheduler.own;
  int top = lua_gettop(L);
  lua_pushcfunction(L, begin_session);
  lua_pushlightuserdata(L, s);
  lua_pushlightuserdata(L, one);
  lua_pushinteger(L, fd);
  if (lua_pcall(L, 3, 0, 0) == LUA_OK) {
    one->next = s->sessions;
    s->sessions = one;
    s->count++;
  } else {
    rt_log(RT_LOG_ERROR, "console %s: %s", s->address.sun_path, luaL_tolstring(L, -1, NULL));
    rt_anchor_drop(&s->engine->scheduler, one->host);
    free(one);
    send_away(fd, "no session can be started");
  }
  lua_settop(L, top);
}

static void accept_all(uv_poll_t *handle, int status, int events) {
  server *s = handle->data;
  (void)status, (void)events;
  for (;;) {
    int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
      welcome(s, fd);
    } else if (errno == EMFILE || errno == ENFILE) {
      close(s->spare);
      fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
      if (fd >= 0) send_away(fd, "the program has no descriptor left");
      s->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
      if (fd < 0) return;
    } else if (errno != EINTR && errno != ECONNABORTED) {
      return;
    }
  }
}

/* ---- listening ---- */

/* Whether a socket stands there that nobody listens at, left by a process of ours. */
static bool is_stale(const struct sockaddr_un *address) {
  struct stat file;
  if (lstat(address->sun_path, &file) < 0 || !S_ISSOCK(file.st_mode) ||
      file.st_uid != geteuid())
    return false;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool stale = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 &&
               errno == ECONNREFUSED;
  if (fd >= 0) close(fd);
  return stale;
}

static int bind_private(int fd, const struct sockaddr_un *address) {
  mode_t before = umask(0177);
  int status = bind(fd, (const struct sockaddr *)address, sizeof *address);
  int error = errno;
  umask(before);
  errno = error;
  return status;
}

static void forget_server(uv_handle_t *handle) { free(handle->data); }

static server *server_of(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &server_key);
  server *s = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return s;
}

static int listen_at(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  const char *path = luaL_checkstring(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  if (server_of(L)) return luaL_error(L, "console.listen: there is a console already");
  struct sockaddr_un address;
  fill_address(L, &address, path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) fail(L, fd, path);
  int status = bind_private(fd, &address);
  if (status < 0 && errno == EADDRINUSE && is_stale(&address) && unlink(path) == 0)
    status = bind_private(fd, &address);
  if (status < 0 || listen(fd, WAITING) < 0) fail(L, fd, path);
  server *s = calloc(1, sizeof *s);
  if (!s || uv_poll_init(&e->scheduler.loop, &s->handle, fd) < 0) {
    free(s);
    errno = ENOMEM;
    unlink(path);
    fail(L, fd, path);
  }
  s->engine = e;
  s->fd = fd;
  s->address = address;
  s->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
  s->function = rt_anchor_put(&e->scheduler, L);
  lstat(path, &s->file);
  s->handle.data = s;
  lua_pushlightuserdata(L, s);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &server_key);
  uv_poll_start(&s->handle, UV_READABLE, accept_all);
  uv_unref((uv_handle_t *)&s->handle);  // nobody may ever come: a deadlock is one all the same
  return 0;
}

/* console.unlisten(): outside the loop. */
static int unlisten(lua_State *L) {
  server *s = server_of(L);
  if (!s) return 0;
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &server_key);
  uv_poll_stop(&s->handle);
  struct stat now;
  if (lstat(s->address.sun_path, &now) == 0 && now.st_ino == s->file.st_ino &&
      now.st_dev == s->file.st_dev)
    unlink(s->address.sun_path);
  close(s->fd);
  if (s->spare >= 0) close(s->spare);
  for (session *one = s->sessions; one; one = one->next)
    if (one->run->root) {
      rt_call_cancel_for(one->run->root, "the program has ended");
      rt_call_end_shields(one->run->root);
    }
  for (session *one = s->sessions; one; one = one->next)
    if (!one->run->over) rt_engine_loop(s->engine, L, &one->run->over);
  drop_ended(s);
  rt_anchor_drop(&s->engine->scheduler, s->function);
  uv_close((uv_handle_t *)&s->handle, forget_server);
  return 0;
}

/* ---- connecting, sending, receiving ---- */

static int connect_to(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  struct sockaddr_un address;
  uid_t uid = 0;
  fill_address(L, &address, path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
    fail(L, fd, path);
  if (!is_ours(fd, &uid)) {
    close(fd);
    lua_pushfstring(L, "%s: belongs to another user (%d)", path, (int)uid);
    return lua_error(L);
  }
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  lua_pushinteger(L, fd);
  return 1;
}

static int send_some(lua_State *L) {
  size_t size;
  int fd = (int)luaL_checkinteger(L, 1);
  const char *text = luaL_checklstring(L, 2, &size);
  ssize_t sent = send(fd, text, size, MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN && errno != EINTR) return luaL_fileresult(L, 0, NULL);
  lua_pushinteger(L, sent < 0 ? 0 : sent);
  return 1;
}

static int receive(lua_State *L) {
  struct pollfd input = {.fd = (int)luaL_checkinteger(L, 1), .events = POLLIN};
  lua_Number seconds = luaL_checknumber(L, 2);
  if (poll(&input, 1, (int)(seconds * 1000)) != 1) return lua_pushnil(L), 1;
  return rt_lib_read(L);
}

static int close_fd(lua_State *L) {
  close((int)luaL_checkinteger(L, 1));
  return 0;
}

void rt_lib_open_socket(lua_State *L, rt_engine *e) {
  static const luaL_Reg functions[] = {
      {"close", close_fd}, {"connect", connect_to}, {"listen", listen_at},
      {"receive", receive}, {"send", send_some}, {"unlisten", unlisten}, {NULL, NULL}};
  rt_lib_add(L, e, functions);
}
