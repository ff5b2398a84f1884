#include "hub.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

enum {
  LOOK_MS = 100,       // between looks at the journal while somebody listens
  TURN_MS = 1000,      // between rounds through the connections
  REQUEST_SECONDS = 30,  // for a request, from the end of the one before to its answer's
  BEAT_SECONDS = 15,   // between signs of life on a stream
  STREAMS_MOST = 24,   // of the connections the server has
  BLOCK = 256,
};

struct rt_client {
  rt_client *next;
  int fd;
  time_t since;       // when its request began
  bool busy;          // its request is being answered
  bool streams;       // may take its time
};

struct rt_stream {
  rt_stream *next;
  rt_hub *hub;
  struct MHD_Connection *connection;
  rt_client *client;
  uint64_t told;
  time_t beat;        // when it last said something
  bool fresh, suspended, gone;
};

static time_t seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec;
}

/* ---- clients ---- */

rt_client *rt_hub_join(rt_hub *h, int fd) {
  rt_client *c = calloc(1, sizeof *c);
  if (!c) return NULL;
  c->fd = fd;
  c->since = seconds();
  pthread_mutex_lock(&h->lock);
  c->next = h->clients;
  h->clients = c;
  pthread_mutex_unlock(&h->lock);
  return c;
}

void rt_hub_leave(rt_hub *h, rt_client *c) {
  if (!c) return;
  pthread_mutex_lock(&h->lock);
  rt_client **at = &h->clients;
  while (*at != c) at = &(*at)->next;
  *at = c->next;
  pthread_mutex_unlock(&h->lock);
  free(c);
}

void rt_hub_busy(rt_hub *h, rt_client *c, bool busy) {
  if (!c) return;
  pthread_mutex_lock(&h->lock);
  c->busy = busy;
  if (!busy) {
    c->since = seconds();
    c->streams = false;
  }
  pthread_mutex_unlock(&h->lock);
}

/* ---- streams ---- */

/* The server's thread asks for more. */
static ssize_t read_stream(void *data, uint64_t at, char *out, size_t room) {
  rt_stream *s = data;
  rt_hub *h = s->hub;
  ssize_t size = 0;
  (void)at;
  pthread_mutex_lock(&h->lock);
  if (h->stopping || s->gone) {
    size = MHD_CONTENT_READER_END_OF_STREAM;
  } else if (s->told != h->news) {
    s->told = h->news;
    size = snprintf(out, room, "id: %x-%llx\nevent: change\ndata: %llu\n\n", h->epoch,
                    (unsigned long long)s->told, (unsigned long long)s->told);
    s->beat = seconds();
  } else if (s->fresh || seconds() - s->beat >= BEAT_SECONDS) {
    size = snprintf(out, room, "event: beat\ndata:\n\n");
    s->beat = seconds();
  } else {
    s->suspended = true;
    MHD_suspend_connection(s->connection);
  }
  s->fresh = false;
  if (size > 0 && (size_t)size > room) size = MHD_CONTENT_READER_END_WITH_ERROR;
  pthread_mutex_unlock(&h->lock);
  return size;
}

static void free_stream(void *data) {
  rt_stream *s = data;
  rt_hub *h = s->hub;
  pthread_mutex_lock(&h->lock);
  rt_stream **at = &h->streams;
  while (*at != s) at = &(*at)->next;
  *at = s->next;
  h->streaming--;
  pthread_mutex_unlock(&h->lock);
  free(s);
}

struct MHD_Response *rt_hub_stream(rt_hub *h, struct MHD_Connection *connection,
                                   rt_client *client, const char *last) {
  unsigned epoch;
  unsigned long long told;
  if (!client) return errno = ENOMEM, NULL;
  rt_stream *s = calloc(1, sizeof *s);
  if (!s) return errno = ENOMEM, NULL;
  s->hub = h;
  s->connection = connection;
  s->client = client;
  s->beat = seconds();
  s->fresh = true;
  pthread_mutex_lock(&h->lock);
  bool full = h->streaming >= STREAMS_MOST;
  if (!full) {
    bool knows = last && sscanf(last, "%x-%llx", &epoch, &told) == 2 && epoch == h->epoch;
    s->told = knows ? told : 0;  // the first change has number 1
    s->next = h->streams;
    h->streams = s;
    h->streaming++;
    client->streams = true;
    pthread_cond_signal(&h->changed);
  }
  pthread_mutex_unlock(&h->lock);
  if (full) return free(s), errno = EBUSY, NULL;
  struct MHD_Response *r =
      MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_stream, s, free_stream);
  if (!r) {
    free_stream(s);
    errno = ENOMEM;
  }
  return r;
}

