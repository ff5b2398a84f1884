/* task.h -- a coroutine that can pause.
 *
 * A task runs on a coroutine of the pool, taken when it first runs and given back when
 * it has ended. It pauses by waiting for one thing (a timer, a call, a group) and is
 * woken once, by that thing, which puts it at the end of the ready queue. The loop
 * resumes ready tasks one after the other from the same C frame, so the C stack does
 * not grow with the depth of calls.
 *
 * Everything that can pause takes the same four steps:
 *
 *   check   rt_task_check: may this coroutine wait? Before anything was started.
 *   start   fill task->wait, start the operation.
 *   wait    return rt_task_wait(L, task, kind).
 *   wake    rt_task_wake(scheduler, task), once, from the loop's thread; no Lua runs.
 *           kind->finish then makes the Lua values, in the task's own coroutine.
 */
#ifndef RT_TASK_H
#define RT_TASK_H

#include <lua.h>
#include <uv.h>

#include "buf.h"

typedef struct rt_line rt_line;
typedef struct rt_task rt_task;
typedef struct rt_scheduler rt_scheduler;

/* One moment at which something happens. Embed it; it is not copied. */
typedef struct rt_timer {
  int64_t due;     /* rt_scheduler_now's nanoseconds */
  void (*fire)(rt_scheduler *s, struct rt_timer *timer);
  uint32_t order;  /* breaks ties: first armed, first fired */
  uint32_t at;     /* its place in the heap, from 1; 0 while not armed */
} rt_timer;

/* What a task can wait for. */
typedef struct rt_wait_kind {
  const char *name;  /* "sleep": completes "while waiting for ..." */
  bool outside;      /* something outside the tasks (clock, disk, signal) will wake it */
  /* Stops the operation, which must not wake the task any more. NULL: it cannot be
   * stopped and the task is not interrupted while it waits for it. */
  void (*unlink)(rt_scheduler *s, rt_task *task);
  /* Pushes the results and returns their number, or raises. */
  int (*finish)(lua_State *L, rt_task *task);
  /* Asked when a call below the task has ended: has this been what it waits for? NULL: no. */
  bool (*over)(const rt_task *task);
  /* In the coroutine, once it was unlinked and before the interruption is raised; it must
   * not raise. NULL: nothing is left to do. */
  void (*interrupted)(lua_State *L, rt_task *task);
  /* Nobody is left to use what the call keeps open (rt_call_tell_orphans): it is to close
   * it, and to end. NULL: it sees that later. */
  void (*orphaned)(rt_scheduler *s, rt_task *task);
  /* Writes what it is waiting for, for people; NULL: the name. */
  void (*describe)(const rt_task *task, rt_buf *out);
} rt_wait_kind;

struct rt_task {
  rt_task *next;             /* in the ready queue, or in the line it stands in */
  lua_State *co;             /* where its call stands; NULL until it first runs */
  const rt_wait_kind *kind;  /* what it waits for; NULL while it runs or is queued */
  union {
    rt_timer timer;          /* sleep */
    struct {
      void *on;              /* the call, group, map ... it waits for */
      int count;             /* values pushed on its stack for finish */
      int status;            /* how what it waited for has ended */
      lua_State *co;         /* on whose stack the C function that waits stands */
    } other;
    struct {
      rt_line *on;           /* the line it stands in, or was taken out of */
      rt_task **link;        /* what points to it there; NULL once it is out */
      lua_State *co;         /* where other.co is */
    } line;
  } wait;
  uint32_t base;             /* which of the scheduler's coroutines is resumed for it: 'co',
                              * or what has resumed 'co', directly or through others */
  bool started;
  bool ready;                /* stands in the ready queue */
  bool interrupted;          /* the wait did not complete; the task must unwind */
};

/* What the scheduler asks of whoever owns the tasks (the calls). */
typedef struct rt_task_class {
  /* The bottom of every coroutine: runs s->current, and whatever rt_task_succeed gives
   * after it. */
  lua_CFunction main;
  /* In the coroutine, instead of finish, when the wait was interrupted; must raise. */
  int (*interrupt)(lua_State *L, rt_task *task);
  /* main itself raised, or no coroutine could be made (co is NULL): out of memory. The
   * error value is on top of co, which will not be used again. */
  void (*crashed)(rt_scheduler *s, rt_task *task, lua_State *co);
  /* Somebody has sent s->poke. */
  void (*poked)(rt_scheduler *s);
  /* A task is about to run while s->dozing, which this clears. */
  void (*awake)(rt_scheduler *s);
  /* s->news is set, and no task runs. Clears it. */
  void (*news)(rt_scheduler *s);
} rt_task_class;

typedef struct rt_coroutine {
  lua_State *co;        /* NULL: the place is free */
  int slot;             /* keeps it from the collector */
  uint32_t next;        /* the next one in the pool, or the next free place; from 1 */
} rt_coroutine;

typedef struct rt_timer_entry {
  int64_t due;
  rt_timer *timer;
} rt_timer_entry;

