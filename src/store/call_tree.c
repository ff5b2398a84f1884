#ifndef _GNU_SOURCE
#define _GNU_SOURCE  // qsort_r
#endif
#include "call_tree.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
  ID_LONGEST = 255,   // bytes of a whole id
  ID_STEM = 224,      // of the beginning of a shortened one
  ID_TOO_LONG = 256,
};

/* ---- filling ---- */

static bool grow(rt_call_tree *t) {
  if (t->count < t->room) return true;
  if (t->room > UINT32_MAX / 4) return false;
  uint32_t room = t->room ? t->room * 2 : 256;
  rt_call_way *ways = realloc(t->ways, room * sizeof *ways);
  if (!ways) return false;
  t->ways = ways;
  double *started = realloc(t->started, room * sizeof *started);
  if (!started) return false;
  t->started = started;
  t->room = room;
  return true;
}

static uint32_t find_place(const rt_call_tree *t, uint32_t seq) {
  uint32_t low = 0, high = t->count;
  if (seq && seq <= t->count && t->ways[seq - 1].seq == seq) return seq - 1;  // no gaps
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (t->ways[middle].seq < seq) low = middle + 1;
    else high = middle;
  }
  return low < t->count && t->ways[low].seq == seq ? low : RT_NO_PLACE;
}

static int digits(uint32_t n) {
  int count = 1;
  while (n /= 10) count++;
  return count;
}

/* The way of the call that is to stand at place 'at'. */
static rt_call_way way(const rt_call_tree *t, uint32_t at, uint32_t seq, uint32_t parent,
                       uint32_t ordinal) {
  rt_call_way w = {.seq = seq, .parent = RT_NO_PLACE, .ordinal = ordinal,
                   .stem = RT_NO_PLACE, .id_size = ID_TOO_LONG, .root = parent == 0};
  // A caller is made before what it calls: it is there already, or was never recorded.
  if (parent && parent < seq) w.parent = find_place(t, parent);
  if (w.root) w.id_size = (uint16_t)digits(ordinal);
  else if (w.parent != RT_NO_PLACE) {
    const rt_call_way *up = &t->ways[w.parent];
    int size = up->id_size + 1 + digits(ordinal);
    if (size <= ID_LONGEST) w.id_size = (uint16_t)size;
    w.stem = up->stem;
    w.depth = up->depth + 1;
  }
  if (w.id_size <= ID_STEM) w.stem = at;
  return w;
}

bool rt_call_tree_add(rt_call_tree *t, uint32_t seq, uint32_t parent, uint32_t ordinal,
                      double started) {
  if (!grow(t)) return false;
  t->started[t->count] = started > 0 ? started : INFINITY;
  t->ways[t->count] = way(t, t->count, seq, parent, ordinal);
  t->count++;
  return true;
}

bool rt_call_tree_put(rt_call_tree *t, uint32_t seq, uint32_t parent, uint32_t ordinal) {
  if (seq == 0) return true;
  while (t->count < seq) {
    if (!grow(t)) return false;
    t->started[t->count] = INFINITY;
    t->ways[t->count] = (rt_call_way){.seq = t->count + 1, .parent = RT_NO_PLACE,
                                      .stem = RT_NO_PLACE, .id_size = ID_TOO_LONG};
    t->count++;
  }
  t->ways[seq - 1] = way(t, seq - 1, seq, parent, ordinal);
  return true;
}

/* ---- order ---- */

/* Orders places by when the calls there started, then by place. */
static int by_start(const void *a, const void *b, void *tree) {
  const double *started = ((const rt_call_tree *)tree)->started;
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  if (started[x] != started[y]) return started[x] < started[y] ? -1 : 1;
  return x < y ? -1 : x > y;
}

/* Orders places so that siblings are in the order of their ids. */
static int by_ordinal(const void *a, const void *b, void *tree) {
  const rt_call_way *ways = ((const rt_call_tree *)tree)->ways;
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  if (ways[x].ordinal != ways[y].ordinal) return ways[x].ordinal < ways[y].ordinal ? -1 : 1;
  return x < y ? -1 : x > y;
}

/* Puts the places to show, whose siblings are in order, into that of the tree: links each
 * below its caller, then walks down and along. Of some only, they are in the order of
 * starting. */
static bool order_by_tree(rt_call_tree *t) {
  uint32_t top = t->count;  // stands above all
  bool some = t->shown < t->count;
  uint32_t newest = t->shown ? t->order[t->shown - 1] : 0;
  uint32_t *links = malloc(3 * (t->count + (size_t)1) * sizeof *links);
  if (!links) return false;
  uint32_t *first = links, *next = first + top + 1, *up = next + top + 1;

  first[top] = next[top] = RT_NO_PLACE;
  for (uint32_t i = 0; i < t->shown; i++) first[t->order[i]] = RT_NO_PLACE;
  for (uint32_t i = t->shown; i-- > 0;) {
    uint32_t at = t->order[i], parent = t->ways[at].parent;
    // A caller starts before what it calls; should it not be shown, the tree begins here.
    if (parent == RT_NO_PLACE || (some && by_start(&parent, &newest, t) > 0)) parent = top;
    up[at] = parent;
    next[at] = first[parent];
    first[parent] = at;
  }

  uint32_t at = first[top];
  for (uint32_t i = 0; i < t->shown; i++) {
    t->order[i] = at;
    if (first[at] != RT_NO_PLACE) at = first[at];
    else {
      while (at != top && next[at] == RT_NO_PLACE) at = up[at];
      at = next[at];
    }
  }
  free(links);
  return true;
}

bool rt_call_tree_sort(rt_call_tree *t, int64_t limit, rt_call_order order) {
  bool sorted = true;
  t->order = malloc((t->count + (size_t)1) * sizeof *t->order);
  if (!t->order) return false;
  for (uint32_t i = 0; i < t->count; i++) {
    t->order[i] = i;
    if (i && t->started[i] < t->started[i - 1]) sorted = false;
  }
  uint32_t shown = limit < 0 || limit > t->count ? t->count : (uint32_t)limit;
  if (order == RT_BY_ID) qsort_r(t->order, t->count, sizeof *t->order, by_ordinal, t);
  else if (!sorted) qsort_r(t->order, t->count, sizeof *t->order, by_start, t);
  t->shown = order == RT_BY_ID ? t->count : shown;
  bool done = order == RT_BY_START || order_by_tree(t);
  t->shown = shown;
  free(t->started);
  t->started = NULL;
  return done;
}

/* ---- ids ---- */

void rt_call_tree_id(const rt_call_tree *t, uint32_t place, uint32_t seq,
                     char out[RT_CALL_ID_SIZE]) {
  uint32_t path[ID_LONGEST / 2 + 1];
  size_t depth = 0;
  bool whole = place != RT_NO_PLACE && t->ways[place].id_size <= ID_LONGEST;
  uint32_t at = whole || place == RT_NO_PLACE ? place : t->ways[place].stem;
  for (; at != RT_NO_PLACE; at = t->ways[at].parent) path[depth++] = t->ways[at].ordinal;

  while (depth--) out += sprintf(out, depth ? "%u." : "%u", path[depth]);
  if (!whole) sprintf(out, "…~%u", seq);
}

void rt_call_tree_free(rt_call_tree *t) {
  free(t->ways);
  free(t->started);
  free(t->order);
  *t = (rt_call_tree){0};
}
