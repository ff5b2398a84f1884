#include "patience.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { LOOKS = 4 };  // at a transfer, before nothing has come for too long

struct rt_patience {
  uv_timer_t timer;
  rt_transfer *transfer;
  uint64_t deadline;      // of the whole; 0: none
  uint64_t pace;          // milliseconds between two looks; 0: none are taken
  curl_off_t moved;       // bytes of both directions, at the last look
  int still;              // looks in which that was the same
};

static uint64_t milliseconds(double seconds) {
  return seconds > 1e9 ? (uint64_t)1e12 : (uint64_t)ceil(seconds * 1000);
}

/* Bytes that went either way; -1 while it waits for something else than the other side. */
static curl_off_t count_moved(const rt_transfer *t) {
  const rt_curl *curl = &t->http->curl;
  curl_off_t sent = 0, received = 0, begun = 0;
  long head = 0;
  curl->easy_getinfo(t->easy, CURLINFO_PRETRANSFER_TIME_T, &begun);
  if (!begun || t->paused || t->idle) return -1;
  curl->easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
  curl->easy_getinfo(t->easy, CURLINFO_SIZE_DOWNLOAD_T, &received);
  curl->easy_getinfo(t->easy, CURLINFO_HEADER_SIZE, &head);
  return sent + received + head;
}

static void look(uv_timer_t *timer);

static void go_on(rt_patience *p, uint64_t now) {
  uint64_t left = p->deadline > now ? p->deadline - now : 0;
  if (!p->deadline || (p->pace && p->pace < left)) left = p->pace;
  uv_timer_start(&p->timer, look, left, 0);
}

static void look(uv_timer_t *timer) {
  rt_patience *p = timer->data;
  rt_transfer *t = p->transfer;
  char text[120];
  uint64_t now = uv_now(timer->loop);
  if (p->deadline && now >= p->deadline) {
    snprintf(text, sizeof text, "not done after %g seconds, with %lld bytes received",
             t->request.timeout, (long long)t->received);
    rt_transfer_give_up(t, "timeout", text);
    return;
  }
  curl_off_t moved = p->pace ? count_moved(t) : -1;
  p->still = moved >= 0 && moved == p->moved ? p->still + 1 : 0;
  p->moved = moved;
  if (p->still < LOOKS) {
    go_on(p, now);
    return;
  }
  snprintf(text, sizeof text, "nothing came for %g seconds", t->request.idle_timeout);
  rt_transfer_give_up(t, "timeout", text);
}

bool rt_patience_begin(rt_transfer *t) {
  const rt_request *r = &t->request;
  if (r->timeout <= 0 && r->idle_timeout <= 0) return true;
  rt_patience *p = calloc(1, sizeof *p);
  if (!p) return false;
  uv_timer_init(t->http->loop, &p->timer);
  uv_update_time(t->http->loop);
  uint64_t now = uv_now(t->http->loop);
  p->timer.data = p;
  p->transfer = t;
  p->moved = -1;
  if (r->timeout > 0) p->deadline = now + milliseconds(r->timeout);
  if (r->idle_timeout > 0) p->pace = milliseconds(r->idle_timeout / LOOKS);
  t->patience = p;
  go_on(p, now);
  return true;
}

static void free_patience(uv_handle_t *timer) { free(timer->data); }

void rt_patience_end(rt_transfer *t) {
  if (t->patience) uv_close((uv_handle_t *)&t->patience->timer, free_patience);
  t->patience = NULL;
}
