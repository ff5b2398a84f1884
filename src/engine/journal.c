#include "journal.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "buf.h"
#include "entry.h"
#include "log.h"
#include "pending.h"
#include "stream.h"

enum {
  GATHER_NS = 100000000,   // how long records gather before they are written
  GROUP = 20000,           // rows in one transaction: others want to write too
  LOCKED_TRIES = 6,        // times the store's own patience with another writer
};
#define HOLD_NS INT64_C(500000000)   /* how long a beginning waits for its end */
#define MEASURE_NS INT64_C(250000000) /* how often the file is measured */

struct rt_journal {
  rt_stream stream;
  rt_store *store;          // NULL: memory only
  pthread_t thread;
  bool running;             // there is a writer
  int64_t max_size;
  char *path;
  uint32_t runs;            // memory: runs begun
  void *open;               // the record that is being written
  // the writer's
  rt_pending pending;
  rt_buf site;              // of the call that is being written
  rt_chunk *at;             // where it reads
  bool open_group;
  uint32_t group;           // rows in the open group
  uint64_t group_calls;     // calls whose end stands in it
  uint64_t *parents;        // named by rows of the open group, perhaps pending
  size_t parent_count, parent_room;
  uint64_t last_parent;
  int64_t measured;         // when the file was last measured
  bool unmeasured;          // it has been written to since
  bool told_removal;
  _Atomic bool impatient;   // told by the loop: beginnings are not held back
  // told to other threads
  _Atomic uint64_t held, held_bytes;  // beginnings that are pending
  _Atomic uint64_t lost;
  _Atomic bool broken;      // the store cannot be written any more
  char *why;                // set before 'broken'
};

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- the writer ---- */

static void add(_Atomic uint64_t *count, uint64_t more) {
  uint64_t now = atomic_load_explicit(count, memory_order_relaxed);
  atomic_store_explicit(count, now + more, memory_order_relaxed);
}

static uint64_t size_of(const rt_pending_call *call) {
  return ((const rt_stream_head *)call->record)->size;
}

/* Its chunk may go, as far as this call is concerned. */
static void let_go(rt_journal *j, const rt_pending_call *call) {
  call->chunk->held--;
  add(&j->held, (uint64_t)-1);
  add(&j->held_bytes, -size_of(call));
}

static bool hold(rt_journal *j, const rt_pending_call *call) {
  if (!rt_pending_add(&j->pending, call)) return false;
  call->chunk->held++;
  add(&j->held, 1);
  add(&j->held_bytes, size_of(call));
  return true;
}

/* A row of the open group names this parent. */
static void note_parent(rt_journal *j, uint64_t key) {
  if (key == j->last_parent) return;
  j->last_parent = key;
  if (!rt_pending_has(&j->pending, key)) return;
  if (j->parent_count == j->parent_room) {
    size_t room = j->parent_room ? j->parent_room * 2 : 256;
    uint64_t *parents = realloc(j->parents, room * sizeof *parents);
    if (!parents) return;
    j->parents = parents;
    j->parent_room = room;
  }
  j->parents[j->parent_count++] = key;
}

/* The store failed, or must not grow. What was in the open group and what comes from
 * now on is not recorded in the file; the run itself goes on. */
static void give_up(rt_journal *j, const char *why) {
  if (atomic_load(&j->broken)) return;
  if (j->open_group) j->store->api->rollback(j->store);
  j->open_group = false;
  j->why = strdup(why);
  atomic_fetch_add(&j->lost, j->group_calls);
  atomic_store(&j->broken, true);
  rt_log(RT_LOG_ERROR, "%s; calls are no longer recorded in the file from here on", why);
}

/* The parents of calls in this group that are still held back get their row in it too, so
 * that whoever reads after a crash finds no call without its caller. */
static bool add_parents(rt_journal *j) {
  rt_pending_call call;
  for (size_t i = 0; i < j->parent_count; i++) {
    if (!rt_pending_take(&j->pending, j->parents[i], &call)) continue;
    rt_call_record c = rt_entry_begun(call.record, &j->site);
    let_go(j, &call);
    if (j->store->api->call_add(j->store, &c) < 0) return false;
    if (c.parent) note_parent(j, rt_pending_key((uint32_t)c.run, c.parent));
  }
  j->parent_count = 0;
  j->last_parent = 0;
  return true;
}

