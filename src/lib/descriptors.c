/* descriptors.c -- what a process that is started must not inherit. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>

#include "lib.h"

/* A userdata: those that were made to close on exec, and are to be as they were. */
typedef struct sealed {
  int count, room;
  int *fds;          /* malloc'd */
} sealed;

static const char sealed_class = 's';  // registry: the metatable, whose __gc and __close ...

/* ... open them again. */
static int unseal(lua_State *L) {
  sealed *s = lua_touserdata(L, 1);
  for (int i = 0; i < s->count; i++) fcntl(s->fds[i], F_SETFD, 0);
  free(s->fds);
  *s = (sealed){0};
  return 0;
}

static bool seal(sealed *s, int fd) {
  if (fd <= 2 || fcntl(fd, F_GETFD) != 0) return true;
  if (s->count == s->room) {
    int room = s->room ? s->room * 2 : 16;
    int *fds = realloc(s->fds, (size_t)room * sizeof *fds);
    if (!fds) return false;
    s->fds = fds;
    s->room = room;
  }
  s->fds[s->count++] = fd;
  return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

/* core.sealed(f, ...) -> f(...), which must not wait: while it runs all descriptors but the
 * standard ones close on exec. Files that io.open has opened do not; nor do those that we
 * have inherited, or a program that embeds us uses. */
static int call_sealed(lua_State *L) {
  int count = lua_gettop(L);
  sealed *s = lua_newuserdatauv(L, sizeof *s, 0);
  *s = (sealed){0};
  lua_rawgetp(L, LUA_REGISTRYINDEX, &sealed_class);
  lua_setmetatable(L, -2);
  lua_insert(L, 1);
  lua_toclose(L, 1);
  DIR *all = opendir("/proc/self/fd");
  bool enough = true;
  if (all) {
    for (const struct dirent *at; enough && (at = readdir(all));) enough = seal(s, atoi(at->d_name));
    closedir(all);
  }
  if (!enough) luaL_error(L, "not enough memory");
  lua_call(L, count - 1, LUA_MULTRET);
  return lua_gettop(L) - 1;
}

void rt_lib_open_descriptors(lua_State *L, rt_engine *e) {
  static const luaL_Reg functions[] = {{"sealed", call_sealed}, {NULL, NULL}};
  rt_lib_add(L, e, functions);
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, unseal);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, unseal);
  lua_setfield(L, -2, "__close");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &sealed_class);
}
