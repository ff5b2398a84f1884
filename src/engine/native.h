/* native.h -- calls of nodes that are C functions.
 *
 * A native node's body is a Lua closure (rt_native_main) over the engine and the node's
 * entry. An inline one reads its arguments where they stand on the Lua stack. The others get
 * copies, since they go on in other threads or later, and their call waits: for a worker of
 * the pool, or for the handle that rt_later has given. Whoever is ready first, the answer or
 * the cancellation, lets go of its half of the rt_native_call; the last one frees it.
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

struct rt_native_call {
  rt_native_entry entry;
  lua_State *L;             /* inline: where the arguments stand, from 1; else NULL */
  rt_pool *pool;            /* else: a reference */
  rt_task *task;            /* who waits; NULL: nobody any more. The loop's */
  struct rt_native_box *box;  /* the waiter's reference to this; likewise */
  rt_native_call *next, *previous;  /* in the pool's queues; under its lock */
  int64_t began;            /* when a worker took it */
  atomic_uint refs;
  atomic_bool cancelled;
  bool queued;              /* no worker has taken it yet; under the lock */
  bool later;               /* rt_later was called */
  bool failed;
  const char *kind;         /* of the error */
  char *code, *message;     /* in the arena; NULL: none, and out of memory */
  const rt_value **args;    /* copies, made when first asked for; NULL: none yet */
  int arg_count, result_count;
  rt_value *results;        /* 'own', or in the arena */
  int result_room;
  rt_owned *owned;
  rt_arena arena;
  rt_value own[RT_RESULTS];
  char room[128];           /* the arena's first bytes */
};

/* A userdata on the stack of the one who waits. */
typedef struct rt_native_box {
  rt_native_call *call;     /* NULL once it is let go */
  const char *name;         /* of the node */
} rt_native_box;

/* The body of every native node: upvalues are the engine, and a userdata holding the
 * rt_native_entry. */
int rt_native_main(lua_State *L);

/* Pushes that closure. Raises when out of memory. */
void rt_native_push(lua_State *L, rt_loaded *home, const rt_native *native);

/* Begins and ends a native call; the memory is the caller's. */
void rt_native_init(rt_native_call *n, const rt_native_entry *entry);
void rt_native_clear(rt_native_call *n);

/* Drops one of the references of a call that was malloc'd. */
void rt_native_unref(rt_native_call *n);

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

/* Closes all plugins, whose functions have returned; or, if not 'clean', leaves them. */
void rt_native_unload(rt_engine *e, bool clean);

#endif
