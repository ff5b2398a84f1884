/* callback.h -- Lua that the loop runs itself, outside every task: the callbacks of rt.uv.
 *
 * No call runs meanwhile, so nothing can wait or be spawned there. A callback that raises
 * fails the runs that stand outermost, with its traceback, as rt.fatal would; those that are
 * somebody who types are told of it.
 */
#ifndef RT_CALLBACK_H
#define RT_CALLBACK_H

#include "engine.h"

/* Runs the function below the 'nargs' values at the top of L, and pops them; what it
 * returns is left, adjusted to 'nresults'. False, with nothing left, when it has failed, or
 * when the engine closes: then it is not called. */
bool rt_callback_run(lua_State *L, int nargs, int nresults);

/* The same, but a failure is only told, as one of 'what'. Nothing is left. */
void rt_callback_try(lua_State *L, int nargs, const char *what);

/* Whether one runs, or the loop of rt.uv.run outside a run, so that nothing can wait. */
static inline bool rt_callback_runs(const rt_engine *e) {
  return e->scheduler.from && !e->scheduler.current;
}

/* Pushes what a callback has failed with outside a run, once; false: none has. */
bool rt_callback_push_stray(lua_State *L, rt_engine *e);

#endif
