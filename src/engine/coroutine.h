/* coroutine.h -- Lua's coroutine functions, for coroutines inside which a task may wait.
 *
 * A wait yields the coroutine it stands in. If that one was resumed by the user's code,
 * 'resume' and 'wrap' do not return: they yield on, up to the coroutine that the scheduler
 * has resumed, and resume the inner one again when the task goes on. So generators,
 * producers and consumers may wait at any depth. Outside tasks all of it behaves as Lua's
 * own.
 */
#ifndef RT_COROUTINE_H
#define RT_COROUTINE_H

#include <lua.h>
#include <stdbool.h>

/* The functions; each wants the engine as its first upvalue. */
int rt_coroutine_create(lua_State *L);
int rt_coroutine_wrap(lua_State *L);
int rt_coroutine_resume(lua_State *L);
int rt_coroutine_yield(lua_State *L);
int rt_coroutine_close(lua_State *L);
int rt_coroutine_status(lua_State *L);
int rt_coroutine_running(lua_State *L);
int rt_coroutine_isyieldable(lua_State *L);

/* debug.traceback, which also knows the frames of a coroutine that has failed in a task:
 * it was unwound, so that its <close> variables could wait. */
int rt_coroutine_traceback(lua_State *L);

enum { RT_COROUTINES_DEEP = 200 };  /* Lua has no more C levels than that */

/* The coroutines from 'base' in: each has resumed the next. Returns how many there are. */
int rt_coroutine_chain(lua_State *base, lua_State *chain[RT_COROUTINES_DEEP]);

/* Runs the body of a coroutine that was first resumed in a task; the body is at index 2. */
int rt_coroutine_body(lua_State *L);

/* Whether the error at the top of L only closes the coroutine it was raised in. */
bool rt_coroutine_is_closing(lua_State *L);

#endif
