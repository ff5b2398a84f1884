/* stream_test.c -- records from one thread to another: all of them, once, in order. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dice.h"
#include "stream.h"

enum { CHUNK = 256 * 1024, LIMIT = 2 * 1024 * 1024, PATIENCE = 1000000 };

typedef struct item {
  rt_stream_head head;
  uint64_t number;
  uint32_t length;
  unsigned char bytes[];
} item;

/* A consumer on a thread of its own, which takes items until it is stopped. Nothing is
 * asserted on it: what it found is for the test to look at. */
typedef struct consumer {
  rt_stream *stream;
  pthread_t thread;
  rt_chunk *at;
  uint64_t expected;            // the number of the next item
  uint64_t wrong;               // items that were not the expected ones
  _Atomic uint64_t taken;       // items dealt with
  _Atomic size_t most;          // bytes the stream took
  _Atomic bool wait;            // take nothing yet
  bool hold;                    // keep each chunk until the next one has been read
} consumer;

static void take(consumer *c, const item *it) {
  bool good = it->number == c->expected && it->head.type == it->number % 7;
  for (uint32_t i = 0; i < it->length && good; i++)
    good = it->bytes[i] == (unsigned char)(it->number + i);
  c->wrong += !good;
  c->expected = it->number + 1;
}

static void take_chunk(consumer *c, rt_chunk *chunk) {
  size_t used = atomic_load_explicit(&chunk->used, memory_order_acquire);
  while (chunk->read < used) {
    const item *it = (const void *)(chunk->bytes + chunk->read);
    rt_stream_take(chunk, it->head.size);
    take(c, it);
    atomic_fetch_add(&c->taken, 1);
  }
}

static void *consume(void *data) {
  consumer *c = data;
  rt_stream *s = c->stream;
  rt_chunk *held = NULL;
  bool stop = false;
  while (!stop) {
    uint64_t ticket = rt_stream_wait(s, c->expected % 2 ? -1 : PATIENCE, &stop);
    while (atomic_load(&c->wait)) sched_yield();
    size_t bytes = rt_stream_bytes(s);
    if (bytes > atomic_load(&c->most)) atomic_store(&c->most, bytes);
    const rt_chunk *newest = rt_stream_newest(s);
    for (;;) {
      rt_chunk *next = rt_stream_next(s, c->at);
      take_chunk(c, c->at);
      if (!next || c->at == newest) break;
      if (c->hold) {
        c->at->held++;
        if (held) held->held--;
        held = c->at;
      }
      c->at = next;
      rt_stream_release(s, c->at);
    }
    if (held) held->held--;
    held = NULL;
    rt_stream_release(s, c->at);
    rt_stream_synced(s, ticket);
  }
  return NULL;
}

static void start(consumer *c, rt_stream *s) {
  assert_true(rt_stream_open(s, LIMIT, 0));
  c->stream = s;
  c->at = s->head;
  assert_int_equal(pthread_create(&c->thread, NULL, consume, c), 0);
}

static void stop(consumer *c) {
  rt_stream_stop(c->stream);
  pthread_join(c->thread, NULL);
  rt_stream_close(c->stream);
}

/* Publishes the item of that number with so many bytes. */
static void put(rt_stream *s, uint64_t number, uint32_t length) {
  item *it = rt_stream_reserve(s, sizeof *it + length, (uint32_t)(number % 7));
  assert_non_null(it);
  it->number = number;
  it->length = length;
  for (uint32_t i = 0; i < length; i++) it->bytes[i] = (unsigned char)(number + i);
  rt_stream_publish(s, it);
}

static void hands_over_every_record_once_and_in_order(void **state) {
  (void)state;
  enum { COUNT = 300000 };
  rt_stream s;
  consumer c = {0};
  uint32_t seed = 1;
  start(&c, &s);
  for (uint64_t i = 0; i < COUNT; i++) put(&s, i, dice(&seed) % 200);
  stop(&c);
  assert_int_equal(atomic_load(&c.taken), COUNT);
  assert_int_equal(c.wrong, 0);
}

static void hands_over_records_larger_than_a_chunk(void **state) {
  (void)state;
  rt_stream s;
  consumer c = {0};
  start(&c, &s);
  for (uint64_t i = 0; i < 40; i++) put(&s, i, i % 3 == 0 ? 3 * CHUNK / 2 : 100);
  stop(&c);
  assert_int_equal(atomic_load(&c.taken), 40);
  assert_int_equal(c.wrong, 0);
}

static void keeps_chunks_that_are_held(void **state) {
  (void)state;
  enum { COUNT = 100000 };
  rt_stream s;
  consumer c = {.hold = true};
  start(&c, &s);
  for (uint64_t i = 0; i < COUNT; i++) put(&s, i, 100);
  stop(&c);
  assert_int_equal(atomic_load(&c.taken), COUNT);
  assert_int_equal(c.wrong, 0);
}