struct rt_scheduler {
  const rt_task_class *class;
  lua_State *from;      /* the Lua thread that runs the loop, NULL outside it */
  lua_State *own;       /* a Lua thread to work on when no task runs */
  lua_State *vault;     /* a Lua thread that runs nothing; index 1 is the anchors */
  rt_task *current;     /* the running task */
  lua_State *active;    /* the coroutine that runs: the task's, or one that it has resumed */
  lua_State *stuck;     /* the outermost one it stands in that cannot be left; NULL: all can */
  uint32_t turn;        /* counts the times a coroutine of the pool was resumed */
  const bool *done;     /* ends the loop */
  int64_t slice_end;    /* when I/O is to be looked at; 0 until somebody looks */
  int turns;            /* tasks until the clock is looked at */
  lua_State *volatile hooked;  /* a hook is set on it that ends with its turn */
  volatile bool dozing; /* nobody watches how long tasks run: the loop has slept */
  rt_task *first;       /* the ready queue */
  rt_task **last;
  rt_coroutine *coroutines;  /* those that tasks run on, and the pool */
  uint32_t coroutine_count, coroutine_capacity;
  uint32_t idle;        /* the pool: coroutines that wait for the next task; from 1 */
  uint32_t free;        /* free places, likewise */
  uint32_t idle_count;
  int *free_slots;      /* of the anchors */
  size_t free_count, free_capacity;
  int slots;            /* how many slots there are */
  rt_timer_entry *heap; /* 4-ary, earliest first */
  size_t heap_count, heap_capacity;
  size_t quiet;         /* armed timers that do not keep a run from standing still */
  uint32_t timer_order;
  uv_loop_t loop;
  uv_timer_t alarm;     /* wakes the loop for the earliest timer */
  int64_t waits_for;    /* which is due then; RT_NEVER: there is none */
  uv_prepare_t before;  /* asks whether the loop may sleep, when it is about to */
  uv_async_t poke;      /* wakes the loop from other threads and signal handlers */
  bool news;            /* something is to be told between two tasks */
  bool loop_open;
  /* What tests ask for, see testing.c; all off otherwise. */
  bool virtual_clock;   /* the clock stands still, and jumps to the next timer */
  bool shuffled;        /* the order of ready tasks is drawn by lot */
  bool drawn;           /* the first of the ready queue has been drawn */
  bool repeatable;      /* one of the two: slices are counted, not timed */
  int looks;            /* that are left of the counted slice */
  int64_t virtual_now;
  uint64_t seed, lot;   /* of the shuffle, and where its generator stands */
};

/* Opens the scheduler of Lua state L; s->loop.data points back to it. Returns 0, or -1
 * when libuv cannot open (see *why). Raises when Lua is out of memory. Close it either
 * way. */
int rt_scheduler_open(rt_scheduler *s, lua_State *L, const rt_task_class *class,
                      const char **why);

/* Closes the loop; no task may be alive. Its Lua values go with the state. */
void rt_scheduler_close(rt_scheduler *s);

/* The monotonic clock all times of a run come from, in nanoseconds. */
int64_t rt_scheduler_now(const rt_scheduler *s);

/* What no clock reaches: a timer armed for it is not armed at all. */
#define RT_NEVER INT64_MAX

/* The moment 'seconds' from now, to the nanosecond; RT_NEVER past a hundred years. */
int64_t rt_scheduler_after(const rt_scheduler *s, double seconds);

/* The coroutine of the pool that is resumed for the task. */
static inline lua_State *rt_task_base(const rt_scheduler *s, const rt_task *task) {
  return s->coroutines[task->base].co;
}

/* Runs ready tasks, timers and I/O until *done, called from Lua thread 'from'. Returns
 * false when nothing is left that could ever run. */
bool rt_scheduler_run(rt_scheduler *s, lua_State *from, const bool *done);

/* For those who have a loop of their own: looks at I/O and timers, waiting for 'most'
 * nanoseconds if no task is ready, then runs ready tasks for one slice. Returns false when
 * nothing is left that could ever run. */
bool rt_scheduler_step(rt_scheduler *s, lua_State *from, int64_t most);

/* In how many nanoseconds, if nothing happens before, rt_scheduler_step has something to do;
 * RT_NEVER: only when something has happened. */
int64_t rt_scheduler_left(const rt_scheduler *s);

/* Sets a hook on the running coroutine, if any, for every instruction until it gives way,
 * in place of the one set so before. From a signal handler of the loop's own thread. */
void rt_scheduler_hook(rt_scheduler *s, lua_Hook hook);

/* For use in the hook, which runs on L: whether it was set there. If not, L was made by a
 * coroutine that had it, and is rid of it now. */
bool rt_scheduler_hooked(rt_scheduler *s, lua_State *L);

/* Takes it away, likewise. */
void rt_scheduler_unhook(rt_scheduler *s, lua_State *L);

/* The hooked coroutine has been left for the one that is active now, and may not come back:
 * the hook goes along. */
void rt_scheduler_move_hook(rt_scheduler *s);

/* ---- what stands in a coroutine's extra space: its scheduler, and a mark ---- */

