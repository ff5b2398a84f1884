/* native_peer.c -- what plain C with threads takes: native_peer WORK COUNT [LIST] prints "us N".
 *
 *   pingpong   a thread that waits on a condition variable answers through uv_async_send
 *   spin       COUNT items shared out among as many threads as there are cores
 *   hash       likewise COUNT files, whose paths are the lines of LIST; prints "check N", too
 */
#define XXH_INLINE_ALL
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include <xxhash.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t some = PTHREAD_COND_INITIALIZER;
static uv_async_t answer;
static long asked, count;
static int over;

static void *answering(void *data) {
  (void)data;
  pthread_mutex_lock(&lock);
  while (1) {
    while (!asked && !over) pthread_cond_wait(&some, &lock);
    if (over) break;
    asked--;
    uv_async_send(&answer);
  }
  pthread_mutex_unlock(&lock);
  return NULL;
}

static void ask(void) {
  pthread_mutex_lock(&lock);
  if (count-- > 0) asked++;
  else over = 1;
  pthread_cond_signal(&some);
  pthread_mutex_unlock(&lock);
}

static void answered(uv_async_t *async) {
  if (count > 0) ask();
  else uv_close((uv_handle_t *)async, NULL);
}

static void pingpong(void) {
  pthread_t thread;
  uv_async_init(uv_default_loop(), &answer, answered);
  pthread_create(&thread, NULL, answering, NULL);
  ask();
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  ask();
  pthread_join(thread, NULL);
}

enum { ROUNDS = 10000000 };

static atomic_long next;
static volatile uint64_t sum;

static void *spinning(void *data) {
  (void)data;
  for (long item; (item = atomic_fetch_add(&next, 1)) < count;) {
    uint64_t x = (uint64_t)item + 2;
    for (long i = ROUNDS; i > 0; i--) x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    sum = x;
  }
  return NULL;
}

/* As in examples/plugin/hash.c. */
static void hash_file(const char *path, char *text) {
  XXH3_state_t state;
  char block[1 << 16];
  size_t size;
  FILE *file = fopen(path, "rb");
  if (!file) exit(1);
  XXH3_128bits_reset(&state);
  while ((size = fread(block, 1, sizeof block, file)) > 0)
    XXH3_128bits_update(&state, block, size);
  fclose(file);
  XXH128_hash_t hash = XXH3_128bits_digest(&state);
  snprintf(text, 33, "%016llx%016llx", (unsigned long long)hash.high64,
           (unsigned long long)hash.low64);
}

static char **paths, (*sums)[33];

static void *hashing(void *data) {
  (void)data;
  for (long item; (item = atomic_fetch_add(&next, 1)) < count;)
    hash_file(paths[item], sums[item]);
  return NULL;
}

static void read_list(const char *name) {
  FILE *list = fopen(name, "r");
  paths = malloc((size_t)count * sizeof *paths);
  sums = malloc((size_t)count * sizeof *sums);
  if (!list || !paths || !sums) exit(1);
  for (long i = 0; i < count; i++) {
    size_t room = 0;
    paths[i] = NULL;
    if (getline(&paths[i], &room, list) < 0) exit(1);
    paths[i][strcspn(paths[i], "\n")] = '\0';
  }
  fclose(list);
}

/* The last digits of all sums, added up. */
static unsigned long check_of_sums(void) {
  unsigned long check = 0;
  for (long i = 0; i < count; i++) check += strtoul(sums[i] + 24, NULL, 16);
  return check;
}

static void share_out(void *work(void *)) {
  pthread_t threads[256];
  unsigned most = uv_available_parallelism();
  if (most > 256) most = 256;
  for (unsigned i = 0; i < most; i++) pthread_create(&threads[i], NULL, work, NULL);
  for (unsigned i = 0; i < most; i++) pthread_join(threads[i], NULL);
}

int main(int argc, char **argv) {
  long all = argc > 2 ? atol(argv[2]) : 0;
  count = all;
  if (all <= 0) return 2;
  bool files = strcmp(argv[1], "hash") == 0 && argc > 3;
  if (files) read_list(argv[3]);
  uint64_t began = uv_hrtime();
  if (strcmp(argv[1], "pingpong") == 0) pingpong();
  else share_out(files ? hashing : spinning);
  printf("us %f\n", (double)(uv_hrtime() - began) / 1e3 / (double)all);
  if (files) printf("check %lu\n", check_of_sums());
  return 0;
}
