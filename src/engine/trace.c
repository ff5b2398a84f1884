/* trace.c -- the way of a failure: which frames, which calls, for rt.traceback and the
 * journal. The text is made once, where the error began, before anything unwinds; the
 * calls it passes through later recognise the value and pass the failure on.
 */
#include <lauxlib.h>
#include <stdlib.h>

#include "coroutine.h"
#include "engine.h"
#include "life.h"
#include "native.h"
#include "trace.h"

enum {
  INNERMOST = 50,    // calls shown nearest to the failure
  OUTERMOST = 20,    // and nearest to the root
  FRAMES_FIRST = 10, // frames of one call, likewise
  FRAMES_LAST = 11,
  DEEP = 300,        // frames searched for the end of one call,
  NEAR = 50,         // and from the other end, where every look takes its time
  REMEMBERED = 1000, // failures received that rt.traceback still knows
};

/* ---- the text ---- */

/* Whether the function at the top of L, described by 'ar', is one of the engine's own. */
static bool is_ours(lua_State *L, const rt_engine *e, const lua_Debug *ar) {
  if (rt_place_is_ours(ar)) return true;
  lua_CFunction f = lua_tocfunction(L, -1);
  if (!f) return false;
  if (f == rt_call_on_error || f == rt_call_make_failure || f == rt_call_class.main ||
      f == rt_coroutine_body || f == rt_native_call_asked || f == rt_native_resume)
    return true;
  bool ours = false;
  if (lua_getupvalue(L, -1, 1)) {
    ours = lua_touserdata(L, -1) == e;
    lua_pop(L, 1);
  }
  return ours;
}

static void write_frame(const lua_Debug *ar, rt_buf *out) {
  rt_buf_text(out, "\n\t");
  if (*ar->what == 'C') rt_buf_text(out, "[C]");
  else if (*ar->source == '@') rt_buf_text(out, ar->source + 1);
  else rt_buf_text(out, ar->short_src);
  if (ar->currentline > 0) rt_buf_printf(out, ":%d", ar->currentline);
  rt_buf_text(out, ": in ");
  if (*ar->what == 'm') rt_buf_text(out, "main chunk");
  else if (*ar->namewhat)
    rt_buf_printf(out, "%s '%s'", strcmp(ar->namewhat, "global") == 0 ? "function" : ar->namewhat,
                  ar->name);
  else if (*ar->what == 'C') rt_buf_text(out, "?");
  else rt_buf_printf(out, "function <%s:%d>",
                     *ar->source == '@' ? ar->source + 1 : ar->short_src, ar->linedefined);
  if (ar->istailcall) rt_buf_text(out, "\n\t(...tail calls...)");
}

/* "in call 1.2 (load), called at flow.lua:14" */
static void write_call(const rt_call *c, rt_buf *out) {
  rt_text file = rt_place_file(&c->run->engine->places, c->site);
  rt_buf_text(out, "\n  in call ");
  rt_call_id(c, out);
  rt_buf_printf(out, " (%s)", c->node->name);
  if (file.data)
    rt_buf_printf(out, ", %s at %.*s:%u", c->use->verb, (int)file.size, file.data, c->site.line);
}

/* How many levels the stack of 'co' has: a search by doubling, then halving. */
static int levels(lua_State *co) {
  lua_Debug ar;
  int low = 0, high = 1;
  while (lua_getstack(co, high, &ar)) {
    low = high;
    high *= 2;
  }
  while (low + 1 < high) {
    int middle = (low + high) / 2;
    if (lua_getstack(co, middle, &ar)) low = middle;
    else high = middle;
  }
  return low + 1;
}

bool rt_trace_runs_call(lua_State *co, lua_Debug *ar) {
  if (!lua_getlocal(co, ar, 1)) return false;
  bool yes = lua_tocfunction(co, -1) == rt_call_on_error;
  lua_pop(co, 1);
  return yes;
}

/* How many calls that 'p' is nested in stand on 'co' too. */
static int calls_below(const rt_call *p, const lua_State *co) {
  int count = 0;
  for (; p->nested && p->parent->task.co == co; p = p->parent) count++;
  return count;
}

/* The level of the frame that runs 'p', at or behind 'level', or behind the last one if 'p'
 * stands on another coroutine. */
