/* call.h -- one use of a node.
 *
 * A call has a caller, arguments, a record in the journal, and a task to run on. It ends
 * after the calls it started (its children): when its body returns they are waited for,
 * when it fails or is cancelled they are cancelled first. What becomes of its results is
 * the business of how it is used: by rt.call, rt.spawn, rt.map or as the root of a run.
 */
#ifndef RT_CALL_H
#define RT_CALL_H

#include "error.h"
#include "node.h"
#include "place.h"
#include "task.h"

typedef struct rt_call rt_call;
typedef struct rt_run rt_run;
typedef struct rt_engine rt_engine;
typedef struct rt_group rt_group;

/* How a call is used. */
typedef struct rt_use {
  const char *verb;  /* "called", "spawned": for tracebacks */
  /* Pushes the body and its arguments on 'co', which has room for a few values. Must not
   * raise; 'co' may be the running coroutine. */
  void (*push)(rt_call *c, lua_State *co);
  /* The call has ended with c->status: its results are at 'first' .. top of L, or its
   * error and its failure (or nil) are the two values at 'first'. May leave values on
   * L's stack; raises only when out of memory. */
  void (*deliver)(lua_State *L, rt_call *c, int first);
} rt_use;

/* Why a call was cancelled; shared by all it reached. */
typedef struct rt_reason {
  uint32_t refs;
  uint32_t given;           /* bytes of 'text' that are the user's own reason */
  char text[];              /* who cancelled, why and where */
} rt_reason;

typedef struct rt_deadline rt_deadline;
typedef struct rt_grace rt_grace;

/* What few calls have. */
typedef struct rt_call_rare {
  rt_call *failures;        /* children that failed unobserved, newest first */
  rt_call *stem;            /* where a shortened id branches off */
  struct rt_member *more;   /* the groups that wait for it, beyond the first: a ring */
  char *args;               /* arguments written down before the start; malloc'd */
  uint32_t held;            /* waits, not over yet, that have been told of its failure */
  uint32_t args_size;
  int failure;              /* anchors the rt_failure while it unwinds */
  int received;             /* anchors the failures it got from others: rt.traceback */
  rt_reason *reason;        /* of its cancellation; NULL if none, or out of memory */
  char *waited;             /* for what, when it was cancelled; NULL: it has no children */
  int told;                 /* anchors the error that told it of its cancellation */
  uint32_t told_at;         /* the engine's count when it was told last */
  uint32_t told_again;      /* how often, after the first time */
  int64_t unwinding;        /* since when */
  rt_grace *grace;          /* ends what it waits for; NULL while nothing is to be ended */
  rt_deadline *deadline;
  char *deadlock;           /* who waits for what: it is a line that can never end */
  int fatal_error;          /* anchors what ended all of it and its failure: it is a line */
  int fatal_failure;
  char *second;             /* failures beside the one it ends with, for the traceback */
  int64_t progressed;       /* when its progress was last written to the journal; 0: never */
} rt_call_rare;

/* A million may be queued: what stands here is counted in bytes. */
struct rt_call {
  rt_task task;             /* first: a task of ours is a call */
  rt_run *run;
  rt_call *parent;          /* NULL for the root */
  rt_call *children;        /* the live ones, newest first */
  rt_call *next, *previous; /* among the live children of the parent, or its failures */
  rt_node *node;
  const rt_use *use;
  union {
    rt_group *group;        /* spawned: the first group that waits for it */
    void *owner;            /* else: of use */
  };
  rt_call_rare *rare;
  int64_t spawned;
  rt_place site;
  uint32_t index;           /* in the group or map; once ended, the how-manieth to end */
  uint32_t seq, ordinal;
  uint32_t made;            /* ordinals given to children */
  uint32_t live;            /* children that have not ended */
  uint32_t refs;
  int handle;               /* anchors the Task userdata of a spawned call */
  uint16_t id_size;         /* of the dotted path; 256 once it is longer than 255 */
  uint8_t status;           /* rt_status */
  uint8_t outcome;          /* the status it will have, once its children have ended */
  uint8_t depth;            /* calls below it on the same coroutine */
  bool over : 1;            /* the body has ended; only children are waited for */
  bool cancelled : 1;       /* cancellation was asked for */
  bool delivered : 1;       /* ... and raised in its body */
  bool unwound : 1;         /* the body ended by an error */
  bool observed : 1;        /* somebody has waited for it, or will learn of its failure */
  bool instant : 1;         /* it started when it was made: nothing ran in between */
  bool recorded : 1;        /* its beginning stands in the journal */
  bool unrun : 1;           /* a map's item that is no call after all: leave no trace */
  bool nested : 1;          /* runs on the coroutine of its caller */
  bool failing : 1;         /* stands in its parent's list of failures */
  bool shielded : 1;        /* the cancellation of its caller does not reach it */
  bool cut : 1;             /* the grace is over: its cleanup cannot wait any more */
  bool fatal : 1;           /* what was raised in it is a failure that no pcall stops */
  bool alone : 1;           /* its failure is told, and is nobody else's */
  bool gone : 1;            /* it has ended, and its parent knows */
  bool lamented : 1;        /* standard error was told that nobody waits for its failure */
  bool bound : 1;           /* it lasts as long as its caller has a use for it */
  bool orphan : 1;          /* ... which is over */
  bool found_ahead : 1;     /* marks of a search for a circle */
  bool found_back : 1;
  float queued;             /* seconds until it began, if calls are counted */
};

