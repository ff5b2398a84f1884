/* Each allocation in turn fails, Lua's and the engine's own: what runs must end with its
 * result or an error, the engine must go on, and all memory must come back.
 *
 * Built with the linker's --wrap, so that only calls from our objects are counted; those of
 * the journal's thread are not, since only the thread that is armed fails. */
#include <lauxlib.h>
#include <lualib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

int luaopen_railtracks(lua_State *L);

/* ---- what fails ---- */

static _Thread_local struct {
  bool armed;
  long asked;   // allocations since it was armed
  long first;   // which one fails, from 1; 0: none
  long span;    // and how many after it
} fault;

static bool fails(void) {
  if (!fault.armed) return false;
  long n = ++fault.asked;
  return fault.first && n >= fault.first && n < fault.first + fault.span;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *text);
int __real_uv_loop_init(uv_loop_t *loop);
int __real_uv_async_init(uv_loop_t *loop, uv_async_t *async, uv_async_cb cb);

void *__wrap_malloc(size_t size) { return fails() ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t count, size_t size) {
  return fails() ? NULL : __real_calloc(count, size);
}
void *__wrap_realloc(void *p, size_t size) { return fails() ? NULL : __real_realloc(p, size); }
char *__wrap_strdup(const char *text) { return fails() ? NULL : __real_strdup(text); }
int __wrap_uv_loop_init(uv_loop_t *loop) {
  return fails() ? UV_EMFILE : __real_uv_loop_init(loop);
}
int __wrap_uv_async_init(uv_loop_t *loop, uv_async_t *async, uv_async_cb cb) {
  return fails() ? UV_EMFILE : __real_uv_async_init(loop, async, cb);
}

/* Lua's memory, counted so that a leak shows without a sanitizer. */
static size_t lua_bytes;

static void *allocate(void *ud, void *p, size_t before, size_t size) {
  (void)ud;
  if (!p) before = 0;
  if (size == 0) {
    lua_bytes -= before;
    free(p);
    return NULL;
  }
  if (size > before && fails()) return NULL;
  void *made = __real_realloc(p, size);
  if (made) lua_bytes += size - before;
  return made;
}

/* ---- programs ---- */

