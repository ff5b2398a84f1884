/* plugin_fuzz_library.c -- a plugin whose table is filled in by plugin_fuzz.c. */
#include <stddef.h>

#define railtracks_plugin railtracks_plugin_of_others  // which is constant
#include <railtracks.h>
#undef railtracks_plugin

RT_EXPORT rt_plugin railtracks_plugin;
