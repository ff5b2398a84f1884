#include "pending.h"

#include <stdlib.h>

/* Fibonacci hashing: Knuth, The Art of Computer Programming, vol. 3, 6.4. */
static size_t home(const rt_pending *p, uint64_t key) {
  return (size_t)((key * 0x9E3779B97F4A7C15u) >> 20) & (p->slots - 1);
}

static rt_pending_call *at(const rt_pending *p, uint64_t position) {
  return &p->calls[position & (p->capacity - 1)];
}

static void enter(rt_pending *p, uint64_t position) {
  size_t slot = home(p, at(p, position)->key);
  while (p->table[slot]) slot = (slot + 1) & (p->slots - 1);
  p->table[slot] = position + 1;
}

/* Doubles both; the table stays at most half full. */
static bool grow(rt_pending *p) {
  size_t capacity = p->capacity ? p->capacity * 2 : 256;
  rt_pending_call *calls = malloc(capacity * sizeof *calls);
  uint64_t *table = calloc(capacity * 2, sizeof *table);
  if (!calls || !table) {
    free(calls);
    free(table);
    return false;
  }
  for (uint64_t i = p->first; i < p->last; i++) calls[i & (capacity - 1)] = *at(p, i);
  free(p->calls);
  free(p->table);
  p->calls = calls;
  p->table = table;
  p->capacity = capacity;
  p->slots = capacity * 2;
  for (uint64_t i = p->first; i < p->last; i++)
    if (at(p, i)->record) enter(p, i);
  return true;
}

bool rt_pending_add(rt_pending *p, const rt_pending_call *call) {
  if (p->last - p->first == p->capacity && !grow(p)) return false;
  *at(p, p->last) = *call;
  enter(p, p->last++);
  p->count++;
  return true;
}

/* Closes the gap at 'hole', so that no search stops short (linear probing's deletion:
 * Knuth, vol. 3, 6.4, algorithm R). */
static void close_gap(rt_pending *p, size_t hole) {
  size_t mask = p->slots - 1;
  for (size_t next = (hole + 1) & mask; p->table[next]; next = (next + 1) & mask) {
    size_t wants = home(p, at(p, p->table[next] - 1)->key);
    if (((next - wants) & mask) >= ((next - hole) & mask)) {
      p->table[hole] = p->table[next];
      hole = next;
    }
  }
  p->table[hole] = 0;
}

/* The slot of the table that holds 'key', or a free one. */
static size_t find(const rt_pending *p, uint64_t key) {
  size_t slot = home(p, key);
  while (p->table[slot] && at(p, p->table[slot] - 1)->key != key)
    slot = (slot + 1) & (p->slots - 1);
  return slot;
}

bool rt_pending_has(const rt_pending *p, uint64_t key) {
  return p->count && p->table[find(p, key)];
}

bool rt_pending_take(rt_pending *p, uint64_t key, rt_pending_call *out) {
  if (!p->count) return false;
  size_t slot = find(p, key);
  if (!p->table[slot]) return false;
  rt_pending_call *call = at(p, p->table[slot] - 1);
  *out = *call;
  call->record = NULL;
  p->count--;
  close_gap(p, slot);
  rt_pending_oldest(p);  // keeps the ring short
  return true;
}

const rt_pending_call *rt_pending_oldest(rt_pending *p) {
  while (p->first < p->last && !at(p, p->first)->record) p->first++;
  return p->first < p->last ? at(p, p->first) : NULL;
}

void rt_pending_free(rt_pending *p) {
  free(p->calls);
  free(p->table);
  *p = (rt_pending){0};
}
