/* process.c -- starting a program and taking note of its end, for railtracks/process.lua.
 *
 * posix_spawn makes the new process without copying ours (libuv forks, which takes the
 * longer the more memory we have, and then each page we write to is copied), and closes
 * what it is not to inherit. Its end is seen by the loop as an event of a descriptor.
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib.h"

extern char **environ;

/* The strings of the list at 'index', ended by NULL, in a userdata that is pushed. */
static char **push_list(lua_State *L, int index) {
  lua_Integer count = luaL_len(L, index);
  char **list = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *list, 0);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, index, i);
    list[i - 1] = (char *)(uintptr_t)luaL_checkstring(L, -1);  // the list keeps it
    lua_pop(L, 1);
  }
  list[count] = NULL;
  return list;
}

static int add_actions(posix_spawn_file_actions_t *actions, const int fds[3], const char *cwd) {
  int status = 0;
  for (int i = 0; i < 3 && !status; i++)
    status = posix_spawn_file_actions_adddup2(actions, fds[i], i);
  if (!status) status = posix_spawn_file_actions_addclosefrom_np(actions, 3);
  if (!status && cwd) status = posix_spawn_file_actions_addchdir_np(actions, cwd);
  return status;
}

/* The usual signals, and a session and process group of its own. */
static int set_attributes(posix_spawnattr_t *attributes) {
  sigset_t signals;
  sigemptyset(&signals);
  int status = posix_spawnattr_setsigmask(attributes, &signals);
  sigfillset(&signals);
  if (!status) status = posix_spawnattr_setsigdefault(attributes, &signals);
  if (status) return status;
  return posix_spawnattr_setflags(
      attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

/* It gets as many files as we were allowed, before the program allowed itself more. Not by way
 * of our own limit: other threads open files meanwhile. */
static void limit_files(const rt_engine *e, pid_t pid) {
  struct rlimit files;
  if (!e->files || prlimit(pid, RLIMIT_NOFILE, NULL, &files) < 0) return;
  files.rlim_cur = e->files;
  prlimit(pid, RLIMIT_NOFILE, &files, NULL);
}

static int start(char **argv, char **env, const char *cwd, const int fds[3], pid_t *pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  int status = posix_spawn_file_actions_init(&actions);
  if (status) return status;
  status = posix_spawnattr_init(&attributes);
  if (status) {
    posix_spawn_file_actions_destroy(&actions);
    return status;
  }
  status = add_actions(&actions, fds, cwd);
  if (!status) status = set_attributes(&attributes);
  if (!status)
    status = posix_spawnp(pid, argv[0], &actions, &attributes, argv, env ? env : environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return status;
}

/* core.start_process(words, env or nil, cwd or nil, stdin, stdout, stderr) -> pid, and a
 * descriptor that can be read once it has exited; or nil, and why not as luv would say it. */
static int start_process(lua_State *L) {
  int fds[3];
  pid_t pid;
  char **argv = push_list(L, 1), **env = lua_isnil(L, 2) ? NULL : push_list(L, 2);
  const char *cwd = luaL_optstring(L, 3, NULL);
  for (int i = 0; i < 3; i++) fds[i] = (int)luaL_checkinteger(L, 4 + i);

  // Where it is ignored nobody is told how a child has ended.
  struct sigaction child;
  if (sigaction(SIGCHLD, NULL, &child) == 0 && child.sa_handler == SIG_IGN)
    signal(SIGCHLD, SIG_DFL);

  int status = start(argv, env, cwd, fds, &pid), ended = -1;
  if (!status) limit_files(rt_lib_engine(L), pid);
  if (!status && (ended = pidfd_open(pid, 0)) < 0) {
    status = errno;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
  }
  if (status) {
    lua_pushnil(L);
    lua_pushstring(L, uv_err_name(-status));
    return 2;
  }
  lua_pushinteger(L, pid);
  lua_pushinteger(L, ended);
  return 2;
}

/* core.end_of(pid) -> whether it has exited, its exit code or nil, the number of the signal
 * that ended it or nil. */
static int end_of(lua_State *L) {
  int status;
  pid_t pid = (pid_t)luaL_checkinteger(L, 1);
  pid_t found = waitpid(pid, &status, WNOHANG);
  lua_pushboolean(L, found != 0);
  if (found == 0) return 1;
  if (found == pid && WIFEXITED(status)) lua_pushinteger(L, WEXITSTATUS(status));
  else lua_pushnil(L);
  if (found == pid && WIFSIGNALED(status)) lua_pushinteger(L, WTERMSIG(status));
  else lua_pushnil(L);
  return 3;
}

void rt_lib_open_process(lua_State *L, rt_engine *e) {
  static const luaL_Reg functions[] = {
      {"end_of", end_of}, {"start_process", start_process}, {NULL, NULL}};
  rt_lib_add(L, e, functions);
}
