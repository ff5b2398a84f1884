/* embed.c -- an engine inside a C program: rt_open .. rt_close, calls before and after they run. */
#include <lualib.h>
#include <stdlib.h>

#include "embed.h"
#include "pool.h"
#include "value.h"

int luaopen_railtracks(lua_State *L);

/* ---- the engine ---- */

static int start(lua_State *L) {
  rt_host *h = lua_touserdata(L, 1);
  const rt_options *o = lua_touserdata(L, 2);
  luaL_openlibs(L);
  luaL_requiref(L, "railtracks", luaopen_railtracks, 0);
  rt_engine *e = h->engine = rt_engine_open(L);
  if (!o) return 0;
  if (o->workers > 0) e->workers = o->workers;
  if (o->grace > 0) e->grace = (int64_t)((o->grace < 9e9 ? o->grace : 9e9) * 1e9);
  if (o->timeout > 0) e->run_timeout = (int64_t)((o->timeout < 9e9 ? o->timeout : 9e9) * 1e9);
  if (!o->journal) return 0;
  e->journal_none = strcmp(o->journal, "none") == 0;
  if (!e->journal_none && !(e->journal_path = strdup(o->journal)))
    luaL_error(L, "not enough memory");
  return 0;
}

rt_host *rt_open(const rt_options *options, const char **error) {
  const char *nowhere;
  if (!error) error = &nowhere;
  *error = "not enough memory";
  if (options && options->size < sizeof *options) {
    *error = "rt_open: options.size must be sizeof(rt_options)";
    return NULL;
  }
  rt_host *h = calloc(1, sizeof *h);
  if (!h || !(h->L = luaL_newstate())) {
    free(h);
    return NULL;
  }
  lua_pushcfunction(h->L, start);
  lua_pushlightuserdata(h->L, h);
  lua_pushlightuserdata(h->L, (void *)options);
  if (lua_pcall(h->L, 2, 0, 0) != LUA_OK) {
    lua_close(h->L);
    free(h);
    *error = "rt_open: the engine cannot be opened";
    return NULL;
  }
  h->home.engine = h->engine;
  return h;
}

void rt_close(rt_host *h) {
  if (!h) return;
  rt_host_end_all(h);
  lua_close(h->L);
  free(h->problem);
  free(h);
}

/* In: the loaded plugin. */
static int register_nodes(lua_State *L) {
  lua_pushcfunction(L, rt_lib_make_nodes);
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, "railtracks");
  lua_getfield(L, -1, "nodes");
  for (lua_pushnil(L); lua_next(L, 2);) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, 5);
  }
  return 0;
}

int rt_add(rt_host *h, const rt_plugin *plugin, const char **error) {
  rt_buf why = {0};
  const char *nowhere, *refused = NULL;
  rt_loaded *home = NULL;
  if (!error) error = &nowhere;
  if (!rt_plugin_check("rt_add", plugin, &why)) goto fail;
  home = calloc(1, sizeof *home);
  if (!home) goto fail;
  home->engine = h->engine;
  home->plugin = plugin;
  if (plugin->open && plugin->open(&home->state, &refused) != 0) {
    rt_buf_printf(&why, "rt_add: %s", refused ? refused : "the plugin refused to open");
    goto fail;
  }
  lua_pushcfunction(h->L, register_nodes);
  lua_pushlightuserdata(h->L, home);
  if (lua_pcall(h->L, 1, 0, 0) != LUA_OK) {
    lua_pop(h->L, 1);
    if (plugin->close) plugin->close(home->state);
    goto fail;
  }
  home->next = h->engine->loaded;
  h->engine->loaded = home;
  return 0;

fail:
  free(home);
  if (!why.size) rt_buf_text(&why, "not enough memory");
  rt_buf_char(&why, '\0');
  free(h->problem);
  h->problem = why.failed ? NULL : why.data;
  if (why.failed) rt_buf_free(&why);
  *error = h->problem ? h->problem : "not enough memory";
  return -1;
}

/* ---- calls ---- */

static rt_native_call *prepare(rt_host *h, rt_prepared_what kind, const char *text,
                               const char *name) {
  rt_prepared *p = malloc(sizeof *p);
  if (!p) return NULL;
  *p = (rt_prepared){.host = h, .what = kind, .native = {.name = "rt_perform"}};
  rt_native_init(&p->values, &(rt_native_entry){&p->native, &h->home});
  p->text = rt_arena_text(&p->values.arena, text, strlen(text));
  p->name = rt_arena_text(&p->values.arena, name, strlen(name));
  if (p->text && p->name) return &p->values;
  rt_prepared_free(p);
  return NULL;
}

