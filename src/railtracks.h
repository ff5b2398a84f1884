/* railtracks.h -- native nodes for Railtracks.
 *
 * The one public header: plain C11 (and C++17), no types of Lua or libuv in it. It only
 * grows: what is compiled against this version runs with every later one of the same RT_API.
 *
 * A native node is a C function that reads arguments, and returns results or fails:
 *
 *   static int add(rt_call *c) {
 *     return rt_return_int(c, rt_arg_int(c, 1) + rt_arg_int(c, 2));
 *   }
 *
 *   static const rt_native nodes[] = {
 *     {.name = "add", .kind = RT_INLINE, .run = add, .about = "Adds two integers."},
 *     {.name = NULL},
 *   };
 *
 *   const rt_plugin railtracks_plugin = {
 *     .api = RT_API, .size = sizeof(rt_plugin), .name = "sums", .nodes = nodes};
 *
 * Compile it as a shared library (cc -shared -fPIC -o sums.so sums.c); in Lua it is
 *
 *   local sums = rt.load "./sums.so"
 *   print(rt.call(sums.add, 1, 2))
 *
 * WHO OWNS WHAT. Everything read from a call or made for one (texts, values) belongs to the
 * call and lives as long as it: until the function returns; for a later node until rt_finish,
 * rt_fail or rt_drop; for one that asks another, until it has ended. What is given to a
 * function here is copied before that returns, but for rt_return_owned and the arguments of
 * rt_ask, which are values of the call. Nothing needs to be freed.
 *
 * Programs embed the engine by the same header: see "embedding" at its end.
 *
 * THREADS. Inline and later functions run on the loop's thread, offload functions on a
 * worker. A call is used by one thread at a time; different calls may be used at once.
 * Only rt_cancelled may be asked from anywhere while the call lives.
 */
#ifndef RAILTRACKS_H
#define RAILTRACKS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RT_API 1  /* version of what a plugin relies on */
#define RT_EXPORT __attribute__((visibility("default")))

/* One call of a native node. */
typedef struct rt_call rt_call;

/* A value of Lua's, or one on the way to it. */
typedef struct rt_value rt_value;

typedef enum rt_type {
  RT_NIL,
  RT_BOOLEAN,
  RT_INTEGER,  /* 64 bits */
  RT_FLOAT,
  RT_TEXT,     /* bytes, zeroes among them too */
  RT_LIST,     /* a table with the keys 1..n and no others, or with its length in the field n,
                * as rt.gather and table.pack make them: then items may be nil */
  RT_MAP       /* any other table, also an empty one that is no rt.array */
} rt_type;

/* ---- nodes and plugins ---- */

typedef enum rt_kind {
  RT_INLINE,   /* runs on the loop, and nothing else does meanwhile: for microseconds */
  RT_OFFLOAD,  /* runs on a worker thread, in parallel to others: for what takes CPU */
  RT_LATER     /* starts something on the loop that answers when it is ready: rt_later */
} rt_kind;

/* Returns 0, or what an rt_return function or rt_fail has returned. Any other value fails
 * the call. */
typedef int rt_function(rt_call *c);

typedef struct rt_native {
  const char *name;   /* not empty; NULL ends a table of nodes */
  rt_kind kind;
  rt_function *run;
  const char *about;  /* one sentence for people; may be NULL */
  const void *reserved[4];
} rt_native;

/* What a shared library exports under the name railtracks_plugin. */
typedef struct rt_plugin {
  int api;                 /* RT_API */
  size_t size;             /* sizeof(rt_plugin) */
  const char *name;        /* not empty */
  const rt_native *nodes;
  /* Called when an engine loads the plugin, on the engine's thread: may put something of its
   * own in '*state', which starts as NULL. Other than 0 refuses; '*error' may then say why,
   * a text that stays valid. May be NULL. */
  int (*open)(void **state, const char **error);
  /* Called when that engine closes and no function of the plugin runs in it any more. If one
   * has not returned within the grace, it is not called at all. Handles of rt_later may be out
   * still, and are given back here or afterwards. May be NULL. */
  void (*close)(void *state);
} rt_plugin;

extern RT_EXPORT const rt_plugin railtracks_plugin;

/* What 'open' put in '*state', one for each engine. */
RT_EXPORT void *rt_state(const rt_call *c);

/* ---- arguments, counted from 1 ----
 *
 * A wrong one fails the call with "NODE: argument 1: expected string, got table", whatever
 * the function then does: it gets 0 or an empty text, so it may go on without looking. One
 * that does what cannot be undone asks rt_failed first. */

