#include "stream.h"

#include <stdlib.h>
#include <time.h>

enum {
  CHUNK = 256 * 1024,
  SOON = 4 * CHUNK,     // this much wakes the consumer before its time
};

/* Records start at multiples of 8. */
static size_t whole_record(size_t size) { return (size + 7) & ~(size_t)7; }

static rt_chunk *new_chunk(size_t capacity) {
  rt_chunk *chunk = malloc(sizeof *chunk + capacity);
  if (!chunk) return NULL;
  chunk->capacity = capacity;
  return chunk;
}

static void reset_chunk(rt_chunk *chunk) {
  chunk->next = NULL;
  atomic_init(&chunk->read, 0);
  chunk->held = 0;
  chunk->calls = 0;
  atomic_init(&chunk->used, 0);
}

bool rt_stream_open(rt_stream *s, size_t limit, uint32_t kept) {
  *s = (rt_stream){.limit = limit, .kept = kept};
  s->head = s->tail = new_chunk(CHUNK);
  if (!s->head) return false;
  reset_chunk(s->head);
  s->bytes = CHUNK;

  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_mutex_init(&s->lock, NULL);
  pthread_cond_init(&s->filled, &monotonic);
  pthread_cond_init(&s->emptied, NULL);
  pthread_condattr_destroy(&monotonic);
  return true;
}

void rt_stream_close(rt_stream *s) {
  if (!s->head) return;
  for (rt_chunk *chunk = s->head, *next; chunk; chunk = next) {
    next = chunk->next;
    free(chunk);
  }
  free(s->spare);
  pthread_mutex_destroy(&s->lock);
  pthread_cond_destroy(&s->filled);
  pthread_cond_destroy(&s->emptied);
  s->head = NULL;
}

/* Takes the oldest chunk off the list; the lock is held. */
static void drop_head(rt_stream *s) {
  rt_chunk *chunk = s->head;
  s->head = chunk->next;
  s->bytes -= chunk->capacity;
  if (s->kept) s->calls -= chunk->calls;
  if (!s->spare && chunk->capacity == CHUNK) s->spare = chunk;
  else free(chunk);
}

static void forget(rt_stream *s) {
  while (s->head != s->tail &&
         (s->calls - s->head->calls >= s->kept || s->bytes > s->limit))
    drop_head(s);
}

/* The producer waits until something has been dealt with. */
static void stand_still(rt_stream *s) {
  s->waits = true;
  pthread_cond_wait(&s->emptied, &s->lock);
  s->waits = false;
}

/* Appends an empty chunk with room for 'size' bytes. */
static bool extend(rt_stream *s, size_t size) {
  size_t capacity = size > CHUNK ? size : CHUNK;
  rt_chunk *chunk = NULL;

  pthread_mutex_lock(&s->lock);
  if (s->kept) forget(s);
  else {
    if (s->bytes >= SOON) pthread_cond_signal(&s->filled);
    // A chunk alone may be larger than the limit: then it only has to be dealt with.
    while (s->bytes > s->limit && !s->drained) stand_still(s);
    s->drained = false;
  }
  if (s->spare && capacity == CHUNK) {
    chunk = s->spare;
    s->spare = NULL;
  } else {
    chunk = new_chunk(capacity);
  }
  if (chunk) {
    reset_chunk(chunk);
    s->tail->next = chunk;
    s->tail = chunk;
    s->bytes += capacity;
  }
  pthread_mutex_unlock(&s->lock);
  return chunk != NULL;
}

void *rt_stream_reserve(rt_stream *s, size_t size, uint32_t type) {
  size = whole_record(size);
  if (size > UINT32_MAX) return NULL;
  rt_chunk *chunk = s->tail;
  size_t used = atomic_load_explicit(&chunk->used, memory_order_relaxed);
  if (chunk->capacity - used < size) {
    if (!extend(s, size)) return NULL;
    chunk = s->tail;
    used = 0;
  }
  rt_stream_head *head = (rt_stream_head *)(void *)(chunk->bytes + used);
  *head = (rt_stream_head){(uint32_t)size, type};
  return head;
}

static void wake(rt_stream *s) {
  pthread_mutex_lock(&s->lock);
  atomic_store_explicit(&s->idle, false, memory_order_relaxed);
  pthread_cond_signal(&s->filled);
  pthread_mutex_unlock(&s->lock);
}

void rt_stream_publish(rt_stream *s, void *record) {
  rt_chunk *chunk = s->tail;
  rt_stream_head *head = record;
  size_t used = atomic_load_explicit(&chunk->used, memory_order_relaxed);
  head->size = (uint32_t)whole_record(head->size);
  used += head->size;
  atomic_store_explicit(&chunk->used, used, memory_order_release);
  if (atomic_load_explicit(&s->idle, memory_order_relaxed)) wake(s);
}

