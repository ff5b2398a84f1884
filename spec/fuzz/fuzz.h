/* fuzz.h -- what the fuzzers have in common: the bytes of an input taken apart, and checks
 * that say what does not hold before they stop.
 *
 *   scripts/fuzz [SECONDS]        all of them
 *   scripts/fuzz NAME FILE...     what a finding does
 */
#ifndef RT_FUZZ_H
#define RT_FUZZ_H

#include <lauxlib.h>
#include <lualib.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct input {
  const uint8_t *at, *end;
} input;

/* The next byte; 0 once there are no more. */
static inline unsigned next_byte(input *in) { return in->at < in->end ? *in->at++ : 0; }

static inline bool at_end(const input *in) { return in->at >= in->end; }

/* The next 'size' bytes, or as many as there are. */
static inline const char *next_bytes(input *in, size_t *size) {
  const char *bytes = (const char *)in->at;
  if (*size > (size_t)(in->end - in->at)) *size = (size_t)(in->end - in->at);
  in->at += *size;
  return bytes;
}

static inline uint64_t next_word(input *in) {
  uint64_t word = 0;
  for (int i = 0; i < 8; i++) word = word << 8 | next_byte(in);
  return word;
}

#define check(that, ...)                                                       \
  do {                                                                         \
    if (!(that)) {                                                             \
      fprintf(stderr, "%s:%d: does not hold: %s: ", __FILE__, __LINE__, #that); \
      fprintf(stderr, __VA_ARGS__);                                            \
      fputc('\n', stderr);                                                     \
      abort();                                                                 \
    }                                                                          \
  } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
