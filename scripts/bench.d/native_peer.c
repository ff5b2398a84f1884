/* native_peer.c -- what plain C with threads takes: native_peer WORK COUNT prints "us N".
 *
 *   pingpong   a thread that waits on a condition variable answers through uv_async_send
 *   spin       COUNT items shared out among as many threads as there are cores
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

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

static void spin(void) {
  pthread_t threads[256];
  unsigned most = uv_available_parallelism();
  if (most > 256) most = 256;
  for (unsigned i = 0; i < most; i++) pthread_create(&threads[i], NULL, spinning, NULL);
  for (unsigned i = 0; i < most; i++) pthread_join(threads[i], NULL);
}

int main(int argc, char **argv) {
  long all = argc > 2 ? atol(argv[2]) : 0;
  count = all;
  if (all <= 0) return 2;
  uint64_t began = uv_hrtime();
  if (strcmp(argv[1], "pingpong") == 0) pingpong();
  else spin();
  printf("us %f\n", (double)(uv_hrtime() - began) / 1e3 / (double)all);
  return 0;
}
