/* memory.h -- a bound for the Lua heap.
 *
 * The state's allocator is wrapped by one that counts. When the heap comes near its limit
 * a hook collects garbage as soon as Lua code runs; if the heap is over the limit even
 * then, the run fails with a 'budget' error raised in the running code. What would grow
 * the heap past limit and reserve at once is refused: Lua collects, asks again, and raises
 * its "not enough memory", for which the run fails too, whoever catches it. While it
 * does, cleaning up and writing the failure down may take more.
 */
#ifndef RT_MEMORY_H
#define RT_MEMORY_H

#include "engine.h"

/* Bounds the heap of L's state to 'limit' bytes while a run is alive. Raises when out of
 * memory. */
void rt_memory_bound(lua_State *L, rt_engine *e, size_t limit);

/* Sees to it that the heap is counted, if it was not bounded. Raises when out of memory. */
void rt_memory_count(lua_State *L, rt_engine *e);

/* Bytes of the Lua heap. From any thread. */
size_t rt_memory_used(const rt_memory *m);

/* True once if memory has been refused, and not been given after all, since the last time
 * this was asked. Whoever catches an error asks: if so, it is to call rt_memory_fail. */
bool rt_memory_refused(rt_engine *e);

/* The run of 'c' fails, as its call 'c' would have grown the heap over the limit. */
void rt_memory_fail(rt_call *c);

/* Takes the bound away; NULL is fine. */
void rt_memory_free(lua_State *L, rt_memory *m);

#endif
