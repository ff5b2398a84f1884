/* place.h -- where code stands: files by number, and nodes for plain functions.
 *
 * A call remembers the place it was started from. Copying a file's name into every call
 * would cost more than the call, and the chunk the name belongs to may be collected; so
 * each name is kept once and known by a number.
 */
#ifndef RT_PLACE_H
#define RT_PLACE_H

#include <lua.h>
#include <stdint.h>
#include <string.h>

#include "node.h"

enum { RT_PLACE_CACHE = 64 };

typedef struct rt_places {
  struct rt_place_file {
    char *text;
    size_t size;
  } *files;               /* files[0] stands for "nowhere" */
  uint32_t count, capacity;
  struct {
    const char *source;   /* lua_Debug's; a hint, the text decides */
    uint32_t file;
  } cache[RT_PLACE_CACHE];
  struct rt_place_node {
    uint64_t key;
    rt_node *node;
  } *nodes;               /* open addressing; slots is a power of two */
  size_t node_count, slots;
} rt_places;

typedef struct rt_place {
  uint32_t file;          /* 0: nowhere */
  uint32_t line;
} rt_place;

/* Whether the function is of the Lua files that are built in. */
static inline bool rt_place_is_ours(const lua_Debug *ar) {
  return *ar->source == '=' && strncmp(ar->source, "=railtracks:", 12) == 0;
}

/* The innermost Lua function that called the running C function. */
rt_place rt_place_here(rt_places *p, lua_State *L);

/* The file's name as it was loaded, never shortened. */
static inline rt_text rt_place_file(const rt_places *p, rt_place place) {
  if (!place.file) return (rt_text){0};
  return (rt_text){p->files[place.file].text, p->files[place.file].size};
}

/* The node of the plain function at 'index': "file:line", or for a function of C or of ours
 * its name as in package.loaded, else "[C]". Owned by 'p'. Raises when out of memory. */
rt_node *rt_place_node(rt_places *p, lua_State *L, int index);

/* Pushes the shortest name under which package.loaded knows the function at 'index', a
 * global by its bare name ("table.sort", "load"); nil if there is none. */
void rt_place_push_name(lua_State *L, int index);

void rt_places_free(rt_places *p);

#endif
