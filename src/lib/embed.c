/* embed.c -- an engine inside a C program: rt_open .. rt_close. */
#include <lualib.h>
#include <stdlib.h>

#include "lib.h"
#include "pool.h"

int luaopen_railtracks(lua_State *L);

struct rt_host {
  lua_State *L;
  rt_engine *engine;
  rt_loaded home;          /* of the calls that are prepared: they belong to no plugin */
  char *problem;           /* what rt_add has said last */
};

typedef enum what { NODE, FILE_OF_LUA, TEXT_OF_LUA } what;

typedef struct prepared {
  rt_native_call values;   /* first: the header calls this a call. Its results are the ... */
  rt_host *host;           /* ... arguments until it is performed */
  rt_native native;
  what what;
  char *text, *name;       /* in the arena */
  bool performed;
  rt_problem problem;
} prepared;

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
  lua_close(h->L);
  free(h->problem);
  free(h);
}

/* In: the host, the loaded plugin. */
static int register_nodes(lua_State *L) {
  const rt_host *h = lua_touserdata(L, 1);
  lua_pushcfunction(L, rt_lib_make_nodes);
  lua_pushvalue(L, 2);
  lua_call(L, 1, 1);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, "railtracks");
  lua_getfield(L, -1, "nodes");
  for (lua_pushnil(L); lua_next(L, 3);) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, 6);
  }
  (void)h;
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
  lua_pushlightuserdata(h->L, h);
  lua_pushlightuserdata(h->L, home);
  if (lua_pcall(h->L, 2, 0, 0) != LUA_OK) {
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

static prepared *of(const rt_native_call *c) { return (prepared *)(uintptr_t)c; }

static char *copy(rt_native_call *c, const char *text, size_t size) {
  char *made = rt_arena_take(&c->arena, size + 1);
  if (!made) return NULL;
  memcpy(made, text, size);
  made[size] = '\0';
  return made;
}

static rt_native_call *prepare(rt_host *h, what kind, const char *text, const char *name) {
  prepared *p = malloc(sizeof *p);
  if (!p) return NULL;
  *p = (prepared){.host = h, .what = kind, .native = {.name = "rt_perform"}};
  rt_native_init(&p->values, &(rt_native_entry){&p->native, &h->home});
  p->text = copy(&p->values, text, strlen(text));
  p->name = copy(&p->values, name, strlen(name));
  if (p->text && p->name) return &p->values;
  rt_release(&p->values);
  return NULL;
}

rt_native_call *rt_prepare(rt_host *h, const char *node) { return prepare(h, NODE, node, node); }

rt_native_call *rt_prepare_file(rt_host *h, const char *path) {
  const char *slash = strrchr(path, '/');
  return prepare(h, FILE_OF_LUA, path, slash ? slash + 1 : path);
}

rt_native_call *rt_prepare_text(rt_host *h, const char *code, const char *name) {
  return prepare(h, TEXT_OF_LUA, code, name);
}

void rt_pass(rt_native_call *c, const rt_value *argument) { rt_return_value(c, argument); }

void rt_release(rt_native_call *c) {
  if (!c) return;
  rt_native_clear(c);
  free(c);
}

/* Pushes the node to be run, and what stands for its body. */
static void push_body(lua_State *L, const prepared *p) {
  if (p->what == NODE) {
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, -1, "railtracks");
    lua_getfield(L, -1, "nodes");
    lua_getfield(L, -1, p->text);
    if (!rt_node_at(L, -1)) rt_error_raise(L, "usage", "rt_prepare: there is no node %s", p->text);
    lua_pushvalue(L, -1);
    return;
  }
  rt_lib_push_node(L, p->name, strlen(p->name));
  int status = p->what == FILE_OF_LUA
                   ? luaL_loadfilex(L, p->text, NULL)
                   : luaL_loadbufferx(L, p->text, strlen(p->text),
                                      lua_pushfstring(L, "=%s", p->name), "t");
  if (status == LUA_ERRMEM) lua_error(L);
  if (status != LUA_OK) rt_error_raise(L, "usage", "%s", lua_tostring(L, -1));
  if (p->what == TEXT_OF_LUA) lua_remove(L, -2);
}

