#include "pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "engine.h"
#include "log.h"

typedef struct queue {
  rt_native_call *first, *last;
} queue;

/* A thread of the pool. */
typedef struct worker {
  struct worker *next;
  rt_pool *pool;
  uv_thread_t thread;
  bool busy;             // runs a call
  bool left;             // nobody waits for its end: it frees this itself
} worker;

struct rt_pool {
  uv_mutex_t lock;
  uv_cond_t work;        // for idle threads
  uv_cond_t rest;        // for the one who closes: a call has ended
  queue queued, running, answered;
  atomic_size_t queued_count;  // written under the lock
  size_t abandoned, done;
  int64_t busy;          // nanoseconds
  uv_async_t *async;     // NULL once closed
  worker *workers;
  int most;              // threads that run calls somebody waits for
  int started;           // all of them
  int lost;              // that run calls nobody waits for
  int running_count;
  int idle;              // threads that sleep, and have not been signalled
  int seeking;           // that are awake and have no call: they see what is queued
  int signals;           // sent, and not received yet
  size_t expected;       // calls that are waited for; the loop's
  atomic_uint refs;
};

static int64_t clock_now(void) { return (int64_t)uv_hrtime(); }

static void put(queue *q, rt_native_call *n) {
  n->next = NULL;
  n->previous = q->last;
  if (q->last) q->last->next = n;
  else q->first = n;
  q->last = n;
}

static void take(queue *q, rt_native_call *n) {
  if (n->previous) n->previous->next = n->next;
  else q->first = n->next;
  if (n->next) n->next->previous = n->previous;
  else q->last = n->previous;
}

static void ref(rt_pool *p) {
  atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
}

static void unref(rt_pool *p) {
  if (atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1) return;
  uv_mutex_destroy(&p->lock);
  uv_cond_destroy(&p->work);
  uv_cond_destroy(&p->rest);
  free(p);
}

/* ---- the door ---- */

/* Under the lock. */
static void answer(rt_pool *p, rt_native_call *n) {
  bool first = !p->answered.first;
  put(&p->answered, n);
  if (first) uv_async_send(p->async);
}

/* Nobody is told any more. Under the lock, which it lets go meanwhile: what 'release' of a text
 * is, or does, may be the plugin's, so that counts as out until it has returned. */
static void discard(rt_pool *p, rt_native_call *n) {
  rt_loaded *home = n->entry.home;
  uv_mutex_unlock(&p->lock);
  rt_native_unref(n);
  uv_mutex_lock(&p->lock);
  home->out--;
}

void rt_pool_answer(rt_pool *p, rt_native_call *n) {
  uv_mutex_lock(&p->lock);
  if (p->async) {
    n->entry.home->out--;
    answer(p, n);
  } else {
    discard(p, n);
  }
  uv_mutex_unlock(&p->lock);
  unref(p);
}

/* On the loop: wakes those who wait. */
static void answers_came(uv_async_t *async) {
  rt_pool *p = async->data;
  rt_scheduler *s = async->loop->data;
  uv_mutex_lock(&p->lock);
  rt_native_call *n = p->answered.first;
  p->answered = (queue){0};
  for (rt_native_call *at = n; at; at = at->next)
    if (!at->task) p->abandoned--;
  uv_mutex_unlock(&p->lock);
  while (n) {
    rt_native_call *next = n->next;
    rt_task *task = n->task;
    n->task = NULL;
    if (task) {
      rt_pool_expect(p, -1);
      rt_task_wake(s, task);
    }
    rt_native_recycle(n);
    n = next;
  }
}

const void *rt_pool_handle(const rt_pool *p) { return p->async; }

void rt_pool_expect(rt_pool *p, int difference) {
  if (!p->expected) uv_ref((uv_handle_t *)p->async);
  p->expected += (size_t)difference;
  if (!p->expected) uv_unref((uv_handle_t *)p->async);
}

void rt_pool_lend(rt_pool *p, rt_native_call *n) {
  ref(p);
  uv_mutex_lock(&p->lock);
  n->entry.home->out++;
  uv_mutex_unlock(&p->lock);
}

/* ---- threads ----
 *
 * Waking a thread costs more than a small call. So one that has nothing to do looks around for
 * a moment before it sleeps, and nobody is woken while another one is looking: whoever takes a
 * call and leaves others in the queue wakes the next.
 */

enum { LOOKS = 100 };  // some thirty microseconds