static int end_of_call(lua_State *co, const rt_call *p, int level) {
  lua_Debug ar;
  if (p->task.co != co) return levels(co);
  for (int end = level + DEEP; level < end && lua_getstack(co, level, &ar); level++) {
    lua_getinfo(co, "S", &ar);
    if (*ar.what == 'C' && rt_trace_runs_call(co, &ar)) return level;
  }
  // A deep recursion: count from the other end, where the calls it is nested in are.
  int last = levels(co) - 1;
  for (int above = calls_below(p, co), at = last; at > level && at > last - NEAR; at--) {
    lua_getstack(co, at, &ar);
    lua_getinfo(co, "S", &ar);
    if (*ar.what == 'C' && rt_trace_runs_call(co, &ar) && above-- == 0) return at;
  }
  return last;
}

/* Writes the frames from 'level' to 'end', engine's own left out. */
static void write_frames(lua_State *co, const rt_engine *e, int level, int end, rt_buf *out) {
  int skip = end - level - FRAMES_FIRST - FRAMES_LAST, from = level;
  for (; level < end; ++level) {
    lua_Debug ar;
    if (skip > 0 && level - from == FRAMES_FIRST) {
      rt_buf_printf(out, "\n\t...\t(skipping %d levels)", skip);
      level += skip;
    }
    if (!lua_getstack(co, level, &ar)) break;
    lua_getinfo(co, "Slntf", &ar);
    bool hidden = is_ours(co, e, &ar);
    lua_pop(co, 1);
    if (!hidden) write_frame(&ar, out);
  }
}

/* A place in the stacks of the coroutines that one of the pool has resumed. */
typedef struct place {
  lua_State *chain[RT_COROUTINES_DEEP];  // outermost first
  int at;     // which one is being read; -1: none is known
  int level;  // from which frame on
} place;

static void go_to(place *here, const rt_call *p) {
  here->at = here->level = 0;
  if (!p || !p->task.co) here->at = -1;
  else
    here->at = rt_coroutine_chain(rt_task_base(&p->run->engine->scheduler, &p->task),
                                  here->chain) - 1;
}

/* Goes on to behind the frame that runs 'p', and writes the frames on the way unless
 * 'silent'. */
static void pass_call(place *here, const rt_call *p, bool silent, rt_buf *out) {
  for (;;) {
    lua_State *co = here->chain[here->at];
    bool last = co == p->task.co || here->at == 0;
    int end = end_of_call(co, p, here->level);
    if (!silent) write_frames(co, p->run->engine, here->level, end, out);
    here->level = last ? end + 1 : 0;
    if (last) return;
    here->at--;
  }
}

/* The frames of 'c', which runs on L, and of all calls above it. */
static void write_traceback(lua_State *L, rt_call *c, rt_buf *out) {
  size_t depth = 0, at = 0;
  for (const rt_call *p = c; p; p = p->parent) depth++;

  place here;
  const rt_call *inner = c;  // the innermost call whose frames were not passed yet
  go_to(&here, c);
  while (here.at > 0 && here.chain[here.at] != L) here.at--;
  rt_buf_text(out, "stack traceback:");
  for (rt_call *p = c; p; p = p->parent, at++) {
    bool left_out = depth > INNERMOST + OUTERMOST && at >= INNERMOST && at + OUTERMOST < depth;
    if (depth > INNERMOST + OUTERMOST && at == INNERMOST)
      rt_buf_printf(out, "\n  ... (%zu calls left out)", depth - INNERMOST - OUTERMOST);
    if (!left_out) {
      if (here.at < 0) go_to(&here, p);
      // A caller's frames say where it waits; one that runs on is elsewhere by now.
      bool known = here.at >= 0 && lua_checkstack(here.chain[here.at], 8) &&
                   (p->task.kind || p == c);
      for (; known && inner != p; inner = inner->parent) pass_call(&here, inner, true, out);
      if (known) pass_call(&here, p, false, out);
      inner = p->parent;
      write_call(p, out);
    }
    if (!p->nested) {
      here.at = -1;
      inner = p->parent;
    }
  }
}

void rt_trace_push_frames(lua_State *L) {
  rt_buf text = {0};
  rt_buf_text(&text, "stack traceback:");
  lua_Debug ar;
  if (lua_checkstack(L, 8) && lua_getstack(L, 0, &ar))
    write_frames(L, rt_engine_of(L), 1, levels(L), &text);
  lua_pushlstring(L, text.failed ? "" : text.data, text.failed ? 0 : text.size);
  rt_buf_free(&text);
}