static bool commit(rt_journal *j) {
  if (!j->open_group) return true;
  if (!add_parents(j) || j->store->api->commit(j->store) < 0) {
    give_up(j, rt_store_error(j->store));
    return false;
  }
  j->open_group = false;
  j->unmeasured = true;
  j->group = 0;
  j->group_calls = 0;
  return true;
}

/* A group is open and may take one more row. */
static bool in_group(rt_journal *j) {
  if (atomic_load_explicit(&j->broken, memory_order_relaxed)) return false;
  if (j->open_group && j->group >= GROUP) {
    if (!commit(j)) return false;
    // The lock is fair to nobody: stand aside long enough for one who waits for it.
    nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
  }
  if (!j->open_group) {
    int tries = LOCKED_TRIES;
    while (j->store->api->begin(j->store) < 0) {
      if (--tries == 0 || !strstr(rt_store_error(j->store), "locked")) {
        give_up(j, rt_store_error(j->store));
        return false;
      }
      rt_log(RT_LOG_WARNING, "%s; waiting for it", rt_store_error(j->store));
    }
    j->open_group = true;
  }
  j->group++;
  return true;
}

static void write_call(rt_journal *j, const rt_call_record *c, bool add) {
  bool counts = c->ended_at > 0;  // once for each call, also one whose beginning is there
  if (!in_group(j)) {
    if (counts) atomic_fetch_add(&j->lost, 1);
    return;
  }
  if (counts) j->group_calls++;
  if (add && c->parent) note_parent(j, rt_pending_key((uint32_t)c->run, c->parent));
  const rt_store_api *api = j->store->api;
  if ((add ? api->call_add(j->store, c) : api->call_update(j->store, c)) < 0)
    give_up(j, rt_store_error(j->store));
}

/* Writes the oldest pending call as one that still runs. */
static void settle_oldest(rt_journal *j) {
  rt_pending_call call;
  rt_pending_take(&j->pending, rt_pending_oldest(&j->pending)->key, &call);
  rt_call_record c = rt_entry_begun(call.record, &j->site);
  write_call(j, &c, true);
  let_go(j, &call);
}

static void take_begin(rt_journal *j, rt_chunk *chunk, const call_begin *b) {
  rt_pending_call call = {rt_pending_key(b->run, b->seq), b, chunk, now_ns()};
  if (hold(j, &call)) return;
  rt_call_record c = rt_entry_begun(b, &j->site);
  write_call(j, &c, true);
}

static void take_end(rt_journal *j, const call_end *e) {
  rt_pending_call call;
  rt_call_record c = {0};
  bool add = rt_pending_take(&j->pending, rt_pending_key(e->run, e->seq), &call);
  if (add) {
    c = rt_entry_begun(call.record, &j->site);
    let_go(j, &call);
  }
  rt_entry_ended(&c, e);
  write_call(j, &c, add);
}

/* How a run ended is worth a try even after its calls could not be recorded. */
static void write_last_row(rt_journal *j, const rt_run_record *run) {
  const rt_store_api *api = j->store->api;
  if (api->begin(j->store) < 0) return;
  if (api->run_end(j->store, run) < 0 || api->commit(j->store) < 0)
    api->rollback(j->store);
}

static void take_record(rt_journal *j, rt_chunk *chunk, const rt_stream_head *head) {
  switch (head->type) {
    case CALL_BEGIN: take_begin(j, chunk, (const call_begin *)(const void *)head); break;
    case CALL_END: take_end(j, (const call_end *)(const void *)head); break;
    case RUN_BEGIN: {
      const run_begin *b = (const run_begin *)(const void *)head;
      *b->result = -1;
      if (in_group(j)) {
        *b->result = j->store->api->run_begin(j->store, b->run);
        if (*b->result < 0) give_up(j, rt_store_error(j->store));
      }
      break;
    }
    case RUN_END: {
      const run_end *e = (const run_end *)(const void *)head;
      if (atomic_load(&j->broken)) write_last_row(j, e->run);
      else if (in_group(j) && j->store->api->run_end(j->store, e->run) < 0)
        give_up(j, rt_store_error(j->store));
      break;
    }
    case EVENT: {
      const event *e = (const event *)(const void *)head;
      const char *at = e->texts;
      rt_event_record record = {.run = e->run, .seq = e->seq, .at = e->at};
      record.kind = rt_entry_text(&at, e->kind);
      record.value = rt_entry_text(&at, e->value);
      if (in_group(j) && j->store->api->event_add(j->store, &record) < 0)
        give_up(j, rt_store_error(j->store));
      break;
    }
    default: break;
  }
}

