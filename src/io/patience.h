/* patience.h -- how long a transfer may take, and how long nothing may come.
 *
 * libcurl has timeouts, too. But its first one does not count the time in which a transfer
 * waits for one of the connections to its host, and its second one looks at the mean of some
 * seconds, so that a server which says that it is still there, with a byte or two now and
 * then, goes unheard.
 */
#ifndef RT_PATIENCE_H
#define RT_PATIENCE_H

#include "transfer.h"

/* Begins to count, if there is a limit; the transfer fails when that is reached. False when
 * out of memory. */
bool rt_patience_begin(rt_transfer *t);
void rt_patience_end(rt_transfer *t);

#endif
