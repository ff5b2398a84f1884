/* testing.c -- what railtracks/testing.lua needs of the engine. */
#include <stdlib.h>

#include "lib.h"
#include "pool.h"

/* ---- core.test(virtual, seed, journal) -> a setting, to be closed ----
 *
 * For as long as the setting is open the clock is virtual or not, the order of ready tasks
 * is drawn from the seed (false: it is not; nil: as before), and runs are written to the
 * journal of that path ('none': kept in memory). Closing puts back what was there.
 */

typedef struct setting {
  rt_engine *e;           /* NULL once closed */
  rt_journal *journal;    /* the engine's before, and so on */
  char *journal_path;
  bool journal_none;
  bool virtual_clock, shuffled;
  uint64_t seed;
} setting;

static const char setting_class = 's';  // the metatable's place in the registry

static int close_setting(lua_State *L) {
  setting *before = lua_touserdata(L, 1);
  rt_engine *e = before->e;
  if (!e) return 0;
  before->e = NULL;
  rt_scheduler_set_virtual(&e->scheduler, before->virtual_clock);
  rt_scheduler_set_seed(&e->scheduler, before->shuffled, before->seed);
  rt_journal_close(e->journal);
  free(e->journal_path);
  e->journal = before->journal;
  e->journal_path = before->journal_path;
  e->journal_none = before->journal_none;
  return 0;
}

static int test(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  bool virtual_clock = lua_toboolean(L, 1);
  bool shuffled = lua_isinteger(L, 2), as_before = lua_isnoneornil(L, 2);
  uint64_t seed = (uint64_t)lua_tointeger(L, 2);
  const char *path = luaL_checkstring(L, 3);
  setting *before = lua_newuserdatauv(L, sizeof *before, 0);
  before->e = NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &setting_class);
  lua_setmetatable(L, -2);
  bool none = strcmp(path, "none") == 0;
  char *copy = none ? NULL : strdup(path);
  if (!none && !copy) luaL_error(L, "not enough memory");

  rt_scheduler *s = &e->scheduler;
  *before = (setting){
      .e = e, .journal = e->journal, .journal_path = e->journal_path,
      .journal_none = e->journal_none, .virtual_clock = s->virtual_clock,
      .shuffled = s->shuffled, .seed = s->seed,
  };
  e->journal = NULL;
  e->journal_path = copy;
  e->journal_none = none;
  rt_scheduler_set_virtual(s, virtual_clock);
  if (!as_before) rt_scheduler_set_seed(s, shuffled, seed);
  return 1;
}

/* ---- core.seed() -> the seed in use, or nil ---- */

static int seed_in_use(lua_State *L) {
  const rt_scheduler *s = &rt_lib_engine(L)->scheduler;
  if (s->shuffled) lua_pushinteger(L, (lua_Integer)s->seed);
  else lua_pushnil(L);
  return 1;
}

static void read_seed(lua_State *L, rt_engine *e) {
  const char *text = getenv("RAILTRACKS_SEED");
  if (!text || !*text) return;
  if (!lua_stringtonumber(L, text)) lua_pushnil(L);
  if (!lua_isinteger(L, -1))
    rt_error_raise(L, "usage", "RAILTRACKS_SEED: expected an integer, got '%s'", text);
  rt_scheduler_set_seed(&e->scheduler, true, (uint64_t)lua_tointeger(L, -1));
  lua_pop(L, 1);
}

/* ---- core.counts() -> what is alive, by name ---- */

static lua_Integer count_tasks(const rt_engine *e) {
  lua_Integer count = 0;
  for (const rt_run *run = e->runs; run; run = run->next)
    for (const rt_call *at = run->root; at;) {
      count++;
      if (at->children) {
        at = at->children;
        continue;
      }
      while (at && !at->next) at = at->parent;
      if (at) at = at->next;
    }
  return count;
}

typedef struct handles {
  const rt_scheduler *s;
  const void *pool;         /* the handle of the worker pool */
  lua_Integer count;
} handles;

static void count_handle(uv_handle_t *handle, void *data) {
  handles *found = data;
  const void *own[] = {&found->s->alarm, &found->s->poke, &found->s->before, found->pool};
  for (size_t i = 0; i < sizeof own / sizeof *own; i++)
    if (handle == own[i]) return;
  found->count += !uv_is_closing(handle);
}

static void put_count(lua_State *L, const char *name, lua_Integer count) {
  lua_pushinteger(L, count);
  lua_setfield(L, -2, name);
}

static lua_Integer anchors(const rt_scheduler *s) {
  return s->slots - (lua_Integer)s->free_count;
}

static int counts(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  rt_scheduler *s = &e->scheduler;
  handles found = {.s = s, .pool = e->pool ? rt_pool_handle(e->pool) : NULL};
  uv_walk(&s->loop, count_handle, &found);
  found.count -= (lua_Integer)rt_lib_http_handles(e);
  lua_Integer coroutines = 0;
  for (uint32_t i = 0; i < s->coroutine_count; i++) coroutines += s->coroutines[i].co != NULL;
  lua_createtable(L, 0, 5);
  put_count(L, "tasks", count_tasks(e));
  put_count(L, "timers", (lua_Integer)s->heap_count);
  put_count(L, "handles", found.count);
  put_count(L, "coroutines", coroutines - s->idle_count);
  // Each coroutine has one as well, those of the pool included.
  put_count(L, "anchors", anchors(s) - coroutines - e->own_anchors);
  return 1;
}

/* ---- core.replace(node, function) -> what stood there ---- */

static int replace(lua_State *L) {
  const rt_node *node = rt_node_at(L, 1);
  if (!node)
    rt_error_raise(L, "usage", "testing.replace: argument 1: expected a node, got %s",
                   luaL_typename(L, 1));
  if (node->kind != RT_KIND_LUA)
    rt_error_raise(L, "usage", "testing.replace: %s is not a Lua function", node->name);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_getiuservalue(L, 1, 1);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, 1, 1);
  return 1;
}

void rt_lib_open_testing(lua_State *L, rt_engine *e) {
  static const luaL_Reg functions[] = {{"counts", counts}, {"replace", replace},
                                       {"seed", seed_in_use}, {"test", test}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__close", close_setting}, {"__gc", close_setting},
                                  {NULL, NULL}};
  read_seed(L, e);
  if (!e->own_anchors) e->own_anchors = (int)anchors(&e->scheduler);
  rt_lib_add(L, e, functions);
  lua_createtable(L, 0, 2);
  rt_lib_add(L, e, meta);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &setting_class);
}
