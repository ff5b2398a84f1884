#include "events.h"

static bool is(const char *name, size_t size, const char *other) {
  return size == strlen(other) && memcmp(name, other, size) == 0;
}

static void set(rt_buf *b, const char *value, size_t size) {
  b->size = 0;
  rt_buf_add(b, value, size);
}

/* Digits only, or it is ignored. */
static void read_retry(rt_events *e, const char *value, size_t size) {
  int64_t number = 0;
  if (!size || size > 15) return;
  for (size_t i = 0; i < size; i++) {
    if (value[i] < '0' || value[i] > '9') return;
    number = number * 10 + (value[i] - '0');
  }
  e->retry = number;
}

static void read_field(rt_events *e, const char *line, size_t size) {
  const char *colon = memchr(line, ':', size);
  size_t name = colon ? (size_t)(colon - line) : size;
  const char *value = line + name;
  size_t left = size - name;
  if (left) value++, left--;                       // the colon
  if (left && *value == ' ') value++, left--;      // and one blank
  if (is(line, name, "data")) {
    rt_buf_add(&e->data, value, left);
    rt_buf_char(&e->data, '\n');
  } else if (is(line, name, "event")) {
    set(&e->type, value, left);
  } else if (is(line, name, "id")) {
    if (!memchr(value, '\0', left)) set(&e->seen, value, left);
  } else if (is(line, name, "retry")) {
    read_retry(e, value, left);
  }
}

/* An empty line ends the event. True if it is one: has data. */
static bool end_event(rt_events *e) {
  set(&e->id, e->seen.data, e->seen.size);
  if (!e->data.size) {
    e->type.size = 0;
    return false;
  }
  e->data.size--;  // the last newline
  e->out = true;
  return true;
}

static const char mark[] = "\xEF\xBB\xBF";

/* True when the line ends an event. */
static bool read_line(rt_events *e, const char *line, size_t size) {
  if (!e->begun && size >= 3 && memcmp(line, mark, 3) == 0) line += 3, size -= 3;
  e->begun = true;
  if (!size) return end_event(e);
  if (*line != ':') read_field(e, line, size);
  return false;
}

static bool failed(const rt_events *e) {
  return e->type.failed || e->data.failed || e->id.failed || e->line.failed || e->seen.failed;
}

/* The line's end in the bytes, or their own. */
static size_t find_end(const char *bytes, size_t size) {
  size_t at = 0;
  while (at < size && bytes[at] != '\n' && bytes[at] != '\r') at++;
  return at;
}

rt_events_step rt_events_read(rt_events *e, const char *bytes, size_t size, size_t *used) {
  size_t at = 0;
  bool whole = false;
  if (e->out) {
    e->out = false;
    e->type.size = e->data.size = 0;
  }
  while (at < size && !whole) {
    if (e->cr && bytes[at] == '\n') at++;
    e->cr = false;
    size_t end = find_end(bytes + at, size - at);
    const char *line = bytes + at;
    if (e->most && e->line.size + end + e->data.size > e->most) {
      *used = at;
      return RT_EVENTS_TOO_LARGE;
    }
    if (at + end == size) {  // it goes on in what comes next
      rt_buf_add(&e->line, line, end);
      at = size;
      break;
    }
    if (e->line.size) {
      rt_buf_add(&e->line, line, end);
      line = e->line.data;
      size_t joined = e->line.size;
      e->line.size = 0;
      whole = read_line(e, line, joined);
    } else {
      whole = read_line(e, line, end);
    }
    e->cr = bytes[at + end] == '\r';
    at += end + 1;
  }
  *used = at;
  if (failed(e)) return RT_EVENTS_NO_MEMORY;
  return whole ? RT_EVENTS_ONE : RT_EVENTS_MORE;
}

void rt_events_free(rt_events *e) {
  rt_buf_free(&e->type);
  rt_buf_free(&e->data);
  rt_buf_free(&e->id);
  rt_buf_free(&e->line);
  rt_buf_free(&e->seen);
}