#define rt_call_of(task_) ((rt_call *)(task_))

extern const rt_task_class rt_call_class;

/* Makes a call of 'node' below 'parent' (NULL: the root of 'run'), used as 'use', with one
 * reference for the scheduler, not queued yet. ordinal 0 takes the parent's next. NULL when
 * out of memory. */
rt_call *rt_call_new(rt_run *run, rt_call *parent, rt_node *node, const rt_use *use,
                     uint32_t ordinal);

static inline rt_call *rt_call_ref(rt_call *c) {
  c->refs++;
  return c;
}
void rt_call_unref(rt_call *c);

/* Takes back a call that rt_call_new has made and that was not queued. */
void rt_call_drop(rt_call *c);

/* It is to run when its turn comes. */
void rt_call_queue(rt_engine *e, rt_call *c);

/* Whether a new child of the running call may run at once, on the coroutine of its caller:
 * nobody else is ready, there is time left before I/O is to be looked at, and room on the
 * C stack. */
bool rt_call_may_nest(rt_call *c);

/* Runs it so: 'return rt_call_nest(...)' in the lua_CFunction whose whole stack is the node
 * and its arguments. It returns the results or raises the error. Meanwhile the caller waits
 * for 'kind', which cannot be stopped. */
int rt_call_nest(lua_State *L, rt_call *c, const rt_wait_kind *kind);

/* Raises the error and failure at the two top slots of L in 'c', which waited for a call
 * that ended with 'status'. */
_Noreturn void rt_call_raise_outcome(lua_State *L, rt_call *c, rt_status status);

/* Writes the arguments at 'first' .. 'first + count - 1' down now if one of them could
 * still be changed before the call starts. */
void rt_call_keep_args(lua_State *L, rt_call *c, int first, int count);

enum { RT_ID_ROOM = 300 };  /* bytes that any id fits in */

/* Appends the id: the ordinals from the root down, joined by dots; past 255 bytes its
 * beginning, "…" and "~SEQ". */
void rt_call_id(const rt_call *c, rt_buf *out);

/* Asks for cancellation of the call and all below it. It is raised where they wait; what
 * has not begun does not begin. Runs no Lua. False if the call has ended already. */
bool rt_call_cancel(rt_call *c, rt_reason *reason);

/* The body of 'c', or a scope in it, has returned. If all that lives of what it has started
 * after the ordinal 'before' is bound to it, these calls are told to end. */
void rt_call_tell_orphans(rt_call *c, uint32_t before);

/* Whether a wait of 'c' that has not completed is to end: it was cancelled and not told yet,
 * or its grace is over. */
static inline bool rt_call_unwinds(const rt_call *c) {
  return c->cancelled && (!c->delivered || c->cut);
}

/* Ends the grace of the call and all below it, shielded ones too: whatever still waits is
 * cancelled and ends. */
void rt_call_cut(rt_call *c);

/* Gives the shielded calls below 'c', which was cancelled, one grace period to end. */
void rt_call_end_shields(rt_call *c);

/* 'c' was cancelled and waits in its cleanup: the grace runs. Raises what is wrong. */
void rt_call_check_cleanup(lua_State *L, rt_call *c);

/* Adds to what is told behind the traceback of the failure that 'c' will end with. */
void rt_call_add_second(rt_call *c, const char *line, size_t size);

/* The call ends: stops the timers, frees what is left of its cancellation. */
void rt_call_end_timers(rt_call *c);

/* The same for the reason 'why', also if it is shielded. */
void rt_call_cancel_for(rt_call *c, const char *why);

/* The same for all children of 'c'. */
void rt_call_cancel_children(rt_call *c, const char *why);

/* Writes what the call waits for, for people. */
void rt_call_describe_wait(const rt_call *c, rt_buf *out);

