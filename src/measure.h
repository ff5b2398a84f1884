/* measure.h -- railtracks.host for 'run --metrics': tells how the run is getting on. */
#ifndef RT_MEASURE_H
#define RT_MEASURE_H

#include <lua.h>

/* Adds to the table at the top:
 *   metrics(port) -> server
 *       answers at 127.0.0.1 from a thread of its own, whatever the loop is busy with, until
 *       server:close(); server:address() is "http://127.0.0.1:PORT/". Raises why it cannot. */
void rt_measure_functions(lua_State *L);

#endif
