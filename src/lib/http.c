/* http.c -- one multi handle of libcurl for each engine, and how it meets the loop. */
#include "http.h"

#include <dlfcn.h>
#include <lauxlib.h>
#include <signal.h>
#include <stdlib.h>

#include "lib.h"

enum { CONNECTIONS = 256, PER_HOST = 32 };  // kept open; at once to one host

/* A socket that libcurl wants to be told of. Freed when its handle is closed. */
typedef struct watch {
  uv_poll_t poll;
  rt_http *http;
  curl_socket_t socket;
} watch;

static void free_handle(uv_handle_t *handle) { free(handle); }

/* Tells libcurl, then those whose transfers have ended. */
static void act(rt_http *h, curl_socket_t socket, int events) {
  const rt_curl *curl = &h->curl;
  int running, left;
  curl->curl_multi_socket_action(h->multi, socket, events, &running);
  for (CURLMsg *m; (m = curl->curl_multi_info_read(h->multi, &left));) {
    if (m->msg != CURLMSG_DONE) continue;
    rt_transfer *t;
    CURL *easy = m->easy_handle;
    CURLcode result = m->data.result;  // gone with the handle
    curl->curl_easy_getinfo(easy, CURLINFO_PRIVATE, &t);
    curl->curl_multi_remove_handle(h->multi, easy);
    rt_transfer_done(t, result);
  }
}

static void polled(uv_poll_t *poll, int status, int events) {
  const watch *w = (const watch *)poll;
  int flags = 0;
  if (status < 0) flags |= CURL_CSELECT_ERR;
  if (events & UV_READABLE) flags |= CURL_CSELECT_IN;
  if (events & UV_WRITABLE) flags |= CURL_CSELECT_OUT;
  act(w->http, w->socket, flags);  // may close the handle: it is not touched after that
}

static int watch_socket(CURL *easy, curl_socket_t socket, int what, void *data, void *known) {
  rt_http *h = data;
  watch *w = known;
  (void)easy;
  if (what == CURL_POLL_REMOVE) {
    if (!w) return 0;
    uv_poll_stop(&w->poll);
    uv_close((uv_handle_t *)&w->poll, free_handle);
    h->curl.curl_multi_assign(h->multi, socket, NULL);
    return 0;
  }
  if (!w) {
    w = malloc(sizeof *w);
    if (!w) return -1;
    if (uv_poll_init_socket(&h->engine->scheduler.loop, &w->poll, socket) != 0) {
      free(w);
      return -1;
    }
    w->http = h;
    w->socket = socket;
    h->curl.curl_multi_assign(h->multi, socket, w);
  }
  int events = 0;
  if (what != CURL_POLL_OUT) events |= UV_READABLE;
  if (what != CURL_POLL_IN) events |= UV_WRITABLE;
  return uv_poll_start(&w->poll, events, polled) == 0 ? 0 : -1;
}

static void timed_out(uv_timer_t *timer) { act(timer->data, CURL_SOCKET_TIMEOUT, 0); }

/* Zero is at once, but not from in here. */
static int set_timer(CURLM *multi, long ms, void *data) {
  rt_http *h = data;
  (void)multi;
  if (ms < 0) {
    uv_timer_stop(h->timer);
    return 0;
  }
  uv_update_time(&h->engine->scheduler.loop);
  return uv_timer_start(h->timer, timed_out, (uint64_t)ms, 0) == 0 ? 0 : -1;
}

/* ---- opening and closing ---- */

/* Never closed: its threads may still look up a name. */
static const char *find(rt_curl *curl) {
  void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL), *found;
  if (!library) return dlerror();
#define RT_CURL_FIND(name)                               \
  if (!(found = dlsym(library, #name))) return dlerror(); \
  memcpy(&curl->name, &found, sizeof found);
  RT_CURL_FUNCTIONS(RT_CURL_FIND)
#undef RT_CURL_FIND
  return curl->curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? NULL : "it cannot be used";
}

rt_http *rt_http_of(lua_State *L, rt_engine *e) {
  if (e->http) return e->http;
  rt_http *h = calloc(1, sizeof *h);
  uv_timer_t *timer = malloc(sizeof *timer);
  const char *problem = h && timer ? find(&h->curl) : "not enough memory";
  if (!problem && !(h->multi = h->curl.curl_multi_init())) problem = "not enough memory";
  if (problem) {
    lua_pushstring(L, problem);  // before it is gone
    free(h);
    free(timer);
    rt_error_raise(L, "usage", "rt.http needs libcurl (Debian's libcurl4): %s",
                   lua_tostring(L, -1));
  }
  h->engine = e;
  h->timer = timer;
  uv_timer_init(&e->scheduler.loop, timer);
  timer->data = h;
  // Polls keep the loop alive as long as somebody waits; idle connections have none.
  h->curl.curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
  h->curl.curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
  h->curl.curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, set_timer);
  h->curl.curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
  h->curl.curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS);
  h->curl.curl_multi_setopt(h->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)PER_HOST);
  // A server that has gone is an error of that transfer, as with any libuv.
  struct sigaction pipe;
  if (sigaction(SIGPIPE, NULL, &pipe) == 0 && pipe.sa_handler == SIG_DFL)
    signal(SIGPIPE, SIG_IGN);
  e->close_http = rt_http_close;  // the engine knows nothing of it
  return e->http = h;
}

void rt_http_trust(const rt_curl *curl, CURL *easy, const char *ca, bool insecure) {
  const char *folder = NULL;
  if (!ca) ca = getenv("CURL_CA_BUNDLE");
  if (!ca || !*ca) ca = getenv("SSL_CERT_FILE");
  if (!ca || !*ca) folder = getenv("SSL_CERT_DIR");
  if (ca && *ca) curl->curl_easy_setopt(easy, CURLOPT_CAINFO, ca);
  if (folder && *folder) curl->curl_easy_setopt(easy, CURLOPT_CAPATH, folder);
  if (!insecure) return;
  curl->curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
  curl->curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
}

const void *rt_lib_http_handle(const rt_engine *e) { return e->http ? e->http->timer : NULL; }

void rt_http_close(rt_engine *e) {
  rt_http *h = e->http;
  if (!h) return;
  e->http = NULL;
  while (h->live) rt_transfer_lose(h->live);
  while (h->spares) h->curl.curl_easy_cleanup(h->spare[--h->spares]);
  h->curl.curl_multi_cleanup(h->multi);
  uv_close((uv_handle_t *)h->timer, free_handle);
  free(h);
}
