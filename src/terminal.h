/* terminal.h -- what the program asks of the system for somebody who types. */
#ifndef RT_TERMINAL_H
#define RT_TERMINAL_H

#include <lua.h>

/* Adds to the table at the top:
 *   terminal(fd)         columns if it is a terminal, else nil
 *   process()            the number of the process
 *   program()            the path of the program itself; nil where that is not known
 *   modules              where an installed program has its modules, seen from its folder
 *   append(path, text)   adds it to a file that is nobody else's, made with its folders if
 *                        need be; true, or nil and why not
 *   stop()               stops the process until it is continued */
void rt_terminal_functions(lua_State *L);

#endif
