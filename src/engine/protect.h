/* protect.h -- pcall and xpcall that let a task's cancellation through.
 *
 * The engine counts how often it has raised something that no pcall may stop: a
 * cancellation, a fatal error. A protected call remembers the count it was entered at.
 * If its task was told since, what arrives is raised on; else it is caught as usual, in
 * cleanup code too.
 */
#ifndef RT_PROTECT_H
#define RT_PROTECT_H

#include <lua.h>

#include "engine.h"

/* Lua's pcall and xpcall; each wants the engine as its first upvalue. */
int rt_protect_pcall(lua_State *L);
int rt_protect_xpcall(lua_State *L);

/* To be kept while what is protected runs. */
lua_KContext rt_protect_enter(const rt_engine *e);

/* Whether the error at the top of L, which has arrived where rt_protect_enter returned
 * 'since', is to be raised on. */
bool rt_protect_passes(lua_State *L, rt_engine *e, lua_KContext since);

/* The running call 'c' is told to end: counts it. */
void rt_protect_tell(rt_call *c);

/* Makes known that 'f' calls what stands at index 'body' of its stack protected. */
void rt_protect_register(rt_engine *e, lua_CFunction f, int body, rt_catches catches);

/* Whether the code on L is cleanup of 'c', the running call: a function called to close a
 * variable while an error unwinds the call. */
bool rt_protect_is_cleanup(lua_State *L, rt_call *c);

/* Whether it is that of an error that will leave the coroutine L, in which 'c' runs what is
 * not its own: nothing on L catches it. */
bool rt_protect_is_leaving(lua_State *L, rt_call *c);

#endif
