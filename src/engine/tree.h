/* tree.h -- Lua values as C has them: the copies that cross to native nodes and back.
 *
 * The values of one call live in its arena and go with it. They know nothing of Lua once
 * they are made, so any thread may read and make them.
 */
#ifndef RT_TREE_H
#define RT_TREE_H

#include <lua.h>
#include <stdbool.h>

/* What the public header calls a call is, in here, the native side of one. */
#define rt_call rt_native_call
#define rt_engine rt_host       /* and an engine is one that is embedded */
#include "railtracks.h"
#undef rt_call
#undef rt_engine

enum { RT_TREE_DEPTH = 1000 };

typedef struct rt_pair {
  const rt_value *key, *value;
} rt_pair;

typedef struct rt_arena {
  struct rt_chunk *chunks;   /* malloc'd; NULL: nothing to free */
  char *at;                  /* the free bytes of the first one */
  size_t left;
  const char *problem;       /* why what was made is not whole; NULL: it is */
} rt_arena;

struct rt_value {
  rt_type type;
  bool counted;              /* a list that came with its length in the field n: that value stands
                              * behind the items */
  bool made;                 /* by the user: may grow */
  union {
    int boolean;
    int64_t integer;
    double number;
    struct {
      const char *bytes;
      size_t size;
    } text;
    struct {
      union {
        const rt_value **items;
        rt_pair *pairs;
      };
      size_t count, capacity;
    } table;
  };
  rt_arena *arena;           /* where it grows */
};

/* Bytes that live as long as the arena; NULL, and arena->problem, when out of memory. */
void *rt_arena_take(rt_arena *a, size_t size);

/* The same with a copy of the text in it, and a zero byte behind. */
char *rt_arena_text(rt_arena *a, const char *text, size_t size);
void rt_arena_free(rt_arena *a);

/* A new value; NULL when out of memory. */
rt_value *rt_tree_new(rt_arena *a, rt_type type);

/* A text with a zero byte behind it. */
rt_value *rt_tree_text(rt_arena *a, const char *text, size_t size);

/* Why a value of Lua cannot cross, and where in the argument that stands. */
typedef struct rt_misfit {
  const char *what;          /* "a function", "a table that holds itself" */
  char where[80];            /* ".name[3]"; empty for the argument itself */
} rt_misfit;

/* Copies the value at 'index'. NULL if it cannot cross, or memory is short (then m->what is
 * NULL). Raw: no metamethod runs. Never raises; leaves the stack as it was. */
rt_value *rt_tree_read(lua_State *L, int index, rt_arena *a, rt_misfit *m);

/* Pushes the value. Raises when Lua is out of memory, and in the name of 'who' if it is nested
 * more than RT_TREE_DEPTH deep, or in a circle. */
void rt_tree_push(lua_State *L, const rt_value *v, const char *who);

#endif
