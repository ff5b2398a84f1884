/* view.h -- the journal shown to browsers: a server on a thread of its own.
 *
 * It only reads: each thread of it has its own read-only connection to the journal, so it
 * answers whatever the program's loop is doing, and another process may be the writer.
 * Without a journal it tells what the program measures of itself, at /metrics alone.
 * Nothing of it is in the library; the program alone links it.
 */
#ifndef RT_VIEW_H
#define RT_VIEW_H

#include "counts.h"

typedef struct rt_view rt_view;

/* What a program measures of itself; 'read' is called on the server's thread, and is false
 * when out of memory. */
typedef struct rt_view_live {
  bool (*read)(const void *data, rt_reading *out);
  const void *data;
} rt_view_live;

typedef struct rt_view_options {
  const char *journal;  /* the file; it need not be there yet. NULL: what follows is told */
  rt_view_live live;
  const char *host;     /* NULL: 127.0.0.1, open to all who can reach it; else a token is asked */
  int port;             /* 0: any that is free; -1: 3030, or one of the next if it is taken */
} rt_view_options;

/* Begins to answer. On failure returns -1 and sets '*error', which the caller frees; it is
 * NULL when there was no memory for it. */
int rt_view_open(rt_view **out, const rt_view_options *options, char **error);

/* What to type into a browser: "http://127.0.0.1:3030/", with the token if one is asked. */
const char *rt_view_address(const rt_view *v);

/* Ends all connections and frees. */
void rt_view_close(rt_view *v);

#endif
