#include "http.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "transfer.h"

/* A socket that is, or was, watched for libcurl. The poll stays with a connection that is
 * kept for the next request: to end and begin it anew for each costs more than the rest. */
struct rt_socket {
  uv_poll_t poll;
  rt_http *http;
  int fd;
  int wanted;         // events libcurl wants to hear of
  int armed;          // events that libuv looks for
  bool watchable;     // the poll was opened
  bool ours;          // made by open_socket, and closed by close_socket
  bool connected;     // something has come from it
  ino_t inode;        // of such a one: tells whether the descriptor is still that socket
};

// ---- signals ----

void rt_quiet_begin(rt_quiet *q, bool needed) {
  q->blocked = false;
  if (!needed) return;
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  q->blocked = pthread_sigmask(SIG_BLOCK, &pipe, &q->before) == 0 &&
               !sigismember(&q->before, SIGPIPE);
}

void rt_quiet_end(rt_quiet *q) {
  if (!q->blocked) return;
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  while (sigtimedwait(&pipe, NULL, &(struct timespec){0}) < 0 && errno == EINTR) {}
  pthread_sigmask(SIG_SETMASK, &q->before, NULL);
}

// ---- sockets ----

static void act(rt_http *http, curl_socket_t fd, int events) {
  rt_quiet quiet;
  int running, left;
  rt_quiet_begin(&quiet, http->tls);
  http->curl.multi_socket_action(http->multi, fd, events, &running);
  for (CURLMsg *m; (m = http->curl.multi_info_read(http->multi, &left));) {
    // What it points to goes when the handle is removed.
    CURL *easy = m->easy_handle;
    CURLcode result = m->data.result;
    if (m->msg == CURLMSG_DONE) rt_transfer_done(http, easy, result);
  }
  rt_quiet_end(&quiet);
}

static rt_socket *socket_at(const rt_http *http, int fd) {
  return fd < http->socket_room ? http->sockets[fd] : NULL;
}

static rt_socket *add_socket(rt_http *http, int fd) {
  if (fd >= http->socket_room) {
    int room = http->socket_room ? http->socket_room : 64;
    while (room <= fd) room *= 2;
    rt_socket **grown = realloc(http->sockets, (size_t)room * sizeof *grown);
    if (!grown) return NULL;
    memset(grown + http->socket_room, 0, (size_t)(room - http->socket_room) * sizeof *grown);
    http->sockets = grown;
    http->socket_room = room;
  }
  rt_socket *s = calloc(1, sizeof *s);
  if (!s) return NULL;
  s->http = http;
  s->fd = fd;
  return http->sockets[fd] = s;
}

static void free_socket(uv_handle_t *poll) { free(poll->data); }

/* Watches it no longer. The descriptor is still open, or nobody has it. */
static void drop_socket(rt_socket *s) {
  s->http->sockets[s->fd] = NULL;
  if (s->watchable) uv_close((uv_handle_t *)&s->poll, free_socket);
  else free(s);
}

static void socket_ready(uv_poll_t *poll, int status, int events) {
  rt_socket *s = poll->data;
  rt_http *http = s->http;
  int fd = s->fd;  // the socket may be gone when libcurl returns
  if (status == 0 && !(events & s->wanted)) {
    // A kept connection that the other side has closed. libcurl sees when it wants it.
    uv_poll_stop(poll);
    s->armed = 0;
    return;
  }
  if (status == 0 && (events & UV_READABLE)) s->connected = true;
  int flags = status < 0 ? CURL_CSELECT_ERR : 0;
  if (events & UV_READABLE) flags |= CURL_CSELECT_IN;
  if (events & UV_WRITABLE) flags |= CURL_CSELECT_OUT;
  act(http, fd, flags);
}

static bool watch(rt_socket *s, int events) {
  s->wanted = events;
  if (events == 0 || events == s->armed) return true;
  if (!s->watchable) {
    if (uv_poll_init(s->http->loop, &s->poll, s->fd) < 0) return false;
    s->poll.data = s;
    s->watchable = true;
    uv_unref((uv_handle_t *)&s->poll);
  }
  s->armed = events;
  return uv_poll_start(&s->poll, events, socket_ready) == 0;
}

static bool is_open(const rt_socket *s) {
  struct stat now;
  return fstat(s->fd, &now) == 0 && S_ISSOCK(now.st_mode) && now.st_ino == s->inode;
}

/* libcurl's word on which events of a socket it wants to hear of. */
static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *client, void *unused) {
  rt_http *http = client;
  (void)easy, (void)unused;
  // 7.88 does that when transfers share a connection that breaks; they find out by themselves.
  if (fd < 0) return 0;
  rt_socket *s = socket_at(http, fd);
  if (what == CURL_POLL_REMOVE) {
    if (!s) return 0;
    s->wanted = 0;
    // One that never came to be connected has been closed without a word.
    if (!s->ours || (!s->connected && !is_open(s))) drop_socket(s);
    return 0;
  }
  if (!s) s = add_socket(http, fd);
  int events = what == CURL_POLL_IN      ? UV_READABLE
               : what == CURL_POLL_OUT   ? UV_WRITABLE
               : what == CURL_POLL_INOUT ? UV_READABLE | UV_WRITABLE
                                         : 0;
  return s && watch(s, events) ? 0 : -1;
}

