/* call_tree.h -- where each call of a run stands: its way up, its id, its turn.
 *
 * Filled from the journal in the order of seq, some 30 bytes a call; ids are written out
 * when asked for, in at most 128 steps, however deep the call.
 */
#ifndef RT_CALL_TREE_H
#define RT_CALL_TREE_H

#include "store.h"

#define RT_CALL_ID_SIZE 256  /* of any id, its ending zero byte included */
#define RT_NO_PLACE UINT32_MAX

/* One call. A place is an index among the calls of the run. */
typedef struct rt_call_way {
  uint32_t seq;
  uint32_t parent;   /* the caller's place; RT_NO_PLACE if none, or if it is not recorded */
  uint32_t ordinal;
  uint32_t stem;     /* the nearest place from here up whose id can begin a shortened one */
  uint32_t depth;    /* calls above it */
  uint16_t id_size;  /* of the whole id; 256 if it is longer than 255 or not known */
  bool root;
} rt_call_way;

/* All zero is empty and valid. */
typedef struct rt_call_tree {
  rt_call_way *ways;
  double *started;   /* INFINITY for never */
  uint32_t count;
  uint32_t room;
  uint32_t *order;   /* places to show, in turn; NULL before rt_call_tree_sort */
  uint32_t shown;    /* how many of them */
} rt_call_tree;

/* Adds a call; its seq is larger than all before. False when out of memory. */
bool rt_call_tree_add(rt_call_tree *t, uint32_t seq, uint32_t parent, uint32_t ordinal,
                      double started);

/* Puts a call at place seq - 1, where nothing is known before; its caller first. For those who
 * add nothing in another way. False when out of memory. */
bool rt_call_tree_put(rt_call_tree *t, uint32_t seq, uint32_t parent, uint32_t ordinal);

/* Sets 'order' to the 'limit' calls that started first (-1: all), or that come first where
 * they go by id. Nothing can be added after. False when out of memory. */
bool rt_call_tree_sort(rt_call_tree *t, int64_t limit, rt_call_order order);

/* Writes the id of the call at 'place'; of one that is not recorded, what its seq tells. */
void rt_call_tree_id(const rt_call_tree *t, uint32_t place, uint32_t seq,
                     char out[RT_CALL_ID_SIZE]);

void rt_call_tree_free(rt_call_tree *t);

#endif
