/* http_peer.c -- what plain libcurl takes: http_peer get URL COUNT | http_peer stream URL.
 *
 * Prints "ms N", "cpu_ms N" (of this process, user and system) and "mb N" (its largest size).
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { AT_ONCE = 64 };

static size_t total;

typedef struct body {
  char *bytes;
  size_t size;
} body;

static size_t keep(char *bytes, size_t one, size_t size, void *data) {
  body *b = data;
  (void)one;
  b->bytes = realloc(b->bytes, b->size + size);
  memcpy(b->bytes + b->size, bytes, size);
  b->size += size;
  return size;
}

static size_t count(char *bytes, size_t one, size_t size, void *data) {
  (void)bytes, (void)one, (void)data;
  total += size;
  return size;
}

static CURL *request(const char *url) {
  CURL *easy = curl_easy_init();
  body *b = calloc(1, sizeof *b);
  curl_easy_setopt(easy, CURLOPT_URL, url);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, keep);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, b);
  curl_easy_setopt(easy, CURLOPT_PRIVATE, b);
  return easy;
}

static void get(const char *url, long wanted) {
  CURLM *multi = curl_multi_init();
  long started = 0, ended = 0;
  int running, left;
  curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)AT_ONCE);
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, 256L);
  while (started < AT_ONCE && started < wanted)
    curl_multi_add_handle(multi, request(url)), started++;
  while (ended < wanted) {
    curl_multi_perform(multi, &running);
    for (CURLMsg *m; (m = curl_multi_info_read(multi, &left));) {
      CURL *easy = m->easy_handle;
      body *b;
      if (m->data.result != CURLE_OK) exit(1);
      curl_easy_getinfo(easy, CURLINFO_PRIVATE, &b);
      total += b->size;
      free(b->bytes);
      free(b);
      curl_multi_remove_handle(multi, easy);
      curl_easy_cleanup(easy);
      ended++;
      if (started < wanted) curl_multi_add_handle(multi, request(url)), started++;
    }
    if (ended < wanted) curl_multi_poll(multi, NULL, 0, 1000, NULL);
  }
  curl_multi_cleanup(multi);
}

static void stream(const char *url) {
  CURL *easy = curl_easy_init();
  curl_easy_setopt(easy, CURLOPT_URL, url);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, count);
  if (curl_easy_perform(easy) != CURLE_OK) exit(1);
  curl_easy_cleanup(easy);
}

static double ms(struct timeval t) { return (double)t.tv_sec * 1e3 + (double)t.tv_usec / 1e3; }

int main(int argc, char **argv) {
  struct timespec from, to;
  if (argc < 3) return 2;
  curl_global_init(CURL_GLOBAL_DEFAULT);
  clock_gettime(CLOCK_MONOTONIC, &from);
  if (strcmp(argv[1], "get") == 0 && argc > 3) get(argv[2], atol(argv[3]));
  else stream(argv[2]);
  clock_gettime(CLOCK_MONOTONIC, &to);
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  printf("ms %.3f\ncpu_ms %.3f\nmb %.1f\nbytes %zu\n",
         (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6,
         ms(used.ru_utime) + ms(used.ru_stime), (double)used.ru_maxrss / 1024, total);
  return 0;
}
