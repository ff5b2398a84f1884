#include "line.h"

#include "call.h"

_Static_assert(offsetof(rt_task, wait.line.on) == offsetof(rt_task, wait.other.on) &&
                   offsetof(rt_task, wait.line.co) == offsetof(rt_task, wait.other.co),
               "a task that was taken out of its line is one that waits for something else");

void rt_line_open(rt_line *line) { *line = (rt_line){.last = &line->first}; }

int rt_line_wait(lua_State *L, rt_line *line, rt_task *task, const rt_wait_kind *kind) {
  task->wait.line.on = line;
  task->wait.line.link = line->last;
  task->wait.line.co = L;
  task->next = NULL;
  *line->last = task;
  line->last = &task->next;
  return rt_task_wait(L, task, kind);
}

static void take_out(rt_task *task) {
  rt_line *line = task->wait.line.on;
  rt_task *next = task->next;
  *task->wait.line.link = next;
  if (next) next->wait.line.link = task->wait.line.link;
  else line->last = task->wait.line.link;
  task->wait.line.link = NULL;
}

rt_task *rt_line_take(rt_line *line) {
  for (rt_task *task; (task = line->first);) {
    take_out(task);
    if (!rt_call_unwinds(rt_call_of(task))) return task;
  }
  return NULL;
}

void rt_line_unlink(rt_scheduler *s, rt_task *task) {
  (void)s;
  if (task->wait.line.link) take_out(task);
}