static const struct {
  const char *name, *body;
} programs[] = {
    {"call", "assert(rt.call(function(x) return x end, 1) == 1)"},
    {"call that fails", "local ok, e = pcall(rt.call, error, 'x', 0) "
                        "assert(not ok) rt.traceback(e)"},
    {"call by a queue", "rt.spawn(nap) assert(rt.call(function(x) nap() return x end, 1) == 1)"},
    {"params", "local ok, e = pcall(checked, 1) assert(not ok) checked 'x'"},
    {"spawn and await", "local t = rt.spawn(nap, 1) assert(t:await() == 1)"},
    {"unobserved", "local ok = pcall(rt.call, function() rt.spawn(error, 'x', 0) end) "
                   "assert(not ok)"},
    {"gather", "assert(#rt.gather(rt.spawn(nap, 1), rt.spawn(nap, 2)) == 2)"},
    {"gather that fails", "local ok = pcall(rt.gather, rt.spawn(nap, 1), rt.spawn(error, 'x')) "
                          "assert(not ok)"},
    {"settle", "assert(not rt.settle{rt.spawn(nap), rt.spawn(error, 'x', 0)}[2].ok)"},
    {"race", "rt.race{rt.spawn(nap, 1), rt.spawn(rt.sleep, 60)}"},
    {"any", "rt.any{rt.spawn(error, 'x', 0), rt.spawn(nap, 1)} "
            "assert(not pcall(rt.any, {rt.spawn(error, 'x', 0)}))"},
    {"as_completed", "for _ in rt.as_completed{rt.spawn(nap, 1), rt.spawn(nap, 2)} do end"},
    {"map", "assert(#rt.map(nap, {1, 2, 3}, {limit = 2}) == 3)"},
    {"channel", "local ch = rt.channel() rt.spawn(function() for i = 1, 3 do ch:send(i) end "
                "ch:close() end) for _ in ch:each() do end"},
    {"buffered channel", "local ch = rt.channel(2) ch:send(1) ch:send(2) rt.spawn(function() "
                         "ch:send(3) end) for i = 1, 3 do assert(ch:receive() == i) end"},
    {"semaphore", "local s = rt.semaphore(1) rt.map(function() s:with(nap) end, {1, 2, 3})"},
    {"timeout", "local ok, e = pcall(rt.timeout, 0.0001, rt.sleep, 60) assert(not ok)"},
    {"shield", "rt.shield(nap, 1)"},
    {"scope", "rt.scope(function() rt.spawn(nap) end)"},
    {"cancel", "local t = rt.spawn(function() local c <close> = setmetatable({}, {__close = "
               "function() nap() end}) rt.sleep(60) end) nap() t:cancel 'why' "
               "assert(not pcall(t.await, t))"},
    {"generator", "local n = 0 for i in coroutine.wrap(function() for i = 1, 3 do "
                  "coroutine.yield(nap(i)) end end) do n = n + i end assert(n == 6)"},
    {"resume and close", "local co = coroutine.create(function() local c <close> = "
                         "setmetatable({}, {__close = function() nap() end}) "
                         "coroutine.yield(nap(1)) end) assert(coroutine.resume(co)) "
                         "assert(coroutine.close(co))"},
    {"xpcall", "assert(not xpcall(function() nap() error 'x' end, function(e) return e end))"},
    {"retry", "local n = 0 rt.retry({delay = 0}, function() n = n + 1 nap() "
              "if n == 1 then error 'again' end end)"},
    {"wrap", "assert(rt.wrap(plain, function(next, ...) return next(...) end)(1) == 1)"},
    {"flow and context", "local f = rt.flow{name = 'f', entry = function() rt.context.put('k', 1) "
                         "return rt.context.get 'k' end} assert(f:run() == 1)"},
    {"nested run", "assert(rt.run(nap, 1) == 1)"},
    {"sleep", "rt.sleep(0.0001)"},
    {"await", "local wake rt.spawn(function() nap() nap() wake(1, 2) end) "
              "assert(select('#', rt.await(function(resume) wake = resume end)) == 2)"},
    {"await at once", "assert(rt.await(function(resume) resume(1) end) == 1) "
                      "assert(not pcall(rt.await, function(_, fail) fail 'x' end))"},
    {"await cancelled", "local t = rt.spawn(rt.await, function() return function() plain() end "
                        "end) nap() t:cancel() assert(not pcall(t.await, t))"},
    {"tables", "assert(#rt.call(function(t) return t end, {1, {2, 'x'}, k = 3}) == 2)"},
};

static const char frame[] =
    "local rt = require 'railtracks' "
    "local nap = rt.function_node('nap', function(...) rt.sleep(0) return ... end) "
    "local plain = rt.function_node('plain', function(...) return ... end) "
    "local checked = rt.function_node('checked', function(x) return x end, "
    "{ params = { { name = 'x', type = 'string' } } }) "
    "local _ = rt.context, rt.flow, rt.retry, rt.wrap "
    "return function() rt.run(function() %s end) return 'ended' end";

static int open_and_load(lua_State *L) {
  luaL_requiref(L, "railtracks", luaopen_railtracks, 0);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  luaL_loadstring(L, "require('railtracks.core').configure { journal = 'none' }");
  lua_call(L, 0, 0);
  return 0;
}

static lua_State *new_state(void) {
  lua_bytes = 0;
  lua_State *L = lua_newstate(allocate, NULL);
  assert_non_null(L);
  luaL_openlibs(L);
  return L;
}

