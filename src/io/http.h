/* http.h -- the client of one engine: libcurl's multi interface on the engine's loop.
 *
 * libcurl says which sockets it wants watched and when it wants to be called again; this
 * passes the events on and gathers the transfers that have ended. Connections are kept and
 * shared by all transfers of the client. One client for each loop, made at its first
 * request; nothing is shared between clients.
 */
#ifndef RT_HTTP_H
#define RT_HTTP_H

#include <signal.h>
#include <uv.h>

#include "curl.h"

typedef struct rt_transfer rt_transfer;
typedef struct rt_socket rt_socket;
typedef struct rt_patience rt_patience;

enum {
  RT_HTTP_SPARE = 64,        /* transfers, and easy handles, kept for the next ones */
  RT_HTTP_PER_HOST = 32,     /* connections to one host at a time, unless told otherwise */
};

typedef struct rt_http {
  rt_curl curl;
  CURLM *multi;
  uv_loop_t *loop;
  uv_timer_t *timer;         /* when libcurl wants to be called */
  uv_async_t *keeper;        /* keeps the loop alive while transfers are under way */
  rt_socket **sockets;       /* by descriptor */
  int socket_room;
  rt_transfer *transfers;    /* all that are not closed */
  size_t active;             /* of them under way */
  rt_transfer *idle;         /* closed, to be used again */
  int idles;
  CURL *spare[RT_HTTP_SPARE];
  int spares;
  struct curl_slist *usual;  /* the headers of a request of which nothing was said */
  bool direct;               /* the environment knows of no proxy */
  bool tls;                  /* there may be connections that OpenSSL writes to */
} rt_http;

/* Makes the client of a loop, which tells servers that it is 'agent'. NULL, and appends why,
 * when that cannot be. */
rt_http *rt_http_open(uv_loop_t *loop, const char *agent, rt_buf *why);

/* Stops all transfers (which stay for their owners to close) and closes all connections.
 * The loop is to be run once more for its handles. */
void rt_http_close(rt_http *http);

/* Not more than that many connections to one host at a time. */
void rt_http_limit(rt_http *http, long per_host);

/* How many handles it has on the loop while nothing is under way. */
size_t rt_http_idle_handles(const rt_http *http);

/* An easy handle with nothing set but where its sockets come from; NULL when out of memory. */
CURL *rt_http_take_easy(rt_http *http);
void rt_http_give_easy(rt_http *http, CURL *easy);

/* One more transfer is under way, or one less. */
void rt_http_expect(rt_http *http, int difference);

/* Around everything that may make OpenSSL write to a socket: a connection that the other side
 * has closed is no reason for a signal. libcurl itself asks for none. */
typedef struct rt_quiet {
  sigset_t before;
  bool blocked;
} rt_quiet;
void rt_quiet_begin(rt_quiet *q, bool needed);
void rt_quiet_end(rt_quiet *q);

#endif
