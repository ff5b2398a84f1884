/* screen.h -- what is written while somebody types.
 *
 * Standard output and standard error of the program become streams of ours where they are
 * a terminal. As long as a prompt stands there, what is written to them is held back until
 * the prompt is taken away for it; at other times it passes at once. From any thread.
 */
#ifndef RT_SCREEN_H
#define RT_SCREEN_H

#include <lua.h>

#include "engine.h"

/* Puts the streams in their place. False when out of memory. */
bool rt_screen_open(rt_engine *e, lua_State *L);

/* From now on all passes; the engine may be closed. */
void rt_screen_close(void);

/* Begins a line where the terminal has echoed a key. From a signal handler. */
void rt_screen_new_line(void);

/* Adds to the table at the top:
 *   screen()          puts the streams in their place
 *   hold(bool)        from now on hold it back, or let it pass, what is held first
 *   held([all])       takes the lines that are held; with what is no whole line
 *   write(text)       writes to the terminal, past all that
 *   at_line_start()   whether the cursor is where a line begins, as far as we know */
void rt_screen_functions(lua_State *L);

#endif
