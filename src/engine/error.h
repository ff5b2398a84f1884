/* error.h -- what goes wrong, as Lua sees it.
 *
 * The engine's own errors are tables {kind=, message=, ...} with a metatable of ours;
 * users' errors are any value and pass through untouched. What is known about a failure
 * beside its value (where it began, the traceback, how it is recorded) is a "failure": a
 * userdata that travels next to the value from the failing call up through its callers.
 */
#ifndef RT_ERROR_H
#define RT_ERROR_H

#include <lua.h>

#include "buf.h"

/* Pushes an error {kind=kind, message=...}; formats as lua_pushfstring does. Raises when
 * out of memory. */
void rt_error_push(lua_State *L, const char *kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Pushes and raises it. */
_Noreturn void rt_error_raise(lua_State *L, const char *kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Raises "FUNCTION: argument N: PROBLEM" of kind usage. */
_Noreturn void rt_error_argument(lua_State *L, const char *function, int argument,
                                 const char *problem);

/* The kind of the error at 'index', NULL if it is not the engine's. The text lives as
 * long as the error. */
const char *rt_error_kind(lua_State *L, int index);

/* Appends the readable form of the error at 'index', whatever it is; calls __tostring
 * or __name of users' errors where there is one, and survives it failing. */
void rt_error_text(lua_State *L, int index, rt_buf *out);

/* Makes the metatable of the engine's errors; once per state. */
void rt_error_open(lua_State *L);

/* ---- failures ---- */

typedef struct rt_failure {
  const char *origin;     /* id of the call where it began; ended by a zero byte */
  const char *traceback;  /* of its whole way, ended by a zero byte */
  const char *message;    /* the error's readable form */
  size_t message_size;
  const char *kind;       /* NULL: a user's error */
  uint64_t began_in;      /* tells the calls it passed through from the one it began in */
} rt_failure;

/* Pushes a failure holding copies of the texts; its user value is for the error. */
rt_failure *rt_failure_push(lua_State *L, const char *origin, const char *kind,
                            const rt_buf *message, const rt_buf *traceback);

/* The failure at 'index'; NULL if there is none. */
rt_failure *rt_failure_at(lua_State *L, int index);

#endif
