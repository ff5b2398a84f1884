/* buf.h -- bytes that grow.
 *
 * A buffer that is all zero is empty and valid. Growing can fail: the buffer then
 * keeps what it had, drops what comes after, and says so in 'failed', so that a
 * writer may append without looking and ask once at the end.
 */
#ifndef RT_BUF_H
#define RT_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct rt_buf {
  char *data;       /* malloc'd; NULL while nothing was written */
  size_t size;      /* bytes written */
  size_t capacity;  /* bytes there is room for */
  bool failed;      /* out of memory: the text is not whole */
  bool fixed;       /* 'data' is somebody else's and does not grow */
} rt_buf;

/* Makes room for 'more' bytes behind the written ones. Returns false when out of
 * memory (and sets 'failed'). */
bool rt_buf_reserve(rt_buf *b, size_t more);

/* Appends in printf's way, without its limits. */
void rt_buf_printf(rt_buf *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Appends 'value' in decimal. */
void rt_buf_int(rt_buf *b, int64_t value);

/* Frees the bytes; the buffer is empty and valid again. */
void rt_buf_free(rt_buf *b);

/* How many decimal digits 'n' has. */
static inline size_t rt_digits(uint64_t n) {
  size_t count = 1;
  for (; n >= 10000; n /= 10000) count += 4;
  return count + (n >= 10) + (n >= 100) + (n >= 1000);
}

/* Writes the digits of 'n' so that the last one stands before 'end': two at a time, which
 * halves the divisions (A. Alexandrescu, "Three Optimization Tips for C++", 2012). */
static inline void rt_write_digits(char *end, uint64_t n) {
  static const char pairs[] =
      "0001020304050607080910111213141516171819202122232425262728293031323334353637383940"
      "4142434445464748495051525354555657585960616263646566676869707172737475767778798081"
      "828384858687888990919293949596979899";
  for (; n >= 100; n /= 100) memcpy(end -= 2, pairs + n % 100 * 2, 2);
  if (n >= 10) memcpy(end - 2, pairs + n * 2, 2);
  else end[-1] = (char)('0' + n);
}

static inline void rt_buf_add(rt_buf *b, const void *data, size_t size) {
  if (size == 0) return;
  if (b->capacity - b->size < size && !rt_buf_reserve(b, size)) return;
  memcpy(b->data + b->size, data, size);
  b->size += size;
}

static inline void rt_buf_char(rt_buf *b, char c) {
  if (b->size == b->capacity && !rt_buf_reserve(b, 1)) return;
  b->data[b->size++] = c;
}

static inline void rt_buf_text(rt_buf *b, const char *text) {
  rt_buf_add(b, text, strlen(text));
}

#endif
