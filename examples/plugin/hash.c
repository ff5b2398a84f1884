/* hash.c -- a plugin of offload nodes: what takes CPU runs on worker threads, several at once.
 *
 *   cc -O2 -shared -fPIC -o hash.so hash.c       (needs libxxhash-dev)
 *
 *   local hash = rt.load "./hash.so"
 *   local sums = rt.map(hash.hash_file, { "a.txt", "b.txt" })
 */
#define XXH_INLINE_ALL
#include <errno.h>
#include <railtracks.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

enum { BLOCK = 1 << 16 };

static int return_hash(rt_call *c, XXH128_hash_t hash) {
  char text[33];
  snprintf(text, sizeof text, "%016llx%016llx", (unsigned long long)hash.high64,
           (unsigned long long)hash.low64);
  return rt_return_text(c, text, 32);
}

/* hash_text(text) -> its XXH3 hash of 128 bits, in hexadecimal */
static int hash_text(rt_call *c) {
  size_t size;
  const char *text = rt_arg_text(c, 1, &size);
  return return_hash(c, XXH3_128bits(text, size));
}

/* hash_file(path) -> likewise of what is in the file */
static int hash_file(rt_call *c) {
  const char *path = rt_arg_text(c, 1, NULL);
  if (rt_failed(c)) return -1;
  FILE *file = fopen(path, "rb");
  if (!file) return rt_fail(c, errno == ENOENT ? "ENOENT" : NULL, "hash_file: %s: %s", path,
                            strerror(errno));
  XXH3_state_t state;
  char block[BLOCK];
  size_t size;
  XXH3_128bits_reset(&state);
  while (!rt_cancelled(c) && (size = fread(block, 1, sizeof block, file)) > 0)
    XXH3_128bits_update(&state, block, size);
  int problem = ferror(file) ? errno : 0;
  fclose(file);
  if (problem) return rt_fail(c, NULL, "hash_file: %s: %s", path, strerror(problem));
  return return_hash(c, XXH3_128bits_digest(&state));
}

/* spin(seed, rounds) -> a number that takes that many rounds to find, or stops when nobody
 * waits for it any more */
static int spin(rt_call *c) {
  uint64_t x = (uint64_t)rt_arg_int(c, 1);
  int64_t rounds = rt_arg_int(c, 2);
  if (rt_failed(c)) return -1;
  for (int64_t i = 0; i < rounds; i++) {
    x = XXH3_64bits(&x, sizeof x);
    if (i % 1024 == 0 && rt_cancelled(c)) break;
  }
  return rt_return_int(c, (int64_t)(x >> 1));
}

static const rt_native nodes[] = {
    {.name = "hash_text", .kind = RT_OFFLOAD, .run = hash_text,
     .about = "The XXH3 hash of a text."},
    {.name = "hash_file", .kind = RT_OFFLOAD, .run = hash_file,
     .about = "The XXH3 hash of a file."},
    {.name = "spin", .kind = RT_OFFLOAD, .run = spin, .about = "Keeps a core busy."},
    {.name = NULL},
};

const rt_plugin railtracks_plugin = {
    .api = RT_API, .size = sizeof(rt_plugin), .name = "hash", .nodes = nodes};
