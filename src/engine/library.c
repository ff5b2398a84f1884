/* library.c -- opening the shared library of a plugin, and looking at what it exports. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "buf.h"
#include "native.h"

/* A plugin calls our functions. In stock Lua we are a module, whose names nobody sees. */
static void export_ourselves(void) {
  Dl_info info;
  if (!dladdr((void *)(uintptr_t)rt_library_open, &info)) return;
  void *self = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL);
  if (self) dlclose(self);
}

void rt_library_close(void *library) {
  if (library) dlclose(library);
}

static bool check_nodes(const char *path, const rt_native *nodes, rt_buf *why) {
  for (const rt_native *node = nodes; node->name; node++) {
    int number = (int)(node - nodes) + 1;
    if (!*node->name) {
      rt_buf_printf(why, "%s: node %d has an empty name", path, number);
    } else if (!node->run) {
      rt_buf_printf(why, "%s: node '%s' has no function to run", path, node->name);
    } else if (node->kind != RT_INLINE && node->kind != RT_OFFLOAD && node->kind != RT_LATER) {
      rt_buf_printf(why, "%s: node '%s' is of kind %d, expected RT_INLINE, RT_OFFLOAD or "
                    "RT_LATER", path, node->name, (int)node->kind);
    } else {
      const rt_native *same = nodes;
      while (same != node && strcmp(same->name, node->name) != 0) same++;
      if (same == node) continue;
      rt_buf_printf(why, "%s: two nodes are named '%s'", path, node->name);
    }
    return false;
  }
  return true;
}

/* Of a plugin of another version only 'api' may be looked at. */
bool rt_plugin_check(const char *path, const rt_plugin *plugin, rt_buf *why) {
  if (plugin->api != RT_API)
    rt_buf_printf(why, "%s: was made for version %d of railtracks.h, expected %d", path,
                  plugin->api, RT_API);
  else if (plugin->size < sizeof *plugin)
    rt_buf_printf(why, "%s: its railtracks_plugin is of %zu bytes, expected %zu", path,
                  plugin->size, sizeof *plugin);
  else if (!plugin->name || !*plugin->name)
    rt_buf_printf(why, "%s: the plugin has no name", path);
  else if (!plugin->nodes)
    rt_buf_printf(why, "%s: the plugin has no table of nodes", path);
  else
    return check_nodes(path, plugin->nodes, why);
  return false;
}

rt_loaded *rt_library_open(const char *path, char **error) {
  rt_buf why = {0};
  rt_loaded *home = calloc(1, sizeof *home);
  struct stat file;
  *error = NULL;
  if (!home) return NULL;
  export_ourselves();
  home->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!home->library) {
    const char *problem = dlerror();
    bool told = strncmp(problem, path, strlen(path)) == 0;
    rt_buf_printf(&why, "%s%s%s", told ? "" : path, told ? "" : ": ", problem);
    goto fail;
  }
  const rt_plugin *plugin = dlsym(home->library, "railtracks_plugin");
  if (!plugin) {
    rt_buf_printf(&why, "%s: is no plugin: it exports no railtracks_plugin", path);
    goto fail;
  }
  if (!rt_plugin_check(path, plugin, &why)) goto fail;
  if (stat(path, &file) == 0) {
    home->device = file.st_dev;
    home->inode = file.st_ino;
  }
  const char *refused = NULL;
  if (plugin->open && plugin->open(&home->state, &refused) != 0) {
    rt_buf_printf(&why, "%s: %s", path, refused ? refused : "the plugin refused to open");
    goto fail;
  }
  home->plugin = plugin;
  return home;

fail:
  rt_buf_char(&why, '\0');
  *error = why.failed ? NULL : why.data;
  if (why.failed) rt_buf_free(&why);
  rt_library_close(home->library);
  free(home);
  return NULL;
}