/* ---- noting ---- */

/* Pushes the table of failures 'c' received, or nil. */
static void push_received(lua_State *L, rt_call *c) {
  if (c->rare && c->rare->received)
    rt_anchor_push(&c->run->engine->scheduler, L, c->rare->received);
  else lua_pushnil(L);
}

/* Pushes the failure 'c' received with a value rawequal to that at 'index', or nil. The
 * table holds the count, then value and failure in turns: a ring of the newest. */
static void push_received_failure(lua_State *L, rt_call *c, int index) {
  index = lua_absindex(L, index);
  push_received(L, c);
  if (lua_isnil(L, -1)) return;
  lua_rawgeti(L, -1, 1);
  lua_Integer count = lua_tointeger(L, -1);
  lua_pop(L, 1);
  for (lua_Integer i = count; i > 0 && i > count - REMEMBERED; i--) {
    lua_Integer slot = (i - 1) % REMEMBERED;
    lua_rawgeti(L, -1, slot * 2 + 2);
    bool same = lua_rawequal(L, -1, index);
    lua_pop(L, 1);
    if (same) {
      lua_rawgeti(L, -1, slot * 2 + 3);
      lua_remove(L, -2);
      return;
    }
  }
  lua_pop(L, 1);
  lua_pushnil(L);
}

void rt_call_receive(lua_State *L, rt_call *c) {
  rt_call_rare *rare = rt_call_rare_of(c);
  if (!rare || !lua_checkstack(L, 6)) {
    lua_pop(L, 1);
    return;
  }
  if (!rare->received) {
    lua_createtable(L, 3, 0);
    lua_pushinteger(L, 0);
    lua_rawseti(L, -2, 1);
    rare->received = rt_anchor_put(&c->run->engine->scheduler, L);
  }
  push_received(L, c);                 // value failure table
  lua_rawgeti(L, -1, 1);
  lua_Integer count = lua_tointeger(L, -1);
  lua_pop(L, 1);
  lua_Integer slot = count % REMEMBERED;
  lua_pushvalue(L, -3);
  lua_rawseti(L, -2, slot * 2 + 2);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, slot * 2 + 3);
  lua_pushinteger(L, count + 1);
  lua_rawseti(L, -2, 1);
  lua_pop(L, 2);
}

void rt_call_push_traceback(lua_State *L, rt_call *c, int index) {
  push_received_failure(L, c, index);
  const rt_failure *f = rt_failure_at(L, -1);
  if (f) lua_pushstring(L, f->traceback);
  else lua_pushnil(L);
  lua_remove(L, -2);
}

/* Frees its buffer when Lua raises in between. */
static int free_buf(lua_State *L) {
  rt_buf_free(lua_touserdata(L, 1));
  return 0;
}

static rt_buf *new_buf(lua_State *L) {
  rt_buf *b = lua_newuserdatauv(L, sizeof *b, 0);
  *b = (rt_buf){0};
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, free_buf);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  return b;
}

/* Pushes a failure of 'c' (NULL: of no call) with the error at 'index'; 'traceback': its
 * frames. */
static rt_failure *push_failure(lua_State *L, rt_call *c, int index, const char *traceback) {
  int top = lua_gettop(L);
  rt_buf *message = new_buf(L), *text = new_buf(L), *id = new_buf(L);
  rt_error_text(L, index, message);
  if (traceback) rt_buf_text(text, traceback);
  else write_traceback(L, c, text);
  if (c) rt_call_id(c, id);
  rt_buf_char(id, '\0');
  rt_failure *f = rt_failure_push(L, id->failed ? "" : id->data, rt_error_kind(L, index), message,
                                  text);
  f->began_in = c ? rt_call_identity(c) : 0;
  rt_buf_free(message);
  rt_buf_free(text);
  rt_buf_free(id);
  lua_pushvalue(L, index);
  lua_setiuservalue(L, -2, 1);
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
  return f;
}

void rt_trace_push_failure(lua_State *L, int index, const char *where) {
  index = lua_absindex(L, index);
  luaL_checkstack(L, 12, NULL);
  rt_trace_push_frames(L);
  lua_pushfstring(L, "%s\n  %s", lua_tostring(L, -1), where);
  push_failure(L, NULL, index, lua_tostring(L, -1));
  lua_replace(L, -3);
  lua_pop(L, 1);
}

