/* pool.h -- threads that run native nodes, and the door through which answers come back.
 *
 * One pool for each engine, made when it is first needed, with threads of its own: those of
 * libuv are for files and names. Threads start one by one, when there is work and none is
 * idle. Answers are put into a list under the lock and the loop is poked; it wakes those who
 * wait. The pool outlives the engine as long as a worker or a later handle refers to it:
 * what then comes through the door is dropped.
 */
#ifndef RT_POOL_H
#define RT_POOL_H

#include "native.h"

typedef struct rt_pool_stats {
  int workers;        /* most threads there may be */
  int threads;        /* that have been started */
  size_t queued;      /* calls no thread has taken yet */
  int running;        /* calls that run */
  size_t abandoned;   /* of them or of the later ones: nobody waits for them any more */
  size_t done;        /* calls that have run to their end */
  double busy;        /* seconds that threads have run calls, all together */
} rt_pool_stats;

/* The engine's pool, opened if it was not; NULL and '*why' when that fails. */
rt_pool *rt_pool_of(rt_engine *e, const char **why);

/* The handle by which the loop is woken: it stays as long as the engine. */
const void *rt_pool_handle(const rt_pool *p);

/* One more call is waited for, or one less. On the loop's thread. */
void rt_pool_expect(rt_pool *p, int difference);

/* The later handle of a call is given out: rt_pool_answer takes it back. */
void rt_pool_lend(rt_pool *p, rt_native_call *n);

/* Puts a call, with one reference for the worker, into the queue. False when no thread can be
 * started to run it. */
bool rt_pool_submit(rt_pool *p, rt_native_call *n);

/* Nobody waits for the call any more. One that still stands in the queue is taken out, and
 * the worker's reference dropped. On the loop's thread. */
void rt_pool_abandon(rt_pool *p, rt_native_call *n);

/* The call is answered: hands its reference to the loop. From any thread. */
void rt_pool_answer(rt_pool *p, rt_native_call *n);

void rt_pool_read_stats(rt_engine *e, rt_pool_stats *out);

/* No call is waited for any more. Cancels what runs and waits for it, 'grace' nanoseconds at
 * most; says on standard error which nodes have not returned, and marks their plugins as stuck.
 * Returns the pool, if there was one, which is closed now; drop it by rt_pool_unref. */
rt_pool *rt_pool_close(rt_engine *e, int64_t grace);

/* Whether nothing of the plugin is out any more: no call that runs, no later handle. */
bool rt_pool_is_rid_of(rt_pool *p, const rt_loaded *home);

void rt_pool_unref(rt_pool *p);

#endif