/* Frees what has been read. Under pressure the beginnings that hold the oldest chunks are
 * not waited for: the loop may be standing still for want of room. */
static void make_room(rt_journal *j) {
  if (j->stream.limit / 2 < rt_stream_bytes(&j->stream))
    while (rt_stream_oldest(&j->stream)->held && rt_pending_oldest(&j->pending))
      settle_oldest(j);
  rt_stream_release(&j->stream, j->at);
}

/* A call that begins and ends in two records next to each other, as most do. */
static bool take_whole(rt_journal *j, rt_chunk *chunk, const rt_stream_head *head) {
  const call_begin *b = (const void *)head;
  size_t read = atomic_load_explicit(&chunk->read, memory_order_relaxed);
  const call_end *e = (const void *)(chunk->bytes + read);
  if (head->type != CALL_BEGIN || e->head.type != CALL_END || b->seq != e->seq ||
      b->run != e->run)
    return false;
  rt_stream_take(chunk, e->head.size);
  rt_call_record c = rt_entry_begun(b, &j->site);
  rt_entry_ended(&c, e);
  write_call(j, &c, true);
  return true;
}

/* Takes what is in the stream now, not what goes on coming in; whether there was any. */
static bool take_all(rt_journal *j) {
  const rt_chunk *newest = rt_stream_newest(&j->stream);
  bool any = false;
  for (;;) {
    rt_chunk *chunk = j->at;
    rt_chunk *next = rt_stream_next(&j->stream, chunk);
    size_t used = atomic_load_explicit(&chunk->used, memory_order_acquire);
    size_t read;
    while ((read = atomic_load_explicit(&chunk->read, memory_order_relaxed)) < used) {
      const rt_stream_head *head = (const void *)(chunk->bytes + read);
      rt_stream_take(chunk, head->size);
      any = true;
      if (read + head->size < used && take_whole(j, chunk, head)) continue;
      take_record(j, chunk, head);
    }
    if (!next || chunk == newest) return any;
    j->at = next;
    make_room(j);
  }
}

static void keep_in_bounds(rt_journal *j) {
  if (!j->max_size || atomic_load(&j->broken)) return;
  int64_t now = now_ns();
  if (!j->unmeasured || now - j->measured < MEASURE_NS) return;
  j->measured = now;
  j->unmeasured = false;
  while (j->store->api->size(j->store) > j->max_size) {
    int64_t run = 0;
    if (j->store->api->drop_oldest(j->store, &run) < 0) {
      give_up(j, rt_store_error(j->store));
      return;
    }
    if (!run) {
      rt_buf why = {0};
      rt_buf_printf(&why, "journal %s has reached its bound of %lld bytes (--journal-max) "
                    "and holds no ended run to remove", j->path, (long long)j->max_size);
      rt_buf_char(&why, '\0');
      give_up(j, why.failed ? "journal: not enough memory" : why.data);
      rt_buf_free(&why);
      return;
    }
    if (!j->told_removal)
      rt_log(RT_LOG_WARNING, "journal %s is larger than %lld bytes (--journal-max): "
             "removing its oldest runs", j->path, (long long)j->max_size);
    j->told_removal = true;
  }
}

static void *write_all(void *data) {
  rt_journal *j = data;
  bool stop = false, any = true;
  while (!stop) {
    bool rest = j->pending.count > 0 || any || (j->unmeasured && j->max_size);
    uint64_t ticket = rt_stream_wait(&j->stream, rest ? GATHER_NS : -1, &stop);
    any = take_all(j);
    const rt_pending_call *oldest;
    int64_t now = now_ns();
    while ((oldest = rt_pending_oldest(&j->pending)) &&
           (stop || j->impatient || now - oldest->since >= HOLD_NS))
      settle_oldest(j);
    commit(j);
    keep_in_bounds(j);
    make_room(j);
    commit(j);
    rt_stream_synced(&j->stream, ticket);
  }
  return NULL;
}

