/* native.c -- the works of the bench as native nodes. */
#include <railtracks.h>

static int leaf(rt_call *c) { return rt_return_int(c, rt_arg_int(c, 1)); }

static int measure(rt_call *c) {
  size_t size;
  rt_arg_text(c, 1, &size);
  return rt_return_int(c, (int64_t)size);
}

/* As in native_peer.c. */
static int spin(rt_call *c) {
  uint64_t x = (uint64_t)rt_arg_int(c, 1) + 1;
  for (int64_t i = rt_arg_int(c, 2); i > 0; i--) x ^= x << 13, x ^= x >> 7, x ^= x << 17;
  return rt_return_int(c, (int64_t)(x >> 1));
}

static const rt_native nodes[] = {
    {.name = "leaf_inline", .kind = RT_INLINE, .run = leaf},
    {.name = "leaf_offload", .kind = RT_OFFLOAD, .run = leaf},
    {.name = "measure_inline", .kind = RT_INLINE, .run = measure},
    {.name = "spin", .kind = RT_OFFLOAD, .run = spin},
    {.name = NULL},
};

const rt_plugin railtracks_plugin = {
    .api = RT_API, .size = sizeof(rt_plugin), .name = "native", .nodes = nodes};
