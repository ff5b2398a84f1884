/* sqlite_tail.c -- the calls of a run as they come.
 *
 * The journal has no column that says when a row was changed. So what lies behind the newest
 * row is read, and those are looked at again that had not ended, or were not there (the row of
 * a short call may come after those of calls that were made later).
 */
#include <stdlib.h>

#include "call_tree.h"
#include "sqlite_file.h"
#include "sqlite_reader.h"

enum { MOST_AHEAD = 4 << 20 };  // that a row may lie ahead of those before it: damaged, past that

struct rt_tail {
  rt_reader *reader;
  int64_t run;
  bool over;              // as of this look: who is not recorded by now never will be
  int64_t seen;           // the journal's version at the last look that found all; -1: none
  rt_call_tree tree;
  uint32_t newest;        // seq of the last row
  int64_t newest_event;   // its key
  uint32_t *open;         // seqs to look at again ...
  bool *begun;            // ... and whether they had begun
  uint32_t opens, room;
  char id[RT_CALL_ID_SIZE], parent_id[RT_CALL_ID_SIZE];
};

int rt_tail_open(rt_tail **out, rt_reader *r, int64_t run) {
  rt_tail *t = *out = calloc(1, sizeof *t);
  if (!t) return rt_reader_failed(r, SQLITE_NOMEM);
  *t = (rt_tail){.reader = r, .run = run, .seen = -1, .newest_event = rt_sqlite_key(run, 0)};
  return 0;
}

void rt_tail_close(rt_tail *t) {
  if (!t) return;
  rt_call_tree_free(&t->tree);
  free(t->open);
  free(t->begun);
  free(t);
}

static int no_memory(rt_tail *t) { return rt_reader_failed(t->reader, SQLITE_NOMEM); }

static bool look_again(rt_tail *t, uint32_t seq, bool begun) {
  if (t->opens == t->room) {
    uint32_t room = t->room ? t->room * 2 : 64;
    uint32_t *open = realloc(t->open, room * sizeof *open);
    if (!open) return false;
    t->open = open;
    bool *flags = realloc(t->begun, room * sizeof *flags);
    if (!flags) return false;
    t->begun = flags;
    t->room = room;
  }
  t->open[t->opens] = seq;
  t->begun[t->opens++] = begun;
  return true;
}

static bool is_known(const rt_tail *t, uint32_t seq) {
  return seq > 0 && seq <= t->tree.count && t->tree.ways[seq - 1].ordinal > 0;
}

/* Whether the call's id and depth cannot be told before its caller's row comes. */
static bool waits_for_caller(const rt_tail *t, const rt_call_record *c) {
  return !t->over && c->parent > 0 && c->parent < c->seq && !is_known(t, c->parent);
}

/* The call of a row, which has its place in the tree. */
static int show(rt_tail *t, const rt_call_record *c,
                int (*call)(void *data, const rt_call_view *call), void *data) {
  rt_call_view view = {.record = *c, .id = t->id};
  const rt_call_way *w = &t->tree.ways[c->seq - 1];
  view.depth = w->depth;
  rt_call_tree_id(&t->tree, c->seq - 1, c->seq, t->id);
  if (!w->root) {
    rt_call_tree_id(&t->tree, w->parent, c->parent, t->parent_id);
    view.parent_id = t->parent_id;
  }
  return call(data, &view);
}

/* Hands out the call of a row. */
static int hand_out(rt_tail *t, const rt_call_record *c, const rt_follower *f, void *data) {
  if (!rt_call_tree_put(&t->tree, c->seq, c->parent, c->ordinal)) return no_memory(t);
  return show(t, c, f->call, data);
}

/* Whether the row of the call is there and says something new. */
static int has_changed(rt_tail *t, uint32_t seq, bool begun) {
  sqlite3_stmt *stmt = rt_reader_statement(t->reader, CALL_STATE);
  if (!stmt) return -1;
  sqlite3_bind_int64(stmt, 1, rt_sqlite_key(t->run, seq));
  int rc = sqlite3_step(stmt);
  if (rc == SQLITE_DONE) return 0;
  if (rc != SQLITE_ROW) return rt_reader_failed(t->reader, rc);
  if (!is_known(t, seq)) return 1;
  const char *status = (const char *)sqlite3_column_text(stmt, 0);
  return rt_status_named(status) != RT_RUNNING || begun != (sqlite3_column_double(stmt, 1) > 0);
}

/* Lowers '*most' by those handed out; at 0 the others are left for the next look. */
static int look_at_open(rt_tail *t, uint32_t *most, const rt_follower *f, void *data) {
  uint32_t kept = 0, at = 0;
  int result = 0;
  for (; at < t->opens && result == 0 && *most > 0; at++) {
    uint32_t seq = t->open[at];
    bool begun = t->begun[at], open = true;
    int changed = has_changed(t, seq, begun);
    if (changed < 0) result = -1;
    if (changed > 0) {
      rt_call_record c;
      sqlite3_stmt *stmt = rt_reader_statement(t->reader, CALL_BRIEF);
      if (!stmt) return -1;
      sqlite3_bind_int64(stmt, 1, rt_sqlite_key(t->run, seq));
      if (sqlite3_step(stmt) == SQLITE_ROW) {
        rt_reader_call(stmt, false, &c);
        if (!waits_for_caller(t, &c)) {
          result = hand_out(t, &c, f, data);
          (*most)--;
          open = c.status == RT_RUNNING;
          begun = c.started_at > 0;
        }
      }
    }
    if (!open) continue;
    t->open[kept] = seq;
    t->begun[kept++] = begun;
  }
  for (; at < t->opens; at++, kept++) {
    t->open[kept] = t->open[at];
    t->begun[kept] = t->begun[at];
  }
  t->opens = kept;
  return result;
}

