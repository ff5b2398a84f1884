/* member.c -- a task's end is told to all who wait for it. */
#include <stdlib.h>

#include "group.h"
#include "log.h"

/* What stands in a slot: a running call that points to the group itself, an rt_member, or
 * a call that has failed, of which it is a reference. */
enum { MEMBER = 1, HELD = 2, TAGS = 3 };

#define call_in(slot) ((rt_call *)((slot) & ~(uintptr_t)TAGS))
#define member_in(slot) ((rt_member *)((slot) & ~(uintptr_t)TAGS))

static const char tasks_class = 'g';  // the metatable's place in the registry

/* ---- one task ---- */

bool rt_group_join(rt_group *g, rt_call *c, uint32_t index) {
  if (c->group || (c->rare && c->rare->more)) return false;
  c->group = g;
  c->index = index;
  return true;
}

bool rt_member_join(rt_member *m, rt_group *g, rt_call *c, uint32_t index) {
  rt_call_rare *rare = rt_call_rare_of(c);
  if (!rare) return false;
  rt_member *oldest = rare->more;
  *m = (rt_member){.next = m, .previous = m, .group = g, .call = c, .index = index};
  if (!oldest) {
    rare->more = m;
  } else {
    m->next = oldest;
    m->previous = oldest->previous;
    m->previous->next = oldest->previous = m;
  }
  return true;
}

void rt_member_leave(rt_member *m) {
  rt_call_rare *rare = m->call->rare;
  if (rare->more == m) rare->more = m->next == m ? NULL : m->next;
  m->previous->next = m->next;
  m->next->previous = m->previous;
}

void rt_group_tell(lua_State *L, rt_call *c, int first) {
  rt_group *g = c->group;
  c->group = NULL;
  if (g) g->kind->ended(L, g, c->index, c, first);
  while (c->rare && c->rare->more) {
    rt_member *m = c->rare->more;
    rt_member_leave(m);
    m->group->kind->ended(L, m->group, m->index, c, first);
  }
}

/* ---- reading what was given ---- */

/* The value at the top is the member 'index', counted from 1; pops it. The class of Tasks
 * stands above the table. */
static void add_task(lua_State *L, rt_engine *e, rt_tasks *t, uint32_t index, bool list) {
  const char *what = t->group.kind->name;
  rt_call *c = rt_task_of_class(L, -1, t->table + 1);
  if (!c)
    rt_error_raise(L, "usage", list ? "%s: item %d of the list: expected a Task, got %s"
                                    : "%s: argument %d: expected a Task, got %s",
                   what, (int)index, luaL_typename(L, -1));
  if (c->run->engine != e)
    rt_error_raise(L, "usage", "%s: task %d belongs to another engine", what, (int)index);
  t->slots[index - 1] = (uintptr_t)c;
  lua_rawseti(L, t->table, index);
}

static _Noreturn void refuse_hole(lua_State *L, const char *what, uint32_t index) {
  rt_error_raise(L, "usage", "%s: item %d of the list: expected a Task, got nil (a hole)",
                 what, (int)index);
}

/* Where the hole is that makes the list at 1 shorter than 'count'. */
static _Noreturn void find_hole(lua_State *L, const char *what, uint32_t count) {
  uint32_t hole = 1;
  while (hole < count && lua_rawgeti(L, 1, hole) != LUA_TNIL) {
    lua_pop(L, 1);
    hole++;
  }
  refuse_hole(L, what, hole);
}

/* Reads the list at 1 key by key, so that no task hides behind a hole or under a name. */
static void read_list(lua_State *L, rt_engine *e, rt_tasks *t, bool has_n) {
  const char *what = t->group.kind->name;
  uint32_t found = 0;
  for (lua_pushnil(L); lua_next(L, 1);) {
    if (lua_isinteger(L, -2)) {
      lua_Integer key = lua_tointegerx(L, -2, NULL);
      if (key >= 1 && key <= t->count) {
        add_task(L, e, t, (uint32_t)key, true);
        found++;
        continue;
      }
      if (key > t->count && !has_n) refuse_hole(L, what, t->count + 1);
    }
    bool named = lua_type(L, -2) == LUA_TSTRING;
    if ((!named || strcmp(lua_tostring(L, -2), "n") != 0) &&
        !(lua_isinteger(L, -2) && lua_tointeger(L, -2) > t->count))
      rt_error_raise(L, "usage", "%s: expected a list of Tasks, which has no key %s", what,
                     rt_lib_given(L, -2));
    lua_pop(L, 1);
  }
  if (found < t->count) find_hole(L, what, t->count);
}

