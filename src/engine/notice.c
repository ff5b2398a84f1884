#include "notice.h"

#include <errno.h>
#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "callback.h"
#include "log.h"
#include "sink.h"
#include "value.h"

enum { PATIENCE_NS = 1000000000 };  // for who reads the log, when the engine closes

static const char *const level_names[] = {"debug", "info", "warning", "error", "none"};

const char *rt_level_name(int level) {
  return level >= 0 && level <= RT_LEVEL_NONE ? level_names[level] : NULL;
}

int rt_level_named(const char *name) {
  for (int level = 0; level <= RT_LEVEL_NONE; level++)
    if (strcmp(name, level_names[level]) == 0) return level;
  return -1;
}

void rt_notice_set_level(rt_engine *e, rt_level level) {
  rt_notices *n = &e->notices;
  n->level = (uint8_t)level;
  n->listening &= RT_NOTICE_HANDLERS | RT_NOTICE_TALLY;
  if (level <= RT_LEVEL_DEBUG) n->listening |= RT_NOTICE_LINES_STARTED;
  if (level <= RT_LEVEL_INFO) n->listening |= RT_NOTICE_LINES_ENDED;
}

int rt_notice_open_file(rt_engine *e, const char *path) {
  rt_notices *n = &e->notices;
  rt_sink *file = rt_sink_open(path, n->most);
  char *copy = file ? strdup(path) : NULL;
  if (!copy) {
    int error = file ? ENOMEM : errno;
    rt_sink_close(file, 0);
    errno = error;
    return -1;
  }
  rt_sink_close(n->file, PATIENCE_NS);
  free(n->path);
  n->file = file;
  n->path = copy;
  return 0;
}

void rt_notice_close(rt_engine *e) {
  rt_notices *n = &e->notices;
  rt_sink_close(n->out, PATIENCE_NS);
  rt_sink_close(n->file, PATIENCE_NS);
  free(n->path);
  rt_buf_free(&n->line);
  rt_tally_free(&n->tally);
  *n = (rt_notices){.level = RT_LEVEL_NONE};
}

/* ---- lines ---- */

/* What is not to be seen in a line, or would end it, is escaped. */
static void add_plain(rt_buf *out, const char *text, size_t size) {
  for (size_t i = 0; i < size; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c == '\n') rt_buf_text(out, "\\n");
    else if (c < ' ' || c == 0x7f) rt_buf_printf(out, "\\x%02x", c);
    else rt_buf_char(out, (char)c);
  }
}

static void write_plain(rt_buf *out, double elapsed, rt_level level, const rt_call *c,
                        rt_text message, rt_text fields) {
  static const char *const names[] = {"DEBUG  ", "INFO   ", "WARNING", "ERROR  "};
  rt_buf_printf(out, "[+%.3fs] %s ", elapsed, names[level]);
  if (c) {
    // The end of an id tells runs apart that began together.
    rt_buf_text(out, c->run->id + strlen(c->run->id) - 8);
    rt_buf_char(out, ' ');
    rt_call_id(c, out);
    rt_buf_char(out, ' ');
    add_plain(out, c->node->name, c->node->name_size);
    rt_buf_text(out, ": ");
  }
  add_plain(out, message.data, message.size);
  if (fields.size) {
    rt_buf_char(out, ' ');
    rt_buf_add(out, fields.data, fields.size);
  }
  rt_buf_char(out, '\n');
}

static void write_json(rt_buf *out, double elapsed, double now, rt_level level, const rt_call *c,
                       rt_text message, rt_text fields, const char *more) {
  rt_buf_printf(out, "{\"time\":%.6f,\"elapsed\":%.6f,\"level\":\"%s\"", now, elapsed,
                level_names[level]);
  if (c) {
    rt_buf_printf(out, ",\"run\":\"%s\",\"call\":\"", c->run->id);
    rt_call_id(c, out);
    rt_buf_text(out, "\",\"node\":");
    rt_value_write_text(out, c->node->name, c->node->name_size);
  }
  rt_buf_text(out, ",\"message\":");
  rt_value_write_text(out, message.data, message.size);
  if (fields.size) {
    rt_buf_text(out, ",\"fields\":");
    rt_buf_add(out, fields.data, fields.size);
  }
  rt_buf_text(out, more);
  rt_buf_text(out, "}\n");
}

