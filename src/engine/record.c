/* record.c -- what the journal is told of a call, and when. */
#include <stdlib.h>

#include "engine.h"
#include "value.h"

static int64_t epoch_now(const rt_call *c) {
  return rt_scheduler_now(&c->run->engine->scheduler) + c->run->epoch;
}

enum { ROOM = 512 };  // bytes tried first for arguments or results in the record itself

static const char no_memory_args[] = "[{\"$lua\":\"out of memory\"}]";

/* The 'count' values at 'first' as a JSON list in the engine's scratch buffer. */
static rt_text written(lua_State *L, rt_call *c, int first, int count) {
  rt_engine *e = c->run->engine;
  e->scratch.size = 0;
  e->scratch.failed = false;
  rt_value_write_list(L, first, count, &e->scratch, e->record_limit);
  if (e->scratch.failed || e->scratch.size > UINT32_MAX / 2)
    return (rt_text){no_memory_args, sizeof no_memory_args - 1};
  return (rt_text){e->scratch.data, e->scratch.size};
}

void rt_call_keep_args(lua_State *L, rt_call *c, int first, int count) {
  bool mutable = false;
  for (int i = 0; i < count && !mutable; i++) mutable = lua_istable(L, first + i);
  if (!mutable || c->node->unrecorded || !rt_call_rare_of(c)) return;
  rt_text args = written(L, c, first, count);
  c->rare->args = malloc(args.size);
  if (!c->rare->args) return;
  memcpy(c->rare->args, args.data, args.size);
  c->rare->args_size = (uint32_t)args.size;
}

void rt_call_record_begin(lua_State *L, rt_call *c, int first, int count, bool starts) {
  rt_engine *e = c->run->engine;
  rt_journal_call record = {
      .run = c->run->number, .seq = c->seq, .ordinal = c->ordinal,
      .parent = c->parent ? c->parent->seq : 0, .line = c->site.line,
      .kind = (uint8_t)c->node->kind, .spawned = c->spawned + c->run->epoch,
      .node = {c->node->name, c->node->name_size},
      .file = rt_place_file(&e->places, c->site),
  };
  if (starts) record.started = c->instant ? record.spawned : epoch_now(c);
  c->recorded = true;
  c->run->calls++;
  if (e->notices.listening) rt_notice_begin(c);

  rt_text args = {0};
  rt_buf room;
  if (c->rare && c->rare->args) {
    args = (rt_text){c->rare->args, c->rare->args_size};
  } else if (!c->node->unrecorded) {
    rt_journal_call_begin(e->journal, &record, ROOM, &room);
    if (!room.failed) rt_value_write_list(L, first, count, &room, e->record_limit);
    if (!room.failed) {
      rt_journal_call_begun(e->journal, &room);
      return;
    }
    args = written(L, c, first, count);
  }
  rt_journal_call_begin(e->journal, &record, args.size, &room);
  rt_buf_add(&room, args.data, args.size);
  if (!room.failed) rt_journal_call_begun(e->journal, &room);
  else rt_journal_call_lost(e->journal);
  if (c->rare) {
    free(c->rare->args);
    c->rare->args = NULL;
  }
}

void rt_call_record_end(lua_State *L, rt_call *c, rt_status status, rt_text error) {
  rt_engine *e = c->run->engine;
  e->ended_at = rt_scheduler_now(&e->scheduler);
  int64_t ended = e->ended_at + c->run->epoch;
  rt_text results = {0};
  rt_buf room;
  if (status == RT_DONE && !c->node->unrecorded) {
    int count = lua_gettop(L) - 1;
    rt_journal_call_end(e->journal, c->run->number, c->seq, status, ended, error, ROOM, &room);
    if (!room.failed) rt_value_write_list(L, 2, count, &room, e->record_limit);
    if (!room.failed) {
      rt_journal_call_ended(e->journal, &room);
      return;
    }
    results = written(L, c, 2, count);
  }
  rt_journal_call_end(e->journal, c->run->number, c->seq, status, ended, error, results.size,
                      &room);
  rt_buf_add(&room, results.data, results.size);
  if (!room.failed) rt_journal_call_ended(e->journal, &room);
  else rt_journal_call_lost(e->journal);
}

static void write_origin(const rt_call *c, const rt_failure *f, rt_buf *out) {
  if (!c->rare || !c->rare->second) {
    rt_buf_text(out, "\"from call ");  // ids need no escapes
    rt_buf_text(out, f->origin);
    rt_buf_char(out, '"');
    return;
  }
  rt_buf from = {0};
  rt_buf_text(&from, "from call ");
  rt_buf_text(&from, f->origin);
  rt_buf_text(&from, c->rare->second);
  rt_value_write_text(out, from.failed ? "" : from.data, from.failed ? 0 : from.size);
  rt_buf_free(&from);
}

/* The text of the engine's own errors begins with "KIND: ", which has a field of its own. */
static size_t kind_before(const rt_failure *f) {
  size_t size = f->kind ? strlen(f->kind) : 0;
  bool there = size && f->message_size > size + 1 && memcmp(f->message, f->kind, size) == 0 &&
               memcmp(f->message + size, ": ", 2) == 0;
  return there ? size + 2 : 0;
}

/* A call that the failure only passed through names the one it began in. */
rt_text rt_call_written_error(rt_call *c, const rt_failure *f) {
  rt_buf *out = &c->run->engine->text;
  out->size = 0;
  out->failed = false;
  rt_buf_text(out, "{\"kind\":");
  if (f && f->kind) rt_value_write_text(out, f->kind, strlen(f->kind));
  else rt_buf_text(out, "null");
  rt_buf_text(out, ",\"message\":");
  size_t skip = f ? kind_before(f) : 0;
  if (f) rt_value_write_text(out, f->message + skip, f->message_size - skip);
  else rt_buf_text(out, "\"not enough memory\"");
  rt_buf_text(out, ",\"traceback\":");
  if (!f) {
    rt_buf_text(out, "null");
  } else if (f->began_in == rt_call_identity(c)) {
    rt_value_write_text(out, f->traceback, strlen(f->traceback));
  } else {
    write_origin(c, f, out);
  }
  rt_buf_char(out, '}');
  static const char none[] = "{\"kind\":null,\"message\":\"out of memory\",\"traceback\":null}";
  if (out->failed) return (rt_text){none, sizeof none - 1};
  return (rt_text){out->data, out->size};
}
