/* engine.h -- open .. close: one of each of the parts, for one Lua state. */
#ifndef RT_ENGINE_H
#define RT_ENGINE_H

#include "buf.h"
#include "journal.h"
#include "notice.h"
#include "place.h"
#include "run.h"
#include "task.h"
#include "uuid.h"

/* Which errors a function that runs something protected does not raise on. */
typedef enum rt_catches {
  RT_CATCHES_NONE,
  RT_CATCHES_USUAL,         /* all but what tells a call to end */
  RT_CATCHES_ALL,
} rt_catches;

typedef struct rt_protector {
  lua_CFunction f;
  int body;                 /* where on its stack it keeps what it calls */
  rt_catches catches;
} rt_protector;

typedef struct rt_runaway rt_runaway;
typedef struct rt_memory rt_memory;

struct rt_engine {
  rt_scheduler scheduler;   /* first: what a coroutine's extra space points to */
  rt_task_class class;      /* what the scheduler asks of the calls */
  lua_State *L;             /* the main thread; NULL once closed */
  char host[256];           /* whose journal entries these are: machine ... */
  char *process;            /* ... and process */
  rt_journal *journal;      /* opened by the first run */
  char *journal_path;       /* as asked for; NULL: the usual place */
  bool journal_none;        /* keep records in memory only */
  int64_t journal_max;
  size_t record_limit;      /* bytes of JSON of one argument or result */
  rt_run *runs;             /* the live ones */
  rt_places places;
  rt_buf scratch;           /* values on their way to the journal */
  rt_buf text;              /* errors on theirs */
  rt_call *spare;           /* calls to use again */
  uint32_t spares;
  rt_uuid_clock uuids;
  uint32_t ended;           /* counts the calls that have ended */
  int64_t ended_at;         /* when the last one did, on the clock */
  uint32_t told;            /* counts what was raised that no pcall stops */
  int64_t grace;            /* nanoseconds that the cleanup of a cancelled call may wait */
  rt_protector protectors[12];  /* functions that run what they call protected */
  int protector_count;
  int no_memory;            /* anchors the error of last resort */
  int own_anchors;          /* anchors that stay as long as the engine */
  int exit_asked;           /* anchors the os.exit to be called after the run; 0: none */
  int exit_code;
  int stray;                /* anchors what a callback failed with outside a run; 0: none */
  bool closing;             /* callbacks of the loop are called no more */
  uint64_t files;           /* descriptors that processes we start may have; 0: as many as we */
  volatile int signal;      /* asked to end by this signal; 0 if not */
  int signal_seen;          /* what of it has been acted upon */
  volatile bool stopped;    /* rt_engine_stop was called */
  bool all_cut;             /* ... and the grace of all calls was ended */
  int64_t run_timeout;      /* nanoseconds a run may take; 0: any number */
  int64_t slice_limit;      /* nanoseconds code may run without a wait; 0: any number */
  rt_runaway *runaway;      /* watches that; NULL: nobody does */
  struct rt_http *http;     /* transfers; NULL until the first */
  void (*close_http)(struct rt_engine *e);
  struct rt_pool *pool;     /* runs native nodes; NULL until the first */
  struct rt_loaded *loaded; /* plugins, newest first */
  struct rt_native_call *native_live;   /* native calls that have outlived their C frame */
  struct rt_native_call *native_spare;  /* native calls to use again */
  uint32_t native_spares;
  struct rt_native_call *native_tried;  /* what rt_native_resume goes on with */
  int workers;              /* most threads of the pool; 0: as many as cores */
  rt_memory *memory;        /* bounds the Lua heap; NULL: nothing does */
  struct rt_meter *meter;   /* measures the loop; NULL: nobody wants to know */
  rt_notices notices;       /* what is told while it happens */
  struct rt_console *console;  /* where somebody types lines; NULL: nobody does */
};

enum { RT_RECORD_LIMIT = 64 * 1024 };
#define RT_GRACE_NS INT64_C(5000000000)

/* The engine of a coroutine that runs a task of its. */
static inline rt_engine *rt_engine_of(lua_State *L) {
  return (rt_engine *)rt_scheduler_of(L);
}

/* Opens an engine in L's state, at most once per state: pushes the userdata that owns it.
 * Raises. */
rt_engine *rt_engine_open(lua_State *L);

/* The journal, opened if it was not yet. Raises an error of kind 'journal'. */
rt_journal *rt_engine_journal(rt_engine *e, lua_State *L);

/* Asks all runs to end as on SIGINT or SIGTERM. From any thread or a signal handler. */
void rt_engine_interrupt(rt_engine *e, int signal);

/* After rt_engine_interrupt: stops the Lua that is running and does not give way. From a
 * signal handler of the loop's own thread. */
void rt_engine_stop(rt_engine *e);

/* The engine's buffer for words that go into an error or the log, emptied. It is the
 * engine's, so that nothing is lost when Lua raises before they are used. */
rt_buf *rt_engine_text(rt_engine *e);

/* After rt_engine_interrupt: unwinds the Lua that is running, once; does nothing where that
 * has begun. From a signal handler of the loop's own thread. */
void rt_engine_unwind(rt_engine *e);

/* No run will follow: waits until libuv has no request under way and no handle that is being
 * closed, 'patience' nanoseconds at most; callbacks are called no more. False if there still
 * are some: then the Lua state, which they write to, must not be closed. */
bool rt_engine_settle(rt_engine *e, int64_t patience);

/* Runs the loop until *done, called from L; raises 'deadlock' errors into the runs. */
void rt_engine_loop(rt_engine *e, lua_State *L, const bool *done);

#endif
