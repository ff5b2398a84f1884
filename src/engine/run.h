/* run.h -- a root call and all calls below it. */
#ifndef RT_RUN_H
#define RT_RUN_H

#include "call.h"
#include "store.h"

struct rt_run {
  rt_engine *engine;
  rt_run *next;          /* among the live runs of the engine */
  rt_call *root;         /* NULL once it has ended */
  rt_call *waiter;       /* nested: the call that awaits it; NULL: plain Lua does */
  lua_State *caller;     /* on whose stack the root finds body and arguments ... */
  int first, count;      /* ... here, and leaves its results */
  bool failed;           /* they are an error and its failure */
  bool over;
  bool over_limit;       /* it fails because of the memory limit */
  uint32_t next_seq;
  uint32_t number;       /* in the journal's records */
  uint32_t refs;
  int64_t epoch;         /* added to the clock's nanoseconds: since 1970 */
  int64_t calls;         /* begun or ended */
  rt_status status;
  char *fatal;           /* what ends the whole run, whoever catches it; malloc'd, or NULL */
  const char *fatal_kind;
  int fatal_error;       /* anchors the error and its failure, if it has been raised already */
  int fatal_failure;
  int context;           /* anchors the table its calls share, until it is over; 0: none yet */
  bool lines;            /* what is typed: its root's children fail alone */
  bool stop_on_error;    /* any call that fails ends the run, whoever catches it */
  double timeout;        /* seconds the root may take; 0: any time */
  int64_t slice_limit;   /* nanoseconds code may run without a wait; 0: any number */
  char id[37];           /* UUIDv7 */
};

/* What a task that awaits a nested run waits for; wait.other.on is the run, of which it
 * owns a reference. */
extern const rt_wait_kind rt_run_wait;

/* What a run is to be called, and what it runs; texts are borrowed. */
typedef struct rt_run_options {
  rt_text name;          /* NULL: the root node's */
  const char *script;    /* path, NULL if none */
  int context;           /* stack index of the table its calls share; 0: a new one */
  bool stop_on_error;
  double timeout;        /* seconds; 0: none */
  int64_t slice_limit;   /* nanoseconds code may run without a wait; 0: as the engine has it */
} rt_run_options;

/* Starts a run of 'node', whose body stands at index 'first' of L with its arguments
 * behind it up to the top. Its row is in the journal when this returns. Raises errors of
 * kind 'journal'. The caller owns one reference. */
rt_run *rt_run_start(lua_State *L, rt_engine *e, rt_node *node, int first,
                     const rt_run_options *options);

/* Ends the run with an error of 'kind' that no node can catch: all of it is cancelled. */
void rt_run_fail(rt_run *run, const char *kind, const char *message);

/* The same with the error at 'index' of L and its failure (or nil) behind it. */
void rt_run_fail_with(rt_run *run, lua_State *L, int index);

/* The same with the error at the top of L, which is raised in the running call 'c'. Of what is
 * typed only the line is ended. */
_Noreturn void rt_run_raise(lua_State *L, rt_call *c);

/* Pushes what has ended the run: the error, and its failure or nil. */
void rt_run_push_fatal(lua_State *L, rt_run *run);

static inline rt_run *rt_run_ref(rt_run *run) {
  run->refs++;
  return run;
}
void rt_run_unref(rt_run *run);

#endif
