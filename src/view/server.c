/* server.c -- takes requests, refuses those that are not to be, sends the answers. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guard.h"
#include "hub.h"
#include "metrics.h"
#include "page.h"
#include "request.h"
#include "view.h"

enum {
  PORT = 3030, PORTS = 20,      // tried if nobody has said which
  CONNECTIONS = 64,
  CONNECTION_BYTES = 32 << 10,  // for the headers of one
  IDLE_SECONDS = 15,            // without a byte
  ADDRESS_MOST = 4096,          // bytes of what is asked for
};

struct rt_view {
  struct MHD_Daemon *daemon;
  char *journal, *host;  // NULL: none
  rt_view_live live;
  char *address;
  rt_guard guard;
  rt_hub hub;
  // Of the server's thread:
  rt_source source;
  rt_models models;
  rt_metrics metrics;
};

/* ---- answers ---- */

static const char *const headers[][2] = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
     "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
};

static enum MHD_Result send_response(struct MHD_Connection *c, unsigned status,
                                     struct MHD_Response *r, const char *type) {
  if (!r) return MHD_NO;
  for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
    MHD_add_response_header(r, headers[i][0], headers[i][1]);
  if (type) MHD_add_response_header(r, "Content-Type", type);
  enum MHD_Result sent = MHD_queue_response(c, status, r);
  MHD_destroy_response(r);
  return sent;
}

/* Refuses what should not have been asked; the connection ends. */
static enum MHD_Result refuse(struct MHD_Connection *c, unsigned status, const char *why) {
  char text[256];
  int size = snprintf(text, sizeof text, "%s\n", why);
  struct MHD_Response *r =
      MHD_create_response_from_buffer((size_t)size, text, MHD_RESPMEM_MUST_COPY);
  if (!r) return MHD_NO;
  MHD_add_response_header(r, "Connection", "close");
  MHD_add_response_header(r, "Cache-Control", "no-store");
  if (status == MHD_HTTP_METHOD_NOT_ALLOWED) MHD_add_response_header(r, "Allow", "GET, HEAD");
  if (status == MHD_HTTP_SERVICE_UNAVAILABLE) MHD_add_response_header(r, "Retry-After", "5");
  return send_response(c, status, r, "text/plain; charset=utf-8");
}

static enum MHD_Result send_answer(rt_request *q) {
  if (q->body.failed)
    return refuse(q->connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "not enough memory");
  struct MHD_Response *r =
      MHD_create_response_from_buffer(q->body.size, q->body.data, MHD_RESPMEM_MUST_FREE);
  if (!r) return MHD_NO;
  q->body = (rt_buf){0};
  MHD_add_response_header(r, "Cache-Control", "no-store");
  return send_response(q->connection, q->status, r, q->type);
}

static enum MHD_Result send_file(struct MHD_Connection *c, const rt_page_file *file) {
  const char *known = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "If-None-Match");
  bool same = known && strcmp(known, file->tag) == 0;
  struct MHD_Response *r = MHD_create_response_from_buffer(
      same ? 0 : file->size, (void *)(uintptr_t)file->text, MHD_RESPMEM_PERSISTENT);
  if (!r) return MHD_NO;
  MHD_add_response_header(r, "ETag", file->tag);
  MHD_add_response_header(r, "Cache-Control", "no-cache");
  return send_response(c, same ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK, r, file->type);
}

/* Keeps the token in a cookie and goes to the same page without it in the address. */
static enum MHD_Result show_in(const rt_view *v, struct MHD_Connection *c) {
  char cookie[128];
  snprintf(cookie, sizeof cookie, "%s=%s; Path=/; HttpOnly; SameSite=Strict", v->guard.cookie,
           v->guard.token);
  struct MHD_Response *r = MHD_create_response_from_buffer(0, "", MHD_RESPMEM_PERSISTENT);
  if (!r) return MHD_NO;
  MHD_add_response_header(r, "Set-Cookie", cookie);
  MHD_add_response_header(r, "Location", "/");
  MHD_add_response_header(r, "Cache-Control", "no-store");
  return send_response(c, MHD_HTTP_SEE_OTHER, r, NULL);
}

static rt_client *client_of(struct MHD_Connection *c) {
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info ? info->socket_context : NULL;
}

