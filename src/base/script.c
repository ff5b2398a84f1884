#include "script.h"

#define XXH_INLINE_ALL
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

static void hash_file(rt_script *out) {
  FILE *file = fopen(out->path, "rbe");
  if (!file) return;
  XXH3_state_t *state = XXH3_createState();
  char bytes[16384];
  size_t size;
  if (state) {
    XXH3_128bits_reset(state);
    while ((size = fread(bytes, 1, sizeof bytes, file)) > 0)
      XXH3_128bits_update(state, bytes, size);
    XXH128_hash_t hash = XXH3_128bits_digest(state);
    snprintf(out->hash, sizeof out->hash, "xxh3:%016llx%016llx",
             (unsigned long long)hash.high64, (unsigned long long)hash.low64);
  }
  XXH3_freeState(state);
  fclose(file);
}

void rt_script_read(rt_script *out, const char *path) {
  *out = (rt_script){0};
  if (!path || !(out->path = realpath(path, NULL))) return;
  hash_file(out);
}

void rt_script_free(rt_script *script) {
  free(script->path);
  script->path = NULL;
}
