#include "buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool rt_buf_reserve(rt_buf *b, size_t more) {
  if (b->failed) return false;
  if (b->capacity - b->size >= more) return true;
  if (b->fixed) goto fail;

  size_t want = b->capacity < 64 ? 64 : b->capacity;
  while (want - b->size < more) {
    if (want > SIZE_MAX / 2) goto fail;
    want *= 2;
  }
  char *data = realloc(b->data, want);
  if (!data) goto fail;
  b->data = data;
  b->capacity = want;
  return true;

fail:
  b->failed = true;
  return false;
}

void rt_buf_printf(rt_buf *b, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int size = vsnprintf(NULL, 0, format, args);
  va_end(args);
  if (size < 0 || !rt_buf_reserve(b, (size_t)size + 1)) return;

  va_start(args, format);
  vsnprintf(b->data + b->size, (size_t)size + 1, format, args);
  va_end(args);
  b->size += (size_t)size;
}

void rt_buf_int(rt_buf *b, int64_t value) {
  uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
  size_t size = rt_digits(rest) + (value < 0);
  if (b->capacity - b->size < size && !rt_buf_reserve(b, size)) return;
  // Written in place: copying bytes that were just written one by one is slow.
  char *at = b->data + b->size;
  if (value < 0) *at = '-';
  rt_write_digits(at + size, rest);
  b->size += size;
}

void rt_buf_free(rt_buf *b) {
  free(b->data);
  *b = (rt_buf){0};
}
