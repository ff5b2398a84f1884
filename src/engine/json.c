#include "json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MORE = 'x' };  // a byte of a character outside ASCII

/* What a byte needs: 0 nothing, 'u' \u00XX, MORE a look at what follows, else the letter
 * after the backslash. */
static const char needs[256] = {
    [0 ... 7] = 'u',    ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n',   [11] = 'u',
    ['\f'] = 'f',       ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\', [14 ... 31] = 'u',
    [128 ... 255] = MORE,
};

#define EACH(byte) (0x0101010101010101u * (byte))

/* Tells whether any of 8 bytes needs something. A borrow may also mark the byte above
 * one that does, which changes nothing. */
static inline bool any_needs(uint64_t w) {
  uint64_t quote = w ^ EACH('"'), slash = w ^ EACH('\\');
  uint64_t below = (w - EACH(0x20u)) | (quote - EACH(1u)) | (slash - EACH(1u));
  return ((below | w) & EACH(0x80u)) != 0;
}

/* Copies bytes that need nothing, up to the first that does. Returns their number. */
static inline size_t copy_plain(char *to, const char *text, size_t size) {
  size_t i = 0;
  uint64_t w;
  for (; size - i >= 8; i += 8) {
    memcpy(&w, text + i, 8);
    memcpy(to + i, &w, 8);
    if (any_needs(w)) break;
  }
  for (; i < size && !needs[(uint8_t)text[i]]; i++) to[i] = text[i];
  return i;
}

/* The length of the character beyond ASCII that 'text' begins with; 0 if it is none. */
static inline size_t utf8_length(const char *text, size_t size) {
  const uint8_t *s = (const uint8_t *)text;
  if (s[0] < 0xC2 || s[0] > 0xF4 || size < 2 || (s[1] & 0xC0) != 0x80) return 0;
  if (s[0] < 0xE0) return 2;

  if (size < 3 || (s[2] & 0xC0) != 0x80) return 0;
  if (s[0] == 0xE0 && s[1] < 0xA0) return 0;   // overlong
  if (s[0] == 0xED && s[1] >= 0xA0) return 0;  // a surrogate
  if (s[0] < 0xF0) return 3;

  if (size < 4 || (s[3] & 0xC0) != 0x80) return 0;
  if (s[0] == 0xF0 && s[1] < 0x90) return 0;   // overlong
  if (s[0] == 0xF4 && s[1] >= 0x90) return 0;  // beyond U+10FFFF
  return 4;
}

/* Writes the escape of 'c'; there is room for it. Returns its length. */
static inline size_t escape(char *to, uint8_t c) {
  static const char hex[] = "0123456789abcdef";
  to[0] = '\\';
  to[1] = needs[c];
  if (to[1] != 'u') return 2;
  to[2] = to[3] = '0';
  to[4] = hex[c >> 4];
  to[5] = hex[c & 15];
  return 6;
}

rt_json_end rt_json_inside(rt_buf *out, const char *text, size_t size, size_t room) {
  for (;;) {
    // Room for all that is left and one escape, so that nothing below asks again.
    size_t most = size < room ? size : room;
    if (out->capacity - out->size < most + 6 && !rt_buf_reserve(out, most + 6))
      return RT_JSON_FULL;

    size_t plain = copy_plain(out->data + out->size, text, most);
    out->size += plain;
    size -= plain;
    if (size == 0) return RT_JSON_WHOLE;
    text += plain;
    room -= plain;

    while (size && needs[(uint8_t)*text] == MORE) {
      size_t length = utf8_length(text, size);
      if (!length) return RT_JSON_NOT_UTF8;
      if (length > room) return RT_JSON_FULL;
      memcpy(out->data + out->size, text, length);
      out->size += length;
      text += length;
      size -= length;
      room -= length;
    }

    if (size == 0) return RT_JSON_WHOLE;
    if (room == 0) return RT_JSON_FULL;
    if (!needs[(uint8_t)*text]) continue;

    size_t length = needs[(uint8_t)*text] == 'u' ? 6 : 2;
    if (length > room) return RT_JSON_FULL;
    out->size += escape(out->data + out->size, (uint8_t)*text);
    room -= length;
    text++;
    size--;
  }
}

