/* lib.h -- what the files of the Lua interface share.
 *
 * Every function given to Lua is a closure whose first upvalue is the engine, so that it
 * is found from any coroutine, also from one that is older than the engine.
 */
#ifndef RT_LIB_H
#define RT_LIB_H

#include <lauxlib.h>

#include "engine.h"

static inline rt_engine *rt_lib_engine(lua_State *L) {
  return lua_touserdata(L, lua_upvalueindex(1));
}

/* Adds the functions to the table at the top, with our upvalues. */
void rt_lib_add(lua_State *L, rt_engine *e, const luaL_Reg *functions);

/* The same for the functions of a class, whose metatable stands below the table: it is
 * their second upvalue. */
void rt_lib_add_methods(lua_State *L, rt_engine *e, const luaL_Reg *functions);

/* The object a method was called on, at 1: a userdata with the metatable that is the
 * second upvalue. Raises 'usage' in the name of 'what', which expected 'a Channel'. */
void *rt_lib_self(lua_State *L, const char *what, const char *expected);

/* The node to be called that stands at 'index': a node, or a plain function's. Raises
 * 'usage' in the name of 'what'. Borrowed from the value or the engine. */
rt_node *rt_lib_node(lua_State *L, rt_engine *e, int index, const char *what);

/* Makes a node and pushes the userdata that stands for it, its user values still nil. */
rt_node *rt_lib_push_node(lua_State *L, const char *name, size_t size);

/* The Task at 'index' as a call, borrowed; NULL if it is none. */
rt_call *rt_task_at(lua_State *L, int index);

/* The same for many: first the class of Tasks is pushed, which is then at 'class'. */
void rt_task_push_class(lua_State *L);
rt_call *rt_task_of_class(lua_State *L, int index, int class);

/* Pushes the results of the ended call whose Task is at 'index', or its error and its
 * failure; returns how many. */
int rt_task_push_outcome(lua_State *L, int index);

/* Pushes its first result, or nil, if it is done. */
void rt_task_push_result(lua_State *L, int index);

/* A call that has failed is found to be unobserved: says so on standard error. */
void rt_task_warn(rt_call *c);

/* The spawned call 'c' has ended with the outcome at 'first' .. top of L: tells all who wait
 * for it, in the order they came. */
void rt_group_tell(lua_State *L, rt_call *c, int first);

/* "1.2 (load)", left on the stack. */
const char *rt_lib_call_text(lua_State *L, const rt_call *c);

/* The value at 'index' for a message about it, left on the stack: 2.5, string "2", table. */
const char *rt_lib_given(lua_State *L, int index);

/* The length of the list at 'index': its n, else what # says. Raises 'usage' in the name of
 * 'what' if that is no length. */
uint32_t rt_lib_length(lua_State *L, int index, const char *what);

/* Whether the list at 'index' is what a raw look at it says. */
bool rt_lib_is_plain(lua_State *L, int index);

/* The call 'c' is in an rt.map of the node, of whose 'total' items (with ordinals from 'first' on)
 * so many are done: an event for handlers and in the journal. Raises only when out of memory. */
void rt_lib_map_progress(lua_State *L, rt_call *c, uint32_t done, uint32_t total, uint32_t first,
                         const rt_node *node);

/* rt.call, also called for a node: node(...). */
int rt_lib_call(lua_State *L);

/* The same for a function of ours and its arguments, which stand on the whole stack: the
 * call is one of 'node' (NULL: out of memory), whose reference it takes over. 'parent' is
 * the running call, and may wait. */
int rt_lib_call_as(lua_State *L, rt_call *parent, rt_node *node);

/* Pushes the traceback of the last failure that rt.run has raised outside a run, if it was
 * of the error at 'index'; else nil. */
void rt_lib_push_raised(lua_State *L, int index);

/* Pushes what is run in place of a body whose arguments have no room on the stack. */
void rt_lib_push_too_many(lua_State *co);

/* In: an rt_loaded. Out: its nodes by name. */
int rt_lib_make_nodes(lua_State *L);

/* How many handles on the loop rt.http keeps as long as the engine is open. */
size_t rt_lib_http_handles(const rt_engine *e);

/* Fills the table at the top with the functions of the file. */
void rt_lib_open_call(lua_State *L, rt_engine *e);
void rt_lib_open_scope(lua_State *L, rt_engine *e);
void rt_lib_open_protect(lua_State *L, rt_engine *e);
void rt_lib_open_node(lua_State *L, rt_engine *e);
void rt_lib_open_run(lua_State *L, rt_engine *e);
void rt_lib_open_plugin(lua_State *L, rt_engine *e);
void rt_lib_open_task(lua_State *L, rt_engine *e);
void rt_lib_open_group(lua_State *L, rt_engine *e);
void rt_lib_open_await(lua_State *L, rt_engine *e);
void rt_lib_open_completed(lua_State *L, rt_engine *e);
void rt_lib_open_log(lua_State *L, rt_engine *e);
void rt_lib_open_map(lua_State *L, rt_engine *e);
void rt_lib_open_semaphore(lua_State *L, rt_engine *e);
void rt_lib_open_channel(lua_State *L, rt_engine *e);
void rt_lib_open_resume(lua_State *L, rt_engine *e);
void rt_lib_open_process(lua_State *L, rt_engine *e);
void rt_lib_open_tls(lua_State *L, rt_engine *e);
void rt_lib_open_uv(lua_State *L, rt_engine *e);
void rt_lib_open_testing(lua_State *L, rt_engine *e);

/* Makes what the groups of tasks have in common; once per state. */
void rt_lib_open_members(lua_State *L);

/* The module railtracks.core. */
int rt_open_core(lua_State *L);

/* Fills the table at the top with the functions of railtracks.console that the file has. */
void rt_lib_open_execute(lua_State *L, rt_engine *e);
void rt_lib_open_socket(lua_State *L, rt_engine *e);
void rt_lib_open_watch(lua_State *L, rt_engine *e);

/* console.read */
int rt_lib_read(lua_State *L);

/* The module railtracks.console: what the REPL needs. */
int rt_open_console(lua_State *L);

/* The module railtracks.http.core: what railtracks/http.lua is made of. */
int rt_open_http(lua_State *L);

/* The module railtracks.journal: reading what was recorded. */
int rt_open_journal(lua_State *L);

#define RT_READER "railtracks.journal.Reader"

/* The reader at 'index', which is open, or raises. */
rt_reader *rt_lib_reader(lua_State *L, int index);

/* What was recorded of a run, of a call, as tables. */
void rt_lib_push_run(lua_State *L, const rt_run_record *run);
void rt_lib_push_call(lua_State *L, const rt_call_view *call);

/* reader:tail(run), and its class. */
int rt_lib_tail(lua_State *L);
void rt_lib_open_tails(lua_State *L);

#endif
