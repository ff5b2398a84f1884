/* embedded.h -- the Lua files that are built in; made by scripts/embed.cmake. */
#ifndef RT_EMBEDDED_H
#define RT_EMBEDDED_H

#include <stddef.h>

typedef struct rt_embedded {
  const char *module;          /* "railtracks.cli"; NULL at the end */
  const char *chunk;           /* "=railtracks:cli.lua": tracebacks leave these out */
  const unsigned char *text;
  size_t size;
} rt_embedded;

extern const rt_embedded rt_embedded_files[];

#endif
