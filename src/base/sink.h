/* sink.h -- lines on their way to a file, or to standard error.
 *
 * Whoever writes a line never waits: what cannot be written at once (somebody reads slowly, or
 * not at all) is left to a thread of the sink's. Past RT_SINK_MOST bytes lines are lost, and
 * how many is written in their place.
 */
#ifndef RT_SINK_H
#define RT_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  RT_SINK_MOST = 4 << 20,   /* bytes that wait */
  RT_SINK_OLD = 5,          /* files kept when a new one is begun: FILE.1 is the newest */
};

typedef struct rt_sink rt_sink;

/* Opens the file to append to it, or takes standard error for NULL. A line that would make the
 * file larger than 'most' bytes (0: no bound) begins a new one. NULL, and errno, on failure. */
rt_sink *rt_sink_open(const char *path, int64_t most);

/* Writes a line, which ends with a line end. From any thread. */
void rt_sink_write(rt_sink *s, const char *line, size_t size);

/* Writes what waits, 'ns' nanoseconds long at most, and frees the sink. */
void rt_sink_close(rt_sink *s, int64_t ns);

#endif
