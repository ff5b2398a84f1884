/* exchange.h -- a request of rt.http and its answer, as the C files of it share them.
 *
 * An exchange is a userdata around a transfer of io/transfer.h. Two tasks have to do with
 * it: the driver, whose call it is (it starts it, feeds it and waits for its end), and, if
 * it is streamed, the reader, who takes what has come.
 */
#ifndef RT_EXCHANGE_H
#define RT_EXCHANGE_H

#include "events.h"
#include "lib.h"
#include "transfer.h"

typedef enum rt_exchange_want {
  RT_WANT_END,             /* of the transfer */
  RT_WANT_HUNGER,          /* for the next piece of the upload */
  RT_WANT_HEAD,            /* of the answer */
  RT_WANT_BODY,            /* more than 'least' bytes of it */
} rt_exchange_want;

typedef struct rt_exchange {
  rt_engine *engine;
  rt_transfer *transfer;   /* NULL once closed */
  rt_task *driver, *reader;           /* who waits; NULL: nobody */
  rt_exchange_want driver_wants, reader_wants;
  rt_events events;
  size_t least;
  size_t taken;            /* bytes of the transfer's body that the events have */
  bool raise;              /* a status of 400 and more is an error */
  bool unrecorded;
  uint16_t method_size;    /* in the name */
  uint16_t name_size;
  char name[];             /* "http GET host/path", ended by a zero byte */
} rt_exchange;

enum { RT_ERROR_BODY = 2048 };   /* bytes of a body that an error has */

enum {                     /* its user values */
  RT_EXCHANGE_BODY = 1,    /* the string that is sent */
  RT_EXCHANGE_TIMINGS,
};

/* The client of the engine, made if it was not; it has libcurl's functions. Raises. */
rt_http *rt_lib_http(lua_State *L, rt_engine *e);

/* The exchange at 'index'; raises if there is none, or it was closed. */
rt_exchange *rt_exchange_at(lua_State *L, int index);

/* Pushes the method of the request, and its address as it may be shown. */
void rt_exchange_push_method(lua_State *L, const rt_exchange *x);
void rt_exchange_push_address(lua_State *L, const rt_exchange *x);

/* ---- exchange.c: waiting ---- */

/* Called by the transfer: wakes whoever has waited for that. */
void rt_exchange_changed(rt_transfer *t);

/* The body of the call of a request: starts it, waits for its end, returns the status, the bytes
 * that have come, the timings and, if so, "closed early"; or raises. Upvalues: the engine, the
 * exchange. */
int rt_exchange_run(lua_State *L);

/* Adds the methods to the table at the top. */
void rt_exchange_add_methods(lua_State *L, rt_engine *e);

/* ---- headers.c ---- */

/* Pushes the headers of an answer, of which that is the head. */
void rt_headers_push(lua_State *L, const rt_buf *head);

/* Adds what concerns them to the table at the top. */
void rt_headers_open(lua_State *L, rt_engine *e);

/* ---- answer.c: what has come, in Lua ---- */

/* Pushes the timings, made once. */
void rt_answer_push_timings(lua_State *L, const rt_exchange *x, int exchange);

/* Raises why it has failed, or that its status is an error. */
_Noreturn void rt_answer_raise(lua_State *L, rt_exchange *x);

/* Adds the functions to the table at the top. */
void rt_answer_add(lua_State *L, rt_engine *e);

#endif