static void makes_the_producer_wait_when_full(void **state) {
  (void)state;
  enum { COUNT = 100000 };
  rt_stream s;
  consumer c = {.wait = true};
  start(&c, &s);
  uint64_t i = 0;
  // What fits without waiting.
  for (; rt_stream_bytes(&s) <= LIMIT - CHUNK; i++) put(&s, i, 100);
  assert_int_equal(atomic_load(&c.taken), 0);
  atomic_store(&c.wait, false);
  for (; i < COUNT; i++) put(&s, i, 100);
  stop(&c);
  assert_int_equal(atomic_load(&c.taken), COUNT);
  assert_int_equal(c.wrong, 0);
  assert_true(atomic_load(&c.most) <= LIMIT + CHUNK);
}

typedef struct flood {
  rt_stream *stream;
  _Atomic uint64_t put;
} flood;

static void *pour(void *data) {
  flood *f = data;
  for (int i = 0; i < 4 * LIMIT / 1000; i++) {
    item *it = rt_stream_reserve(f->stream, 1000, 0);
    it->number = (uint64_t)i;
    it->length = 0;
    it->head.type = (uint32_t)(i % 7);
    rt_stream_publish(f->stream, it);
    atomic_fetch_add(&f->put, 1);
  }
  return NULL;
}

static void lets_the_waiting_producer_go_on_when_there_is_room(void **state) {
  (void)state;
  rt_stream s;
  consumer c = {.wait = true};
  flood f = {.stream = &s};
  pthread_t producer;
  start(&c, &s);
  assert_int_equal(pthread_create(&producer, NULL, pour, &f), 0);
  while (rt_stream_bytes(&s) <= LIMIT) sched_yield();  // now there is room in the newest only
  while (atomic_load(&f.put) * 1000 < LIMIT - CHUNK) sched_yield();
  assert_true(rt_stream_bytes(&s) <= LIMIT + CHUNK);
  atomic_store(&c.wait, false);
  pthread_join(producer, NULL);
  stop(&c);
  assert_int_equal(atomic_load(&c.taken), 4 * LIMIT / 1000);
  assert_int_equal(c.wrong, 0);
  assert_true(atomic_load(&c.most) <= LIMIT + CHUNK);
}

static void syncs_when_everything_published_was_dealt_with(void **state) {
  (void)state;
  rt_stream s;
  consumer c = {0};
  uint32_t seed = 2;
  start(&c, &s);
  for (uint64_t i = 0; i < 5000; i++) {
    put(&s, i, 20);
    if (dice(&seed) % 5) continue;
    rt_stream_sync(&s);
    assert_int_equal(atomic_load(&c.taken), i + 1);
  }
  stop(&c);
  assert_int_equal(c.wrong, 0);
}

static void wakes_a_consumer_that_sleeps_without_end(void **state) {
  (void)state;
  rt_stream s;
  consumer c = {.expected = 1};  // odd: sleeps until something is published
  start(&c, &s);
  for (uint64_t i = 1; i < 20000; i += 2) {
    put(&s, i, 0);
    put(&s, i + 1, 0);
    if (i % 16 == 1)
      while (atomic_load(&c.taken) < i + 1) sched_yield();  // without a sync
  }
  stop(&c);
  assert_int_equal(c.wrong, 0);
}

static void takes_a_record_that_became_smaller(void **state) {
  (void)state;
  rt_stream s;
  consumer c = {0};
  start(&c, &s);
  for (uint64_t i = 0; i < 20000; i++) {
    item *it = rt_stream_reserve(&s, 2000, (uint32_t)(i % 7));
    it->number = i;
    it->length = (uint32_t)(i % 50);
    for (uint32_t k = 0; k < it->length; k++) it->bytes[k] = (unsigned char)(i + k);
    it->head.size = (uint32_t)(offsetof(item, bytes) + it->length);
    rt_stream_publish(&s, it);
  }
  stop(&c);
  assert_int_equal(atomic_load(&c.taken), 20000);
  assert_int_equal(c.wrong, 0);
}

static void gives_more_room_instead_of_what_was_reserved(void **state) {
  (void)state;
  rt_stream s;
  consumer c = {0};
  start(&c, &s);
  for (uint64_t i = 0; i < 2000; i++) {
    assert_non_null(rt_stream_reserve(&s, 1000, 9));
    put(&s, i, i % 100 == 0 ? 2 * CHUNK : 5000);
  }
  stop(&c);
  assert_int_equal(atomic_load(&c.taken), 2000);
  assert_int_equal(c.wrong, 0);
}

/* Looks from a third thread how much there is, as long as 'go' is set. */
typedef struct watcher {
  rt_stream *stream;
  _Atomic bool go;
  uint64_t wrong;               // looks that found records without bytes, or the reverse
} watcher;

