#include "curl.h"

#include <dlfcn.h>

enum { OLDEST = 0x075800 };  // 7.88: those just before it lose events of sockets

static bool find(void *library, const char *name, void *function, rt_buf *why) {
  void *found = dlsym(library, name);
  memcpy(function, &found, sizeof found);
  if (!found) rt_buf_printf(why, "libcurl has no function %s", name);
  return found != NULL;
}

bool rt_curl_load(rt_curl *curl, rt_buf *why) {
  void *library = dlopen("libcurl.so.4", RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);
  if (!library) {
    rt_buf_printf(why, "libcurl cannot be loaded: %s (Debian has it in the package libcurl4)",
                  dlerror());
    return false;
  }
#define RT_CURL_FIND(name) && find(library, "curl_" #name, &curl->name, why)
  bool whole = true RT_CURL_FUNCTIONS(RT_CURL_FIND);
#undef RT_CURL_FIND
  dlclose(library);
  if (!whole) return false;

  const curl_version_info_data *version = curl->version_info(CURLVERSION_NOW);
  int needed = CURL_VERSION_SSL | CURL_VERSION_ASYNCHDNS | CURL_VERSION_THREADSAFE;
  if (version->version_num < OLDEST || (version->features & needed) != needed) {
    rt_buf_printf(why, "libcurl %s will not do: it must be 7.88 or newer, with TLS, and safe "
                  "for threads", version->version);
    return false;
  }
  // Counted by libcurl itself; what it sets up serves all engines of the process.
  CURLcode status = curl->global_init(CURL_GLOBAL_DEFAULT);
  if (status != CURLE_OK) rt_buf_printf(why, "libcurl: %s", curl->easy_strerror(status));
  return status == CURLE_OK;
}
