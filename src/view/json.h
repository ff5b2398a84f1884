/* json.h -- JSON written into a buffer: what the page is told. */
#ifndef RT_VIEW_JSON_H
#define RT_VIEW_JSON_H

#include "buf.h"
#include "store.h"

/* A string, or null where 'text' has no data. What is not UTF-8 becomes U+FFFD. */
void rt_view_text(rt_buf *b, rt_text text);

/* The same of a text that ends with a zero byte. */
void rt_view_name(rt_buf *b, const char *text);

/* Seconds with microseconds, or null for 0. */
void rt_view_time(rt_buf *b, double seconds);

/* How many bytes at the beginning of 'text' are one character of UTF-8, 0 if they are none. */
size_t rt_view_character(const char *text, size_t left);

/* The length of the longest beginning of 'text' with at most 'size' bytes that does not end
 * within a character. */
size_t rt_view_head(rt_text text, size_t size);

#endif
