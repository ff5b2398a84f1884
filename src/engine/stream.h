/* stream.h -- records on their way from the loop to the writer.
 *
 * A list of chunks with one producer and one consumer. The producer appends to the
 * newest chunk and publishes with one atomic store; the consumer reads up to that. The
 * lock is taken per chunk, not per record. A stream without a consumer is a memory: it
 * forgets its oldest chunks instead of filling up.
 */
#ifndef RT_STREAM_H
#define RT_STREAM_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Every record begins with one; 'size' counts it in. Published sizes are multiples of 8. */
typedef struct rt_stream_head {
  uint32_t size;
  uint32_t type;
} rt_stream_head;

typedef struct rt_chunk {
  struct rt_chunk *next;  /* under the stream's lock */
  size_t capacity;
  _Atomic size_t used;    /* bytes published */
  _Atomic size_t read;    /* bytes taken by the consumer */
  uint32_t held;          /* consumer: records that are still pointed to */
  uint32_t calls;         /* producer: calls begun in it */
  char bytes[] __attribute__((aligned(8)));
} rt_chunk;

typedef struct rt_stream {
  pthread_mutex_t lock;    /* of what follows */
  pthread_cond_t filled;   /* the consumer waits here */
  pthread_cond_t emptied;  /* the producer waits here */
  rt_chunk *head;          /* the oldest chunk */
  rt_chunk *spare;         /* one to use again */
  size_t bytes;            /* of all chunks from head on */
  uint64_t sync_wanted;    /* how often the producer asked for all to be written */
  uint64_t sync_done;
  bool stop;
  bool drained;            /* the consumer has dealt with all there was */
  _Atomic bool idle;       /* the consumer sleeps until somebody wakes it */
  rt_chunk *tail;          /* the newest chunk; the producer reads it without the lock */
  volatile sig_atomic_t waits;  /* the producer stands still; read in its signal handlers */
  size_t limit;            /* bytes past which the producer waits (or forgets) */
  uint64_t calls;          /* memory: calls begun in all chunks; producer */
  uint32_t kept;           /* memory: how many calls are kept; 0 with a consumer */
} rt_stream;

/* With 'kept' the stream is a memory of that many calls. False when out of memory. */
bool rt_stream_open(rt_stream *s, size_t limit, uint32_t kept);
void rt_stream_close(rt_stream *s);

/* ---- producer ---- */

/* Room for a record of at most 'size' bytes, its head included. NULL when out of memory.
 * May wait for the consumer. Fill it, set the head's size if it became smaller, publish. */
void *rt_stream_reserve(rt_stream *s, size_t size, uint32_t type);
void rt_stream_publish(rt_stream *s, void *record);
/* Waits until the consumer has dealt with everything published so far. */
void rt_stream_sync(rt_stream *s);
/* Ends the consumer once it has dealt with everything. */
void rt_stream_stop(rt_stream *s);

/* ---- consumer ---- */

/* Sleeps until there may be something to do: at most 'patience' nanoseconds, or without
 * end while nothing is published if 'patience' is negative. Returns what
 * rt_stream_synced takes afterwards; sets *stop. */
uint64_t rt_stream_wait(rt_stream *s, int64_t patience, bool *stop);
/* Everything that was there when rt_stream_wait returned 'ticket' is dealt with. */
void rt_stream_synced(rt_stream *s, uint64_t ticket);
/* The chunk after 'chunk', or NULL. */
rt_chunk *rt_stream_next(rt_stream *s, const rt_chunk *chunk);
/* The oldest and the newest chunk. */
rt_chunk *rt_stream_oldest(rt_stream *s);
rt_chunk *rt_stream_newest(rt_stream *s);
/* The consumer has taken the next 'size' bytes of the chunk. */
static inline void rt_stream_take(rt_chunk *chunk, size_t size) {
  size_t read = atomic_load_explicit(&chunk->read, memory_order_relaxed);
  atomic_store_explicit(&chunk->read, read + size, memory_order_relaxed);
}
/* How many bytes the chunks take. */
size_t rt_stream_bytes(rt_stream *s);
/* How many records are published and not taken, and their bytes. From any thread. */
void rt_stream_untaken(rt_stream *s, uint64_t *records, uint64_t *bytes);
/* Frees the oldest chunks before 'at', where the consumer reads, that are not held. */
void rt_stream_release(rt_stream *s, const rt_chunk *at);

#endif