/* Under the lock: sees to it that somebody looks into the queue. */
static void wake_one(rt_pool *p) {
  if (p->seeking || !p->idle) return;
  p->idle--;
  p->seeking++;
  p->signals++;
  uv_cond_signal(&p->work);
}

static bool is_empty(const rt_pool *p) {
  return atomic_load_explicit(&p->queued_count, memory_order_relaxed) == 0;
}

/* Under the lock: returns when there is something in the queue, or the pool closes. The thread
 * is seeking. */
static void seek(rt_pool *p) {
  while (is_empty(p) && p->async) {
    if (p->seeking == 1) {
      uv_mutex_unlock(&p->lock);
      for (int i = 0; i < LOOKS && is_empty(p); i++) sched_yield();
      uv_mutex_lock(&p->lock);
      if (!is_empty(p)) return;
    }
    p->seeking--;
    p->idle++;
    while (!p->signals && p->async) uv_cond_wait(&p->work, &p->lock);
    if (p->signals) p->signals--;
  }
}

static void enqueue(rt_pool *p, rt_native_call *n) {
  put(&p->queued, n);
  n->queued = true;
  atomic_store_explicit(&p->queued_count, p->queued_count + 1, memory_order_relaxed);
}

static void dequeue(rt_pool *p, rt_native_call *n) {
  take(&p->queued, n);
  n->queued = false;
  atomic_store_explicit(&p->queued_count, p->queued_count - 1, memory_order_relaxed);
}

/* A thread whose call was abandoned may not come back: another one takes its place, and when it
 * does come back, there is one too many. */
static bool is_surplus(const rt_pool *p) { return p->started - p->lost > p->most; }

/* Under the lock, on the thread itself: takes it out of the pool. */
static void retire(rt_pool *p, worker *w) {
  worker **at = &p->workers;
  while (*at != w) at = &(*at)->next;
  *at = w->next;
  p->started--;
  w->left = true;
  pthread_detach(w->thread);
  if (!is_empty(p)) wake_one(p);
}

static void work(void *data) {
  worker *w = data;
  rt_pool *p = w->pool;
  uv_mutex_lock(&p->lock);
  while (true) {
    seek(p);
    rt_native_call *n = p->queued.first;
    if (!n) break;
    dequeue(p, n);
    p->seeking--;
    if (!is_empty(p)) wake_one(p);
    n->began = clock_now();
    put(&p->running, n);
    n->running = w->busy = true;
    p->running_count++;
    uv_mutex_unlock(&p->lock);

    rt_native_judge(n, n->entry.native->run(n));

    uv_mutex_lock(&p->lock);
    take(&p->running, n);
    n->running = false;
    if (n->lost) p->lost--;
    p->busy += clock_now() - n->began;
    p->done++;
    if (p->async) {
      n->entry.home->out--;
      answer(p, n);
    } else {
      discard(p, n);
      uv_cond_signal(&p->rest);
    }
    p->running_count--;
    w->busy = false;
    if (p->async && is_surplus(p)) {
      retire(p, w);
      break;
    }
    p->seeking++;
  }
  bool left = w->left;
  uv_mutex_unlock(&p->lock);
  if (left) free(w);
  unref(p);
}

enum { REPLACED = 256 };  // threads that may be lost until there are no more

/* Under the lock: starts a thread, if there may be one more. */
static void start_one(rt_pool *p) {
  if (p->started - p->lost >= p->most || p->started >= p->most + REPLACED) return;
  worker *w = malloc(sizeof *w);
  if (!w) return;
  *w = (worker){.next = p->workers, .pool = p};
  if (uv_thread_create(&w->thread, work, w) != 0) {
    free(w);
    return;
  }
  ref(p);
  p->seeking++;
  p->started++;
  p->workers = w;
}

bool rt_pool_submit(rt_pool *p, rt_native_call *n) {
  uv_mutex_lock(&p->lock);
  if (!p->idle && (size_t)p->seeking <= p->queued_count) start_one(p);
  bool can = p->started > 0;
  if (can) {
    enqueue(p, n);
    n->entry.home->out++;
    wake_one(p);
  }
  uv_mutex_unlock(&p->lock);
  return can;
}

void rt_pool_abandon(rt_pool *p, rt_native_call *n) {
  rt_pool_expect(p, -1);
  uv_mutex_lock(&p->lock);
  bool drop = n->queued;
  if (drop) {
    dequeue(p, n);
    n->entry.home->out--;
  } else {
    p->abandoned++;
  }
  if (n->running) {
    n->lost = true;
    p->lost++;
    if (!is_empty(p) && !p->idle && !p->seeking) start_one(p);
  }
  uv_mutex_unlock(&p->lock);
  if (drop) rt_native_recycle(n);
}