static int look_for_new(rt_tail *t, uint32_t most, const rt_follower *f, void *data) {
  uint32_t count = 0;
  int rc = SQLITE_DONE, result = 0;
  sqlite3_stmt *stmt = rt_reader_statement(t->reader, CALLS_SINCE);
  if (!stmt) return -1;
  sqlite3_bind_int64(stmt, 1, rt_sqlite_key(t->run, t->newest));
  sqlite3_bind_int64(stmt, 2, rt_sqlite_key(t->run, UINT32_MAX));
  sqlite3_bind_int64(stmt, 3, most);
  while (result == 0 && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
    rt_call_record c;
    rt_reader_call(stmt, false, &c);
    if (c.seq - t->newest > MOST_AHEAD) return rt_reader_failed(t->reader, SQLITE_CORRUPT);
    while (++t->newest < c.seq)
      if (!look_again(t, t->newest, false)) return no_memory(t);
    bool waits = waits_for_caller(t, &c);
    if ((waits || c.status == RT_RUNNING) && !look_again(t, c.seq, c.started_at > 0))
      return no_memory(t);
    count++;
    if (!waits) result = hand_out(t, &c, f, data);
  }
  if (result != 0) return result;
  if (rc != SQLITE_DONE) return rt_reader_failed(t->reader, rc);
  return count == most;
}

static int look_for_progress(rt_tail *t, const rt_follower *f, void *data) {
  int rc = SQLITE_DONE, result = 0;
  sqlite3_stmt *stmt = rt_reader_statement(t->reader, PROGRESS_SINCE);
  if (!stmt) return -1;
  sqlite3_bind_int64(stmt, 1, t->newest_event);
  sqlite3_bind_int64(stmt, 2, rt_sqlite_key(t->run, UINT32_MAX));
  sqlite3_bind_int64(stmt, 3, -1);
  while (result == 0 && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
    t->newest_event = sqlite3_column_int64(stmt, 0);
    const char *value = (const char *)sqlite3_column_text(stmt, 4);
    if (!value) continue;
    rt_event_record e = {
        .run = t->run, .seq = (uint32_t)sqlite3_column_int64(stmt, 1),
        .at = sqlite3_column_double(stmt, 2), .kind = {"progress", 8},
        .value = {value, (size_t)sqlite3_column_bytes(stmt, 4)},
    };
    result = f->progress(data, &e);
  }
  return result == 0 && rc != SQLITE_DONE ? rt_reader_failed(t->reader, rc) : result;
}

static int64_t version(rt_tail *t) {
  sqlite3_stmt *stmt = rt_reader_statement(t->reader, VERSION);
  if (!stmt) return -1;
  int rc = sqlite3_step(stmt);
  return rc == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : rt_reader_failed(t->reader, rc);
}

static int look(rt_tail *t, uint32_t most, const rt_follower *f, void *data) {
  rt_run_record run;
  int result = rt_reader_read_run(t->reader, t->run, 0, &run);
  if (result < 0) return -1;
  if (result == 0 || run.run != t->run) {  // it was removed
    run = (rt_run_record){.run = t->run, .status = RT_INTERRUPTED};
    return f->run(data, &run) ? -1 : 0;
  }
  if ((result = f->run(data, &run)) != 0) return result;
  bool over = run.status != RT_RUNNING;
  if (over && !t->over) t->seen = -1;  // a process that is gone leaves no trace in the file
  t->over = over;
  int64_t now = version(t);
  if (now < 0) return -1;
  if (now == t->seen) return 0;
  if ((result = look_at_open(t, &most, f, data)) != 0) return result;
  int more = most == 0 ? 1 : look_for_new(t, most, f, data);
  if (more < 0 || more == 2) return more;
  if ((result = look_for_progress(t, f, data)) != 0) return result;
  if (!more) t->seen = now;
  return more;
}

int rt_tail_look(rt_tail *t, uint32_t most, const rt_follower *f, void *data) {
  rt_reader_pause(t->reader);
  if (rt_reader_begin(t->reader) < 0) return -1;
  int result = look(t, most, f, data);
  rt_reader_pause(t->reader);
  return result;
}

static int read_call(rt_tail *t, uint32_t seq,
                     int (*call)(void *data, const rt_call_view *call), void *data) {
  sqlite3_stmt *stmt = rt_reader_statement(t->reader, CALL);
  if (!stmt) return -1;
  sqlite3_bind_int64(stmt, 1, rt_sqlite_key(t->run, seq));
  int rc = sqlite3_step(stmt);
  if (rc == SQLITE_DONE) return 0;
  if (rc != SQLITE_ROW) return rt_reader_failed(t->reader, rc);
  rt_call_record c;
  rt_reader_call(stmt, true, &c);
  return show(t, &c, call, data);
}

int rt_tail_read(rt_tail *t, const uint32_t *seqs, size_t count,
                 int (*call)(void *data, const rt_call_view *call), void *data) {
  int result = rt_reader_begin(t->reader);
  for (size_t i = 0; i < count && result == 0; i++)
    if (is_known(t, seqs[i])) result = read_call(t, seqs[i], call, data);
  rt_reader_pause(t->reader);
  return result;
}