static void wake(rt_stream *s) {
  if (!s->suspended) return;
  s->suspended = false;
  MHD_resume_connection(s->connection);
}

/* ---- the thread ---- */

/* Something that changes with the journal: its version, and how many writers live. */
static bool look(rt_hub *h, int64_t *version, int64_t *living, bool count) {
  rt_source *s = &h->source;
  int ready = rt_source_ready(s);
  int64_t now = ready > 0 ? rt_source_version(s) : 0, alive = *living;
  if (now >= 0) now = now << 20 | (s->opened & 0xfffff);
  if (ready > 0 && count) {
    sqlite3_stmt *stmt = rt_source_statement(s, RT_SQL_LIVE);
    alive = 0;
    while (stmt && rt_source_step(s, stmt) == SQLITE_ROW)
      alive += rt_process_alive((const char *)sqlite3_column_text(stmt, 0),
                                sqlite3_column_int64(stmt, 1),
                                (const char *)sqlite3_column_text(stmt, 2));
  }
  rt_source_pause(s);
  bool news = now != *version || alive != *living;
  *version = now;
  *living = alive;
  return news;
}

static bool has_ended(const rt_client *c) {
  struct pollfd end = {.fd = c->fd, .events = POLLRDHUP};
  return poll(&end, 1, 0) > 0;
}

/* Ends what takes too long, and what nobody is left at the other end of: libmicrohttpd does
 * not notice an end that comes together with half a request. */
static void look_after(rt_hub *h) {
  time_t now = seconds();
  for (rt_client *c = h->clients; c; c = c->next)
    if (!c->streams && (now - c->since > REQUEST_SECONDS || (!c->busy && has_ended(c))))
      shutdown(c->fd, SHUT_RDWR);
  for (rt_stream *s = h->streams; s; s = s->next) {
    if (has_ended(s->client)) s->gone = true;
    if (s->gone || now - s->beat >= BEAT_SECONDS) wake(s);
  }
}

static void *work(void *data) {
  rt_hub *h = data;
  int64_t version = 0, living = 0;
  unsigned turn = 0;
  pthread_mutex_lock(&h->lock);
  while (!h->stopping) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    long ms = h->streams ? LOOK_MS : TURN_MS;
    until.tv_nsec += ms * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    bool listened = h->streams;
    while (!h->stopping && listened == !!h->streams &&
           pthread_cond_timedwait(&h->changed, &h->lock, &until) == 0) {}
    if (h->stopping) break;
    turn += (unsigned)ms;
    if (h->streams) {
      pthread_mutex_unlock(&h->lock);
      bool news = look(h, &version, &living, turn >= TURN_MS);
      pthread_mutex_lock(&h->lock);
      if (news) h->news++;
      for (rt_stream *s = h->streams; s; s = s->next)
        if (s->told != h->news) wake(s);
    }
    if (turn >= TURN_MS) {
      turn = 0;
      look_after(h);
    }
  }
  pthread_mutex_unlock(&h->lock);
  return NULL;
}

int rt_hub_open(rt_hub *h, const char *path) {
  pthread_condattr_t clock;
  *h = (rt_hub){.epoch = (uint32_t)time(NULL)};
  rt_source_open(&h->source, path);
  pthread_mutex_init(&h->lock, NULL);
  pthread_condattr_init(&clock);
  pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
  pthread_cond_init(&h->changed, &clock);
  pthread_condattr_destroy(&clock);
  int error = pthread_create(&h->thread, NULL, work, h);
  if (error) h->stopping = true;
  return error;
}

void rt_hub_stop(rt_hub *h) {
  pthread_mutex_lock(&h->lock);
  bool started = !h->stopping;
  h->stopping = true;
  pthread_cond_signal(&h->changed);
  pthread_mutex_unlock(&h->lock);
  if (started) pthread_join(h->thread, NULL);
  pthread_mutex_lock(&h->lock);
  for (rt_stream *s = h->streams; s; s = s->next) wake(s);
  pthread_mutex_unlock(&h->lock);
}

void rt_hub_close(rt_hub *h) {
  rt_source_close(&h->source);
  pthread_cond_destroy(&h->changed);
  pthread_mutex_destroy(&h->lock);
}
