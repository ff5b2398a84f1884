#include "memory.h"

#include <lauxlib.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
  RESERVE_LEAST = 256 * 1024,
  RESERVE_MOST = 16 * 1024 * 1024,
  MESSAGE = 512,         // bytes of a message, at most
};

struct rt_memory {
  rt_engine *engine;
  lua_Alloc alloc;     /* the allocator that was there before */
  void *data;          /* its own */
  _Atomic size_t used; /* bytes in use; written by the loop alone */
  size_t limit;
  size_t reserve;
  size_t mark;         /* past it garbage is collected before more comes */
  struct {
    void *block;
    size_t size;
  } asked;             /* what was refused last */
  bool refused;        /* ... and has not been given since */
};

static size_t used(const rt_memory *m) {
  return atomic_load_explicit(&m->used, memory_order_relaxed);
}

static void set_used(rt_memory *m, size_t size) {
  atomic_store_explicit(&m->used, size, memory_order_relaxed);
}

/* "64M" */
static void name_size(size_t size, rt_buf *out) {
  static const char units[] = " KMGT";
  int unit = 0;
  for (; size && size % 1024 == 0 && unit < 4; unit++) size /= 1024;
  rt_buf_int(out, (int64_t)size);
  if (unit) rt_buf_char(out, units[unit]);
  else rt_buf_text(out, " bytes");
}

/* "the Lua heap would grow over its limit of 64M, in call 1.2" */
static void write_message(const rt_call *c, char room[MESSAGE]) {
  rt_buf text = {.data = room, .capacity = MESSAGE - 1, .fixed = true};
  rt_buf_text(&text, "the Lua heap would grow over its limit of ");
  name_size(c->run->engine->memory->limit, &text);
  rt_buf_text(&text, ", in call ");
  rt_call_id(c, &text);
  room[text.size] = '\0';
}

void rt_memory_fail(rt_call *c) {
  char room[MESSAGE];
  write_message(c, room);
  c->run->over_limit = true;
  rt_run_fail(c->run, "budget", room);
}

bool rt_memory_refused(rt_engine *e) {
  bool refused = e->memory && e->memory->refused;
  if (refused) e->memory->refused = false;
  return refused;
}

/* ---- at the limit ---- */

/* Runs between two instructions of code that has made the heap grow past the mark. */
static void collect(lua_State *L, lua_Debug *ar) {
  rt_engine *e = rt_engine_of(L);
  rt_memory *m = e->memory;
  rt_call *c = rt_call_current(e);
  (void)ar;
  if (!rt_scheduler_hooked(&e->scheduler, L)) return;
  rt_scheduler_unhook(&e->scheduler, L);
  lua_gc(L, LUA_GCCOLLECT);
  // Code that goes on while its run fails has as much again.
  size_t limit = c && c->run->over_limit ? 2 * m->limit : m->limit;
  size_t left = used(m) < limit ? limit - used(m) : 0;
  // What collects at every byte of the last few gets nowhere.
  bool over = left <= limit / 64;
  m->mark = over ? used(m) + limit / 16 : limit - left / 2;
  if (!over || (c && c->over)) return;
  if (!c) {  // a callback of the event loop
    for (rt_run *run = e->runs; run; run = run->next)
      if (!run->waiter && run->root) rt_memory_fail(run->root);
    luaL_error(L, "not enough memory");
  }

  c->run->over_limit = true;
  char room[MESSAGE];
  write_message(c, room);
  rt_error_push(L, "budget", "%s", room);
  rt_run_raise(L, c);
}

/* Whether the heap may grow by 'more' bytes and past the mark. */
static bool may_grow(rt_memory *m, size_t more) {
  rt_engine *e = m->engine;
  bool fails = false;  // then nothing but a large piece is refused: all are to end soon
  // Where no Lua runs (luv makes the arguments of a callback) nobody could catch the error;
  // the code that runs next will get it.
  if (!e->runs || !e->scheduler.active) return true;
  for (const rt_run *run = e->runs; run; run = run->next) fails |= run->over_limit;
  if (fails ? more > m->limit : used(m) + more > m->limit + m->reserve) return false;

  lua_State *on = e->scheduler.hooked;
  if (!e->stopped && !(on && lua_gethook(on) == collect))
    rt_scheduler_hook(&e->scheduler, collect);
  return true;
}

static void *allocate(void *data, void *block, size_t old_size, size_t size) {
  rt_memory *m = data;
  size_t before = block ? old_size : 0;  // else it is a type
  if (size > before && used(m) + (size - before) > m->mark &&
      !may_grow(m, size - before)) {
    m->asked.block = block;
    m->asked.size = size;
    m->refused = true;
    return NULL;
  }
  void *made = m->alloc(m->data, block, old_size, size);
  if (!made && size) return NULL;
  set_used(m, used(m) + (size - before));
  if (m->refused && block == m->asked.block && size == m->asked.size) m->refused = false;
  return made;
}

/* ---- opening and closing ---- */

size_t rt_memory_used(const rt_memory *m) { return used(m); }

void rt_memory_count(lua_State *L, rt_engine *e) {
  if (!e->memory) rt_memory_bound(L, e, SIZE_MAX);
}

void rt_memory_bound(lua_State *L, rt_engine *e, size_t limit) {
  rt_memory *m = e->memory;
  if (!m) {
    m = calloc(1, sizeof *m);
    if (!m) luaL_error(L, "not enough memory");
    m->engine = e;
    set_used(m, (size_t)lua_gc(L, LUA_GCCOUNT) * 1024 + (size_t)lua_gc(L, LUA_GCCOUNTB));
    m->alloc = lua_getallocf(L, &m->data);
    e->memory = m;
    lua_setallocf(L, allocate, m);
  }
  // So large a limit that sums overflow is none.
  m->limit = limit < SIZE_MAX / 4 ? limit : SIZE_MAX / 4;
  m->reserve = m->limit / 16;
  if (m->reserve < RESERVE_LEAST) m->reserve = RESERVE_LEAST;
  if (m->reserve > RESERVE_MOST) m->reserve = RESERVE_MOST;
  m->mark = m->limit / 4 * 3;
}

void rt_memory_free(lua_State *L, rt_memory *m) {
  void *data;
  if (!m || lua_getallocf(L, &data) != allocate || data != m) return;  // wrapped: it stays
  lua_setallocf(L, m->alloc, m->data);
  free(m);
}