static int start_writer(rt_journal *j) {
  sigset_t all, before;  // signals belong to the threads of the program that opened us
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int status = pthread_create(&j->thread, NULL, write_all, j);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  j->running = status == 0;
  return status;
}

/* ---- the loop's side ---- */

int rt_journal_open(rt_journal **out, const rt_journal_options *options, char **error) {
  *out = NULL;
  *error = NULL;
  rt_journal *j = calloc(1, sizeof *j);
  if (!j) goto fail;
  j->max_size = options->max_size;
  if (!rt_stream_open(&j->stream, options->path ? RT_JOURNAL_QUEUE : RT_JOURNAL_KEPT_BYTES,
                      options->path ? 0 : RT_JOURNAL_KEPT))
    goto fail;
  j->at = j->stream.head;
  if (options->path) {
    j->path = strdup(options->path);
    if (!j->path) goto fail;
    if (rt_sqlite_open(&j->store, options->path, error) < 0) goto fail;
    if (start_writer(j) != 0) goto fail;
  }
  *out = j;
  return 0;

fail:
  if (!*error) *error = strdup("journal: not enough memory");
  rt_journal_close(j);
  return -1;
}

void rt_journal_close(rt_journal *j) {
  if (!j) return;
  if (j->running) {
    rt_stream_stop(&j->stream);
    pthread_join(j->thread, NULL);
  }
  if (j->store) j->store->api->close(j->store);
  rt_pending_free(&j->pending);
  free(j->parents);
  rt_buf_free(&j->site);
  rt_stream_close(&j->stream);
  free(j->path);
  free(j->why);
  free(j);
}

const char *rt_journal_path(const rt_journal *j) { return j->path; }

int rt_journal_run_begin(rt_journal *j, rt_run_record *r) {
  int result = -1;
  run_begin *record = NULL;
  if (j->running && (record = rt_stream_reserve(&j->stream, sizeof *record, RUN_BEGIN))) {
    record->run = r;
    record->result = &result;
    rt_stream_publish(&j->stream, record);
    rt_stream_sync(&j->stream);
  }
  // A run that has no row gets a number that no row will have.
  if (result < 0) r->run = INT64_C(0xffffffff) - j->runs++ % (1u << 24);
  return j->running ? result : 0;
}

void rt_journal_run_end(rt_journal *j, const rt_run_record *r) {
  run_end *record = NULL;
  if (j->running && (record = rt_stream_reserve(&j->stream, sizeof *record, RUN_END))) {
    record->run = r;
    rt_stream_publish(&j->stream, record);
    rt_stream_sync(&j->stream);
  }
}

static uint32_t text_size(rt_text text) { return text.data ? (uint32_t)text.size : NO_TEXT; }

static char *put(char *at, rt_text text) {
  if (text.size) memcpy(at, text.data, text.size);
  return at + text.size;
}

/* Room behind 'at', in the record, for a text. */
static void give_room(rt_buf *b, char *at, size_t room) {
  *b = (rt_buf){.data = at, .capacity = room, .fixed = true};
}

static void publish(rt_journal *j, void *record, const char *end) {
  rt_stream_head *head = record;
  head->size = (uint32_t)(end - (char *)record);
  rt_stream_publish(&j->stream, record);
}

void rt_journal_call_begin(rt_journal *j, const rt_journal_call *c, size_t room,
                           rt_buf *args) {
  size_t size = sizeof(call_begin) + c->node.size;
  call_begin *b = rt_stream_reserve(&j->stream, size + room, CALL_BEGIN);
  if (!b) {
    args->failed = true;
    return;
  }
  b->run = c->run;
  b->seq = c->seq;
  b->parent = c->parent;
  b->ordinal = c->ordinal;
  b->spawned = c->spawned;
  b->started = c->started;
  b->file = c->file.data;
  b->file_size = (uint32_t)c->file.size;
  b->line = c->line;
  b->kind = c->kind;
  b->node = (uint32_t)c->node.size;
  b->args = NO_TEXT;
  char *at = put(b->texts, c->node);
  j->open = b;
  give_room(args, at, room);
}

