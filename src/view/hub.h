/* hub.h -- the connections of a server, and the thread that looks after them.
 *
 * It looks at the journal ten times a second, as long as a stream is open, and tells the
 * streams that something has changed; they hold nothing but the number of the last change
 * they told of, so that a slow reader costs no memory. It also ends connections that take
 * their time: each request has to be there, and its answer taken, within a bound.
 */
#ifndef RT_VIEW_HUB_H
#define RT_VIEW_HUB_H

#include <microhttpd.h>
#include <pthread.h>

#include "source.h"

typedef struct rt_client rt_client;
typedef struct rt_stream rt_stream;

typedef struct rt_hub {
  pthread_t thread;
  pthread_mutex_t lock;     /* over all below */
  pthread_cond_t changed;   /* a stream was opened, or it is over */
  bool stopping;
  rt_source source;         /* of the thread */
  uint32_t epoch;           /* of the numbers: not that of a server before */
  uint64_t news;            /* counts changes */
  rt_client *clients;
  rt_stream *streams;
  unsigned streaming;
} rt_hub;

/* Returns 0, or the number of the system's error. */
int rt_hub_open(rt_hub *h, const char *path);

/* Ends the streams and the thread. The server must still be running: it has to let go of the
 * streams. */
void rt_hub_stop(rt_hub *h);

/* Frees what is left, when the server has ended. */
void rt_hub_close(rt_hub *h);

/* A connection comes and goes. */
rt_client *rt_hub_join(rt_hub *h, int fd);
void rt_hub_leave(rt_hub *h, rt_client *c);

/* Its request is there, and is being answered; or that is over, and the next one may come. */
void rt_hub_busy(rt_hub *h, rt_client *c, bool busy);

/* The body of a stream's answer: "event: change" each time the journal has changed, at once
 * unless 'last' ("Last-Event-ID") names the newest change. NULL with 'errno' if there are too
 * many, or no memory. */
struct MHD_Response *rt_hub_stream(rt_hub *h, struct MHD_Connection *connection,
                                   rt_client *client, const char *last);

#endif