/* Appends {"$bytes":"BASE64"} of as many bytes as fit. False when that is not all. */
static bool bytes(rt_buf *out, const char *text, size_t size, size_t room) {
  static const char digit[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const uint8_t *s = (const uint8_t *)text;

  size_t most = room > 13 ? (room - 13) / 4 * 3 : 0;  // 13: what stands around it
  size_t n = size < most ? size : most;
  if (!rt_buf_reserve(out, 13 + (n + 2) / 3 * 4)) return false;

  rt_buf_text(out, "{\"$bytes\":\"");
  char *to = out->data + out->size;
  size_t i = 0;
  for (; n - i >= 3; i += 3) {
    uint32_t three = (uint32_t)s[i] << 16 | (uint32_t)s[i + 1] << 8 | s[i + 2];
    *to++ = digit[three >> 18];
    *to++ = digit[three >> 12 & 63];
    *to++ = digit[three >> 6 & 63];
    *to++ = digit[three & 63];
  }
  if (i < n) {
    uint32_t rest = (uint32_t)s[i] << 16 | (n - i == 2 ? (uint32_t)s[i + 1] << 8 : 0);
    *to++ = digit[rest >> 18];
    *to++ = digit[rest >> 12 & 63];
    *to++ = n - i == 2 ? digit[rest >> 6 & 63] : '=';
    *to++ = '=';
  }
  out->size = (size_t)(to - out->data);
  rt_buf_text(out, "\"}");
  return n == size;
}

bool rt_json_text(rt_buf *out, const char *text, size_t size, size_t room) {
  size_t start = out->size;
  rt_buf_char(out, '"');
  rt_json_end end = rt_json_inside(out, text, size, room < 2 ? 0 : room - 2);
  if (end == RT_JSON_WHOLE) {
    rt_buf_char(out, '"');
    return room >= 2;
  }
  // Escapes take more than base64: what has no room as text may still have it as bytes.
  if (end == RT_JSON_FULL &&
      (room < 17 || size > (room - 13) / 4 * 3 || rt_json_is_utf8(text, size)))
    return false;
  out->size = start;
  return bytes(out, text, size, room);
}

bool rt_json_is_utf8(const char *text, size_t size) {
  while (size) {
    size_t length = needs[(uint8_t)*text] == MORE ? utf8_length(text, size) : 1;
    if (!length) return false;
    text += length;
    size -= length;
  }
  return true;
}

size_t rt_json_beginning(const char *text, size_t size, size_t most) {
  if (size <= most) return size;
  // A character has at most three bytes after its first; more of them is no UTF-8.
  size_t n = most;
  while (n > 0 && most - n < 3 && ((uint8_t)text[n] & 0xC0) == 0x80) n--;
  return ((uint8_t)text[n] & 0xC0) == 0x80 ? most : n;
}

/* Writes k / 10^n, which has a fraction or reads as one: 1500 / 10^3 as "1.5". */
static void write_decimal(rt_buf *out, int64_t k, int64_t scale, int n) {
  char digits[20];
  int64_t fraction = k % scale;
  for (; n > 1 && fraction % 10 == 0; n--) fraction /= 10;
  for (int i = n; i > 0; i--, fraction /= 10) digits[i] = (char)('0' + fraction % 10);
  digits[0] = '.';
  rt_json_int(out, k / scale);
  rt_buf_add(out, digits, (size_t)n + 1);
}

/* Appends a value of 1e-4 .. 1e15 if 15 digits are enough for it. Both k and 10^n are
 * exact in a double, so where their quotient is the value, "k with a point" reads back
 * as it; and where such digits exist, k is off by less than a half before rounding. */
static bool fifteen_digits(rt_buf *out, double value) {
  int64_t scale = 10;
  for (int n = 1;; n++, scale *= 10) {
    double scaled = value * (double)scale;
    if (scaled < 1e14 && n != 3) continue;  // 3: what people write; else all 15
    if (scaled >= 1e15) return false;
    int64_t k = (int64_t)(scaled + 0.5);
    if ((double)k / (double)scale == value) {
      write_decimal(out, k, scale, n);
      return true;
    }
    if (scaled >= 1e14) return false;
  }
}

/* printf and strtod agree on the locale's point, which may be several bytes long: all
 * that can be no part of a number is the point. */
static void any_digits(rt_buf *out, double value, int digits) {
  char text[64];
  for (; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, value);
    if (strtod(text, NULL) == value) break;
  }
  bool is_float = false;
  for (const char *s = text; *s; s++) {
    bool number = (*s >= '0' && *s <= '9') || *s == '-' || *s == '+' || *s == 'e';
    if (number) rt_buf_char(out, *s);
    else if (!is_float) rt_buf_char(out, '.');
    if (!number || *s == 'e') is_float = true;
  }
  if (!is_float) rt_buf_add(out, ".0", 2);
}

void rt_json_float(rt_buf *out, double value) {
  if (isnan(value)) {
    rt_json_placeholder(out, "nan");
  } else if (isinf(value)) {
    rt_json_placeholder(out, value < 0 ? "-inf" : "inf");
  } else {
    if (signbit(value)) rt_buf_char(out, '-');
    value = fabs(value);
    if (value < 1e15 && value == (double)(int64_t)value) {
      rt_json_int(out, (int64_t)value);
      rt_buf_add(out, ".0", 2);
    } else if (value < 1e-4 || value >= 1e15) {
      any_digits(out, value, 15);
    } else if (!fifteen_digits(out, value)) {
      any_digits(out, value, 16);
    }
  }
}

void rt_json_placeholder(rt_buf *out, const char *name) {
  rt_buf_add(out, "{\"$lua\":\"", 9);
  rt_buf_text(out, name);
  rt_buf_add(out, "\"}", 2);
}

void rt_json_cut(rt_buf *out, size_t bytes_in_all, const char *text, size_t size,
                 size_t limit) {
  size_t start = out->size;
  rt_buf_text(out, "{\"$cut\":");
  rt_buf_int(out, (int64_t)bytes_in_all);
  rt_buf_text(out, ",\"head\":");

  size_t head = out->size, used = head - start + 3;  // with the quotes and the brace
  size_t room = limit > used ? limit - used : 0;
  rt_buf_char(out, '"');
  if (rt_json_inside(out, text, size, room) != RT_JSON_NOT_UTF8) {
    rt_buf_text(out, "\"}");
    return;
  }
  out->size = head;
  if (room + 2 >= 13 + 4) bytes(out, text, size, room + 2);
  else rt_buf_text(out, "\"\"");
  rt_buf_char(out, '}');
}
