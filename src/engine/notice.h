/* notice.h -- what happens in the runs of an engine, told while it happens: to handlers in Lua
 * (rt.on) and as lines of the log.
 *
 * Handlers run between tasks, outside every call: events wait in a queue until then. Where
 * nobody listens, a call costs one look at 'listening'.
 */
#ifndef RT_NOTICE_H
#define RT_NOTICE_H

#include "call.h"
#include "error.h"
#include "tally.h"

typedef enum rt_level {
  RT_LEVEL_DEBUG, RT_LEVEL_INFO, RT_LEVEL_WARNING, RT_LEVEL_ERROR, RT_LEVEL_NONE,
} rt_level;

/* What somebody listens to: bits of e->notices.listening. */
enum {
  RT_NOTICE_STARTED = 1, RT_NOTICE_ENDED = 2, RT_NOTICE_BROADCAST = 4, RT_NOTICE_PROGRESS = 8,
  RT_NOTICE_LOG = 16,
  RT_NOTICE_HANDLERS = 31,          /* the ones above are asked for by handlers, */
  RT_NOTICE_LINES_STARTED = 32,     /* these by the level of the log */
  RT_NOTICE_LINES_ENDED = 64,
  RT_NOTICE_TALLY = 128,            /* and calls are counted */
};

typedef struct rt_notices {
  uint8_t listening;
  uint8_t level;            /* of the lines: an rt_level */
  bool json;                /* how they are written */
  bool path_failed;         /* the file could not be opened, which was told */
  struct rt_sink *out;      /* standard error; NULL until the first line, as the next */
  struct rt_sink *file;
  char *path;               /* of the file; NULL: none */
  int64_t most;             /* bytes of the file until the next one is begun */
  int64_t since;            /* when the engine was opened, on its clock */
  int dispatch;             /* anchors the function that calls the handlers; 0: none */
  int queue;                /* anchors the list of events that wait for it */
  lua_Integer first, last;  /* which of its items do */
  uint64_t lost;            /* events for which there was no memory */
  rt_tally tally;           /* the calls, if they are counted */
  rt_buf line;              /* a line that is being made */
} rt_notices;

/* "debug" ...; NULL past RT_LEVEL_NONE. */
const char *rt_level_name(int level);
/* -1: there is none of that name. */
int rt_level_named(const char *name);

/* The level of what is written; the engine's own lines are of RT_LEVEL_DEBUG when a call begins
 * and RT_LEVEL_INFO when it ends. */
void rt_notice_set_level(rt_engine *e, rt_level level);

/* Lines go to the file, too, which is opened now. -1, and errno. */
int rt_notice_open_file(rt_engine *e, const char *path);

/* A call begins, or ends with the failure (or NULL); 'at' is nanoseconds since 1970. */
void rt_notice_begin(rt_call *c);
void rt_notice_end(rt_call *c, rt_status status, const rt_failure *failure);

/* Calls are counted, and one has been queued; it has ended, and never begun. */
void rt_notice_queue_call(rt_call *c);
void rt_notice_drop_call(rt_call *c);

/* Pops the event table at the top of L, after adding what it says of the call (NULL: it happened
 * in none), and puts it into the queue. Raises when out of memory. */
void rt_notice_queue(lua_State *L, rt_engine *e, const rt_call *c);

/* Writes a line, if its level is written: 'fields' is a JSON object or empty, in 'value' are
 * further fields of a JSON line, each with a comma before it. */
void rt_notice_line(rt_engine *e, rt_level level, const rt_call *c, rt_text message,
                    rt_text fields, const char *value);

/* The scheduler's word that no task runs now: calls the handlers. */
void rt_notice_deliver(rt_scheduler *s);

void rt_notice_close(rt_engine *e);

#endif