/* Runs the function at the top with the n-th allocation failing; true if it had so many. */
static bool run_with_fault(lua_State *L, const char *name, long n, long span) {
  fault.asked = 0;
  fault.first = n;
  fault.span = span;
  fault.armed = true;
  lua_pushvalue(L, -1);
  int status = lua_pcall(L, 0, 1, 0);
  fault.armed = false;
  if (status == LUA_OK && !(lua_isstring(L, -1) && strcmp(lua_tostring(L, -1), "ended") == 0))
    fail_msg("%s: allocation %ld: an error was lost", name, n);
  if (status != LUA_OK && lua_isnil(L, -1)) fail_msg("%s: allocation %ld: no error", name, n);
  lua_pop(L, 1);
  return fault.asked >= n;
}

static void silence(bool on) {
  if (getenv("RT_FAULT_TRACE")) return;
  static int kept = -1;
  if (on) {
    fflush(stderr);
    kept = dup(2);
    if (!freopen("/dev/null", "w", stderr)) return;
  } else {
    fflush(stderr);
    dup2(kept, 2);
    close(kept);
  }
}

/* An engine that has just opened, and the program in it as a function at the top. */
static lua_State *opened(size_t program) {
  char text[2000];
  snprintf(text, sizeof text, frame, programs[program].body);
  lua_State *L = new_state();
  lua_pushcfunction(L, open_and_load);
  assert_int_equal(lua_pcall(L, 0, 0, 0), LUA_OK);
  if (luaL_loadstring(L, text) != LUA_OK || lua_pcall(L, 0, 1, 0) != LUA_OK)
    fail_msg("%s: %s", programs[program].name, lua_tostring(L, -1));
  return L;
}

/* What a program ends with matters less than that it ends, and that the same engine runs it
 * well afterwards. */
static void survive(long span) {
  for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
    const char *name = programs[i].name;
    lua_State *L = opened(i);
    for (long n = 1;; n++) {
      alarm(20);
      if (getenv("RT_FAULT_TRACE")) printf("%s %ld\n", name, n);
      if (!run_with_fault(L, name, n, span)) break;
      lua_pushvalue(L, -1);
      if (lua_pcall(L, 0, 1, 0) != LUA_OK)
        fail_msg("%s: after allocation %ld failed: %s", name, n, luaL_tolstring(L, -1, NULL));
      lua_pop(L, 1);
    }
    lua_close(L);
    assert_int_equal(lua_bytes, 0);
  }
  alarm(0);
}

static void one_fails(void **state) {
  (void)state;
  silence(true);
  survive(1);
  silence(false);
}

static void several_fail(void **state) {
  (void)state;
  silence(true);
  survive(4);
  silence(false);
}

/* Nothing is there yet to be used again: pools, buffers, the journal. */
static void one_fails_at_first(void **state) {
  (void)state;
  silence(true);
  for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
    bool reached = true;
    for (long n = 1; reached; n++) {
      alarm(20);
      if (getenv("RT_FAULT_TRACE")) printf("first %s %ld\n", programs[i].name, n);
      lua_State *L = opened(i);
      reached = run_with_fault(L, programs[i].name, n, 1);
      lua_close(L);
      assert_int_equal(lua_bytes, 0);
    }
  }
  alarm(0);
  silence(false);
}

static void opening_fails(void **state) {
  (void)state;
  for (long n = 1;; n++) {
    alarm(20);
    lua_State *L = new_state();
    fault.asked = 0;
    fault.first = n;
    fault.span = 1;
    lua_pushcfunction(L, open_and_load);
    fault.armed = true;
    int status = lua_pcall(L, 0, 0, 0);
    fault.armed = false;
    bool reached = fault.asked >= n;
    if (!reached) assert_int_equal(status, LUA_OK);
    lua_close(L);
    assert_int_equal(lua_bytes, 0);
    if (!reached) break;
  }
  alarm(0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(opening_fails),
      cmocka_unit_test(one_fails_at_first),
      cmocka_unit_test(one_fails),
      cmocka_unit_test(several_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
