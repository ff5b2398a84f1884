/* viewer.h -- railtracks.host for the command 'view': serves until a signal comes. */
#ifndef RT_VIEWER_H
#define RT_VIEWER_H

#include <lua.h>

/* Adds to the table at the top:
 *   view(journal, host, port, begun) -> signal
 *       serves the journal to browsers; host and port may be nil. Calls begun(address), then
 *       waits for a signal to end, and returns its number. Raises why it cannot.
 *   browse(address) -> whether the user's browser was asked to open it */
void rt_viewer_functions(lua_State *L);

#endif
