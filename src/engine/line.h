/* line.h -- tasks that stand in line, first come, first served.
 *
 * What waits for a permit or a value stands in a line. The links are in the tasks
 * themselves, so that standing in line needs no memory, and leaving it from the middle
 * (when a waiting task is cancelled) takes no search. Whoever has what they wait for takes
 * the first one out, leaves the value on its stack, and wakes it: from then on it is that
 * task's, even if it is cancelled before its turn.
 */
#ifndef RT_LINE_H
#define RT_LINE_H

#include "task.h"

struct rt_line {
  rt_task *first;
  rt_task **last;   /* where the next one is linked; points into the line when empty */
};

void rt_line_open(rt_line *line);

/* Puts the running task at the end and suspends it; for use as 'return rt_line_wait(...)'
 * in a lua_CFunction. The kind's unlink must be rt_line_unlink. */
int rt_line_wait(lua_State *L, rt_line *line, rt_task *task, const rt_wait_kind *kind);

/* Takes out the first one that is still to be served; NULL if there is none. It must be
 * woken with rt_line_wake. Those that have been cancelled, and are only not told yet since
 * calls below them have not ended, are put out: they will get nothing. */
rt_task *rt_line_take(rt_line *line);

/* Its finish finds 'status' in wait.other.status. */
static inline void rt_line_wake(rt_scheduler *s, rt_task *task, int status) {
  task->wait.other.status = status;
  rt_task_wake(s, task);
}

/* Takes the task out, wherever it stands. */
void rt_line_unlink(rt_scheduler *s, rt_task *task);

#endif
