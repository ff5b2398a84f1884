/* map.c -- rt.map(node, list, options): one call per item.
 *
 * Items become calls one at a time: the next is made when the one before it starts, so
 * that a map of a million items queues one call, and its items run in step with what else
 * is ready. The list is copied at the beginning; results go straight into their place.
 */
#include "lib.h"

enum { NODE = 1, ITEMS = 4, RESULTS = 5 };  // on the stack of the one who waits

enum { TOLD_NS = 250000000 };  // how far it is is told as often

typedef struct rt_map {
  rt_call *waiter;
  rt_node *node;       /* borrowed from the stack */
  rt_place site;
  uint32_t count;
  uint32_t next;       /* items that have become calls */
  uint32_t live;       /* of them, those that have not ended */
  uint32_t limit;
  uint32_t base;       /* ordinals of the waiter given before */
  bool settle;
  bool waking;         /* the next item is queued and has not started */
  bool failed;         /* the results are an error and its failure, at 1 and 2 */
  bool no_memory;
  bool told;           /* how far it is */
  rt_status status;    /* of the call that failed */
  int64_t told_at;     /* or when it began */
} rt_map;

static const rt_use item_use;

static bool stopped(const rt_map *m) {
  return m->failed || m->no_memory || rt_call_unwinds(m->waiter);
}

/* Makes the next item a call, if it may be one now. 'idle': no other task is about to run
 * before it. */
static void feed(rt_map *m, bool idle) {
  if (m->waking || m->next == m->count || m->live >= m->limit || stopped(m)) return;
  rt_engine *e = m->waiter->run->engine;
  rt_call *c = rt_call_new(m->waiter->run, m->waiter, m->node, &item_use,
                           m->base + m->next + 1);
  if (!c) {
    m->no_memory = true;
    return;
  }
  c->owner = m;
  c->index = m->next++;
  c->site = m->site;
  c->observed = true;
  m->live++;
  m->waking = true;
  if (!m->told_at) m->told_at = c->spawned;
  c->instant = idle && rt_scheduler_idle(&e->scheduler);
  rt_call_queue(e, c);
}

static void push_item(rt_call *c, lua_State *co) {
  rt_map *m = c->owner;
  lua_State *from = m->waiter->task.wait.other.co;
  m->waking = false;
  if (stopped(m)) c->unrun = c->cancelled = true;
  if (!lua_checkstack(from, 2)) {
    lua_pushboolean(co, false);  // which cannot be called
    return;
  }
  rt_node_push_body(from, NODE);
  lua_rawgeti(from, ITEMS, (lua_Integer)c->index + 1);
  lua_xmove(from, co, 2);
  feed(m, false);
}

static void put_result(lua_State *L, rt_map *m, uint32_t index) {
  lua_State *to = m->waiter->task.wait.other.co;
  lua_xmove(L, to, 1);
  lua_rawseti(to, RESULTS, (lua_Integer)index + 1);
}

static void stop_others(rt_map *m, const rt_call *failed) {
  rt_buf text = {0};
  rt_buf_text(&text, "call ");
  rt_call_id(failed, &text);
  rt_buf_printf(&text, " (%s) of the same map has failed", failed->node->name);
  rt_reason *reason = text.failed ? NULL : rt_reason_new(text.data, text.size);
  rt_buf_free(&text);
  for (rt_call *c = m->waiter->children; c; c = c->next)
    if (c->use == &item_use && c->owner == m && c != failed) rt_call_cancel(c, reason);
  rt_reason_unref(reason);
}

static void store(lua_State *L, rt_map *m, rt_call *c, int first) {
  bool ok = c->status == RT_DONE;
  if (!lua_checkstack(m->waiter->task.wait.other.co, 2)) luaL_error(L, "not enough memory");
  if (m->settle) {
    lua_createtable(L, 0, 2);
    lua_pushboolean(L, ok);
    lua_setfield(L, -2, "ok");
    if (lua_gettop(L) > first) {
      lua_pushvalue(L, first);
      lua_setfield(L, -2, ok ? "value" : "error");
    }
    if (!ok) {
      lua_pushvalue(L, first);
      lua_pushvalue(L, first + 1);
      rt_call_receive(L, m->waiter);
      lua_pop(L, 1);
    }
    put_result(L, m, c->index);
  } else if (ok) {
    if (lua_gettop(L) >= first) lua_pushvalue(L, first);
    else lua_pushnil(L);
    put_result(L, m, c->index);
  } else {
    m->failed = true;
    m->status = (rt_status)c->status;
    lua_pushvalue(L, first);
    put_result(L, m, 0);
    lua_pushvalue(L, first + 1);
    put_result(L, m, 1);
    stop_others(m, c);
  }
}

/* One that takes its time says how far it is; and that it is done, if it has said so before. */
static void tell(lua_State *L, rt_map *m) {
  int64_t now = m->waiter->run->engine->ended_at;
  uint32_t done = m->next - m->live;
  if (now - m->told_at < TOLD_NS && !(m->told && done == m->count)) return;
  m->told = true;
  m->told_at = now;
  rt_lib_map_progress(L, m->waiter, done, m->count, m->base + 1, m->node);
}

