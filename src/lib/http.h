/* http.h -- transfers by libcurl on the engine's own loop.
 *
 * libcurl is loaded when the first transfer is made: it takes longer to load than all the rest.
 * One multi handle for each engine keeps connections; it tells which sockets it waits for
 * and until when, and is called when that has come. What a transfer has received waits in it
 * for the task that reads; one that reads too slowly makes the other end wait.
 */
#ifndef RT_HTTP_H
#define RT_HTTP_H

#define CURL_DISABLE_TYPECHECK  /* which knows its functions by their own names only */
#include <curl/curl.h>

#include "engine.h"

/* What of libcurl is used. */
#define RT_CURL_FUNCTIONS(F)                                                          \
  F(curl_global_init) F(curl_easy_init) F(curl_easy_setopt) F(curl_easy_getinfo)      \
  F(curl_easy_cleanup) F(curl_easy_reset) F(curl_easy_pause) F(curl_easy_strerror)    \
  F(curl_multi_init) F(curl_multi_setopt) F(curl_multi_add_handle)                    \
  F(curl_multi_remove_handle) F(curl_multi_socket_action) F(curl_multi_assign)        \
  F(curl_multi_info_read) F(curl_multi_cleanup) F(curl_multi_strerror)                \
  F(curl_slist_append) F(curl_slist_free_all) F(curl_easy_send) F(curl_easy_recv)

typedef struct rt_curl {
#define RT_CURL_MEMBER(name) __typeof__(&name) name;
  RT_CURL_FUNCTIONS(RT_CURL_MEMBER)
#undef RT_CURL_MEMBER
} rt_curl;

typedef struct rt_transfer rt_transfer;

typedef struct rt_http {
  rt_engine *engine;
  rt_curl curl;
  CURLM *multi;
  uv_timer_t *timer;
  rt_transfer *live;         /* those that have not been closed */
  CURL *spare[32];           /* handles to use again */
  int spares;
} rt_http;

/* The engine's, opened if it was not. Raises. */
rt_http *rt_http_of(lua_State *L, rt_engine *e);

/* Which authorities are trusted: those of the file 'ca', else what the environment says as it
 * does to the curl program; or nobody is asked for. */
void rt_http_trust(const rt_curl *curl, CURL *easy, const char *ca, bool insecure);

/* Ends all transfers and closes all connections. */
void rt_http_close(rt_engine *e);

/* ---- of one transfer: transfer.c ---- */

/* It is over: 'result' says how. Called by the multi handle's owner; no Lua runs. */
void rt_transfer_done(rt_transfer *t, CURLcode result);

/* The engine closes: it is left as failed. */
void rt_transfer_lose(rt_transfer *t);

#endif
