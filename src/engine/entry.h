/* entry.h -- what the loop has to say to the journal's writer, as it stands in the stream, and
 * the records of a store that are made of it. */
#ifndef RT_ENTRY_H
#define RT_ENTRY_H

#include "buf.h"
#include "store.h"
#include "stream.h"

enum { RUN_BEGIN, RUN_END, CALL_BEGIN, CALL_END, EVENT };

typedef struct run_begin { rt_stream_head head; rt_run_record *run; int *result; } run_begin;
typedef struct run_end { rt_stream_head head; const rt_run_record *run; } run_end;

typedef struct call_begin {
  rt_stream_head head;
  uint32_t run, seq, parent, ordinal;
  int64_t spawned, started;
  const char *file;           // of the site; kept by the engine for longer than by us
  uint32_t file_size, line;
  uint32_t node, args;        // bytes of the texts that follow; args may be NO_TEXT
  uint32_t kind;
  char texts[];
} call_begin;

typedef struct call_end {
  rt_stream_head head;
  uint32_t run, seq;
  int64_t ended;
  uint32_t status;
  uint32_t results, error;
  char texts[];
} call_end;

typedef struct event {
  rt_stream_head head;
  uint32_t run, seq;
  double at;
  uint32_t kind, value;
  char texts[];
} event;

#define NO_TEXT UINT32_MAX

/* The text of that size at '*at', which is moved behind it. */
rt_text rt_entry_text(const char **at, uint32_t size);

/* The record of a call that begins. Its site is made in 'site'. */
rt_call_record rt_entry_begun(const call_begin *b, rt_buf *site);

/* Adds to the record what a call's end says. */
void rt_entry_ended(rt_call_record *c, const call_end *e);

#endif