static void deliver_item(lua_State *L, rt_call *c, int first) {
  rt_map *m = c->owner;
  m->live--;
  if (!c->unrun && !m->failed) {
    store(L, m, c, first);
    tell(L, m);
  }
  feed(m, true);
  // A waiter that was cancelled is interrupted when all its children have ended.
  if (m->live == 0 && !rt_call_unwinds(m->waiter))
    rt_task_wake(&m->waiter->run->engine->scheduler, &m->waiter->task);
}

static const rt_use item_use = {.verb = "mapped", .push = push_item, .deliver = deliver_item};

static int map_finish(lua_State *L, rt_task *task) {
  rt_map *m = task->wait.other.on;
  if (m->failed) {
    lua_rawgeti(L, RESULTS, 1);
    lua_rawgeti(L, RESULTS, 2);
    rt_call_raise_outcome(L, m->waiter, m->status);
  }
  if (m->no_memory) luaL_error(L, "not enough memory");
  lua_pushvalue(L, RESULTS);
  lua_pushinteger(L, m->count);
  lua_setfield(L, -2, "n");
  return 1;
}

static void map_describe(const rt_task *task, rt_buf *out) {
  const rt_map *m = task->wait.other.on;
  rt_buf_printf(out, "rt.map of %u items, %u running, %u still to start", m->count, m->live,
                m->count - m->next);
}

static void map_unlink(rt_scheduler *s, rt_task *task) { (void)s, (void)task; }

static const rt_wait_kind map_wait = {
    .name = "rt.map", .unlink = map_unlink, .finish = map_finish, .describe = map_describe};

/* ---- rt.map ---- */

static uint32_t option_limit(lua_State *L) {
  lua_getfield(L, 3, "limit");
  if (lua_isnil(L, -1)) return UINT32_MAX;
  int whole;
  lua_Integer limit = lua_tointegerx(L, -1, &whole);
  bool endless = !whole && lua_type(L, -1) == LUA_TNUMBER && lua_tonumber(L, -1) > 1e9;
  if (endless) return UINT32_MAX;
  if (lua_type(L, -1) != LUA_TNUMBER || !whole || limit < 1)
    rt_error_raise(L, "usage", "rt.map: limit must be a whole number of at least 1, got %s",
                   rt_lib_given(L, -1));
  return limit > UINT32_MAX ? UINT32_MAX : (uint32_t)limit;
}

static void check_options(lua_State *L) {
  if (lua_isnil(L, 3)) return;
  if (!lua_istable(L, 3))
    rt_error_raise(L, "usage", "rt.map: argument 3: expected a table of options, got %s",
                   luaL_typename(L, 3));
  for (lua_pushnil(L); lua_next(L, 3); lua_pop(L, 1)) {
    const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
    if (strcmp(key, "limit") != 0 && strcmp(key, "settle") != 0)
      rt_error_raise(L, "usage", "rt.map: there is no option '%s'",
                     (lua_pushvalue(L, -2), luaL_tolstring(L, -1, NULL)));
  }
}

/* Copies the list at 2 to ITEMS, so that what others do to it meanwhile is no matter. */
static uint32_t copy_items(lua_State *L) {
  uint32_t count = rt_lib_length(L, 2, "rt.map");
  bool plain = rt_lib_is_plain(L, 2);
  lua_createtable(L, (int)count, 0);
  for (uint32_t i = 1; i <= count; i++) {
    if (plain) lua_rawgeti(L, 2, i);
    else lua_geti(L, 2, i);
    lua_rawseti(L, ITEMS, i);
  }
  return count;
}

static int map(lua_State *L) {
  rt_engine *e = rt_lib_engine(L);
  rt_call *waiter = rt_call_check(L, e, "rt.map");
  rt_node *node = rt_lib_node(L, e, NODE, "rt.map");
  if (!lua_istable(L, 2))
    rt_error_raise(L, "usage", "rt.map: argument 2: expected a list, got %s",
                   luaL_typename(L, 2));
  lua_settop(L, 3);
  check_options(L);
  bool settle = false;
  uint32_t limit = UINT32_MAX;
  if (lua_istable(L, 3)) {
    limit = option_limit(L);
    lua_getfield(L, 3, "settle");
    settle = lua_toboolean(L, -1);
    lua_settop(L, 3);
  }
  uint32_t count = copy_items(L);
  lua_createtable(L, count < 2 ? 2 : (int)count, 1);
  rt_map *m = lua_newuserdatauv(L, sizeof *m, 0);
  *m = (rt_map){
      .waiter = waiter, .node = node, .site = rt_place_here(&e->places, L), .count = count,
      .limit = limit, .settle = settle, .base = waiter->made,
  };
  waiter->made += count;
  waiter->task.wait.other.on = m;
  waiter->task.wait.other.co = L;
  if (count == 0) return map_finish(L, &waiter->task);
  feed(m, true);
  if (!m->live) luaL_error(L, "not enough memory");
  return rt_task_wait(L, &waiter->task, &map_wait);
}

void rt_lib_open_map(lua_State *L, rt_engine *e) {
  static const luaL_Reg functions[] = {{"map", map}, {NULL, NULL}};
  rt_lib_add(L, e, functions);
}