/* ---- opening, closing, looking ---- */

/* Held for some dozen instructions: whoever meets it locked waits awake. */
static void init_lock(uv_mutex_t *lock) {
  pthread_mutexattr_t kind;
  pthread_mutexattr_init(&kind);
#ifdef __GLIBC__
  pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ADAPTIVE_NP);
#endif
  pthread_mutex_init(lock, &kind);
  pthread_mutexattr_destroy(&kind);
}

rt_pool *rt_pool_of(rt_engine *e, const char **why) {
  if (e->pool) return e->pool;
  int most = e->workers > 0 ? e->workers : (int)uv_available_parallelism();
  rt_pool *p = calloc(1, sizeof *p);
  uv_async_t *async = malloc(sizeof *async);
  *why = "not enough memory";
  int status = p && async ? uv_async_init(&e->scheduler.loop, async, answers_came) : -1;
  if (status < 0) {
    if (p && async) *why = uv_strerror(status);
    free(p);
    free(async);
    return NULL;
  }
  uv_unref((uv_handle_t *)async);
  async->data = p;
  p->async = async;
  p->most = most;
  atomic_init(&p->refs, 1);
  init_lock(&p->lock);
  uv_cond_init(&p->work);
  uv_cond_init(&p->rest);
  return e->pool = p;
}

void rt_pool_read_stats(rt_engine *e, rt_pool_stats *out) {
  rt_pool *p = e->pool;
  *out = (rt_pool_stats){
      .workers = e->workers > 0 ? e->workers : (int)uv_available_parallelism()};
  if (!p) return;
  uv_mutex_lock(&p->lock);
  int64_t busy = p->busy, now = clock_now();
  for (const rt_native_call *n = p->running.first; n; n = n->next) busy += now - n->began;
  *out = (rt_pool_stats){
      .workers = p->most, .threads = p->started, .queued = p->queued_count,
      .running = p->running_count, .abandoned = p->abandoned, .done = p->done,
      .busy = (double)busy / 1e9};
  uv_mutex_unlock(&p->lock);
}

static void free_async(uv_handle_t *async) { free(async); }

/* Under the lock: leaves the threads behind that have not come back. */
static void leave_busy(rt_pool *p) {
  worker **at = &p->workers;
  while (*at) {
    worker *w = *at;
    if (!w->busy) {
      at = &w->next;
      continue;
    }
    *at = w->next;
    w->left = true;
    pthread_detach(w->thread);
  }
}

/* Not under the lock, which the others need for their end. */
static void join_others(rt_pool *p) {
  while (p->workers) {
    worker *w = p->workers;
    p->workers = w->next;
    uv_thread_join(&w->thread);
    free(w);
  }
}

rt_pool *rt_pool_close(rt_engine *e, int64_t grace) {
  rt_pool *p = e->pool;
  if (!p) return NULL;
  e->pool = NULL;
  uv_mutex_lock(&p->lock);
  uv_async_t *async = p->async;
  p->async = NULL;
  for (rt_native_call *n = p->running.first; n; n = n->next)
    atomic_store_explicit(&n->cancelled, true, memory_order_relaxed);
  uv_cond_broadcast(&p->work);
  int64_t until = clock_now() + grace, left;
  while (p->running_count && (left = until - clock_now()) > 0)
    uv_cond_timedwait(&p->rest, &p->lock, (uint64_t)left);
  for (const rt_native_call *n = p->running.first; n; n = n->next) {
    n->entry.home->stuck = true;
    rt_log(RT_LOG_ERROR, "the native node %s has not returned within the grace of %.14g s, "
           "and is left behind", n->entry.native->name, (double)grace / 1e9);
  }
  leave_busy(p);
  rt_native_call *n = p->answered.first;
  p->answered = (queue){0};
  uv_mutex_unlock(&p->lock);
  while (n) {
    rt_native_call *next = n->next;
    rt_native_unref(n);
    n = next;
  }
  join_others(p);
  uv_close((uv_handle_t *)async, free_async);
  return p;
}

bool rt_pool_is_rid_of(rt_pool *p, const rt_loaded *home) {
  if (!p) return true;
  uv_mutex_lock(&p->lock);
  bool none = home->out == 0;
  uv_mutex_unlock(&p->lock);
  return none;
}

void rt_pool_unref(rt_pool *p) {
  if (p) unref(p);
}
