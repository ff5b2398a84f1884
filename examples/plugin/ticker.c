/* ticker.c -- a plugin of a node that answers later: a clock of its own, in its own thread.
 *
 *   cc -shared -fPIC -pthread -o ticker.so ticker.c
 *
 *   local ticker = rt.load "./ticker.so"
 *   print(ticker.after(0.5, "tick"))            --> tick, half a second later
 *
 * One thread for each engine keeps the handles of the calls that wait, looks at them each
 * millisecond and answers those that are due. A call that was cancelled is answered, too: its
 * handle has to be given back, and what it returns is dropped.
 */
#include <pthread.h>
#include <railtracks.h>
#include <stdlib.h>
#include <time.h>

typedef struct tick {
  struct tick *next;
  rt_call *later;
  double due;
} tick;

typedef struct ticker {
  pthread_t thread;
  pthread_mutex_t lock;
  tick *ticks;
  int closing;
} ticker;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void answer_due(ticker *t) {
  for (tick **at = &t->ticks; *at;) {
    tick *k = *at;
    if (k->due > now() && !rt_cancelled(k->later) && !t->closing) {
      at = &k->next;
      continue;
    }
    *at = k->next;
    if (t->closing) rt_drop(k->later);
    else rt_finish(k->later);
    free(k);
  }
}

static void *run(void *data) {
  ticker *t = data;
  struct timespec pause = {.tv_nsec = 1000000};
  int closing = 0;
  while (!closing) {
    nanosleep(&pause, NULL);
    pthread_mutex_lock(&t->lock);
    closing = t->closing;
    answer_due(t);
    pthread_mutex_unlock(&t->lock);
  }
  return NULL;
}

/* after(seconds [, value]) -> the value, when that many seconds have passed */
static int after(rt_call *c) {
  ticker *t = rt_state(c);
  double seconds = rt_arg_number(c, 1);
  if (rt_failed(c)) return -1;
  if (!(seconds >= 0)) return rt_fail(c, "range", "after: argument 1 must not be negative");
  tick *k = malloc(sizeof *k);
  if (!k) return rt_fail(c, NULL, "after: not enough memory");
  rt_return_value(c, rt_arg_value(c, 2));
  k->later = rt_later(c);
  k->due = now() + seconds;
  pthread_mutex_lock(&t->lock);
  k->next = t->ticks;
  t->ticks = k;
  pthread_mutex_unlock(&t->lock);
  return 0;
}

static int open_ticker(void **state, const char **error) {
  ticker *t = calloc(1, sizeof *t);
  *error = "the ticker's thread cannot be started";
  if (!t) return -1;
  pthread_mutex_init(&t->lock, NULL);
  if (pthread_create(&t->thread, NULL, run, t) != 0) {
    pthread_mutex_destroy(&t->lock);
    free(t);
    return -1;
  }
  *state = t;
  return 0;
}

static void close_ticker(void *state) {
  ticker *t = state;
  pthread_mutex_lock(&t->lock);
  t->closing = 1;
  pthread_mutex_unlock(&t->lock);
  pthread_join(t->thread, NULL);
  pthread_mutex_destroy(&t->lock);
  free(t);
}

static const rt_native nodes[] = {
    {.name = "after", .kind = RT_LATER, .run = after, .about = "Answers after some time."},
    {.name = NULL},
};

const rt_plugin railtracks_plugin = {
    .api = RT_API, .size = sizeof(rt_plugin), .name = "ticker", .nodes = nodes,
    .open = open_ticker, .close = close_ticker};
