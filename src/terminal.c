#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static int terminal(lua_State *L) {
  struct winsize size = {0};
  int fd = (int)luaL_checkinteger(L, 1);
  if (!isatty(fd)) return 0;
  ioctl(fd, TIOCGWINSZ, &size);
  lua_pushinteger(L, size.ws_col ? size.ws_col : 80);
  return 1;
}

static int program(lua_State *L) {
  char path[PATH_MAX];
  ssize_t size = readlink("/proc/self/exe", path, sizeof path);
  if (size <= 0) return 0;
  lua_pushlstring(L, path, (size_t)size);
  return 1;
}

/* Makes the folders above the file. */
static void make_folders(const char *path) {
  char folder[PATH_MAX];
  if (strlen(path) >= sizeof folder) return;
  strcpy(folder, path);
  for (char *at = strchr(folder + 1, '/'); at; at = strchr(at + 1, '/')) {
    *at = '\0';
    mkdir(folder, 0700);
    *at = '/';
  }
}

static int append(lua_State *L) {
  size_t size;
  const char *path = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &size);
  int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY;
  int fd = open(path, flags, 0600);
  if (fd < 0 && errno == ENOENT) {
    make_folders(path);
    fd = open(path, flags, 0600);
  }
  ssize_t written = fd < 0 ? -1 : write(fd, text, size);
  int error = written < 0 ? errno : (size_t)written < size ? ENOSPC : 0;
  if (fd >= 0) close(fd);
  if (error) return luaL_fileresult(L, (errno = error, 0), path);
  lua_pushboolean(L, 1);
  return 1;
}

static int process(lua_State *L) {
  lua_pushinteger(L, getpid());
  return 1;
}

static int stop(lua_State *L) {
  (void)L;
  raise(SIGSTOP);
  return 0;
}

void rt_terminal_functions(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"append", append}, {"process", process}, {"program", program}, {"stop", stop},
      {"terminal", terminal}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
  lua_pushliteral(L, RT_MODULES);
  lua_setfield(L, -2, "modules");
}
