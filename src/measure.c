#include "measure.h"

#include <lauxlib.h>
#include <signal.h>
#include <stdlib.h>

#include "meter.h"
#include "view.h"

#define SERVER "railtracks.metrics"

static bool read_meter(const void *meter, rt_reading *out) { return rt_meter_read(meter, out); }

/* The engine outlives it: of two userdata the later one is finalized first. */
static int metrics(lua_State *L) {
  lua_Integer port = luaL_checkinteger(L, 1);
  rt_meter *meter = rt_meter_open(L, rt_engine_open(L));
  rt_view **server = lua_newuserdatauv(L, sizeof *server, 0);
  *server = NULL;
  luaL_setmetatable(L, SERVER);
  rt_view_options options = {.live = {read_meter, meter}, .port = (int)port};
  char *error;
  sigset_t all, before;  // signals belong to the loop's thread
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int opened = rt_view_open(server, &options, &error);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (opened == 0) return 1;
  lua_pushstring(L, error ? error : "not enough memory");
  free(error);
  return lua_error(L);
}

static int address(lua_State *L) {
  rt_view **server = luaL_checkudata(L, 1, SERVER);
  lua_pushstring(L, *server ? rt_view_address(*server) : "");
  return 1;
}

static int close_server(lua_State *L) {
  rt_view **server = luaL_checkudata(L, 1, SERVER);
  rt_view_close(*server);
  *server = NULL;
  return 0;
}

void rt_measure_functions(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"address", address}, {"close", close_server}, {NULL, NULL}};
  luaL_newmetatable(L, SERVER);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, close_server);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, close_server);
  lua_setfield(L, -2, "__close");
  lua_pop(L, 1);
  lua_pushcfunction(L, metrics);
  lua_setfield(L, -2, "metrics");
}