/* Pops the failure and keeps it as that of 'c'. */
static void keep_failure(lua_State *L, rt_call *c) {
  rt_scheduler *s = &c->run->engine->scheduler;
  rt_anchor_drop(s, c->rare->failure);
  c->rare->failure = 0;
  c->rare->failure = rt_anchor_put(s, L);
}

/* Pushes the failure kept, or nil. Whether it is one of the error at 'index'. */
static bool push_kept(lua_State *L, rt_call *c, int index) {
  if (!c->rare || !c->rare->failure) {
    lua_pushnil(L);
    return false;
  }
  rt_anchor_push(&c->run->engine->scheduler, L, c->rare->failure);
  lua_getiuservalue(L, -1, 1);
  bool same = lua_rawequal(L, -1, index);
  lua_pop(L, 1);
  return same;
}

void rt_call_note_failure(lua_State *L, rt_call *c, int index) {
  index = lua_absindex(L, index);
  if (!rt_call_rare_of(c)) return;
  luaL_checkstack(L, 12, NULL);
  bool kept = push_kept(L, c, index);
  lua_pop(L, 1);
  if (kept) return;
  push_received_failure(L, c, index);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    push_failure(L, c, index, NULL);
  }
  keep_failure(L, c);
}

void rt_call_note_passed(lua_State *L, rt_call *c, int index) {
  index = lua_absindex(L, index);
  if (!rt_call_rare_of(c)) return;
  luaL_checkstack(L, 12, NULL);
  push_kept(L, c, index);
  const rt_failure *f = rt_failure_at(L, -1);
  push_failure(L, c, index, f ? f->traceback : NULL);
  keep_failure(L, c);
  lua_pop(L, 1);
}

void rt_call_push_failure(lua_State *L, rt_call *c) {
  if (c->rare && c->rare->failure)
    rt_anchor_push(&c->run->engine->scheduler, L, c->rare->failure);
  else lua_pushnil(L);
}

void rt_call_pass_failure(lua_State *L, rt_call *c, int index) {
  if (!rt_call_rare_of(c)) return;
  lua_pushvalue(L, index);
  keep_failure(L, c);
}

void rt_call_extend_failure(lua_State *L, const rt_buf *more) {
  const rt_failure *f = rt_failure_at(L, -1);
  if (!f || more->failed || !lua_checkstack(L, 6)) return;
  rt_buf *text = new_buf(L);
  rt_buf_text(text, f->traceback);
  rt_buf_add(text, more->data, more->size);
  rt_buf message = {.data = (char *)f->message, .size = f->message_size};
  if (!text->failed) {
    rt_failure *extended = rt_failure_push(L, f->origin, f->kind, &message, text);
    extended->began_in = f->began_in;
    lua_pushvalue(L, -4);
    lua_setiuservalue(L, -2, 1);
    lua_replace(L, -3);
  }
  rt_buf_free(text);
  lua_pop(L, 1);
}

void rt_call_note_second(lua_State *L, rt_call *c, int index) {
  if (!c->rare || !c->rare->second) return;
  lua_pushvalue(L, index);
  push_kept(L, c, index);
  rt_buf more = {.data = c->rare->second, .size = strlen(c->rare->second)};
  rt_call_extend_failure(L, &more);
  if (lua_isnil(L, -1)) lua_pop(L, 1);
  else keep_failure(L, c);
  lua_pop(L, 1);
}

void rt_call_write_failed(const rt_call *c, const rt_failure *f, rt_buf *out) {
  rt_buf_text(out, "\nalso failed: call ");
  rt_call_id(c, out);
  rt_buf_printf(out, " (%s): ", c->node->name);
  if (f) rt_buf_add(out, f->message, f->message_size);
  else rt_buf_text(out, "not enough memory");
}

void rt_call_add_failed(rt_call *c, const rt_call *child, const rt_failure *f) {
  rt_buf text = {0};
  rt_call_write_failed(child, f, &text);
  if (!text.failed) rt_call_add_second(c, text.data, text.size);
  rt_buf_free(&text);
}

int rt_call_on_error(lua_State *L) {
  rt_call *c = rt_call_current(rt_engine_of(L));
  if (c) rt_call_note_failure(L, c, 1);
  lua_settop(L, 1);
  return 1;
}