void rt_stream_sync(rt_stream *s) {
  if (s->kept) return;
  pthread_mutex_lock(&s->lock);
  uint64_t ticket = ++s->sync_wanted;
  pthread_cond_signal(&s->filled);
  while (s->sync_done < ticket) stand_still(s);
  pthread_mutex_unlock(&s->lock);
}

void rt_stream_stop(rt_stream *s) {
  pthread_mutex_lock(&s->lock);
  s->stop = true;
  pthread_cond_signal(&s->filled);
  pthread_mutex_unlock(&s->lock);
}

/* Waits on 'filled' until 'ns' nanoseconds from now. */
static void doze(rt_stream *s, int64_t ns) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  ns += until.tv_nsec;
  until.tv_sec += (time_t)(ns / 1000000000);
  until.tv_nsec = (long)(ns % 1000000000);
  pthread_cond_timedwait(&s->filled, &s->lock, &until);
}

static bool called(const rt_stream *s) { return s->stop || s->sync_wanted != s->sync_done; }

static size_t taken(const rt_chunk *chunk) {
  return atomic_load_explicit(&chunk->read, memory_order_relaxed);
}

static size_t unread(const rt_stream *s) {
  size_t bytes = 0;
  for (const rt_chunk *chunk = s->head; chunk; chunk = chunk->next)
    bytes += atomic_load_explicit(&chunk->used, memory_order_acquire) - taken(chunk);
  return bytes;
}

uint64_t rt_stream_wait(rt_stream *s, int64_t patience, bool *stop) {
  pthread_mutex_lock(&s->lock);
  if (patience < 0 && !called(s)) {
    // A record published while the flag goes up may not see it: hence the second look.
    atomic_store_explicit(&s->idle, true, memory_order_seq_cst);
    if (!unread(s)) doze(s, 10000000);
    while (!called(s) && !unread(s) && atomic_load(&s->idle))
      pthread_cond_wait(&s->filled, &s->lock);
    atomic_store(&s->idle, false);
  } else if (!called(s) && unread(s) < SOON) {
    doze(s, patience);
  }
  uint64_t ticket = s->sync_wanted;
  *stop = s->stop;
  pthread_mutex_unlock(&s->lock);
  return ticket;
}

void rt_stream_synced(rt_stream *s, uint64_t ticket) {
  pthread_mutex_lock(&s->lock);
  s->sync_done = ticket;
  pthread_cond_broadcast(&s->emptied);
  pthread_mutex_unlock(&s->lock);
}

rt_chunk *rt_stream_next(rt_stream *s, const rt_chunk *chunk) {
  pthread_mutex_lock(&s->lock);
  rt_chunk *next = chunk->next;
  pthread_mutex_unlock(&s->lock);
  return next;
}

void rt_stream_release(rt_stream *s, const rt_chunk *at) {
  pthread_mutex_lock(&s->lock);
  while (s->head != at && s->head->held == 0 &&
         taken(s->head) == atomic_load_explicit(&s->head->used, memory_order_acquire))
    drop_head(s);
  // Not chunk by chunk: two threads that wait for each other mostly change places.
  s->drained = !s->head->next && s->head->held == 0 && unread(s) == 0;
  if (s->bytes <= s->limit / 2 || s->drained) pthread_cond_broadcast(&s->emptied);
  pthread_mutex_unlock(&s->lock);
}

rt_chunk *rt_stream_oldest(rt_stream *s) {
  pthread_mutex_lock(&s->lock);
  rt_chunk *head = s->head;
  pthread_mutex_unlock(&s->lock);
  return head;
}

rt_chunk *rt_stream_newest(rt_stream *s) {
  pthread_mutex_lock(&s->lock);
  rt_chunk *tail = s->tail;
  pthread_mutex_unlock(&s->lock);
  return tail;
}

/* They are counted here, so that who publishes need not. */
void rt_stream_untaken(rt_stream *s, uint64_t *records, uint64_t *bytes) {
  *records = *bytes = 0;
  pthread_mutex_lock(&s->lock);
  for (const rt_chunk *chunk = s->head; chunk; chunk = chunk->next) {
    size_t at = taken(chunk), used = atomic_load_explicit(&chunk->used, memory_order_acquire);
    if (at < used) *bytes += used - at;
    for (; at < used; ++*records)
      at += ((const rt_stream_head *)(const void *)(chunk->bytes + at))->size;
  }
  pthread_mutex_unlock(&s->lock);
}

size_t rt_stream_bytes(rt_stream *s) {
  pthread_mutex_lock(&s->lock);
  size_t bytes = s->bytes;
  pthread_mutex_unlock(&s->lock);
  return bytes;
}
