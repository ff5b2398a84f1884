/* meter.h -- what a thread beside the loop may know of an engine while it runs, whatever the
 * loop is busy with: for 'railtracks run --metrics'.
 *
 * The loop leaves its numbers in atomics, and nothing here looks at Lua. How late the loop's
 * turn comes a timer tells, ten times a second; while it is overdue, the reader sees so.
 */
#ifndef RT_METER_H
#define RT_METER_H

#include "counts.h"
#include "engine.h"

typedef struct rt_meter rt_meter;

/* Begins to measure the engine of L, once, before its first run. Raises when out of memory. It
 * ends with the engine. */
rt_meter *rt_meter_open(lua_State *L, rt_engine *e);

/* The journal is open. */
void rt_meter_journal(rt_meter *m, rt_journal *journal);

/* From any thread, until the engine is closed. False when out of memory. */
bool rt_meter_read(const rt_meter *m, rt_reading *out);

/* Stops; the loop frees it when it is closed. NULL is fine. */
void rt_meter_close(rt_meter *m);

#endif