rt_tasks *rt_tasks_new(lua_State *L, rt_engine *e, const rt_group_kind *kind, size_t extra) {
  int given = lua_gettop(L);
  bool list = given == 1 && lua_istable(L, 1);
  bool plain = list && rt_lib_is_plain(L, 1);
  uint32_t count = list ? rt_lib_length(L, 1, kind->name) : (uint32_t)given;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  // A plain list without holes is at least as long for Lua; a huge n takes no memory.
  if (plain && count > lua_rawlen(L, 1)) find_hole(L, kind->name, count);

  size_t slots = count * sizeof(uintptr_t);
  rt_tasks *t = lua_newuserdatauv(L, sizeof *t + slots + extra * count, 1);
  *t = (rt_tasks){.group.kind = kind, .count = count, .table = given + 2};
  lua_rawgetp(L, LUA_REGISTRYINDEX, &tasks_class);
  lua_setmetatable(L, -2);
  lua_createtable(L, (int)count, 1);
  rt_task_push_class(L);
  if (plain) {
    lua_pushliteral(L, "n");
    bool has_n = lua_rawget(L, 1) != LUA_TNIL;
    lua_pop(L, 1);
    read_list(L, e, t, has_n);
  } else {
    for (uint32_t i = 1; i <= count; i++) {
      if (list) lua_geti(L, 1, i);
      else lua_pushvalue(L, (int)i);
      add_task(L, e, t, i, list);
    }
  }
  lua_settop(L, t->table);
  return t;
}

/* ---- several tasks ---- */

rt_call *rt_tasks_member(const rt_tasks *t, uint32_t index) {
  uintptr_t slot = t->slots[index];
  return slot & MEMBER ? member_in(slot)->call : call_in(slot);
}

bool rt_tasks_join(rt_tasks *t, bool holds) {
  for (uint32_t i = 0; i < t->count; i++) {
    rt_call *c = call_in(t->slots[i]);
    t->slots[i] = 0;
    if (c->status != RT_RUNNING) {
      if (holds) rt_tasks_hold(t, i, c);
      continue;
    }
    if (rt_group_join(&t->group, c, i)) {
      t->slots[i] = (uintptr_t)c;
    } else {
      rt_member *m = malloc(sizeof *m);
      if (!m || !rt_member_join(m, &t->group, c, i)) {
        free(m);
        while (++i < t->count) t->slots[i] = 0;
        rt_tasks_leave(t);
        return false;
      }
      t->slots[i] = (uintptr_t)m | MEMBER;
    }
    t->pending++;
  }
  return true;
}

void rt_tasks_told(rt_tasks *t, uint32_t index) {
  if (t->slots[index] & MEMBER) free(member_in(t->slots[index]));
  t->slots[index] = 0;
  t->pending--;
}

void rt_tasks_hold(rt_tasks *t, uint32_t index, rt_call *member) {
  if (member->status != RT_FAILED || member->observed || !rt_call_hold(member)) return;
  t->slots[index] = (uintptr_t)rt_call_ref(member) | HELD;
  t->held++;
}

void rt_tasks_observe(rt_tasks *t) {
  for (uint32_t i = 0; t->held; i++) {
    if (!(t->slots[i] & HELD)) continue;
    rt_call *c = call_in(t->slots[i]);
    t->slots[i] = 0;
    t->held--;
    rt_call_observe(c);
    rt_call_release(c);
    rt_call_unref(c);
  }
}

/* A failure that was asked for, by somebody who then gave up. */
static void release(rt_call *c) {
  if (!c->observed && c->rare->held == 1) rt_task_warn(c);
  rt_call_release(c);
  rt_call_unref(c);
}

static int by_end(const void *a, const void *b) {
  const rt_call *x = call_in(*(const uintptr_t *)a), *y = call_in(*(const uintptr_t *)b);
  return x == y ? 0 : rt_call_ended_before(x, y) ? -1 : 1;
}

void rt_tasks_leave(rt_tasks *t) {
  if (!t->pending && !t->held) return;
  uint32_t held = 0;
  for (uint32_t i = 0; i < t->count; i++) {
    uintptr_t slot = t->slots[i];
    t->slots[i] = 0;
    if (slot & MEMBER) {
      rt_member_leave(member_in(slot));
      free(member_in(slot));
    } else if (slot & HELD) {
      t->slots[held++] = slot;
    } else if (slot && call_in(slot)->group == &t->group) {
      call_in(slot)->group = NULL;
    }
  }
  t->pending = t->held = 0;
  // The parents keep them in this order too.
  qsort(t->slots, held, sizeof *t->slots, by_end);
  for (uint32_t i = 0; i < held; i++) {
    rt_call *c = call_in(t->slots[i]);
    t->slots[i] = 0;
    release(c);
  }
}

static int tasks_gc(lua_State *L) {
  rt_tasks_leave(lua_touserdata(L, 1));
  return 0;
}

void rt_lib_open_members(lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, tasks_gc);
  lua_setfield(L, -2, "__gc");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &tasks_class);
}