rt_native_call *rt_prepare(rt_host *h, const char *node) {
  return prepare(h, RT_A_NODE, node, node);
}

rt_native_call *rt_prepare_file(rt_host *h, const char *path) {
  const char *slash = strrchr(path, '/');
  return prepare(h, RT_A_FILE, path, slash ? slash + 1 : path);
}

rt_native_call *rt_prepare_text(rt_host *h, const char *code, const char *name) {
  return prepare(h, RT_A_TEXT, code, name);
}

void rt_prepared_free(rt_prepared *p) {
  rt_native_clear(&p->values);
  free(p);
}

void rt_prepared_fail(rt_prepared *p, const char *problem) {
  p->over = p->values.failed = true;
  p->values.result_count = 0;
  if (!p->problem.message) p->problem.message = problem;
  if (!p->problem.traceback) p->problem.traceback = "";
}

void rt_release(rt_native_call *c) {
  if (!c) return;
  rt_prepared *p = rt_prepared_of(c);
  if (!p->run) {
    rt_prepared_free(p);
    return;
  }
  p->released = true;
  rt_cancel(c);
}

/* ---- arguments and results ---- */

void rt_pass(rt_native_call *c, const rt_value *argument) {
  if (!rt_prepared_of(c)->started) rt_return_value(c, argument);
}

/* In: the call, a JSON text and its size. */
static int read_json(lua_State *L) {
  rt_native_call *c = lua_touserdata(L, 1);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, "railtracks");
  lua_getfield(L, -1, "json");
  lua_getfield(L, -1, "decode");
  lua_pushlstring(L, lua_touserdata(L, 2), (size_t)lua_tointeger(L, 3));
  lua_call(L, 1, 1);
  rt_misfit m;
  const rt_value *v = rt_tree_read(L, lua_gettop(L), &c->arena, &m);
  if (v) rt_return_value(c, v);
  else if (m.what) luaL_error(L, "%s", m.what);
  return 0;
}

int rt_pass_json(rt_native_call *c, const char *json, size_t size) {
  rt_prepared *p = rt_prepared_of(c);
  lua_State *L = p->host->L;
  if (p->started) return -1;
  lua_pushcfunction(L, read_json);
  lua_pushlightuserdata(L, c);
  lua_pushlightuserdata(L, (void *)(uintptr_t)json);
  lua_pushinteger(L, (lua_Integer)size);
  if (lua_pcall(L, 3, 0, 0) == LUA_OK) return 0;
  size_t length;
  const char *why = luaL_tolstring(L, -1, &length);
  p->problem.kind = rt_error_kind(L, -2) ? "json" : NULL;
  p->problem.message = rt_arena_text(&c->arena, why, length);
  lua_pop(L, 2);
  rt_prepared_fail(p, "not enough memory");
  p->started = true;
  return -1;
}

/* In: the call, the value, where its JSON and its size go. */
static int write_json(lua_State *L) {
  rt_native_call *c = lua_touserdata(L, 1);
  rt_buf *text = &rt_prepared_of(c)->host->engine->scratch;
  text->size = 0;
  text->failed = false;
  rt_tree_push(L, lua_touserdata(L, 2), "rt_result_json");
  rt_value_write(L, lua_gettop(L), text, SIZE_MAX);
  if (!text->failed)
    *(char **)lua_touserdata(L, 3) = rt_arena_text(&c->arena, text->data, text->size);
  *(size_t *)lua_touserdata(L, 4) = text->size;
  return 0;
}

const char *rt_result_json(rt_native_call *c, int n, size_t *size) {
  const rt_value *v = rt_result(c, n);
  lua_State *L = rt_prepared_of(c)->host->L;
  char *json = NULL;
  size_t length = 0;
  if (!v) return NULL;
  lua_pushcfunction(L, write_json);
  lua_pushlightuserdata(L, c);
  lua_pushlightuserdata(L, (void *)(uintptr_t)v);
  lua_pushlightuserdata(L, &json);
  lua_pushlightuserdata(L, &length);
  if (lua_pcall(L, 4, 0, 0) != LUA_OK) lua_pop(L, 1);
  if (size) *size = json ? length : 0;
  return json;
}

int rt_result_count(const rt_native_call *c) {
  return rt_prepared_of(c)->over && !c->failed ? c->result_count : 0;
}

const rt_value *rt_result(const rt_native_call *c, int n) {
  return n >= 1 && n <= rt_result_count(c) ? &c->results[n - 1] : NULL;
}

const rt_problem *rt_problem_of(const rt_native_call *c) {
  const rt_prepared *p = rt_prepared_of(c);
  return p->over && c->failed ? &p->problem : NULL;
}
