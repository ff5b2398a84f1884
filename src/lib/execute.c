/* execute.c -- for railtracks.console: a program that has the terminal for a while.
 *
 *   console.execute(file, ...)     runs it with these arguments on our standard streams, and
 *                                  waits for its end: its exit status, 128 + signal; nil and
 *                                  why if it could not be started
 */
#include <stdlib.h>

#include "lib.h"

/* Lives until libuv has closed the handle. */
typedef struct program {
  uv_process_t handle;
  rt_scheduler *scheduler;
  rt_task *task;    /* that waits; NULL: it has been told to give up */
  int status;
} program;

static void closed(uv_handle_t *handle) { free(handle->data); }

static void exited(uv_process_t *handle, int64_t status, int signal) {
  program *p = handle->data;
  p->status = signal ? 128 + signal : (int)status;
  if (p->task) rt_task_wake(p->scheduler, p->task);
  else uv_close((uv_handle_t *)handle, closed);
}

static void unlink_program(rt_scheduler *s, rt_task *task) {
  program *p = task->wait.other.on;
  (void)s;
  p->task = NULL;
  uv_process_kill(&p->handle, SIGTERM);
}

static int finish_program(lua_State *L, rt_task *task) {
  program *p = task->wait.other.on;
  lua_pushinteger(L, p->status);
  uv_close((uv_handle_t *)&p->handle, closed);
  return 1;
}

static const rt_wait_kind program_wait = {
    .name = "a program", .outside = true, .unlink = unlink_program, .finish = finish_program};

static int execute(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  rt_call *c = rt_call_check(L, e, "console.execute");
  int count = lua_gettop(L);
  char **words = lua_newuserdatauv(L, sizeof *words * (size_t)(count + 1), 0);
  for (int i = 0; i < count; i++) words[i] = (char *)luaL_checkstring(L, i + 1);
  words[count] = NULL;
  program *p = calloc(1, sizeof *p);
  if (!p) return luaL_error(L, "not enough memory");
  p->scheduler = &e->scheduler;
  p->handle.data = p;
  uv_stdio_container_t streams[3];
  for (int fd = 0; fd < 3; fd++)
    streams[fd] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = fd};
  uv_process_options_t options = {
      .file = words[0], .args = words, .exit_cb = exited, .stdio = streams, .stdio_count = 3};
  int status = uv_spawn(&e->scheduler.loop, &p->handle, &options);
  if (status < 0) {
    uv_close((uv_handle_t *)&p->handle, closed);
    lua_pushnil(L);
    lua_pushstring(L, uv_strerror(status));
    return 2;
  }
  p->task = &c->task;
  c->task.wait.other.on = p;
  return rt_task_wait(L, &c->task, &program_wait);
}

void rt_lib_open_execute(lua_State *L, rt_engine *e) {
  static const luaL_Reg functions[] = {{"execute", execute}, {NULL, NULL}};
  rt_lib_add(L, e, functions);
}
