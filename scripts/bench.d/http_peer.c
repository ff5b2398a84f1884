/* http_peer.c -- what plain C with libcurl takes.
 *
 *   http_peer get URL COUNT     that many GETs, 64 at once: multi_socket on libuv
 *   http_peer stream URL        one body, whose bytes are counted; prints "mb_per_s N"
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { AT_ONCE = 64, ROOM = 4096 };

typedef struct watch {
  uv_poll_t poll;
  curl_socket_t socket;
} watch;

typedef struct request {
  size_t size;
  char body[ROOM];
} request;

static CURLM *multi;
static uv_timer_t timer;
static const char *url;
static long left;
static request requests[AT_ONCE];

static void give_up(const char *why) {
  fprintf(stderr, "http_peer: %s\n", why);
  exit(1);
}

static size_t keep(char *bytes, size_t one, size_t size, void *data) {
  request *r = data;
  (void)one;
  if (r->size + size > ROOM) return CURL_WRITEFUNC_ERROR;
  memcpy(r->body + r->size, bytes, size);
  r->size += size;
  return size;
}

static CURL *make(curl_write_callback take, void *data) {
  CURL *easy = curl_easy_init();
  curl_easy_setopt(easy, CURLOPT_URL, url);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, data);
  curl_easy_setopt(easy, CURLOPT_PRIVATE, data);
  return easy;
}

static void begin(CURL *easy, request *r) {
  if (left == 0) return;
  left--;
  r->size = 0;
  curl_multi_add_handle(multi, easy);
}

static void act(curl_socket_t socket, int events) {
  int number;
  curl_multi_socket_action(multi, socket, events, &number);
  for (CURLMsg *m; (m = curl_multi_info_read(multi, &number));) {
    CURL *easy = m->easy_handle;
    long status = 0;
    request *r;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &r);
    if (m->data.result != CURLE_OK) give_up(curl_easy_strerror(m->data.result));
    if (status != 200 || r->size != 1024) give_up("another response");
    curl_multi_remove_handle(multi, easy);
    begin(easy, r);
  }
}

static void polled(uv_poll_t *poll, int status, int events) {
  act(((watch *)poll)->socket, (status < 0 ? CURL_CSELECT_ERR : 0) |
                                   (events & UV_READABLE ? CURL_CSELECT_IN : 0) |
                                   (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0));
}

static void timed_out(uv_timer_t *t) {
  (void)t;
  act(CURL_SOCKET_TIMEOUT, 0);
}

static int set_timer(CURLM *m, long ms, void *data) {
  (void)m, (void)data;
  if (ms < 0) return uv_timer_stop(&timer);
  return uv_timer_start(&timer, timed_out, (uint64_t)ms, 0);
}

static int watch_socket(CURL *easy, curl_socket_t socket, int what, void *data, void *known) {
  watch *w = known;
  (void)easy, (void)data;
  if (what == CURL_POLL_REMOVE) {
    if (!w) return 0;
    uv_close((uv_handle_t *)&w->poll, (uv_close_cb)free);
    curl_multi_assign(multi, socket, NULL);
    return 0;
  }
  if (!w) {
    w = malloc(sizeof *w);
    uv_poll_init_socket(uv_default_loop(), &w->poll, socket);
    w->socket = socket;
    curl_multi_assign(multi, socket, w);
  }
  uv_poll_start(&w->poll, (what != CURL_POLL_OUT ? UV_READABLE : 0) |
                              (what != CURL_POLL_IN ? UV_WRITABLE : 0), polled);
  return 0;
}

static void get(void) {
  uv_timer_init(uv_default_loop(), &timer);
  multi = curl_multi_init();
  curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
  curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)AT_ONCE);
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)AT_ONCE);
  for (int i = 0; i < AT_ONCE; i++) begin(make(keep, &requests[i]), &requests[i]);
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  if (left) give_up("some were not asked for");
}

static size_t count(char *bytes, size_t one, size_t size, void *data) {
  (void)bytes, (void)one;
  *(double *)data += (double)size;
  return size;
}

static void stream(void) {
  double bytes = 0;
  CURL *easy = make(count, &bytes);
  uint64_t began = uv_hrtime();
  CURLcode result = curl_easy_perform(easy);
  if (result != CURLE_OK) give_up(curl_easy_strerror(result));
  printf("bytes %.0f\nmb_per_s %.3f\n", bytes, bytes * 1e3 / (double)(uv_hrtime() - began));
}

int main(int argc, char **argv) {
  if (argc < 3) give_up("usage: http_peer get URL COUNT, http_peer stream URL");
  curl_global_init(CURL_GLOBAL_DEFAULT);
  url = argv[2];
  left = argc > 3 ? atol(argv[3]) : 0;
  if (strcmp(argv[1], "get") == 0) get();
  else stream();
  return 0;
}