/* Sets the fields 'call' and 'node' of the error at the top of L. */
void rt_call_add_identity(lua_State *L, const rt_call *c);

/* Pushes the error that tells 'c' of its cancellation, while it waited for 'waited' (NULL:
 * for nothing). */
void rt_call_push_cancelled(lua_State *L, rt_call *c, const rt_wait_kind *waited);

/* Writes down that the call begins, with the 'count' arguments at 'first'; it is queued only
 * unless it 'starts'. */
void rt_call_record_begin(lua_State *L, rt_call *c, int first, int count, bool starts);

/* Writes down how it ended: with the results from index 2 of L on, or the error. */
void rt_call_record_end(lua_State *L, rt_call *c, rt_status status, rt_text error);

/* One reference to a reason of that text; NULL when out of memory. */
rt_reason *rt_reason_new(const char *text, size_t size);

/* Likewise for the text in 'b' (which is freed), of which the first 'given' bytes are the
 * user's own. */
rt_reason *rt_reason_from(rt_buf *b, size_t given);
void rt_reason_unref(rt_reason *reason);

/* The call running on L, which must be able to wait. Raises what is wrong otherwise, and
 * the call's own cancellation if it has been cancelled. To be called before anything was
 * started. 'what' is the function's name. */
rt_call *rt_call_check(lua_State *L, rt_engine *e, const char *what);

/* There is no running call: raises that 'what' needs one. */
_Noreturn void rt_call_refuse_outside(lua_State *L, const rt_engine *e, const char *what);

/* The running call, NULL outside a run. */
rt_call *rt_call_current(const rt_engine *e);

/* Somebody waits for the call, or takes note of how it ended. */
void rt_call_observe(rt_call *c);

/* The spawned call has failed unobserved, and a wait for several that is not over yet has
 * been told: it counts as observed until that wait gives it up. False when out of memory:
 * then it counts as observed for good. */
bool rt_call_hold(rt_call *c);

/* One such wait is over. If none has observed the failure it is the parent's again. */
void rt_call_release(rt_call *c);

/* The running call got the failure at the top of L together with the error below it: pops
 * the failure, and leaves the error to be raised. */
void rt_call_receive(lua_State *L, rt_call *c);

/* Pushes the traceback of the failure 'c' received with the error at 'index', or nil. */
void rt_call_push_traceback(lua_State *L, rt_call *c, int index);

/* Raises the cancellation of the running call. */
_Noreturn void rt_call_raise_cancelled(lua_State *L, rt_call *c);

/* Raises the error at the top of L in the running call 'c', which fails with it: no pcall
 * that was entered before stops it. */
_Noreturn void rt_call_raise_through(lua_State *L, rt_call *c);

/* The message handler at the bottom of every task: notes the failure of the running call
 * (where it began, the frames of all calls above it) and returns the error unchanged. */
int rt_call_on_error(lua_State *L);

/* The failure of the error at 'index' is noted for 'c' as one that began in it. */
void rt_call_note_failure(lua_State *L, rt_call *c, int index);

/* The same for an error that takes the place of the one noted before: with its frames. */
void rt_call_note_passed(lua_State *L, rt_call *c, int index);

/* The failure at 'index' began elsewhere and passes through 'c'. */
void rt_call_pass_failure(lua_State *L, rt_call *c, int index);

/* Pushes the failure noted for 'c', or nil. */
void rt_call_push_failure(lua_State *L, rt_call *c);

/* What has failed beside it is put behind the traceback of the failure noted. */
void rt_call_note_second(lua_State *L, rt_call *c, int index);

/* 'child' failed too, with failure 'f' (NULL: unknown): stands in the traceback of 'c'. */
void rt_call_add_failed(rt_call *c, const rt_call *child, const rt_failure *f);

/* Writes the line that tells of it. */
void rt_call_write_failed(const rt_call *child, const rt_failure *f, rt_buf *out);

/* Puts 'more' behind the traceback of the failure at the top of L, with its error below. */
void rt_call_extend_failure(lua_State *L, const rt_buf *more);

/* The same for a child whose failure nobody has asked for. Raises when out of memory. */
void rt_call_add_unobserved(lua_State *L, rt_call *c, const rt_call *child);

/* Tells a call from all others of the engine. */
uint64_t rt_call_identity(const rt_call *c);

/* {"kind":,"message":,"traceback":} of a failure (NULL: out of memory) as 'c' records it;
 * valid until the engine writes the next one. */
rt_text rt_call_written_error(rt_call *c, const rt_failure *f);

/* c->rare, made if it was not there; NULL when out of memory. */
rt_call_rare *rt_call_rare_of(rt_call *c);

#endif
