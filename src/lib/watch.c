/* watch.c -- for railtracks.console: what runs, read and cancelled from outside.
 *
 *   console.calls([most])          a list of the calls that have not ended, each below its
 *                                  caller, oldest first: {id, node, depth, age, status, waits,
 *                                  run, under}; and how many more there are. 'under' is what
 *                                  awaits a nested run: its run and its id
 *   console.cancel(run, id, why)   cancels that call; false if there is none
 */
#include "lib.h"

static void set_id(lua_State *L, const char *field, const rt_call *c) {
  char room[RT_ID_ROOM];
  rt_buf id = {.data = room, .capacity = sizeof room, .fixed = true};
  rt_call_id(c, &id);
  lua_pushlstring(L, id.data, id.size);
  lua_setfield(L, -2, field);
}

/* Sets fields of the table at the top to what the call waits for. */
static void set_wait(lua_State *L, rt_engine *e, const rt_call *c) {
  lua_pushstring(L, c->cancelled ? "cancelling" : c->task.started ? "running" : "pending");
  lua_setfield(L, -2, "status");
  rt_buf *text = rt_engine_text(e);
  if (c->over && c->live) rt_buf_text(text, "its children");
  else rt_call_describe_wait(c, text);
  lua_pushlstring(L, text->failed || !text->size ? "" : text->data, text->failed ? 0 : text->size);
  lua_setfield(L, -2, "waits");
}

static void push_call(lua_State *L, rt_engine *e, const rt_call *c, int depth) {
  lua_createtable(L, 0, 9);
  set_id(L, "id", c);
  lua_pushlstring(L, c->node->name, c->node->name_size);
  lua_setfield(L, -2, "node");
  lua_pushinteger(L, depth);
  lua_setfield(L, -2, "depth");
  lua_pushnumber(L, (lua_Number)(rt_scheduler_now(&e->scheduler) - c->spawned) / 1e9);
  lua_setfield(L, -2, "age");
  lua_pushstring(L, c->run->id);
  lua_setfield(L, -2, "run");
  set_wait(L, e, c);
  const rt_call *waiter = c->parent ? NULL : c->run->waiter;
  if (!waiter) return;
  lua_createtable(L, 0, 2);
  lua_pushstring(L, waiter->run->id);
  lua_setfield(L, -2, "run");
  set_id(L, "id", waiter);
  lua_setfield(L, -2, "under");
}

static const rt_call *oldest_child(const rt_call *c) {
  const rt_call *child = c->children;
  while (child && child->next) child = child->next;
  return child;
}

static int calls(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  lua_Integer most = luaL_optinteger(L, 1, LUA_MAXINTEGER), count = 0;
  lua_createtable(L, 0, 0);
  // The oldest run last: they are linked newest first.
  const rt_run *before = NULL;
  while (before != e->runs) {
    const rt_run *run = e->runs;
    while (run->next != before) run = run->next;
    before = run;
    int depth = 0;
    for (const rt_call *at = run->root; at;) {
      if (count++ < most) {
        push_call(L, e, at, depth);
        lua_rawseti(L, -2, count);
      }
      if (at->children) {
        at = oldest_child(at);
        depth++;
        continue;
      }
      while (at && !at->previous) {
        at = at == run->root ? NULL : at->parent;
        depth--;
      }
      if (at) at = at->previous;
    }
  }
  lua_pushinteger(L, count > most ? count - most : 0);
  return 2;
}

static bool has_id(const rt_call *c, const char *id, size_t size) {
  char room[RT_ID_ROOM];
  rt_buf own = {.data = room, .capacity = sizeof room, .fixed = true};
  rt_call_id(c, &own);
  return own.size == size && memcmp(own.data, id, size) == 0;
}

static rt_call *find(rt_run *run, const char *id, size_t size) {
  for (rt_call *at = run->root; at;) {
    if (has_id(at, id, size)) return at;
    if (at->children) {
      at = at->children;
      continue;
    }
    while (at && !at->next) at = at == run->root ? NULL : at->parent;
    if (at) at = at->next;
  }
  return NULL;
}

static int cancel(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  size_t size, length;
  const char *name = luaL_checkstring(L, 1), *id = luaL_checklstring(L, 2, &size);
  const char *why = luaL_checklstring(L, 3, &length);
  bool found = false;
  for (rt_run *run = e->runs; run && !found; run = run->next) {
    rt_call *c = strcmp(run->id, name) == 0 ? find(run, id, size) : NULL;
    if (!c) continue;
    rt_reason *reason = rt_reason_new(why, length);
    found = rt_call_cancel(c, reason);
    rt_reason_unref(reason);
  }
  lua_pushboolean(L, found);
  return 1;
}

void rt_lib_open_watch(lua_State *L, rt_engine *e) {
  static const luaL_Reg functions[] = {{"calls", calls}, {"cancel", cancel}, {NULL, NULL}};
  rt_lib_add(L, e, functions);
}