RT_EXPORT int rt_arg_count(const rt_call *c);

/* RT_NIL past the last one. A function or userdata has none of the types: -1. */
RT_EXPORT int rt_arg_type(rt_call *c, int n);

RT_EXPORT int rt_arg_boolean(rt_call *c, int n);
RT_EXPORT int64_t rt_arg_int(rt_call *c, int n);   /* takes 3.0 as well */
RT_EXPORT double rt_arg_number(rt_call *c, int n);

/* '*size' (unless NULL) is the number of bytes; a zero byte follows the last one. */
RT_EXPORT const char *rt_arg_text(rt_call *c, int n, size_t *size);

/* Any value that can cross: all but functions, userdata, threads, tables nested more than
 * 1000 deep or in a circle. Tables are copied, without metatables. Never NULL. */
RT_EXPORT const rt_value *rt_arg_value(rt_call *c, int n);

/* The same where the argument may be left out or nil: then 'other' is returned. */
RT_EXPORT int rt_arg_boolean_or(rt_call *c, int n, int other);
RT_EXPORT int64_t rt_arg_int_or(rt_call *c, int n, int64_t other);
RT_EXPORT double rt_arg_number_or(rt_call *c, int n, double other);
RT_EXPORT const char *rt_arg_text_or(rt_call *c, int n, size_t *size, const char *other);

/* ---- reading values; never fails: of another type they give 0, "" or NULL ---- */

RT_EXPORT rt_type rt_value_type(const rt_value *v);
RT_EXPORT int rt_value_boolean(const rt_value *v);
RT_EXPORT int64_t rt_value_int(const rt_value *v);
RT_EXPORT double rt_value_number(const rt_value *v);
RT_EXPORT const char *rt_value_text(const rt_value *v, size_t *size);

/* Items of a list, or pairs of a map. */
RT_EXPORT size_t rt_value_count(const rt_value *v);

/* Item 'i' of a list or value 'i' of a map, from 0; '*key' (unless NULL) is its key, NULL in
 * a list. NULL past the end. A map has no order. */
RT_EXPORT const rt_value *rt_value_at(const rt_value *v, size_t i, const rt_value **key);

/* The value of a map under the text 'key'; NULL if there is none. Of a list that came with its
 * length in the field n, that one. */
RT_EXPORT const rt_value *rt_value_get(const rt_value *map, const char *key);

/* ---- making values ----
 *
 * They belong to the call. NULL when out of memory; the functions here take that in silence,
 * and the call fails, so that it needs to be looked at in one place only: nowhere. So does
 * what cannot be: to add to what is no list or map made here, or to add NULL.
 *
 * A table may be put into several others, also before it is complete; it is when it is
 * returned. One nested more than 1000 deep, or in a circle, fails the call. */

RT_EXPORT rt_value *rt_new_nil(rt_call *c);
RT_EXPORT rt_value *rt_new_boolean(rt_call *c, int boolean);
RT_EXPORT rt_value *rt_new_int(rt_call *c, int64_t integer);
RT_EXPORT rt_value *rt_new_number(rt_call *c, double number);
RT_EXPORT rt_value *rt_new_text(rt_call *c, const char *text, size_t size);
RT_EXPORT rt_value *rt_new_list(rt_call *c);
RT_EXPORT rt_value *rt_new_map(rt_call *c);

/* Puts a value behind the others of a list made above. Lua lists have no room for nil: it
 * ends the list there. */
RT_EXPORT void rt_list_add(rt_value *list, const rt_value *item);

/* Puts a value into a map made above; of two under one key the later counts. */
RT_EXPORT void rt_map_set(rt_value *map, const char *key, const rt_value *value);

/* The same under any key but nil, NaN, a list or a map, which fail the call. */
RT_EXPORT void rt_map_put(rt_value *map, const rt_value *key, const rt_value *value);

/* ---- results: each call of these adds one; returns 0 ---- */

RT_EXPORT int rt_return_nil(rt_call *c);
RT_EXPORT int rt_return_boolean(rt_call *c, int boolean);
RT_EXPORT int rt_return_int(rt_call *c, int64_t integer);
RT_EXPORT int rt_return_number(rt_call *c, double number);
RT_EXPORT int rt_return_text(rt_call *c, const char *text, size_t size);
RT_EXPORT int rt_return_value(rt_call *c, const rt_value *v);

/* A text that is not copied on this side; 'release' (unless NULL) is called with it once, on
 * any thread, whatever becomes of the call. */
