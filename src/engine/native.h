/* native.h -- calls of nodes that are C functions.
 *
 * A native node's body is a Lua closure (rt_native_main) over the engine and the node's
 * entry. An inline one reads its arguments where they stand on the Lua stack. The others get
 * copies, since they go on in other threads or later, and their call waits: for a worker of
 * the pool, or for the handle that rt_later has given. Whoever is ready first, the answer or
 * the cancellation, lets go of its half of the rt_native_call; the last one frees it.
 *
 * What outlives its C frame stands in a list of the engine's, so that nothing is lost when the
 * coroutine of the one who waits is.
 */
#ifndef RT_NATIVE_H
#define RT_NATIVE_H

#include <stdatomic.h>

#include "call.h"
#include "tree.h"

typedef struct rt_native_call rt_native_call;
typedef struct rt_native_entry rt_native_entry;
typedef struct rt_pool rt_pool;

/* A plugin as one engine has loaded it. */
typedef struct rt_loaded {
  struct rt_loaded *next;
  rt_engine *engine;
  const rt_plugin *plugin;
  void *library;            /* of dlopen */
  void *state;              /* rt_state */
  int anchor;               /* of the table of its nodes */
  uint64_t device, inode;   /* of the file: it is loaded once */
  size_t out;               /* calls that are queued, run, or answer later; under the pool's lock */
  bool stuck;               /* a function of it has not returned in time */
} rt_loaded;

struct rt_native_entry {
  const rt_native *native;  /* in the plugin */
  rt_loaded *home;
};

typedef struct rt_owned {
  struct rt_owned *next;
  void *text;
  void (*release)(void *);
} rt_owned;

enum { RT_RESULTS = 4 };    /* results without a further allocation */

/* What a call has asked another node for: see ask.c. */
typedef struct rt_asked {
  rt_then *then;            /* to be told the answer; NULL: nothing is asked */
  void *data;
  const char *node;
  const rt_value *args;     /* a list; NULL: none */
  const rt_value **answers; /* of the last one */
  int answer_count;
  int floor;                /* the height of the stack below the asking */
  lua_KContext since;       /* of rt_protect_enter */
  bool told;                /* of its end: nothing can be asked any more */
} rt_asked;

/* In the order of who needs it: a call goes from core to core and back. */
struct rt_native_call {
  rt_task *task;            /* who waits; NULL: nobody any more. The loop's */
  rt_native_call *live_next, **live_link;  /* in the engine's list; NULL: it is not. Likewise */
  lua_State *L;             /* inline: where the arguments stand; else NULL */
  int base;                 /* ... behind this index */
  int arg_count;
  const rt_value **args;    /* copies, made when first asked for; NULL: none yet */

  rt_native_call *next, *previous;  /* in the pool's queues; under its lock */
  rt_native_entry entry;
  rt_pool *pool;            /* not inline: the one it is given to */
  int64_t began;            /* when a worker took it */
  atomic_uint refs;
  atomic_bool cancelled;
  bool queued;              /* no worker has taken it yet; under the lock, as the next two */
  bool running;             /* a worker has */
  bool lost;                /* and nobody waits for it any more */
  bool later;               /* rt_later was called */
  bool failed;

  int result_count, result_room;
  rt_value *results;        /* 'own', or in the arena */
  rt_arena arena;
  rt_value own[RT_RESULTS];
  char room[128];           /* the arena's first bytes */

  const char *kind;         /* of the error */
  char *code, *message;     /* in the arena; NULL: none, and out of memory */
  rt_owned *owned;
  rt_asked asked;
};

/* The body of every native node: upvalues are the engine, and a userdata holding the
 * rt_native_entry. */
int rt_native_main(lua_State *L);

/* Pushes that closure; returns the entry, which lives as long. Raises when out of memory. */
const rt_native_entry *rt_native_push(lua_State *L, rt_loaded *home, const rt_native *native);

/* Begins and ends a native call; the memory is the caller's. */
void rt_native_init(rt_native_call *n, const rt_native_entry *entry);
void rt_native_clear(rt_native_call *n);

/* Drops one of the references, on any thread. */
void rt_native_unref(rt_native_call *n);

/* The same on the loop's, which keeps some for the next ones. */
void rt_native_recycle(rt_native_call *n);

/* Runs an inline node whose arguments stand on L's stack from index 2 on, without anything
 * around it that catches errors. Leaves its results on top and returns their number; or -1,
 * when there is more to do than that: rt_native_resume is then to be called with the same
 * arguments. Does not raise. */
int rt_native_try(lua_State *L, rt_engine *e, const rt_native_entry *entry);
int rt_native_resume(lua_State *L);

/* Drops the reference of the one who waits. */
void rt_native_let_go(rt_native_call *n);

/* The call ends while a handle of it is out. */
void rt_native_desert(rt_native_call *n);

/* Goes on with a call whose function has returned: asks what it wants to ask, waits for its
 * handle, or ends it. In a lua_CFunction: 'return rt_native_go_on(...)'. */
int rt_native_go_on(lua_State *L, rt_native_call *n, int returned);

/* ---- asking other nodes: ask.c ---- */

/* Calls what n has asked for, then goes on with it. */
int rt_native_ask(lua_State *L, rt_native_call *n);

/* Whoever has asked in vain is told so. */
void rt_native_ask_no_more(rt_native_call *n);

/* The C function that calls what was asked for: no business of tracebacks. */
int rt_native_call_asked(lua_State *L);

/* Says why it fails, unless it has failed already. */
void rt_native_fail(rt_native_call *n, const char *kind, const char *code, const char *format,
                    ...) __attribute__((format(printf, 4, 5)));

/* What the function has returned, or that it ran out of memory, is a failure, too. */
void rt_native_judge(rt_native_call *n, int returned);

/* Opens the library at 'path' and finds its table. On failure NULL, and '*error' says why: free
 * it. */
rt_loaded *rt_library_open(const char *path, char **error);
void rt_library_close(void *library);

/* Whether the table of the plugin at 'path' (or so called) is one we understand; else says
 * why not. */
bool rt_plugin_check(const char *path, const rt_plugin *plugin, rt_buf *why);

/* Closes the plugins whose functions have returned, and unloads those of which nothing is out
 * after that. */
void rt_native_unload(rt_engine *e, rt_pool *closed);

#endif
