/* life.h -- what the files about a call's beginning and end share. */
#ifndef RT_LIFE_H
#define RT_LIFE_H

#include "call.h"

/* What a call waits for whose body has ended. */
extern const rt_wait_kind rt_children_wait;

/* The body and all children have ended: settles how the call ends and writes it down. The
 * stack is as after the body (life.c); then come the results, or the error and its failure.
 * Does not raise. */
void rt_call_conclude(lua_State *L, rt_call *c);

/* What makes the failure in there, under a pcall; no traceback is to show it. */
int rt_call_make_failure(lua_State *L);

/* The call has ended: tells its caller, which may have waited for that. */
void rt_call_child_ended(rt_call *c);

/* Lets go of what was kept of failures. */
void rt_call_forget(rt_engine *e, rt_call *c);

#endif
