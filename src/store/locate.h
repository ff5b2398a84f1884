/* locate.h -- where the journal is when nobody has said so. */
#ifndef RT_LOCATE_H
#define RT_LOCATE_H

#include <stdbool.h>

/* The journal's file: RAILTRACKS_JOURNAL, else journal.db in RAILTRACKS_HOME, else in the
 * nearest .railtracks folder upwards from the current directory, else in a new one there.
 * With 'make' folders that are missing are made (a .railtracks with a .gitignore of its
 * own). '*path' is NULL for "none"; the caller frees it. On failure returns -1 and sets
 * '*error', which the caller frees. */
int rt_journal_locate(char **path, bool make, char **error);

#endif