/* The file that the environment names is opened when there is something to write. */
static void open_sinks(rt_notices *n) {
  if (!n->out) n->out = rt_sink_open(NULL, 0);
  if (n->file || !n->path || n->path_failed) return;
  n->file = rt_sink_open(n->path, n->most);
  if (n->file) return;
  n->path_failed = true;
  rt_log(RT_LOG_WARNING, "cannot open the log file %s: %s", n->path, strerror(errno));
}

void rt_notice_line(rt_engine *e, rt_level level, const rt_call *c, rt_text message,
                    rt_text fields, const char *value) {
  rt_notices *n = &e->notices;
  if (level < n->level) return;
  int64_t now = rt_scheduler_now(&e->scheduler);
  struct timespec wall;
  double elapsed = (double)(now - n->since) / 1e9;
  clock_gettime(CLOCK_REALTIME, &wall);
  n->line.size = 0;
  n->line.failed = false;
  if (n->json)
    write_json(&n->line, elapsed, (double)wall.tv_sec + (double)wall.tv_nsec / 1e9, level, c,
               message, fields, value);
  else
    write_plain(&n->line, elapsed, level, c, message, fields);
  if (n->line.failed) return;
  open_sinks(n);
  if (n->out) rt_sink_write(n->out, n->line.data, n->line.size);
  if (n->file) rt_sink_write(n->file, n->line.data, n->line.size);
}

/* ---- events ---- */

/* A call's beginning or end, on its way to a table. */
typedef struct notice {
  rt_call *c;
  const char *event;
  const char *status;
  const rt_failure *failure;
  int64_t at;
  bool ends;
} notice;

static void set_text(lua_State *L, const char *field, const char *text, size_t size) {
  lua_pushlstring(L, text, size);
  lua_setfield(L, -2, field);
}

/* Adds to the table at the top what events say of the call. */
static void set_call(lua_State *L, const rt_call *c) {
  char room[600];
  rt_buf id = {.data = room, .capacity = sizeof room, .fixed = true};
  rt_call_id(c, &id);
  set_text(L, "call", id.data, id.size);
  if (c->parent) {
    id.size = 0;
    rt_call_id(c->parent, &id);
    set_text(L, "parent", id.data, id.size);
  }
  set_text(L, "run", c->run->id, strlen(c->run->id));
  set_text(L, "node", c->node->name, c->node->name_size);
}

static void set_time(lua_State *L, int64_t at) {
  lua_pushnumber(L, (lua_Number)at / 1e9);
  lua_setfield(L, -2, "time");
}

/* Puts the table at the top into the queue, and pops it. */
static void append(lua_State *L, rt_engine *e) {
  rt_notices *n = &e->notices;
  rt_anchor_push(&e->scheduler, L, n->queue);
  lua_insert(L, -2);
  lua_rawseti(L, -2, n->last + 1);
  lua_pop(L, 1);
  n->last++;
  e->scheduler.news = true;
}

static int64_t epoch_now(const rt_call *c) {
  return rt_scheduler_now(&c->run->engine->scheduler) + c->run->epoch;
}

void rt_notice_queue(lua_State *L, rt_engine *e, const rt_call *c) {
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (c) {
    set_call(L, c);
    set_time(L, epoch_now(c));
  }
  append(L, e);
}

/* In: a notice. */
static int queue_notice(lua_State *L) {
  const notice *n = lua_touserdata(L, 1);
  lua_createtable(L, 0, 10);
  lua_pushstring(L, n->event);
  lua_setfield(L, -2, "event");
  set_call(L, n->c);
  set_time(L, n->at);
  lua_pushstring(L, n->status);
  lua_setfield(L, -2, "status");
  if (n->ends) {
    lua_pushnumber(L, (lua_Number)(n->at - n->c->spawned - n->c->run->epoch) / 1e9);
    lua_setfield(L, -2, "seconds");
  }
  if (n->failure) {
    lua_createtable(L, 0, 2);
    set_text(L, "message", n->failure->message, n->failure->message_size);
    if (n->failure->kind) set_text(L, "kind", n->failure->kind, strlen(n->failure->kind));
    lua_setfield(L, -2, "error");
  }
  append(L, n->c->run->engine);
  return 0;
}