/* No program we start inherits a connection. */
static curl_socket_t open_socket(void *client, curlsocktype purpose,
                                 struct curl_sockaddr *address) {
  rt_http *http = client;
  struct stat made;
  (void)purpose;
  int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  if (fd < 0) return CURL_SOCKET_BAD;
  rt_socket *s = socket_at(http, fd);
  if (s) drop_socket(s);
  s = add_socket(http, fd);
  if (!s || fstat(fd, &made) < 0) {
    if (s) drop_socket(s);
    close(fd);
    return CURL_SOCKET_BAD;
  }
  s->ours = true;
  s->inode = made.st_ino;
  return fd;
}

static int close_socket(void *client, curl_socket_t fd) {
  rt_socket *s = socket_at(client, fd);
  if (s) drop_socket(s);
  return close(fd);
}

// ---- time ----

static void timer_rang(uv_timer_t *timer) { act(timer->data, CURL_SOCKET_TIMEOUT, 0); }

static int timer_wanted(CURLM *multi, long ms, void *client) {
  rt_http *http = client;
  (void)multi;
  if (ms < 0) return uv_timer_stop(http->timer);
  if (ms > 0) uv_update_time(http->loop);
  return uv_timer_start(http->timer, timer_rang, (uint64_t)ms, 0);
}

static void kept(uv_async_t *keeper) { (void)keeper; }

void rt_http_expect(rt_http *http, int difference) {
  if (!http->active) uv_ref((uv_handle_t *)http->keeper);
  http->active += (size_t)difference;
  if (!http->active) uv_unref((uv_handle_t *)http->keeper);
}

// ---- easy handles ----

CURL *rt_http_take_easy(rt_http *http) {
  const rt_curl *curl = &http->curl;
  CURL *easy = http->spares ? http->spare[--http->spares] : curl->easy_init();
  if (!easy) return NULL;
  curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl->easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
  curl->easy_setopt(easy, CURLOPT_OPENSOCKETDATA, http);
  curl->easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
  curl->easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, http);
  // A name that is still being looked up is no reason to wait.
  curl->easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
  return easy;
}

void rt_http_give_easy(rt_http *http, CURL *easy) {
  if (http->spares == RT_HTTP_SPARE) {
    http->curl.easy_cleanup(easy);
    return;
  }
  http->curl.easy_reset(easy);
  http->spare[http->spares++] = easy;
}

// ---- opening and closing ----

void rt_http_limit(rt_http *http, long per_host) {
  http->curl.multi_setopt(http->multi, CURLMOPT_MAX_HOST_CONNECTIONS, per_host);
}

size_t rt_http_idle_handles(const rt_http *http) {
  size_t count = 2;  // the timer and the keeper
  for (int fd = 0; fd < http->socket_room; fd++) {
    const rt_socket *s = http->sockets[fd];
    count += s && s->watchable && !s->wanted;
  }
  return count;
}

static void free_handle(uv_handle_t *handle) { free(handle); }

/* libcurl asks for each request; that it need not is worth a few percent. */
static bool has_no_proxy(void) {
  static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                      "ALL_PROXY"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (getenv(names[i])) return false;
  return true;
}

/* As headers of our own they are written once, not once each and once together. */
static bool set_usual(rt_http *http, const char *agent) {
  const char *lines[] = {agent, "Accept: */*", "Accept-Encoding: gzip"};
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
    struct curl_slist *longer = http->curl.slist_append(http->usual, lines[i]);
    if (!longer) return false;
    http->usual = longer;
  }
  return true;
}

rt_http *rt_http_open(uv_loop_t *loop, const char *agent, rt_buf *why) {
  rt_http *http = calloc(1, sizeof *http);
  if (!http) goto no_memory;
  if (!rt_curl_load(&http->curl, why)) {
    free(http);
    return NULL;
  }
  http->loop = loop;
  http->timer = malloc(sizeof *http->timer);
  http->keeper = malloc(sizeof *http->keeper);
  http->multi = http->curl.multi_init();
  if (!http->timer || !http->keeper || !http->multi || !set_usual(http, agent) ||
      uv_async_init(loop, http->keeper, kept) < 0) {
    if (http->multi) http->curl.multi_cleanup(http->multi);
    http->curl.slist_free_all(http->usual);
    free(http->timer);
    free(http->keeper);
    free(http);
    goto no_memory;
  }
  uv_unref((uv_handle_t *)http->keeper);
  uv_timer_init(loop, http->timer);
  uv_unref((uv_handle_t *)http->timer);
  http->timer->data = http;
  http->direct = has_no_proxy();

  const rt_curl *curl = &http->curl;
  curl->multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, socket_wanted);
  curl->multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
  curl->multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, timer_wanted);
  curl->multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
  // Else it is four times as many as there are transfers, and a pause closes connections.
  curl->multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, 256L);
  rt_http_limit(http, RT_HTTP_PER_HOST);
  return http;

no_memory:
  rt_buf_text(why, "not enough memory");
  return NULL;
}

void rt_http_close(rt_http *http) {
  if (!http) return;
  rt_quiet quiet;
  rt_quiet_begin(&quiet, http->tls);
  while (http->transfers) rt_transfer_detach(http->transfers);
  rt_transfer_free_idle(http);
  while (http->spares) http->curl.easy_cleanup(http->spare[--http->spares]);
  http->curl.multi_cleanup(http->multi);
  rt_quiet_end(&quiet);
  for (int fd = 0; fd < http->socket_room; fd++)
    if (http->sockets[fd]) drop_socket(http->sockets[fd]);
  free(http->sockets);
  http->curl.slist_free_all(http->usual);
  uv_close((uv_handle_t *)http->timer, free_handle);
  uv_close((uv_handle_t *)http->keeper, free_handle);
  free(http);
}
