/* semaphore.c -- rt.semaphore(n): at most n at a time.
 *
 * A permit is free, or somebody's. One that is given back while others wait goes to the
 * first of them at once, so that nobody who comes later can be faster. sem:with holds it
 * by a guard, a to-be-closed value of its own: however the function is left, also by a
 * coroutine that is closed, the permit comes back.
 */
#include <stddef.h>

#include "lib.h"
#include "line.h"

typedef struct semaphore {
  rt_line line;        /* those that wait; with a free permit nobody does */
  lua_Integer permits;
  lua_Integer free;    /* of them, those that nobody has */
  lua_Integer number;  /* the how-manieth of its engine */
  rt_place site;       /* of the code that made it */
} semaphore;

static const char guard_class = 'g';  // the guards' metatable's place in the registry

/* "semaphore 2 (3 permits, made at flow.lua:18)": for errors. */
static const char *push_name(lua_State *L, const semaphore *sem) {
  rt_text file = rt_place_file(&rt_lib_engine(L)->places, sem->site);
  return lua_pushfstring(L, file.data ? "semaphore %I (%I permit%s, made at %s:%d)"
                                      : "semaphore %I (%I permit%s)",
                         sem->number, sem->permits, sem->permits == 1 ? "" : "s", file.data,
                         (int)sem->site.line);
}

static semaphore *self(lua_State *L, const char *what) {
  return rt_lib_self(L, what, "a Semaphore");
}

/* ---- giving back ---- */

/* False if there is none to give back. From anywhere; runs no Lua. */
static bool give(rt_engine *e, semaphore *sem) {
  if (sem->free == sem->permits) return false;
  rt_task *waiter = rt_line_take(&sem->line);
  if (waiter) rt_line_wake(&e->scheduler, waiter, 0);
  else sem->free++;
  return true;
}

static _Noreturn void refuse_release(lua_State *L, const char *what, const semaphore *sem) {
  rt_error_raise(L, "usage", "%s: all permits of %s were given back before", what,
                 push_name(L, sem));
}

static int release(lua_State *L) {
  semaphore *sem = self(L, "semaphore:release");
  if (!give(rt_lib_engine(L), sem)) refuse_release(L, "semaphore:release", sem);
  return 0;
}

/* ---- taking ---- */

static void describe(const rt_task *task, const char *what, rt_buf *out) {
  const semaphore *sem =
      (const semaphore *)((const char *)task->wait.other.on - offsetof(semaphore, line));
  rt_text file = rt_place_file(&rt_call_of(task)->run->engine->places, sem->site);
  rt_buf_printf(out, "%s on semaphore %lld (%lld permit%s", what, (long long)sem->number,
                (long long)sem->permits, sem->permits == 1 ? "" : "s");
  if (file.data) rt_buf_printf(out, ", made at %s:%u", file.data, sem->site.line);
  rt_buf_char(out, ')');
}

static void describe_acquire(const rt_task *task, rt_buf *out) {
  describe(task, "semaphore:acquire", out);
}

static void describe_with(const rt_task *task, rt_buf *out) {
  describe(task, "semaphore:with", out);
}

static int acquired(lua_State *L, rt_task *task) {
  (void)L, (void)task;
  return 0;
}

static const rt_wait_kind acquire_wait = {
    .name = "semaphore:acquire", .unlink = rt_line_unlink, .finish = acquired,
    .describe = describe_acquire};

static int acquire(lua_State *L) {
  semaphore *sem = self(L, "semaphore:acquire");
  rt_call *c = rt_call_check(L, rt_lib_engine(L), "semaphore:acquire");
  if (!sem->free) return rt_line_wait(L, &sem->line, &c->task, &acquire_wait);
  sem->free--;
  return 0;
}

/* ---- sem:with(fn, ...) ---- */

enum { GUARD = 2 };  // on the stack of sem:with: the semaphore, the guard, fn, arguments

static int with_over(lua_State *L, int status, lua_KContext context) {
  (void)status, (void)context;
  return lua_gettop(L) - GUARD;
}

/* A permit has been taken: nothing may raise before the guard stands. */
static int with_permit(lua_State *L, rt_task *task) {
  (void)task;
  lua_toclose(L, GUARD);
  lua_callk(L, lua_gettop(L) - GUARD - 1, LUA_MULTRET, 0, with_over);
  return with_over(L, LUA_OK, 0);
}

static const rt_wait_kind with_wait = {
    .name = "semaphore:with", .unlink = rt_line_unlink, .finish = with_permit,
    .describe = describe_with};