static void *watch(void *data) {
  watcher *w = data;
  while (atomic_load(&w->go)) {
    uint64_t records, bytes;
    rt_stream_untaken(w->stream, &records, &bytes);
    w->wrong += bytes < records * sizeof(item) || (bytes > 0) != (records > 0);
  }
  return NULL;
}

static void tells_any_thread_how_much_there_is(void **state) {
  (void)state;
  rt_stream s;
  consumer c = {.wait = true};
  watcher w = {.stream = &s, .go = true};
  pthread_t thread;
  uint64_t records, bytes, number = 0;
  start(&c, &s);
  for (; number < 10000; number++) put(&s, number, 76);
  rt_stream_untaken(&s, &records, &bytes);
  assert_int_equal(records, 10000);
  assert_int_equal(bytes, 10000 * ((sizeof(item) + 76 + 7) / 8 * 8));
  assert_int_equal(pthread_create(&thread, NULL, watch, &w), 0);
  atomic_store(&c.wait, false);
  for (; number < 200000; number++) put(&s, number, 76);
  rt_stream_sync(&s);
  rt_stream_untaken(&s, &records, &bytes);
  assert_int_equal(records, 0);
  assert_int_equal(bytes, 0);
  atomic_store(&w.go, false);
  pthread_join(thread, NULL);
  stop(&c);
  assert_int_equal(w.wrong, 0);
  assert_int_equal(atomic_load(&c.taken), 200000);
  assert_int_equal(c.wrong, 0);
}

/* ---- as a memory ---- */

/* Adds items, each of which is a call, and returns how many of them are still there. */
static uint64_t keep(rt_stream *s, uint64_t count, uint32_t length, uint64_t *oldest) {
  for (uint64_t i = 0; i < count; i++) {
    item *it = rt_stream_reserve(s, sizeof *it + length, 0);
    it->number = i;
    it->length = length;
    s->tail->calls++;
    s->calls++;
    rt_stream_publish(s, it);
  }
  uint64_t found = 0;
  for (const rt_chunk *chunk = s->head; chunk; chunk = chunk->next) {
    size_t used = atomic_load(&chunk->used);
    for (size_t at = 0; at < used;) {
      const item *it = (const void *)(chunk->bytes + at);
      if (found++ == 0) *oldest = it->number;
      at += it->head.size;
    }
  }
  return found;
}

static void remembers_the_newest_calls(void **state) {
  (void)state;
  enum { KEPT = 10000, COUNT = 100000 };
  rt_stream s;
  uint64_t oldest;
  assert_true(rt_stream_open(&s, SIZE_MAX, KEPT));
  uint64_t found = keep(&s, COUNT, 100, &oldest);
  assert_true(found >= KEPT);
  assert_true(found <= KEPT + 2 * CHUNK / 100);
  assert_int_equal(oldest, COUNT - found);
  assert_int_equal(s.calls, found);
  rt_stream_close(&s);
}

static void remembers_everything_while_it_is_little(void **state) {
  (void)state;
  rt_stream s;
  uint64_t oldest;
  assert_true(rt_stream_open(&s, SIZE_MAX, 10000));
  assert_int_equal(keep(&s, 10000, 100, &oldest), 10000);
  assert_int_equal(oldest, 0);
  rt_stream_close(&s);
}

static void remembers_no_more_bytes_than_its_limit(void **state) {
  (void)state;
  rt_stream s;
  uint64_t oldest;
  assert_true(rt_stream_open(&s, LIMIT, 10000));
  uint64_t found = keep(&s, 10000, 10000, &oldest);
  assert_true(found * 10000 > LIMIT / 2);
  assert_true(rt_stream_bytes(&s) <= LIMIT + 2 * CHUNK);
  assert_int_equal(oldest, 10000 - found);
  rt_stream_close(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(hands_over_every_record_once_and_in_order),
      cmocka_unit_test(hands_over_records_larger_than_a_chunk),
      cmocka_unit_test(keeps_chunks_that_are_held),
      cmocka_unit_test(makes_the_producer_wait_when_full),
      cmocka_unit_test(lets_the_waiting_producer_go_on_when_there_is_room),
      cmocka_unit_test(syncs_when_everything_published_was_dealt_with),
      cmocka_unit_test(wakes_a_consumer_that_sleeps_without_end),
      cmocka_unit_test(takes_a_record_that_became_smaller),
      cmocka_unit_test(tells_any_thread_how_much_there_is),
      cmocka_unit_test(gives_more_room_instead_of_what_was_reserved),
      cmocka_unit_test(remembers_the_newest_calls),
      cmocka_unit_test(remembers_everything_while_it_is_little),
      cmocka_unit_test(remembers_no_more_bytes_than_its_limit),
  };
  return cmocka_run_group_tests_name("a stream", tests, NULL, NULL);
}
