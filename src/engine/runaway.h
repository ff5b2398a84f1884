/* runaway.h -- code that does not give way.
 *
 * A POSIX timer sends the loop's own thread a signal several times a second, as long as
 * tasks run. Its handler looks whether the same piece of Lua still runs as the last time:
 * no task was resumed, no call began or ended. Once that has been so for a second, a hook
 * is set that tells where the code is; once it has been so for the slice limit, one that
 * stops it. Code that gives way in time never meets a hook, and while the loop sleeps the
 * timer stands still.
 */
#ifndef RT_RUNAWAY_H
#define RT_RUNAWAY_H

#include "engine.h"

/* Begins to watch the engine, whose loop runs on this thread. The program has installed a
 * handler for 'signal' that calls rt_runaway_tick. False (see errno) if there is no timer
 * or no memory. */
bool rt_runaway_watch(rt_engine *e, int signal);

/* From the signal handler, on the loop's thread. */
void rt_runaway_tick(rt_engine *e);

/* A task is about to run after the loop has slept: the timer goes on. */
void rt_runaway_awake(rt_scheduler *s);

/* Ends the watch; NULL is fine. */
void rt_runaway_free(rt_runaway *r);

#endif
