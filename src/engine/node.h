/* node.h -- what can be called, by name.
 *
 * A node is a name and how its calls are checked and recorded. The Lua function itself
 * stays a Lua value, in the userdata that Lua code holds; plain functions get a node
 * named after the place they were defined at.
 */
#ifndef RT_NODE_H
#define RT_NODE_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "store.h"

typedef enum rt_param_type {
  RT_PARAM_ANY, RT_PARAM_STRING, RT_PARAM_NUMBER, RT_PARAM_INTEGER, RT_PARAM_BOOLEAN,
  RT_PARAM_TABLE,
} rt_param_type;

typedef struct rt_param {
  char *name;
  rt_param_type type;
  bool optional;
} rt_param;

typedef struct rt_node {
  uint32_t refs;
  rt_call_kind kind;
  bool unrecorded;      /* record = "none": arguments and results stay out of the journal */
  uint32_t param_count;
  rt_param *params;
  double timeout;       /* seconds a call of it may take; 0: any time */
  const struct rt_native_entry *inlined;  /* an inline native node, run without Lua; or NULL */
  struct rt_count *count;   /* where its calls are counted; NULL: they are not, or none was */
  size_t name_size;
  char name[];          /* ended by a zero byte */
} rt_node;

/* A node with one reference; NULL when out of memory. */
rt_node *rt_node_new(const char *name, size_t size);
static inline rt_node *rt_node_ref(rt_node *node) {
  node->refs++;
  return node;
}
void rt_node_unref(rt_node *node);

/* ---- the userdata that stands for a node in Lua; its user value 1 is the function ---- */

/* Makes a node and pushes the userdata that owns it; the caller sets the metatable. Raises
 * when out of memory. */
rt_node *rt_node_push(lua_State *L, const char *name, size_t size, int user_values);

/* The node of the userdata at 'index'; NULL if it is none. Borrowed. */
rt_node *rt_node_at(lua_State *L, int index);

/* For its __gc. */
int rt_node_gc(lua_State *L);

/* Pushes what is to be run for the node userdata or plain function at 'index'. Needs one
 * free slot, allocates nothing. */
void rt_node_push_body(lua_State *L, int index);

/* The type of that name, -1 if there is none. */
int rt_param_type_named(const char *name);
const char *rt_param_type_name(rt_param_type type);

/* Checks the 'count' arguments from stack index 'first' on against the node's params.
 * True if they fit; else pushes an error of kind usage, or that
 * memory is short. Does not raise. */
bool rt_node_check(lua_State *L, rt_node *node, int first, int count);

#endif