void rt_journal_call_begun(rt_journal *j, const rt_buf *args) {
  call_begin *b = j->open;
  if (args->size) b->args = (uint32_t)args->size;
  j->stream.tail->calls++;
  j->stream.calls++;
  publish(j, b, args->data + args->size);
}

void rt_journal_call_end(rt_journal *j, uint32_t run, uint32_t seq, rt_status status,
                         int64_t ended_ns, rt_text error, size_t room, rt_buf *results) {
  call_end *e = rt_stream_reserve(&j->stream, sizeof(call_end) + error.size + room, CALL_END);
  if (!e) {
    results->failed = true;
    return;
  }
  e->run = run;
  e->seq = seq;
  e->ended = ended_ns;
  e->status = status;
  e->error = text_size(error);
  e->results = NO_TEXT;
  j->open = e;
  give_room(results, put(e->texts, error), room);
}

void rt_journal_call_ended(rt_journal *j, const rt_buf *results) {
  call_end *e = j->open;
  if (results->size) e->results = (uint32_t)results->size;
  publish(j, e, results->data + results->size);
}

bool rt_journal_waits(const rt_journal *j) { return j && j->stream.waits; }

void rt_journal_sync(rt_journal *j) {
  if (!j->running) return;
  j->impatient = true;
  rt_stream_sync(&j->stream);
  j->impatient = false;
}

void rt_journal_call_lost(rt_journal *j) { atomic_fetch_add(&j->lost, 1); }

void rt_journal_event(rt_journal *j, const rt_event_record *r) {
  event *e = rt_stream_reserve(&j->stream, sizeof *e + r->kind.size + r->value.size, EVENT);
  if (!e) return;
  e->run = (uint32_t)r->run;
  e->seq = r->seq;
  e->at = r->at;
  e->kind = text_size(r->kind);
  e->value = text_size(r->value);
  put(put(e->texts, r->kind), r->value);
  rt_stream_publish(&j->stream, e);
}

void rt_journal_queue(rt_journal *j, uint64_t *records, uint64_t *bytes) {
  *records = *bytes = 0;
  if (!j->running) return;
  rt_stream_untaken(&j->stream, records, bytes);
  *records += atomic_load_explicit(&j->held, memory_order_relaxed);
  *bytes += atomic_load_explicit(&j->held_bytes, memory_order_relaxed);
}

uint64_t rt_journal_lost(rt_journal *j, const char **why) {
  *why = atomic_load(&j->broken) && j->why ? j->why : "not enough memory";
  return atomic_load(&j->lost);
}

int rt_journal_kept(rt_journal *j, int (*each)(void *data, const rt_call_record *c),
                    void *data) {
  rt_pending pending = {0};
  rt_buf site = {0};
  rt_pending_call call;
  int result = 0;
  for (rt_chunk *chunk = j->stream.head; chunk && !result; chunk = chunk->next) {
    size_t used = atomic_load_explicit(&chunk->used, memory_order_acquire), size;
    for (size_t read = 0; read < used && !result; read += size) {
      const rt_stream_head *head = (const void *)(chunk->bytes + read);
      size = head->size;
      if (head->type == CALL_BEGIN) {
        const call_begin *b = (const void *)head;
        call = (rt_pending_call){rt_pending_key(b->run, b->seq), b, chunk, 0};
        if (!rt_pending_add(&pending, &call)) result = -1;
      } else if (head->type == CALL_END) {
        const call_end *e = (const void *)head;
        if (!rt_pending_take(&pending, rt_pending_key(e->run, e->seq), &call)) continue;
        rt_call_record c = rt_entry_begun(call.record, &site);
        rt_entry_ended(&c, e);
        result = each(data, &c);
      }
    }
  }
  while (!result && rt_pending_oldest(&pending)) {
    rt_pending_take(&pending, rt_pending_oldest(&pending)->key, &call);
    rt_call_record c = rt_entry_begun(call.record, &site);
    result = each(data, &c);
  }
  rt_pending_free(&pending);
  rt_buf_free(&site);
  return result;
}
