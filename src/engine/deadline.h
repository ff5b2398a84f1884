/* deadline.h -- the time by which a call is to have ended. */
#ifndef RT_DEADLINE_H
#define RT_DEADLINE_H

#include "call.h"

struct rt_deadline {
  rt_timer timer;
  rt_call *call;
  double seconds;
  rt_place set;       /* where in the code */
  const char *by;     /* or what else tells: "by --timeout"; NULL: 'set' */
  bool passed;        /* it has ended the call */
  bool quiet;         /* a run that stands still does not wait for it */
  char *waited;       /* what the call waited for when it passed; malloc'd */
};

/* The call is to have ended in that many seconds from now, else it is cancelled and fails
 * with an error of kind 'timeout'. The nearest of several counts. 'by' lives as long as the
 * process; NULL: 'set' tells. False when out of memory. */
bool rt_deadline_set(rt_call *c, double seconds, rt_place set, const char *by);

/* A deadline that does not keep a run from being found in a deadlock. */
void rt_deadline_quiet(rt_call *c);

/* Pushes the error of a call whose deadline has passed. */
void rt_deadline_push_error(lua_State *L, const rt_call *c);

/* Stops and frees it; nothing on NULL. */
void rt_deadline_free(rt_deadline *d);

#endif
