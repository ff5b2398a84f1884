/* journal.h -- the module railtracks.journal: recorded runs and calls, read from Lua.
 *
 *   journal.open(path)                     a reader; raises what is wrong with the file
 *   reader:runs([limit [, skip]])          a list of runs, newest first
 *   reader:run(name)                       "@1", or a unique beginning or end of an id
 *   reader:calls(run [, limit [, "tree"]]) for call in ... do; run as above, or its name;
 *                                          in start order, or each below its caller
 *   reader:close()
 *
 * A run is {number, id, name, status, started_at, ended_at, calls, error, script,
 * script_hash, host, pid, parent_run, parent_call}; a call is {id, parent, node, kind,
 * status, spawned_at, started_at, ended_at, args, results, error, site, depth}. What is
 * not there is nil; args, results and error are JSON text, as recorded.
 */
#ifndef RT_LIB_JOURNAL_H
#define RT_LIB_JOURNAL_H

#include <lua.h>

/* Pushes the module's table; a lua_CFunction for require. */
int rt_open_journal(lua_State *L);

#endif
