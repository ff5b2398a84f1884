/* console.h -- somebody at a terminal, beside the work.
 *
 * What they do (Ctrl-C, a resized window) is noted as events, which wake the task that
 * stands at the console. While a line of theirs runs in the foreground, Ctrl-C is for that
 * line alone: the first cancels it, the second ends its grace and stops Lua that does not
 * give way. A run that stands still is a deadlock of that line alone, too.
 */
#ifndef RT_CONSOLE_H
#define RT_CONSOLE_H

#include <stdatomic.h>

#include "call.h"

typedef enum rt_console_event {
  RT_CONSOLE_INTERRUPT = 1,  /* Ctrl-C, and no line runs */
  RT_CONSOLE_RESIZE = 2,
  RT_CONSOLE_STOP = 4,       /* Ctrl-Z */
  RT_CONSOLE_OUTPUT = 8,     /* something is held back that wants to be shown */
} rt_console_event;

typedef struct rt_console {
  _Atomic unsigned events;   /* that nobody has acted upon */
  _Atomic int pressed;       /* Ctrl-C, since the line began */
  _Atomic int64_t insisted;  /* when the second one was */
  rt_task *waiter;           /* is woken by an event; NULL: nobody waits for any */
  rt_call *line;             /* in the foreground, with a reference; NULL: none is */
  _Atomic bool guarded;      /* what runs is not the line's, and to be left by an error */
} rt_console;

/* The engine's console, made if it has none; NULL when out of memory. */
rt_console *rt_console_open(rt_engine *e);
void rt_console_close(rt_engine *e);

/* From any thread or signal handler. Nothing happens where there is no console. */
void rt_console_notify(rt_engine *e, rt_console_event event);

/* Ctrl-C. From a signal handler of the loop's own thread. False: it was pressed for a third
 * time, a second after the second, so that nothing seems to help. */
bool rt_console_interrupt(rt_engine *e);

/* The line 'c' runs in the foreground from now on; NULL: none does. */
void rt_console_set_line(rt_engine *e, rt_call *c);

/* Somebody has poked the loop: acts upon the events. */
void rt_console_poked(rt_engine *e);

/* The run stands still, for the reason in 'text'. Whether that is the matter of the line in
 * the foreground, which then fails. */
bool rt_console_take_deadlock(rt_engine *e, const rt_run *run, const char *text);

#endif