static enum MHD_Result send_stream(rt_view *v, struct MHD_Connection *c) {
  const char *last = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Last-Event-ID");
  if (!last) last = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "last");
  struct MHD_Response *r = rt_hub_stream(&v->hub, c, client_of(c), last);
  if (!r)
    return refuse(c, MHD_HTTP_SERVICE_UNAVAILABLE,
                  errno == EBUSY ? "too many streams are open" : "not enough memory");
  MHD_add_response_header(r, "Cache-Control", "no-store");
  return send_response(c, MHD_HTTP_OK, r, "text/event-stream");
}

/* ---- requests ---- */

static enum MHD_Result answer(rt_view *v, rt_request *q, const char *path) {
  struct MHD_Connection *c = q->connection;
  if (!v->journal) {
    if (strcmp(path, "/metrics") != 0)
      return refuse(c, MHD_HTTP_NOT_FOUND, "there is no such path, only /metrics");
    rt_api_live(q, &v->live);
    return send_answer(q);
  }
  q->source = &v->source;
  q->models = &v->models;
  q->metrics = &v->metrics;
  for (const rt_page_file *file = rt_page_files; file->path; file++)
    if (strcmp(path, file->path) == 0) return send_file(c, file);
  if (strcmp(path, "/api/stream") == 0) return send_stream(v, c);
  if (strcmp(path, "/metrics") == 0) rt_api_metrics(q);
  else if (strncmp(path, "/api/", 5) == 0) rt_api(q, path + 5);
  else return refuse(c, MHD_HTTP_NOT_FOUND, "there is no such path");
  return send_answer(q);
}

static bool has_body(struct MHD_Connection *c) {
  const char *length = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Length");
  return (length && strcmp(length, "0") != 0) ||
         MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Transfer-Encoding");
}

static enum MHD_Result handle(void *data, struct MHD_Connection *c, const char *path,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **state) {
  rt_view *v = data;
  rt_request *q = *state;
  const char *why;
  (void)version;
  (void)upload;
  if (!q) return MHD_NO;  // no memory when it began
  q->connection = c;
  if (!q->seen) {
    q->seen = true;
    rt_hub_busy(&v->hub, client_of(c), true);
    if (q->problem) return refuse(c, MHD_HTTP_BAD_REQUEST, q->problem);
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
      return refuse(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET is answered");
    if (has_body(c)) return refuse(c, MHD_HTTP_CONTENT_TOO_LARGE, "no body is wanted");
    unsigned status = rt_guard_check(&v->guard, c, strcmp(path, "/") == 0, &why);
    if (status) return refuse(c, status, why);
    return MHD_YES;
  }
  if (*upload_size) {
    *upload_size = 0;
    return MHD_YES;
  }
  switch (rt_guard_admit(&v->guard, c)) {
    case RT_SHOWN_IN: return show_in(v, c);
    case RT_STRANGER:
      return refuse(c, MHD_HTTP_FORBIDDEN,
                    "this needs the token: open the address that 'railtracks view' printed");
    case RT_ADMITTED: break;
  }
  return answer(v, q, path);
}

/* A request's first line is there. */
static void *begin_request(void *data, const char *address, struct MHD_Connection *c) {
  rt_request *q = calloc(1, sizeof *q);
  (void)data;
  (void)c;
  if (!q) return NULL;
  if (*address != '/') q->problem = "expected a path, not a whole address";
  else if (strlen(address) > ADDRESS_MOST) q->problem = "the address is too long";
  else if (strstr(address, "%00")) q->problem = "no zero byte may be in an address";
  return q;
}

static void end_request(void *data, struct MHD_Connection *c, void **state,
                        enum MHD_RequestTerminationCode why) {
  rt_view *v = data;
  rt_request *q = *state;
  (void)why;
  rt_hub_busy(&v->hub, client_of(c), false);
  if (q) rt_buf_free(&q->body);
  free(q);
  *state = NULL;
}

static void come_or_go(void *data, struct MHD_Connection *c, void **context,
                       enum MHD_ConnectionNotificationCode what) {
  rt_view *v = data;
  if (what == MHD_CONNECTION_NOTIFY_STARTED) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    *context = info ? rt_hub_join(&v->hub, info->connect_fd) : NULL;
  } else {
    rt_hub_leave(&v->hub, *context);
    *context = NULL;
  }
}

static void say_nothing(void *data, const char *format, va_list args) {
  (void)data;
  (void)format;
  (void)args;
}

/* ---- open and close ---- */

/* A socket that listens at the address; -1 with 'errno'. */
static int listen_at(const struct addrinfo *at) {
  int on = 1, fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, 128) == 0) return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

