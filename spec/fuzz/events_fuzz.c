/* events_fuzz.c -- a stream of server-sent events means the same however it is cut.
 *
 * The input is cut in one way and read whole: the events, the id and the time to wait must be
 * the same. In some inputs memory runs out: then the reader says so, and no more. */
#include "events.h"
#include "fuzz.h"

static void put(rt_buf *out, const rt_buf *text) {
  rt_buf_printf(out, "%zu:", text->size);
  rt_buf_add(out, text->data, text->size);
}

/* Reads a piece, as long as nothing is wrong. */
static rt_events_step feed(rt_events *e, const char *piece, size_t size, rt_buf *out) {
  rt_events_step step = RT_EVENTS_MORE;
  while (size && step <= RT_EVENTS_ONE) {
    size_t used = size + 1;
    step = rt_events_read(e, piece, size, &used);
    check(used <= size, "%zu of %zu", used, size);
    check(used || step > RT_EVENTS_ONE, "it stands still");
    piece += used;
    size -= used;
    if (step != RT_EVENTS_ONE) continue;
    check(!e->most || e->data.size <= e->most, "%zu bytes", e->data.size);
    put(out, &e->type);
    put(out, &e->id);
    put(out, &e->data);
  }
  return step;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  input in = {data, data + size};
  unsigned how = next_byte(&in);
  size_t most = how & 1 ? next_byte(&in) : 0, cut = next_byte(&in) % 8 + 1, left = size;
  const char *stream = next_bytes(&in, &left);

  rt_events whole = {.retry = -1, .most = most}, cuts = {.retry = -1, .most = most};
  rt_buf wanted = {0}, got = {0};
  rt_events_step first = feed(&whole, stream, left, &wanted), second = RT_EVENTS_MORE;
  until_fault = how & 2 ? how >> 2 : 0;
  for (size_t at = 0; at < left && second <= RT_EVENTS_ONE; at += cut)
    second = feed(&cuts, stream + at, left - at < cut ? left - at : cut, &got);
  bool failed = second == RT_EVENTS_NO_MEMORY || got.failed;
  until_fault = 0;
  check(!failed || how & 2, "there was memory");
  // Where an event becomes too large is told sooner if its line comes whole.
  if (!failed && first <= RT_EVENTS_ONE) {
    check(second <= RT_EVENTS_ONE, "it is too large only in pieces");
    check(got.size == wanted.size && (!got.size || !memcmp(got.data, wanted.data, got.size)),
          "other events: %.*s", (int)got.size, got.size ? got.data : "");
    check(whole.retry == cuts.retry, "%lld", (long long)cuts.retry);
  }
  rt_buf_free(&wanted);
  rt_buf_free(&got);
  rt_events_free(&whole);
  rt_events_free(&cuts);
  return 0;
}
