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
static rt_count *place_of(rt_count *counts, size_t capacity, const char *name, size_t size) {
  size_t at = hash(name, size) & (capacity - 1);
  while (counts[at].name &&
         (counts[at].size != size || memcmp(counts[at].name, name, size) != 0))
    at = (at + 1) & (capacity - 1);
  return &counts[at];
}

/* Keeps a quarter of the places free. */
static bool grow(rt_tally *t) {
  if (t->used * 4 < t->capacity * 3) return true;
  size_t capacity = t->capacity ? t->capacity * 2 : 64;
  rt_count *counts = calloc(capacity, sizeof *counts);
  if (!counts) return false;
  for (size_t i = 0; i < t->capacity; i++) {
    const rt_count *c = &t->counts[i];
    if (c->name) *place_of(counts, capacity, c->name, c->size) = *c;
  }
  free(t->counts);
  t->counts = counts;
  t->capacity = capacity;
  return true;
}

void rt_tally_add(rt_tally *t, const char *name, size_t size, rt_status status, int64_t ns) {
  if (!grow(t)) return;
  rt_count *c = place_of(t->counts, t->capacity, name, size);
  if (!c->name) {
    c->name = malloc(size + 1);
    if (!c->name) return;
    memcpy(c->name, name, size);
    c->size = size;
    t->used++;
  }
  if (status == RT_DONE) c->done++;
  else if (status == RT_FAILED) c->failed++;
  else c->cancelled++;
  c->ns += ns;
}

void rt_tally_free(rt_tally *t) {
  for (size_t i = 0; i < t->capacity; i++) free(t->counts[i].name);
  free(t->counts);
  *t = (rt_tally){0};
}