static int port_of(int fd) {
  struct sockaddr_storage address;
  socklen_t size = sizeof address;
  char port[8] = "0";
  getsockname(fd, (struct sockaddr *)&address, &size);
  getnameinfo((struct sockaddr *)&address, size, NULL, 0, port, sizeof port, NI_NUMERICSERV);
  return atoi(port);
}

static char *complain(const char *what, const char *host, int port, const char *why) {
  rt_buf text = {0};
  rt_buf_printf(&text, "cannot %s %s port %d: %s", what, host, port, why);
  if (text.failed) rt_buf_free(&text);
  return text.data;
}

/* Listens at the host and port, or one of the next ports; -1 with '*error'. */
static int find_port(const rt_view_options *o, char **error) {
  const char *host = o->host ? o->host : "127.0.0.1";
  int first = o->port < 0 ? PORT : o->port, last = o->port < 0 ? PORT + PORTS : o->port;
  for (int port = first;; port++) {
    struct addrinfo *found, hints = {.ai_socktype = SOCK_STREAM,
                                     .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    int problem = getaddrinfo(host, service, &hints, &found);
    if (problem) {
      *error = complain("listen at", host, port, gai_strerror(problem));
      return -1;
    }
    int fd = listen_at(found);
    freeaddrinfo(found);
    if (fd >= 0) return fd;
    if (errno != EADDRINUSE || port == last) {
      *error = complain("listen at", host, port, strerror(errno));
      return -1;
    }
  }
}

static char *address_of(const rt_view *v, int port) {
  rt_buf text = {0};
  const char *host = v->host ? v->host : "127.0.0.1";
  bool any = strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
  if (any) host = v->guard.machine;
  rt_buf_printf(&text, strchr(host, ':') ? "http://[%s]:%d/" : "http://%s:%d/", host, port);
  if (*v->guard.token) rt_buf_printf(&text, "?token=%s", v->guard.token);
  if (text.failed) rt_buf_free(&text);
  return text.data;
}

static struct MHD_Daemon *start(rt_view *v, int fd) {
  return MHD_start_daemon(
      MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
      handle, v, MHD_OPTION_EXTERNAL_LOGGER, say_nothing, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
      MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
      (size_t)CONNECTION_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
      MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK, begin_request, v,
      MHD_OPTION_NOTIFY_COMPLETED, end_request, v, MHD_OPTION_NOTIFY_CONNECTION, come_or_go, v,
      MHD_OPTION_END);
}

int rt_view_open(rt_view **out, const rt_view_options *o, char **error) {
  *out = NULL;
  *error = NULL;
  rt_view *v = calloc(1, sizeof *v);
  if (!v) return -1;
  int fd = -1, failed = 0;
  bool hub = false;
  v->live = o->live;
  v->journal = o->journal ? strdup(o->journal) : NULL;
  v->host = o->host ? strdup(o->host) : NULL;
  if ((o->journal && !v->journal) || (o->host && !v->host)) goto fail;
  rt_source_open(&v->source, v->journal);
  if (v->journal && rt_source_ready(&v->source) < 0) {
    *error = strdup(rt_source_error(&v->source));
    goto fail;
  }
  if ((fd = find_port(o, error)) < 0) goto fail;
  int port = port_of(fd);
  if (!rt_guard_open(&v->guard, v->host, port)) goto fail;
  if (!(v->address = address_of(v, port))) goto fail;
  failed = rt_hub_open(&v->hub, v->journal);
  hub = true;
  if (!failed && !(v->daemon = start(v, fd))) failed = errno ? errno : EAGAIN;
  if (failed) {
    *error = complain("answer at", v->host ? v->host : "127.0.0.1", port, strerror(failed));
    goto fail;
  }
  *out = v;
  return 0;

fail:
  if (hub) {
    rt_hub_stop(&v->hub);
    rt_hub_close(&v->hub);
  }
  if (fd >= 0) close(fd);
  rt_source_close(&v->source);
  free(v->journal);
  free(v->host);
  free(v->address);
  free(v);
  return -1;
}

const char *rt_view_address(const rt_view *v) { return v->address; }

void rt_view_close(rt_view *v) {
  if (!v) return;
  rt_hub_stop(&v->hub);
  MHD_stop_daemon(v->daemon);
  rt_hub_close(&v->hub);
  rt_models_close(&v->models);
  rt_metrics_close(&v->metrics);
  rt_source_close(&v->source);
  free(v->journal);
  free(v->host);
  free(v->address);
  free(v);
}
