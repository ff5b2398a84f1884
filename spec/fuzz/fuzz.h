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

/* ---- memory that runs out: built with the linker's --wrap ---- */

static long until_fault;  // the allocation of ours that fails, from 1; 0: none

static inline bool fails(void) { return until_fault && --until_fault == 0; }

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size) { return fails() ? NULL : __real_malloc(size); }

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size) {
  return fails() ? NULL : __real_calloc(count, size);
}

void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size) { return fails() ? NULL : __real_realloc(p, size); }

/* ---- a Lua for each input ---- */

static inline void *allocate(void *data, void *p, size_t before, size_t size) {
  (void)data, (void)before;
  if (size) return __real_realloc(p, size);
  free(p);
  return NULL;
}

/* Calls 'one' in a new Lua with the input as its argument, a light userdata. */
static inline void run_in_lua(lua_CFunction one, const uint8_t *data, size_t size) {
  input in = {data, data + size};
  lua_State *L = lua_newstate(allocate, NULL);
  lua_pushcfunction(L, one);
  lua_pushlightuserdata(L, &in);
  int status = lua_pcall(L, 1, 0, 0);
  check(status == LUA_OK, "%s", luaL_tolstring(L, -1, NULL));
  lua_close(L);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