/* Fills the problem of the call from the error and the failure (or nil) at 'index'. */
static void read_problem(lua_State *L, prepared *p, int index) {
  rt_native_call *c = &p->values;
  const rt_failure *f = rt_failure_at(L, index + 1);
  const char *kind = rt_error_kind(L, index), *trace = f ? f->traceback : "";
  rt_buf *text = rt_engine_text(p->host->engine);
  rt_error_text(L, index, text);
  if (!text->failed && text->size) p->problem.message = copy(c, text->data, text->size);
  if (kind) p->problem.kind = copy(c, kind, strlen(kind));
  p->problem.traceback = copy(c, trace, strlen(trace));
  if (!lua_istable(L, index)) return;
  lua_pushliteral(L, "code");
  lua_rawget(L, index);
  if (lua_type(L, -1) == LUA_TSTRING) {
    size_t size;
    const char *code = lua_tolstring(L, -1, &size);
    p->problem.code = copy(c, code, size);
  }
  lua_pop(L, 1);
}

/* In: the call. Performs it; what comes of it stands in the call. */
static int perform(lua_State *L) {
  prepared *p = lua_touserdata(L, 1);
  rt_native_call *c = &p->values;
  rt_engine *e = p->host->engine;
  push_body(L, p);
  int first = lua_gettop(L);
  luaL_checkstack(L, c->result_count + LUA_MINSTACK, "too many arguments");
  for (int i = 0; i < c->result_count; i++) rt_tree_push(L, &c->results[i], "rt_perform");
  c->result_count = 0;
  rt_run_options options = {
      .name = {p->name, strlen(p->name)}, .script = p->what == FILE_OF_LUA ? p->text : NULL};
  rt_run *run = rt_run_start(L, e, rt_node_at(L, first - 1), first, &options);
  rt_engine_loop(e, L, &run->over);
  int count = run->count;
  bool failed = run->failed;
  rt_run_unref(run);
  first = lua_gettop(L) - count + 1;
  if (failed) {
    read_problem(L, p, first);
    return 0;
  }
  rt_misfit m;
  for (int i = 0; i < count; i++) {
    const rt_value *v = rt_tree_read(L, first + i, &c->arena, &m);
    if (!v && m.what)
      rt_error_raise(L, "usage", "result %d%s%s: %s cannot be given to C", i + 1,
                     *m.where ? ", at " : "", m.where, m.what);
    rt_return_value(c, v);
  }
  if (c->arena.problem) luaL_error(L, "%s", c->arena.problem);
  p->problem.message = NULL;
  lua_pushboolean(L, true);
  return 1;
}

int rt_perform(rt_native_call *c) {
  prepared *p = of(c);
  lua_State *L = p->host->L;
  int top = lua_gettop(L);
  const char *problem = c->arena.problem;
  if (p->performed) problem = "rt_perform: this call has been performed already";
  if (p->host->engine->scheduler.from) problem = "rt_perform inside a run: use Lua's rt.run";
  p->performed = true;
  p->problem = (rt_problem){.message = problem ? problem : "not enough memory"};
  if (problem) goto fail;
  lua_pushcfunction(L, perform);
  lua_pushlightuserdata(L, p);
  int status = lua_pcall(L, 1, 1, 0);
  if (status == LUA_OK && lua_toboolean(L, -1)) {
    lua_settop(L, top);
    return 0;
  }
  if (status != LUA_OK && lua_checkstack(L, 4)) {
    lua_pushnil(L);
    read_problem(L, p, top + 1);
  }
  lua_settop(L, top);

fail:
  c->failed = true;
  c->result_count = 0;
  if (!p->problem.traceback) p->problem.traceback = "";
  return -1;
}

int rt_result_count(const rt_native_call *c) {
  const prepared *p = of(c);
  return p->performed && !c->failed ? c->result_count : 0;
}

const rt_value *rt_result(const rt_native_call *c, int n) {
  return n >= 1 && n <= rt_result_count(c) ? &c->results[n - 1] : NULL;
}

const rt_problem *rt_problem_of(const rt_native_call *c) {
  return of(c)->performed && c->failed ? &of(c)->problem : NULL;
}