static int with(lua_State *L) {
  semaphore *sem = self(L, "semaphore:with");
  rt_call *c = rt_call_check(L, rt_lib_engine(L), "semaphore:with");
  if (lua_type(L, 2) != LUA_TFUNCTION) {
    if (luaL_getmetafield(L, 2, "__call") == LUA_TNIL)
      rt_error_raise(L, "usage", "semaphore:with: argument 1: expected a function, got %s",
                     lua_isnone(L, 2) ? "nothing" : luaL_typename(L, 2));
    lua_pop(L, 1);
  }
  luaL_checkstack(L, LUA_MINSTACK, "too many arguments");
  lua_getiuservalue(L, 1, 1);
  lua_insert(L, GUARD);
  if (!sem->free) return rt_line_wait(L, &sem->line, &c->task, &with_wait);
  sem->free--;
  return with_permit(L, &c->task);
}

/* The guard's __close(guard, error). */
static int close_guard(lua_State *L) {
  lua_getiuservalue(L, 1, 1);
  semaphore *sem = lua_touserdata(L, -1);
  // Somebody else has given this permit back: to be told, unless there is an error already.
  if (!give(rt_lib_engine(L), sem) && lua_isnil(L, 2)) refuse_release(L, "semaphore:with", sem);
  return 0;
}

/* ---- making one ---- */

static int new_semaphore(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  int whole = 0;
  lua_Integer permits = lua_type(L, 1) == LUA_TNUMBER ? lua_tointegerx(L, 1, &whole) : 0;
  if (!whole || permits < 1)
    rt_error_raise(L, "usage",
                   "rt.semaphore: argument 1: expected a whole number of at least 1, got %s",
                   lua_isnone(L, 1)                   ? "nothing"
                   : lua_type(L, 1) == LUA_TNUMBER ? luaL_tolstring(L, 1, NULL)
                                                      : luaL_typename(L, 1));
  semaphore *sem = lua_newuserdatauv(L, sizeof *sem, 1);
  *sem = (semaphore){
      .permits = permits, .free = permits,
      .number = lua_tointeger(L, lua_upvalueindex(3)) + 1,
      .site = rt_place_here(&e->places, L),
  };
  rt_line_open(&sem->line);
  lua_pushinteger(L, sem->number);
  lua_replace(L, lua_upvalueindex(3));
  lua_newuserdatauv(L, 0, 1);              // the guard; each holds the other
  lua_pushvalue(L, -2);
  lua_setiuservalue(L, -2, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &guard_class);
  lua_setmetatable(L, -2);
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  return 1;
}

static int semaphore_tostring(lua_State *L) {
  const semaphore *sem = self(L, "tostring");
  rt_text file = rt_place_file(&rt_lib_engine(L)->places, sem->site);
  lua_pushfstring(L, file.data ? "Semaphore %I (%I of %I permits free, made at %s:%d)"
                               : "Semaphore %I (%I of %I permits free)",
                  sem->number, sem->free, sem->permits, file.data, (int)sem->site.line);
  return 1;
}

void rt_lib_open_semaphore(lua_State *L, rt_engine *e) {
  static const luaL_Reg methods[] = {
      {"acquire", acquire}, {"release", release}, {"with", with}, {NULL, NULL}};
  lua_createtable(L, 0, 2);                // the guards' metatable
  lua_pushlightuserdata(L, e);
  lua_pushcclosure(L, close_guard, 1);
  lua_setfield(L, -2, "__close");
  lua_pushliteral(L, "railtracks.Permit");
  lua_setfield(L, -2, "__metatable");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &guard_class);

  lua_createtable(L, 0, 4);                // the semaphores'
  lua_createtable(L, 0, 3);
  rt_lib_add_methods(L, e, methods);
  lua_setfield(L, -2, "__index");
  lua_pushlightuserdata(L, e);
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, semaphore_tostring, 2);
  lua_setfield(L, -2, "__tostring");
  lua_pushliteral(L, "railtracks.Semaphore");
  lua_setfield(L, -2, "__name");
  lua_pushliteral(L, "railtracks.Semaphore");
  lua_setfield(L, -2, "__metatable");
  lua_pushlightuserdata(L, e);
  lua_insert(L, -2);
  lua_pushinteger(L, 0);                   // how many were made
  lua_pushcclosure(L, new_semaphore, 3);
  lua_setfield(L, -2, "semaphore");
}
