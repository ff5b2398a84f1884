/* value.h -- a Lua value written down as JSON.
 *
 * What the record keeps of arguments and results. Integers and floats stay apart,
 * what JSON lacks becomes a visible placeholder, and nothing here can fail a call:
 * no metamethod runs, depth and size are bounded, cycles are found.
 *
 *   1  1.0  "text"  true  null        themselves
 *   {1,2}  {}  rt.array{}             [1,2]  {}  []
 *   {a=1}                             {"a":1}, keys sorted by their bytes
 *   {[1.5]=1, x=2}                    {"$map":[[1.5,1],["x",2]]}
 *   {["$x"]=1}                        {"$$x":1}
 *   bytes that are not UTF-8          {"$bytes":"BASE64"}
 *   function, userdata, thread,
 *   cycle, nan, inf, -inf, depth      {"$lua":"function"} ...
 *   larger than the limit             {"$cut":BYTES,"head":"..."}
 *
 * In a $map booleans come first, then numbers, strings, and the rest as Lua has it;
 * a key that is not UTF-8 needs one, too. Of a cut string BYTES is the length and head
 * the beginning, itself {"$bytes":...} where that is not UTF-8; of a cut table BYTES is
 * how much JSON was made until reading stopped, and head the beginning of that text (a
 * list, say, though a key that makes it a $map would have come later). A table with a
 * map of more than RT_VALUE_KEYS keys in it is always cut: such a map is written as Lua
 * has it, not sorted. Other values are short and never cut.
 */
#ifndef RT_VALUE_H
#define RT_VALUE_H

#include <lua.h>

#include "buf.h"

/* How deep tables are followed before {"$lua":"depth"}. */
#define RT_VALUE_DEPTH 256

/* How many keys of a map are sorted. */
#define RT_VALUE_KEYS 10000

/* Appends the JSON of the value at 'index', at most about 'limit' bytes of it. Never
 * raises and never lets the collector run a finalizer; C memory that runs out is told
 * by out->failed. Leaves the Lua stack as it was; a table where that stack can grow no
 * more is written as "depth". */
void rt_value_write(lua_State *L, int index, rt_buf *out, size_t limit);

/* Appends the JSON list of the 'count' values from stack index 'first' on, the limit
 * holding for each. */
void rt_value_write_list(lua_State *L, int first, int count, rt_buf *out, size_t limit);

/* Appends 'size' bytes of text as a JSON string, or as {"$bytes":...} where they are
 * not UTF-8. */
void rt_value_write_text(rt_buf *out, const char *text, size_t size);

/* Marks the table at 'index' as a list, so that it is written as [] when empty. The
 * mark is a metatable; a table that has another one is refused as a bad argument. */
void rt_value_mark_array(lua_State *L, int index);

/* Whether it is so marked. Never raises. */
bool rt_value_is_array(lua_State *L, int index);

#endif
