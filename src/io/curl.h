/* curl.h -- libcurl, loaded when the first request is made.
 *
 * A program that talks to nobody does not pay for libcurl, which takes longer to load than
 * Lua and the engine together. So it is not linked: its functions are looked up by name.
 * Once loaded it stays, since threads of its own may still look names up.
 */
#ifndef RT_CURL_H
#define RT_CURL_H

#include <curl/curl.h>
#include <stdbool.h>

#include "buf.h"

#define RT_CURL_FUNCTIONS(X) \
  X(easy_cleanup) X(easy_getinfo) X(easy_init) X(easy_pause) X(easy_recv) X(easy_reset) \
  X(easy_send) X(easy_setopt) X(easy_strerror) X(global_init) X(multi_add_handle) \
  X(multi_cleanup) X(multi_info_read) X(multi_init) X(multi_remove_handle) X(multi_setopt) \
  X(multi_socket_action) X(slist_append) X(slist_free_all) X(version_info)

typedef struct rt_curl {
#define RT_CURL_FIELD(name) __typeof__(curl_##name) *name;
  RT_CURL_FUNCTIONS(RT_CURL_FIELD)
#undef RT_CURL_FIELD
} rt_curl;

/* Finds the functions. False, and appends why, when there is no libcurl, or none that will
 * do. From any thread. */
bool rt_curl_load(rt_curl *curl, rt_buf *why);

#endif
