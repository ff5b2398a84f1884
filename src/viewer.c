#include "viewer.h"

#include <lauxlib.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "view.h"

enum { POLITE = 5 };

/* The signals that end us; those we were started to ignore do not. */
static void ending(sigset_t *set) {
  static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
  sigemptyset(set);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    struct sigaction action;
    sigaction(numbers[i], NULL, &action);
    if (action.sa_handler != SIG_IGN) sigaddset(set, numbers[i]);
  }
}

/* Opens the address in the user's browser, if there is one; signals reach it as usual. */
static int browse(lua_State *L) {
  char *words[] = {"xdg-open", (char *)(uintptr_t)luaL_checkstring(L, 1), NULL};
  posix_spawn_file_actions_t files;
  posix_spawnattr_t how;
  sigset_t none;
  pid_t pid;
  sigemptyset(&none);
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&how);
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);
  posix_spawnattr_setsigmask(&how, &none);
  posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK);
  int error = posix_spawnp(&pid, words[0], &files, &how, words, environ);
  posix_spawnattr_destroy(&how);
  posix_spawn_file_actions_destroy(&files);
  lua_pushboolean(L, !error);
  return 1;
}

static int view(lua_State *L) {
  rt_view *v;
  char *error;
  sigset_t set;
  int number = 0;
  rt_view_options options = {
      .journal = luaL_checkstring(L, 1), .host = luaL_optstring(L, 2, NULL),
      .port = (int)luaL_optinteger(L, 3, -1),
  };
  luaL_checktype(L, 4, LUA_TFUNCTION);
  ending(&set);
  sigprocmask(SIG_BLOCK, &set, NULL);  // for the threads too, which inherit it
  setpriority(PRIO_PROCESS, 0, POLITE);  // those too: what is looked at goes first
  if (rt_view_open(&v, &options, &error) < 0) {
    lua_pushstring(L, error ? error : "not enough memory");
    free(error);
    return lua_error(L);
  }
  lua_pushvalue(L, 4);
  lua_pushstring(L, rt_view_address(v));
  int status = lua_pcall(L, 1, 0, 0);
  while (status == LUA_OK && sigwait(&set, &number) != 0) {}
  rt_view_close(v);
  if (status != LUA_OK) return lua_error(L);
  lua_pushinteger(L, number);
  return 1;
}

void rt_viewer_functions(lua_State *L) {
  lua_pushcfunction(L, view);
  lua_setfield(L, -2, "view");
  lua_pushcfunction(L, browse);
  lua_setfield(L, -2, "browse");
}