/* A coroutine is marked while nobody but the scheduler may resume it: one of the pool
 * always, another one while a task waits inside it. */
enum {
  RT_COROUTINE_MARK = 1,
  RT_COROUTINE_CLOSING = 2,  /* it is being closed: the error nil unwinds it */
  RT_COROUTINE_FAILED = 4,   /* an error was raised in it that nothing in it seemed to catch */
  RT_COROUTINE_BITS = 7,
};

static inline rt_scheduler *rt_scheduler_of(lua_State *L) {
  return (rt_scheduler *)(*(uintptr_t *)lua_getextraspace(L) & ~(uintptr_t)RT_COROUTINE_BITS);
}

/* For what stood there before. */
static inline void rt_coroutine_init(lua_State *co, rt_scheduler *s, bool marked) {
  *(uintptr_t *)lua_getextraspace(co) = (uintptr_t)s | (marked ? RT_COROUTINE_MARK : 0);
}

static inline void rt_coroutine_mark(lua_State *co, bool marked) {
  uintptr_t *word = lua_getextraspace(co);
  *word = (*word & ~(uintptr_t)RT_COROUTINE_MARK) | (marked ? RT_COROUTINE_MARK : 0);
}

static inline void rt_coroutine_set_closing(lua_State *co, bool closing) {
  uintptr_t *word = lua_getextraspace(co);
  *word = (*word & ~(uintptr_t)RT_COROUTINE_CLOSING) | (closing ? RT_COROUTINE_CLOSING : 0);
}

static inline bool rt_coroutine_closing(lua_State *co) {
  return *(uintptr_t *)lua_getextraspace(co) & RT_COROUTINE_CLOSING;
}

static inline void rt_coroutine_set_failed(lua_State *co) {
  *(uintptr_t *)lua_getextraspace(co) |= RT_COROUTINE_FAILED;
}

/* Whether it may be on its way out: an error unwinds it, or it is being closed. */
static inline bool rt_coroutine_suspect(lua_State *co) {
  return *(uintptr_t *)lua_getextraspace(co) & (RT_COROUTINE_FAILED | RT_COROUTINE_CLOSING);
}

static inline bool rt_coroutine_marked(lua_State *co) {
  return *(uintptr_t *)lua_getextraspace(co) & RT_COROUTINE_MARK;
}

/* ---- tasks ---- */

/* Puts a task that is neither waiting nor queued at the end of the ready queue. */
void rt_task_queue(rt_scheduler *s, rt_task *task);

/* Whether a task that is queued now is the next to run once the running one waits. */
static inline bool rt_scheduler_idle(const rt_scheduler *s) {
  return !s->first && !s->shuffled;
}

/* 'task' has ended on its coroutine: the next task, if it is one that has not begun and
 * may have the coroutine and the turn; else NULL, and main returns. */
rt_task *rt_task_succeed(rt_scheduler *s, rt_task *task);

/* Whether at the moment 'now' there is time left before I/O is to be looked at. */
bool rt_scheduler_in_slice(rt_scheduler *s, int64_t now);

/* The waiting task's operation has completed: its finish runs at its next turn. */
void rt_task_wake(rt_scheduler *s, rt_task *task);

/* Stops what the task waits for and makes it unwind at its next turn. Nothing happens
 * if it does not wait, or waits for something that cannot be stopped. */
void rt_task_interrupt(rt_scheduler *s, rt_task *task);

/* Suspends the running coroutine; for use as 'return rt_task_wait(...)' in a
 * lua_CFunction. The C function's stack stays as it is for finish. */
int rt_task_wait(lua_State *L, rt_task *task, const rt_wait_kind *kind);

/* ---- timers ---- */

/* Arms 'timer' (fire is set by the caller) for 'due'. False when out of memory. */
bool rt_timer_arm(rt_scheduler *s, rt_timer *timer, int64_t due);
void rt_timer_disarm(rt_scheduler *s, rt_timer *timer);

/* Fires those whose moment has come. */
void rt_timer_fire_due(rt_scheduler *s);

/* ---- for tests: testing.c ---- */

/* Stops the clock at zero, from where it jumps to the next timer whenever nothing is ready
 * and no I/O is under way; or lets the real one go on. Outside the loop. */
void rt_scheduler_set_virtual(rt_scheduler *s, bool on);

/* Has each run from outside the loop draw the order of its ready tasks anew from 'seed'; or
 * lets them run first come, first served. Outside the loop. */
void rt_scheduler_set_seed(rt_scheduler *s, bool on, uint64_t seed);

/* Brings the ready task that is to run next to the front of the queue. */
void rt_scheduler_draw(rt_scheduler *s);

/* ---- anchors: Lua values the engine keeps from the collector ---- */

/* Pops a value and keeps it; returns its slot, never 0. Raises when out of memory. */
int rt_anchor_put(rt_scheduler *s, lua_State *L);
void rt_anchor_push(rt_scheduler *s, lua_State *L, int slot);
/* Lets go of it. Nothing on slot 0. Does not raise. */
void rt_anchor_drop(rt_scheduler *s, int slot);

#endif