/* On the scheduler's own thread, so that no call is touched if memory runs out. */
static void tell_handlers(notice *n) {
  rt_engine *e = n->c->run->engine;
  lua_State *L = e->scheduler.own;
  int top = lua_gettop(L);
  if (lua_checkstack(L, 2)) {
    lua_pushcfunction(L, queue_notice);
    lua_pushlightuserdata(L, n);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) e->notices.lost++;
  }
  lua_settop(L, top);
}

static rt_text text_of(const char *text) { return (rt_text){text, strlen(text)}; }

/* NULL: there is no memory for it. */
static rt_count *count_of(rt_engine *e, rt_node *node) {
  if (!node->count) node->count = rt_tally_of(&e->notices.tally, node->name, node->name_size);
  return node->count;
}

void rt_notice_queue_call(rt_call *c) {
  rt_count *count = count_of(c->run->engine, c->node);
  if (count) rt_count_add(&count->waiting, 1);
}

void rt_notice_drop_call(rt_call *c) {
  rt_count *count = count_of(c->run->engine, c->node);
  if (count) rt_count_add(&count->waiting, -1);
}

static void count_begin(rt_call *c) {
  rt_count *count = count_of(c->run->engine, c->node);
  if (!count) return;
  if (!c->nested) rt_count_add(&count->waiting, -1);
  rt_count_add(&count->running, 1);
  int64_t now = c->instant ? c->spawned : rt_scheduler_now(&c->run->engine->scheduler);
  c->queued = c->cancelled ? INFINITY : (float)(now - c->spawned) * 1e-9f;
}

static void count_end(rt_call *c, rt_status status, int64_t ns) {
  rt_count *count = count_of(c->run->engine, c->node);
  double body = (double)ns - (double)c->queued * 1e9;
  if (count) rt_count_end(count, status, ns, body > 0 ? (int64_t)body : 0);
}

void rt_notice_begin(rt_call *c) {
  rt_engine *e = c->run->engine;
  if (e->notices.listening & RT_NOTICE_TALLY) count_begin(c);
  if (e->notices.listening & RT_NOTICE_STARTED)
    tell_handlers(&(notice){.c = c, .event = "call_started", .status = "running",
                            .at = epoch_now(c)});
  if (e->notices.listening & RT_NOTICE_LINES_STARTED)
    rt_notice_line(e, RT_LEVEL_DEBUG, c, text_of("call created"), (rt_text){0},
                   ",\"event\":\"call_started\"");
}

void rt_notice_end(rt_call *c, rt_status status, const rt_failure *failure) {
  rt_engine *e = c->run->engine;
  int64_t now = epoch_now(c);
  const char *name = rt_status_name(status);
  if (e->notices.listening & RT_NOTICE_TALLY)
    count_end(c, status, now - c->spawned - c->run->epoch);
  if (e->notices.listening & RT_NOTICE_ENDED)
    tell_handlers(&(notice){.c = c, .event = "call_ended", .status = name, .failure = failure,
                            .at = now, .ends = true});
  if (!(e->notices.listening & RT_NOTICE_LINES_ENDED)) return;
  char more[100];
  double seconds = (double)(now - c->spawned - c->run->epoch) / 1e9;
  rt_buf message = {0};
  rt_buf_printf(&message, "call %s after %.6f s", name, seconds);
  if (failure) {
    rt_buf_text(&message, ": ");
    rt_buf_add(&message, failure->message, failure->message_size);
  }
  snprintf(more, sizeof more, ",\"event\":\"call_ended\",\"status\":\"%s\",\"seconds\":%.6f",
           name, seconds);
  if (!message.failed)
    rt_notice_line(e, RT_LEVEL_INFO, c, (rt_text){message.data, message.size}, (rt_text){0}, more);
  rt_buf_free(&message);
}

void rt_notice_deliver(rt_scheduler *s) {
  rt_engine *e = (rt_engine *)s;
  rt_notices *n = &e->notices;
  lua_State *L = s->own;
  s->news = false;
  if (!n->dispatch || n->first > n->last || !lua_checkstack(L, 6)) return;
  rt_anchor_push(s, L, n->dispatch);
  rt_anchor_push(s, L, n->queue);
  lua_pushinteger(L, n->first);
  lua_pushinteger(L, n->last);
  n->first = n->last + 1;
  rt_callback_try(L, 3, "handlers of rt.on");
  if (n->first > n->last) n->first = 1, n->last = 0;
}