RT_EXPORT int rt_return_owned(rt_call *c, char *text, size_t size, void (*release)(void *));

/* ---- failing ---- */

/* Fails the call, the first failure counts: an error of kind 'native' with that message,
 * formatted as by printf, and with 'code' (may be NULL) in its field. Returns -1. On what
 * rt_later has returned it ends the call, too, which then must not be used any more. */
RT_EXPORT int rt_fail(rt_call *c, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Whether the call has failed: by rt_fail, a wrong argument, or for want of memory. */
RT_EXPORT int rt_failed(const rt_call *c);

/* Whether nobody waits for the call any more, since it was cancelled or a deadline has
 * passed: it may stop, what it returns is dropped. */
RT_EXPORT int rt_cancelled(const rt_call *c);

/* ---- answering later ---- */

/* In the function of an RT_LATER node: the call goes on when the function has returned, until
 * rt_finish, rt_fail or rt_drop is called with what this returns, exactly once, from any
 * thread, also if the call has been cancelled meanwhile. What the function itself returns does
 * not count any more. Needs no memory. */
RT_EXPORT rt_call *rt_later(rt_call *c);

/* The results are complete. */
RT_EXPORT void rt_finish(rt_call *later);

/* There will be no answer: the call fails with "dropped". */
RT_EXPORT void rt_drop(rt_call *later);

/* ---- calling other nodes ----
 *
 * A function that runs on the loop cannot wait in its middle: it asks, returns, and is told.
 *
 *   static int answered(rt_call *c, const rt_problem *problem, void *data) {
 *     if (problem) return -1;                            // the error goes on as it is
 *     return rt_return_value(c, rt_answer(c, 1));
 *   }
 *
 *   static int shout(rt_call *c) {
 *     rt_value *args = rt_new_list(c);
 *     rt_list_add(args, rt_arg_value(c, 1));
 *     return rt_ask(c, "upper_case", args, answered, NULL);
 *   }
 */

typedef struct rt_problem {
  const char *kind;       /* as rt.kind says; NULL: an error of the user's */
  const char *code;       /* of native nodes and the like; NULL: none */
  const char *message;
  const char *traceback;  /* "" if there is none */
} rt_problem;

/* Is told what the asked node has answered, on the loop's thread, and goes on with the call as
 * its function would: returns results, fails, asks the next one, takes a handle with rt_later.
 * 'problem' says why the node has failed, NULL if it has not; returning other than 0 without
 * rt_fail lets that very error go on. A cancellation goes on whatever is returned. */
typedef int rt_then(rt_call *c, const rt_problem *problem, void *data);

/* Calls the node registered as 'node' below this call, with the items of the list 'args' (NULL:
 * none) as arguments. In functions of the kinds RT_INLINE and RT_LATER, and in 'then'; one at a
 * time. 'c' may be what rt_later has returned, from any thread: the handle is given back by
 * that. Returns 0: 'then' will be called exactly once, with 'data'; also if the call is
 * cancelled, or fails in another way meanwhile (then what it does has no effect). Returns -1,
 * and 'then' will not be called: the call has failed, or has been cancelled; a handle is still to
 * be given back, by rt_drop for one. */
RT_EXPORT int rt_ask(rt_call *c, const char *node, const rt_value *args, rt_then *then,
                     void *data);

/* What the node asked last has returned, counted from 1; NULL past the last one. They are the
 * call's. */
RT_EXPORT int rt_answer_count(const rt_call *c);
RT_EXPORT const rt_value *rt_answer(const rt_call *c, int n);

/* ---- embedding ----
 *
 *   rt_engine *e = rt_open(NULL, &why);
 *   rt_add(e, &my_nodes, &why);
 *   rt_call *c = rt_prepare_file(e, "flow.lua");
 *   rt_pass(c, rt_new_text(c, "input", 5));
 *   if (rt_perform(c) < 0) puts(rt_problem_of(c)->message);
 *   else printf("%lld", (long long)rt_value_int(rt_result(c, 1)));
 *   rt_release(c);
 *   rt_close(e);
 *
 * An engine and its calls are used by one thread at a time; several engines, each in a thread
 * of its own, do not disturb each other. No handler of a signal is installed. */

typedef struct rt_engine rt_engine;

/* All that is zero is as the program has it. */
typedef struct rt_options {
  size_t size;           /* sizeof(rt_options) */
  const char *journal;   /* file of the journal, "none" for none; NULL: the usual place */
  int workers;           /* threads for native nodes */
  double grace;          /* seconds that cleanup may wait */
  double timeout;        /* seconds that a run may take */
} rt_options;

/* Opens an engine with a Lua of its own. NULL when that fails, and '*error' says why (a text
 * that stays). 'options' may be NULL. */
RT_EXPORT rt_engine *rt_open(const rt_options *options, const char **error);

/* Ends it, once all its calls are released and not from within one: those that were released
 * before their end get the grace to end, the journal is written, plugins are closed. */
RT_EXPORT void rt_close(rt_engine *e);

/* Adds nodes of the program's own, found by name from then on. The table is checked as that of
 * a plugin, and stays the caller's for as long as the engine. 0, or -1 and '*error', which is
 * valid until the next call. */
RT_EXPORT int rt_add(rt_engine *e, const rt_plugin *plugin, const char **error);

/* A call of a node, a script or a piece of Lua, to be performed as a run of its own. 'name' is
 * how the run is called. NULL when out of memory; what is wrong with the rest is told by
 * rt_perform. To be released. */
RT_EXPORT rt_call *rt_prepare(rt_engine *e, const char *node);
RT_EXPORT rt_call *rt_prepare_file(rt_engine *e, const char *path);
RT_EXPORT rt_call *rt_prepare_text(rt_engine *e, const char *code, const char *name);

/* Adds an argument, a value made by the rt_new functions for this call. */
RT_EXPORT void rt_pass(rt_call *prepared, const rt_value *argument);

/* The same from JSON. 0, or -1: it is none, see rt_problem_of. */
RT_EXPORT int rt_pass_json(rt_call *prepared, const char *json, size_t size);

/* Performs it and waits for its end. 0, or -1: see rt_problem_of. A second time: -1, and what is
 * known of it stays. */
RT_EXPORT int rt_perform(rt_call *prepared);

/* Starts it and does not wait: it goes on in rt_loop_step and whatever else runs the loop.
 * 'done' (may be NULL) is called once when it has ended, on the engine's thread, outside of any
 * run: it reads results, and may start and release calls, this one too. 0, or -1: it cannot be
 * started, see rt_problem_of, and 'done' is not called; or it was started before. */
RT_EXPORT int rt_start(rt_call *prepared, void (*done)(rt_call *c, void *data), void *data);

/* Cancels what rt_start has started, if it has not ended; it ends by that some steps later. */
RT_EXPORT void rt_cancel(rt_call *started);

/* What it has returned, counted from 1; NULL past the last one. */
RT_EXPORT int rt_result_count(const rt_call *performed);
RT_EXPORT const rt_value *rt_result(const rt_call *performed, int n);

/* The same as JSON, a text of '*size' bytes (unless NULL) and a zero byte. NULL past the last
 * one, and when out of memory. */
RT_EXPORT const char *rt_result_json(rt_call *performed, int n, size_t *size);

/* Why it has failed; NULL if it has not. */
RT_EXPORT const rt_problem *rt_problem_of(const rt_call *performed);

/* Frees the call and all values of it; 'c' may be NULL. One that has not ended is cancelled, and
 * 'done' is not called. */
RT_EXPORT void rt_release(rt_call *c);

/* ---- the loop in another one's hands ----
 *
 *   struct pollfd p = {.fd = rt_loop_fd(e), .events = POLLIN};
 *   while ((left = rt_loop_step(e, 0)) > 0) poll(&p, 1, rt_loop_timeout(e));
 */

enum {
  RT_STANDSTILL = -1,  /* started calls wait for each other, and nothing can ever wake one */
  RT_INSIDE = -2       /* called from within a node */
};

/* Looks at timers and I/O, waiting for the latter for so many milliseconds at most (0: not at
 * all, -1: as long as it takes) if nothing is to be done; runs what is ready for about two
 * milliseconds; calls 'done' of what has ended. Returns how many started calls have not, or one
 * of the numbers above. */
RT_EXPORT int rt_loop_step(rt_engine *e, int milliseconds);

/* In how many milliseconds rt_loop_step has something to do, unless rt_loop_fd becomes readable
 * before; -1: only then. */
RT_EXPORT int rt_loop_timeout(rt_engine *e);

/* For poll, epoll and the like; readable when rt_loop_step has something to do. The engine's. */
RT_EXPORT int rt_loop_fd(const rt_engine *e);

/* Cancels all that runs, as Ctrl-C does in the program. From any thread, and from handlers of
 * signals, while the engine is open. */
RT_EXPORT void rt_interrupt(rt_engine *e);

#ifdef __cplusplus
}
#endif

#endif
