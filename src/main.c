/* main.c -- the program: opens Lua, hands its arguments to railtracks.cli. */
#include <lauxlib.h>
#include <lualib.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "engine.h"

int luaopen_railtracks(lua_State *L);

/* What a signal handler needs to find. The program has one engine. */
static struct {
  rt_engine *volatile engine;  // NULL while there is nothing to interrupt
  volatile sig_atomic_t count;
  volatile sig_atomic_t first;
} caught;

static void on_signal(int number) {
  if (!caught.engine) return;
  if (caught.count++ == 0) caught.first = number;
  if (caught.count >= 3) _exit(128 + caught.first);
  rt_engine_interrupt(caught.engine, caught.first);
  if (caught.count == 2) rt_engine_stop(caught.engine);
}

/* host.catch_signals(): from here on Ctrl-C, SIGTERM and SIGHUP cancel what runs. */
static int catch_signals(lua_State *L) {
  caught.engine = rt_engine_open(L);
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigfillset(&action.sa_mask);
  static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
    struct sigaction before;
    sigaction(signals[i], NULL, &before);
    // Who starts us with a signal ignored (nohup, a shell's background job) means it.
    if (before.sa_handler != SIG_IGN) sigaction(signals[i], &action, NULL);
  }
  signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of the write, not our end
  return 0;
}

/* host.signal() -> the number of the first signal caught, or nil */
static int first_signal(lua_State *L) {
  if (caught.count) lua_pushinteger(L, caught.first);
  else lua_pushnil(L);
  return 1;
}

/* host.die_of_pipe(): writing to a closed pipe ends the program quietly. */
static int die_of_pipe(lua_State *L) {
  (void)L;
  signal(SIGPIPE, SIG_DFL);
  return 0;
}

/* host.terminal(fd) -> columns if it is a terminal, else nil */
static int terminal(lua_State *L) {
  struct winsize size = {0};
  int fd = (int)luaL_checkinteger(L, 1);
  if (!isatty(fd)) return 0;
  ioctl(fd, TIOCGWINSZ, &size);
  lua_pushinteger(L, size.ws_col ? size.ws_col : 80);
  return 1;
}

static int open_host(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"catch_signals", catch_signals}, {"die_of_pipe", die_of_pipe},
      {"signal", first_signal}, {"terminal", terminal}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}

static int start(lua_State *L) {
  int argc = (int)lua_tointeger(L, 1);
  char **argv = lua_touserdata(L, 2);
  luaL_openlibs(L);
  luaL_requiref(L, "railtracks", luaopen_railtracks, 0);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, open_host);
  lua_setfield(L, -2, "railtracks.host");
  lua_getglobal(L, "require");
  lua_pushliteral(L, "railtracks.cli");
  lua_call(L, 1, 1);
  lua_createtable(L, argc, 0);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i);
  }
  lua_call(L, 1, 1);
  return 1;
}

int main(int argc, char **argv) {
  lua_State *L = luaL_newstate();
  if (!L) {
    fprintf(stderr, "railtracks: not enough memory\n");
    return 1;
  }
  lua_pushcfunction(L, start);
  lua_pushinteger(L, argc);
  lua_pushlightuserdata(L, argv);
  int status = lua_pcall(L, 2, 1, 0);
  int code = 1;
  if (status == LUA_OK) code = (int)lua_tointeger(L, -1);
  else fprintf(stderr, "railtracks: %s\n", luaL_tolstring(L, -1, NULL));
  caught.engine = NULL;  // what is left is to write the journal to its end
  lua_close(L);
  return code;
}
