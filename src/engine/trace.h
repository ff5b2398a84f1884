/* trace.h -- the way of a failure: which frames, which calls. What of it others see. */
#ifndef RT_TRACE_H
#define RT_TRACE_H

#include <lua.h>
#include <stdbool.h>

/* Whether the frame is that of a C function that runs a call: the handler is its first
 * value. Calls nested on one coroutine are told apart by it. */
bool rt_trace_runs_call(lua_State *co, lua_Debug *ar);

/* Pushes the frames above the running C function, as debug.traceback would show them. */
void rt_trace_push_frames(lua_State *L);

/* Pushes a failure of no call, with the error at 'index' and those frames, the last of which
 * is told to be 'where'. */
void rt_trace_push_failure(lua_State *L, int index, const char *where);

#endif
