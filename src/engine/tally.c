#include "tally.h"

#include <stdlib.h>
#include <string.h>

/* FNV-1a (Fowler, Noll, Vo). */
static uint64_t hash(const char *name, size_t size) {
  uint64_t h = 0xcbf29ce484222325u;
  for (size_t i = 0; i < size; i++) h = (h ^ (unsigned char)name[i]) * 0x100000001b3u;
  return h;
}

/* Where the name is, or could be. */
static rt_count **place_of(rt_count **places, size_t capacity, const char *name, size_t size) {
  size_t at = hash(name, size) & (capacity - 1);
  while (places[at] &&
         (places[at]->size != size || memcmp(places[at]->name, name, size) != 0))
    at = (at + 1) & (capacity - 1);
  return &places[at];
}

/* Keeps a quarter of the places free. */
static bool grow(rt_tally *t) {
  if (t->used * 4 < t->capacity * 3) return true;
  size_t capacity = t->capacity ? t->capacity * 2 : 64;
  rt_count **places = calloc(capacity, sizeof *places);
  if (!places) return false;
  for (size_t i = 0; i < t->capacity; i++) {
    rt_count *c = t->places[i];
    if (c) *place_of(places, capacity, c->name, c->size) = c;
  }
  free(t->places);
  t->places = places;
  t->capacity = capacity;
  return true;
}

rt_count *rt_tally_of(rt_tally *t, const char *name, size_t size) {
  if (!grow(t)) return NULL;
  rt_count **place = place_of(t->places, t->capacity, name, size);
  if (!*place && t->used >= RT_NODES_MOST) {
    name = RT_OTHER_NODES;
    size = sizeof RT_OTHER_NODES - 1;
    place = place_of(t->places, t->capacity, name, size);
  }
  if (*place) return *place;
  rt_count *c = calloc(1, sizeof *c + size + 1);
  if (!c) return NULL;
  memcpy(c->name, name, size);
  c->size = size;
  c->next = atomic_load_explicit(&t->newest, memory_order_relaxed);
  *place = c;
  t->used++;
  atomic_store_explicit(&t->newest, c, memory_order_release);  // whoever sees it sees its name
  return c;
}

void rt_count_end(rt_count *c, rt_status status, int64_t ns, int64_t body_ns) {
  rt_count_add(&c->running, -1);
  rt_count_add(&c->ended[status], 1);
  rt_count_add(&c->buckets[rt_bucket_of((double)body_ns / 1e9)], 1);
  rt_count_add(&c->body_ns, body_ns);
  rt_count_add(&c->ns, ns);
}

/* Where memory was short for a while, a call may have left that was not seen to come. */
static uint64_t level(const _Atomic int64_t *count) {
  int64_t now = rt_count_now(count);
  return now > 0 ? (uint64_t)now : 0;
}

static void copy(rt_node_counts *to, const rt_count *from) {
  *to = (rt_node_counts){
      .node = {from->name, from->size},
      .waiting = level(&from->waiting),
      .running = level(&from->running),
      .bodies.seconds = (double)rt_count_now(&from->body_ns) / 1e9,
  };
  for (int i = 0; i < RT_STATUSES; i++) to->ended[i] = (uint64_t)rt_count_now(&from->ended[i]);
  for (int i = 0; i <= RT_BUCKETS; i++)
    to->bodies.buckets[i] = (uint64_t)rt_count_now(&from->buckets[i]);
}

bool rt_tally_copy(const rt_tally *t, rt_node_counts **out, size_t *count) {
  const rt_count *newest = rt_tally_newest(t);
  size_t left = 0;
  for (const rt_count *c = newest; c; c = c->next) left++;
  *count = left;
  *out = malloc((left ? left : 1) * sizeof **out);
  if (!*out) return false;
  for (const rt_count *c = newest; c; c = c->next) copy(&(*out)[--left], c);
  return true;
}

void rt_tally_free(rt_tally *t) {
  for (rt_count *c = atomic_load(&t->newest), *next; c; c = next) {
    next = c->next;
    free(c);
  }
  free(t->places);
  *t = (rt_tally){.used = 0};
}
