#include "store.h"

#include <string.h>

static const char *const statuses[] = {
    [RT_RUNNING] = "running", [RT_DONE] = "done", [RT_FAILED] = "failed",
    [RT_CANCELLED] = "cancelled", [RT_INTERRUPTED] = "interrupted",
};

static const char *const kinds[] = {[RT_KIND_LUA] = "lua", [RT_KIND_NATIVE] = "native"};

const char *rt_status_name(rt_status status) { return statuses[status]; }

const char *rt_call_kind_name(rt_call_kind kind) { return kinds[kind]; }

rt_status rt_status_named(const char *name) {
  for (int i = RT_RUNNING; i < RT_INTERRUPTED; i++)
    if (name && strcmp(name, statuses[i]) == 0) return (rt_status)i;
  return RT_INTERRUPTED;
}

rt_call_kind rt_call_kind_named(const char *name) {
  return name && strcmp(name, kinds[RT_KIND_NATIVE]) == 0 ? RT_KIND_NATIVE : RT_KIND_LUA;
}
