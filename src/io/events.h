/* events.h -- a stream of server-sent events, read as the WHATWG says.
 *
 * Bytes go in as they come, split anywhere; whole events come out. What has no end when the
 * stream ends is no event.
 */
#ifndef RT_EVENTS_H
#define RT_EVENTS_H

#include "buf.h"

typedef struct rt_events {
  rt_buf type, data, id;   /* of the event that is read; 'id' stays for those to come */
  int64_t retry;           /* milliseconds, as the server said last; -1: it has not */
  size_t most;             /* bytes an event may have; 0: any number */
  /* its own: */
  rt_buf line;             /* the beginning of one that is not whole */
  rt_buf seen;             /* the id, until the event is whole */
  bool cr;                 /* the last byte ended a line, and a LF may belong to it */
  bool begun;              /* a byte order mark can come no more */
  bool out;                /* the event was handed out */
} rt_events;

typedef enum rt_events_step {
  RT_EVENTS_MORE,          /* all bytes are read, the event is not whole */
  RT_EVENTS_ONE,           /* an event is in type, data and id, until the next step */
  RT_EVENTS_TOO_LARGE,     /* it is larger than it may be */
  RT_EVENTS_NO_MEMORY,
} rt_events_step;

/* Reads up to 'size' bytes, to the end of an event at most; '*used' tells how many. */
rt_events_step rt_events_read(rt_events *e, const char *bytes, size_t size, size_t *used);

void rt_events_free(rt_events *e);

#endif
