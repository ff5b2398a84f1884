#include "json.h"

#include <stdio.h>

size_t rt_view_character(const char *text, size_t left) {
  const unsigned char *at = (const unsigned char *)text;
  unsigned char c = at[0];
  if (c < 0x80) return 1;
  size_t size = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
  if (c < 0xC2 || c > 0xF4 || left < size) return 0;
  for (size_t i = 1; i < size; i++)
    if ((at[i] & 0xC0) != 0x80) return 0;
  if (c == 0xE0 && at[1] < 0xA0) return 0;   // longer than need be
  if (c == 0xED && at[1] > 0x9F) return 0;   // half of a pair
  if (c == 0xF0 && at[1] < 0x90) return 0;
  if (c == 0xF4 && at[1] > 0x8F) return 0;
  return size;
}

static void escape(rt_buf *b, unsigned char c) {
  char text[7];
  switch (c) {
    case '"': rt_buf_text(b, "\\\""); return;
    case '\\': rt_buf_text(b, "\\\\"); return;
    case '\n': rt_buf_text(b, "\\n"); return;
    default:
      snprintf(text, sizeof text, "\\u%04x", c);
      rt_buf_add(b, text, 6);
  }
}

void rt_view_text(rt_buf *b, rt_text text) {
  const unsigned char *at = (const unsigned char *)text.data;
  if (!at) {
    rt_buf_text(b, "null");
    return;
  }
  const unsigned char *end = at + text.size, *from = at;
  rt_buf_char(b, '"');
  while (at < end) {
    size_t size = rt_view_character((const char *)at, (size_t)(end - at));
    if (size > 1 || (size == 1 && *at >= 0x20 && *at != '"' && *at != '\\' && *at != 0x7F)) {
      at += size;
      continue;
    }
    rt_buf_add(b, from, (size_t)(at - from));
    if (size) escape(b, *at);
    else rt_buf_text(b, "\xEF\xBF\xBD");
    from = ++at;
  }
  rt_buf_add(b, from, (size_t)(at - from));
  rt_buf_char(b, '"');
}

void rt_view_name(rt_buf *b, const char *text) {
  rt_view_text(b, (rt_text){text, text ? strlen(text) : 0});
}

void rt_view_time(rt_buf *b, double seconds) {
  if (seconds > 0 && seconds < 1e15) rt_buf_printf(b, "%.6f", seconds);
  else rt_buf_text(b, "null");
}

size_t rt_view_head(rt_text text, size_t size) {
  if (text.size <= size) return text.size;
  while (size && ((unsigned char)text.data[size] & 0xC0) == 0x80) size--;
  return size;
}
