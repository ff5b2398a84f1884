/* journal.h -- takes records to the store on a thread of its own.
 *
 * The loop appends records to a stream of chunks: a copy and one atomic store each, no
 * lock, no wait for the disk. The writer thread takes what has gathered (every tenth of
 * a second, or sooner when it is much) and writes it to the store as one group. It holds
 * the beginning of a call back for up to half a second, so that a short call is one
 * insert; a call that runs longer gets a row of its own and an update at its end.
 *
 * The stream is bounded: when the writer is behind by RT_JOURNAL_QUEUE bytes the loop
 * waits. Without a store ('none', or when the disk gave up) the chunks themselves are
 * the journal, and the newest RT_JOURNAL_KEPT calls are kept.
 */
#ifndef RT_JOURNAL_H
#define RT_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "store.h"

#define RT_JOURNAL_QUEUE (16u << 20)
#define RT_JOURNAL_KEPT 100000u
#define RT_JOURNAL_KEPT_BYTES (256u << 20)

typedef struct rt_journal rt_journal;

typedef struct rt_journal_options {
  const char *path;    /* of the store; NULL: keep records in memory only */
  int64_t max_size;    /* bytes of the store past which the oldest ended runs go; 0: no bound */
} rt_journal_options;

/* Opens the store and starts the writer. On failure returns -1 and sets '*error', which
 * the caller frees. */
int rt_journal_open(rt_journal **out, const rt_journal_options *options, char **error);

/* Writes what is left, stops the writer, closes the store. */
void rt_journal_close(rt_journal *j);

/* The file written to, NULL when records are kept in memory only. */
const char *rt_journal_path(const rt_journal *j);

/* A run begins: its row is committed when this returns. Sets r->run, the number that
 * the run's other records carry. -1 when the store failed; the run can go on. */
int rt_journal_run_begin(rt_journal *j, rt_run_record *r);

/* A run has ended: all its records are committed when this returns. */
void rt_journal_run_end(rt_journal *j, const rt_run_record *r);

/* What a call's beginning says; times are nanoseconds since the epoch. */
typedef struct rt_journal_call {
  uint32_t run, seq, parent, ordinal;
  uint32_t line;          /* of the site; with 'file' */
  uint8_t kind;           /* rt_call_kind */
  int64_t spawned, started;
  rt_text node;
  rt_text file;           /* borrowed until the journal is closed */
} rt_journal_call;

/* A call begins. Makes '*args' a buffer of 'room' bytes right in the stream (nothing written:
 * they are not recorded); close the record with rt_journal_call_begun.
 * A text that turned out longer is no harm: begin anew with more room instead. 'failed'
 * is set, and nothing is to be closed, when out of memory. */
void rt_journal_call_begin(rt_journal *j, const rt_journal_call *c, size_t room,
                           rt_buf *args);
void rt_journal_call_begun(rt_journal *j, const rt_buf *args);

/* A call ends; likewise, with its results. */
void rt_journal_call_end(rt_journal *j, uint32_t run, uint32_t seq, rt_status status,
                         int64_t ended, rt_text error, size_t room, rt_buf *results);
void rt_journal_call_ended(rt_journal *j, const rt_buf *results);

/* All that was recorded so far is committed when this returns, calls that run included. */
void rt_journal_sync(rt_journal *j);

/* The loop stands still until records have been written: for a signal handler in its thread. */
bool rt_journal_waits(const rt_journal *j);

/* A call could not be recorded for want of memory. */
void rt_journal_call_lost(rt_journal *j);

void rt_journal_event(rt_journal *j, const rt_event_record *e);

/* How many records the writer has not taken to the store yet, those included that it holds
 * back, and their bytes. From any thread. */
void rt_journal_queue(rt_journal *j, uint64_t *records, uint64_t *bytes);

/* How many calls were not recorded in the file since it could not be written any more,
 * and '*why' (owned by the journal); 0 if all is well. */
uint64_t rt_journal_lost(rt_journal *j, const char **why);

/* Hands the calls kept in memory to 'each': first those that have ended, in that order,
 * then those that run. For a journal without a store; on the loop's thread. A nonzero
 * return of 'each' ends it and is returned; -1 when out of memory. */
int rt_journal_kept(rt_journal *j, int (*each)(void *data, const rt_call_record *c),
                    void *data);

#endif
