/* json.h -- JSON text, made of bytes and numbers.
 *
 * What value.c needs below Lua: strings that are checked while they are copied, floats
 * that stay floats, bytes as base64 and the marker of a value that was cut.
 */
#ifndef RT_JSON_H
#define RT_JSON_H

#include "buf.h"

/* How writing the inside of a string ended. */
typedef enum rt_json_end {
  RT_JSON_WHOLE,     /* all of it was written */
  RT_JSON_FULL,      /* the next character has no room; what was written is whole */
  RT_JSON_NOT_UTF8,  /* the next byte begins no character */
} rt_json_end;

/* Appends the inside of a string: 'size' bytes of UTF-8, escaped, without the quotes,
 * at most 'room' bytes of it. Reads no further than it writes. */
rt_json_end rt_json_inside(rt_buf *out, const char *text, size_t size, size_t room);

/* Appends a string, or {"$bytes":"BASE64"} where it is not UTF-8. False when that needs
 * more than 'room' bytes; what was written then is a beginning. */
bool rt_json_text(rt_buf *out, const char *text, size_t size, size_t room);

/* Tells whether the first 'size' bytes are UTF-8: no surrogates, nothing overlong. */
bool rt_json_is_utf8(const char *text, size_t size);

/* The longest beginning of 'text' that has at most 'most' of its 'size' bytes and does
 * not end within a character. */
size_t rt_json_beginning(const char *text, size_t size, size_t most);

/* Appends the shortest decimal that reads back as 'value', never looking like an
 * integer, in any locale; nan, inf and -inf as placeholders. */
void rt_json_float(rt_buf *out, double value);

/* Appends {"$lua":"NAME"}: what JSON has no word for. */
void rt_json_placeholder(rt_buf *out, const char *name);

/* Appends {"$cut":BYTES,"head":...}, at most 'limit' bytes of it where the marker itself
 * fits: 'bytes' tells how much there was, the head is the beginning of 'text'. */
void rt_json_cut(rt_buf *out, size_t bytes, const char *text, size_t size, size_t limit);

static inline void rt_json_int(rt_buf *out, int64_t value) {
  if ((uint64_t)value < 10) rt_buf_char(out, (char)('0' + value));
  else rt_buf_int(out, value);
}

#endif
