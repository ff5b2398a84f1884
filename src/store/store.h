/* store.h -- where runs and calls are kept.
 *
 * A store takes records and gives them back. It blocks, knows SQL and files, and
 * neither Lua nor libuv; one thread uses a store at a time. SQLite's is the first;
 * the table of functions leaves room for another.
 *
 * Times are seconds since the epoch; 0 means "not yet". A text whose data is NULL is
 * SQL's NULL. Texts are borrowed for the length of the call.
 */
#ifndef RT_STORE_H
#define RT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct rt_text {
  const char *data;  /* not ended by a zero byte; NULL for no text */
  size_t size;
} rt_text;

typedef enum rt_status {
  RT_RUNNING,      /* begun or queued, not ended */
  RT_DONE,
  RT_FAILED,
  RT_CANCELLED,
  RT_INTERRUPTED,  /* never written: what a reader shows when the writer is dead */
} rt_status;

/* "running", "done", ... and back; what is no status is RT_INTERRUPTED. */
const char *rt_status_name(rt_status status);
rt_status rt_status_named(const char *name);

typedef enum rt_call_kind { RT_KIND_LUA, RT_KIND_NATIVE } rt_call_kind;

/* "lua", "native" and back; what is unknown is RT_KIND_LUA. */
const char *rt_call_kind_name(rt_call_kind kind);
rt_call_kind rt_call_kind_named(const char *name);

/* One use of a node. */
typedef struct rt_call_record {
  int64_t run;        /* the run's number in this store */
  uint32_t seq;       /* counts the calls of the run from 1 in the order they were made */
  uint32_t parent;    /* the caller's seq; 0 for the root */
  uint32_t ordinal;   /* the how-manieth child of its parent, from 1 */
  rt_call_kind kind;
  rt_status status;
  double spawned_at;
  double started_at;  /* 0 while queued */
  double ended_at;    /* 0 while running */
  rt_text node;
  rt_text site;       /* "file:line" of the code that started the call */
  rt_text args;       /* a JSON list */
  rt_text results;    /* a JSON list, NULL until returned */
  rt_text error;      /* JSON {"kind":,"message":,"traceback":}, NULL if none */
} rt_call_record;

/* One run. */
typedef struct rt_run_record {
  int64_t run;          /* the run's number in this store; given by run_begin */
  rt_text id;           /* a UUIDv7 as text */
  rt_text name;         /* script file name, "(command line)" or the root node's name */
  rt_text script;       /* absolute path of the script, NULL if there is none */
  rt_text script_hash;  /* of its bytes, NULL if there is none */
  rt_text host;         /* the machine's host name */
  int64_t pid;
  rt_text process;      /* tells the writing process from any later one of the same pid */
  rt_text parent_run;   /* id of the run this one was started from, NULL if none */
  uint32_t parent_call; /* seq of the call that started it, 0 if none */
  double started_at;
  double ended_at;
  rt_status status;
  int64_t calls;        /* how many calls it has made */
  rt_text error;        /* as a call's */
} rt_run_record;

/* Something that happened in a run: a log line, a broadcast. */
typedef struct rt_event_record {
  int64_t run;
  uint32_t seq;   /* of the call it happened in, 0 if none */
  double at;
  rt_text kind;   /* "log", "broadcast" */
  rt_text value;  /* JSON */
} rt_event_record;

typedef struct rt_store rt_store;

/* All functions return 0, or -1 with the reason in rt_store_error(). */
typedef struct rt_store_api {
  /* Everything written between begin and commit is there after a crash or not at all. */
  int (*begin)(rt_store *s);
  int (*commit)(rt_store *s);
  void (*rollback)(rt_store *s);
  /* Adds a run and sets r->run. Commits by itself if no group is open. */
  int (*run_begin)(rt_store *s, rt_run_record *r);
  /* Writes ended_at, status, calls and error of a run. */
  int (*run_end)(rt_store *s, const rt_run_record *r);
  /* Adds a call: a whole one (begun and ended), or one that still runs. */
  int (*call_add)(rt_store *s, const rt_call_record *c);
  /* Writes ended_at, status, results and error of a call added before (found by run and
   * seq); started_at too when it is not 0, 'args' when it is not NULL. */
  int (*call_update)(rt_store *s, const rt_call_record *c);
  int (*event_add)(rt_store *s, const rt_event_record *e);
  /* Bytes the store holds (without what is free for use again); -1 on failure. */
  int64_t (*size)(rt_store *s);
  /* Removes the oldest ended run, its calls and events, and sets *run to its number;
   * 0 when there is none left to remove. Not inside a group. */
  int (*drop_oldest)(rt_store *s, int64_t *run);
  /* The same for the oldest one above number *run that ended before 'before' and has a
   * number up to 'last'. */
  int (*drop_next)(rt_store *s, double before, int64_t last, int64_t *run);
  /* Sets *run to the number of the newest run that is not among the newest 'keep'; 0 if
   * there are no more than those. */
  int (*find_past)(rt_store *s, int64_t keep, int64_t *run);
  /* Gives the room of what was removed back to the disk and sets *bytes to how much: what
   * could be given back without keeping anybody from writing. */
  int (*compact)(rt_store *s, int64_t *bytes);
  void (*close)(rt_store *s);
} rt_store_api;

struct rt_store {
  const rt_store_api *api;
  char *path;   /* as opened */
  char *error;  /* the last failure, one line that names the file; NULL if none */
};

