/* group.h -- who is told when a task ends.
 *
 * Whoever waits for tasks is a "group": one task (task:await) or several (rt.gather and the
 * like). Each running task of it points to the group and tells it of its end; a task that
 * ends knows all who wait, and one who stops waiting leaves each task in one step. The first
 * group of a task stands in the call itself, further ones in a list beside it.
 */
#ifndef RT_GROUP_H
#define RT_GROUP_H

#include "lib.h"

typedef struct rt_group_kind {
  const char *name;  /* "rt.gather" */
  /* The member 'index' has ended, its outcome is at 'first' .. top of L; it points to the
   * group no more. Must not raise. */
  void (*ended)(lua_State *L, rt_group *g, uint32_t index, rt_call *member, int first);
} rt_group_kind;

struct rt_group {
  const rt_group_kind *kind;
  rt_call *waiter;   /* NULL: nobody waits now */
};

/* The place of a group in the list of a call that others wait for too. */
typedef struct rt_member {
  struct rt_member *next, *previous;  /* in a ring; the call points to the oldest */
  rt_group *group;
  rt_call *call;
  uint32_t index;
} rt_member;

/* Takes the place in the call itself, if it is free and nobody is in the list. */
bool rt_group_join(rt_group *g, rt_call *c, uint32_t index);

/* Puts 'm' at the end of the call's list. False when out of memory. */
bool rt_member_join(rt_member *m, rt_group *g, rt_call *c, uint32_t index);
void rt_member_leave(rt_member *m);

/* Whether the waiter has been cancelled and only waits for its children to end before it
 * is told so: its wait comes to nothing. */
static inline bool rt_group_doomed(const rt_group *g) { return rt_call_unwinds(g->waiter); }

/* ---- several tasks ---- */

/* A userdata. Its Tasks are copied to a table, so that what becomes of the list it was made
 * of is no matter. */
typedef struct rt_tasks {
  rt_group group;     /* first */
  uint32_t count;
  uint32_t pending;   /* joined, and not ended yet */
  uint32_t held;      /* ended by a failure that is observed if the wait completes */
  uint32_t chosen;    /* of gather, race, any: the member whose end decides, from 1 */
  int table;          /* index of the table of Tasks on the waiter's stack */
  uintptr_t slots[];  /* how it hangs together with each of them */
} rt_tasks;

/* Pushes the group of the Tasks the function was given (a list, or varargs: all of L's
 * stack), with 'extra' bytes behind its slots, and the table of the Tasks above it. Raises
 * 'usage' for anything else, naming its place. Nothing is joined yet. */
rt_tasks *rt_tasks_new(lua_State *L, rt_engine *e, const rt_group_kind *kind, size_t extra);

/* The member as a call; NULL once it has ended and is of no matter. */
rt_call *rt_tasks_member(const rt_tasks *t, uint32_t index);

/* Joins all members that run, and is told of their ends from now on; 'holds' the failures of
 * those that have ended. False when out of memory: then nothing is joined. */
bool rt_tasks_join(rt_tasks *t, bool holds);

/* The member tells of its end: to be called first in kind->ended. */
void rt_tasks_told(rt_tasks *t, uint32_t index);

/* The member has ended. If nobody has asked for its failure it counts as observed from now
 * on, unless the wait is given up. */
void rt_tasks_hold(rt_tasks *t, uint32_t index, rt_call *member);

/* The wait has completed: what is held is observed. */
void rt_tasks_observe(rt_tasks *t);

/* The wait is given up: no member tells it anything any more. */
void rt_tasks_leave(rt_tasks *t);

/* Whether ended call 'a' has ended before ended call 'b'. */
static inline bool rt_call_ended_before(const rt_call *a, const rt_call *b) {
  return (int32_t)(a->index - b->index) < 0;
}

/* ---- circles ---- */

/* What a task in task:await waits for; wait.other.on is told by rt_await_target. */
extern const rt_wait_kind rt_await_wait;
rt_call *rt_await_target(const rt_task *task);

/* Whether the group is a task:await. */
bool rt_group_awaits(const rt_group *g);

/* Whether 'c' stands below the running call 'at', or is it. */
bool rt_call_is_above(const rt_call *at, const rt_call *c);

/* Whether 'c', by waiting for 'target', would wait for itself: a call cannot end before
 * what it awaits and before its children. */
bool rt_call_closes_circle(rt_call *c, rt_call *target);

#endif