/* Opens or creates the journal at 'path'. Refuses, with a reason that names the file,
 * what is no SQLite database, a database of something else, and a journal of a newer
 * version; brings an older one up to date. On failure returns -1 and sets '*error',
 * which the caller frees. */
int rt_sqlite_open(rt_store **out, const char *path, char **error);

static inline const char *rt_store_error(const rt_store *s) {
  return s->error ? s->error : "no error";
}

/* What tells this process from every other: boot, pid namespace and start time, as
 * one short text. The caller frees; NULL when out of memory. */
char *rt_process_id(void);

/* Whether the process that wrote host, pid and process still lives; true where that
 * cannot be known from here (another host, another pid namespace). */
bool rt_process_alive(const char *host, int64_t pid, const char *process);

/* ---- reading: sqlite_read.c ---- */

typedef struct rt_reader rt_reader;

/* Opens the journal at 'path' for reading; it must exist. The errors of rt_sqlite_open. */
int rt_reader_open(rt_reader **out, const char *path, char **error);
void rt_reader_close(rt_reader *r);

/* Why the last function given 'r' returned -1. */
const char *rt_reader_error(const rt_reader *r);

/* Runs, newest first, from the 'skip'-th on, at most 'limit' (-1: all). Each is handed
 * to 'each', whose record is valid until it returns; a nonzero return ends the reading
 * and is returned. 'each' may leave by a long jump. A run whose writer is dead has status
 * RT_INTERRUPTED; of one that has not ended, 'calls' is how many are there to be read. */
typedef int rt_each_run(void *data, const rt_run_record *run);
int rt_reader_runs(rt_reader *r, int64_t skip, int64_t limit, rt_each_run *each,
                   void *data);

/* The run meant by 'name': "@1" is the newest, "@2" the one before; else a unique prefix
 * or suffix of its id. Calls 'each' once with it. -1 with a reason if there is none, or
 * more than one. */
int rt_reader_run(rt_reader *r, const char *name, rt_each_run *each, void *data);

/* The runs whose numbers are larger, oldest first; 'calls' of those that have not ended is 0. */
int rt_reader_runs_since(rt_reader *r, int64_t number, rt_each_run *each, void *data);

typedef enum rt_call_order {
  RT_BY_START,  /* as they started; those that never did come last */
  RT_BY_TREE,   /* each below its caller, siblings as they started */
  RT_BY_ID,     /* each below its caller, siblings by their ordinals */
} rt_call_order;

/* A call, as read. */
typedef struct rt_call_view {
  rt_call_record record;  /* RT_INTERRUPTED if its end was not recorded, and will not be */
  const char *id;         /* ordinals joined by dots, shortened past 255 bytes */
  const char *parent_id;  /* NULL for the root */
  uint32_t depth;         /* 0 for the root */
} rt_call_view;

/* The calls of one run, read one by one. Knows the way up from each (about 30 bytes a
 * call) and holds no call's texts but the current one's. */
typedef struct rt_calls rt_calls;

/* Opens the calls of run number 'run': the 'limit' that started first (-1: all), in
 * 'order'; of RT_BY_ID the first 'limit' in it. Close it before the reader. */
int rt_calls_open(rt_calls **out, rt_reader *r, int64_t run, int64_t limit,
                  rt_call_order order);
void rt_calls_close(rt_calls *c);

/* How many calls the run had when this was opened, those past the limit included. */
uint32_t rt_calls_total(const rt_calls *c);

/* Reads the next call: 1, 0 past the last, or -1. It is valid until the reader is used
 * again. */
int rt_calls_next(rt_calls *c, rt_call_view *view);

/* ---- following a run: sqlite_tail.c ---- */

/* A run's calls as they come (about 40 bytes for each it has). */
typedef struct rt_tail rt_tail;

/* Opens run number 'run' to be followed from its beginning. Close it before the reader. */
int rt_tail_open(rt_tail **out, rt_reader *r, int64_t run);
void rt_tail_close(rt_tail *t);

/* Who is told. A nonzero return ends the look, which returns it; none may leave by a jump. */
typedef struct rt_follower {
  int (*run)(void *data, const rt_run_record *run);       /* as it is now; first; 'calls' is 0
                                                           * until it has ended */
  int (*call)(void *data, const rt_call_view *call);      /* it is new, or has begun or ended;
                                                           * without its texts */
  int (*progress)(void *data, const rt_event_record *e);  /* an event of that kind */
} rt_follower;

/* Looks what has come since the last look: 0 when that was all, 1 when there may be more ('most'
 * calls were handed out), -1 on failure. A call comes after its caller, whose row may be
 * later, unless that was never recorded. When a run is told to be over and all was handed out
 * there will be no more. */
int rt_tail_look(rt_tail *t, uint32_t most, const rt_follower *f, void *data);

/* Reads calls that were handed out, in this order, with their texts; those that are gone are left
 * out. A nonzero return of 'call' ends it, which returns it; -1 on failure. */
int rt_tail_read(rt_tail *t, const uint32_t *seqs, size_t count,
                 int (*call)(void *data, const rt_call_view *call), void *data);

/* Lets go of the file until the next read. What a writer may put in place of the log it
 * writes waits for open readers: pause before doing anything slow. */
void rt_reader_pause(rt_reader *r);

#endif
