#include "models.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sqlite_file.h"

/* ---- room ---- */

/* Makes '*array' hold at least 'need' items; new ones are zero. */
static bool grow(void *array, uint32_t *room, size_t need, size_t item) {
  void **at = array;
  if (need <= *room) return true;
  size_t more = *room ? *room : 256;
  while (more < need) more *= 2;
  char *data = realloc(*at, more * item);
  if (!data) return false;
  memset(data + *room * item, 0, (more - *room) * item);
  *at = data;
  *room = (uint32_t)more;
  return true;
}

static void clear(rt_model *m) {
  for (uint32_t i = 0; i < m->names_count; i++) free(m->names[i].text);
  free(m->names);
  free(m->table);
  free(m->calls);
  free(m->places);
  free(m->open);
  *m = (rt_model){0};
}

/* ---- names ---- */

static uint32_t hash_of(const char *text, size_t size) {
  uint32_t hash = 2166136261u;  // FNV-1a
  for (size_t i = 0; i < size; i++) hash = (hash ^ (unsigned char)text[i]) * 16777619u;
  return hash;
}

static bool grow_table(rt_model *m) {
  if (m->names_count * 2 < m->table_room) return true;
  uint32_t room = m->table_room ? m->table_room * 2 : 64;
  uint32_t *table = calloc(room, sizeof *table);
  if (!table) return false;
  for (uint32_t i = 0; i < m->names_count; i++) {
    uint32_t at = m->names[i].hash & (room - 1);
    while (table[at]) at = (at + 1) & (room - 1);
    table[at] = i + 1;
  }
  free(m->table);
  m->table = table;
  m->table_room = room;
  return true;
}

/* The place of a name, which is added if it is new; UINT32_MAX when out of memory. */
static uint32_t place_name(rt_model *m, rt_text text) {
  if (!text.data) text = (rt_text){"", 0};
  uint32_t hash = hash_of(text.data, text.size);
  if (!grow_table(m)) return UINT32_MAX;
  uint32_t at = hash & (m->table_room - 1);
  for (; m->table[at]; at = (at + 1) & (m->table_room - 1)) {
    const rt_model_name *name = &m->names[m->table[at] - 1];
    if (name->hash == hash && name->size == text.size &&
        memcmp(name->text, text.data, text.size) == 0)
      return m->table[at] - 1;
  }
  if (!grow(&m->names, &m->names_room, m->names_count + (size_t)1, sizeof *m->names))
    return UINT32_MAX;
  char *copy = malloc(text.size + 1);
  if (!copy) return UINT32_MAX;
  memcpy(copy, text.data, text.size);
  m->names[m->names_count] = (rt_model_name){copy, (uint32_t)text.size, hash};
  m->table[at] = ++m->names_count;
  return m->names_count - 1;
}

/* ---- rows ---- */

static bool look_again(rt_model *m, uint32_t seq) {
  if (!grow(&m->open, &m->opens_room, m->opens + (size_t)1, sizeof *m->open)) return false;
  m->open[m->opens++] = seq;
  return true;
}

/* Takes over a row of CALL_STATE; '*open' says whether it may still change. */
static bool take(rt_model *m, sqlite3_stmt *stmt, bool *open) {
  uint32_t seq = (uint32_t)sqlite3_column_int64(stmt, 0);
  if (!grow(&m->places, &m->places_room, seq + (size_t)1, sizeof *m->places)) return false;
  rt_model_call call = {
      .seq = seq, .parent = (uint32_t)sqlite3_column_int64(stmt, 1),
      .ordinal = (uint32_t)sqlite3_column_int64(stmt, 2),
      .kind = (uint8_t)rt_call_kind_named((const char *)sqlite3_column_text(stmt, 4)),
      .status = (uint8_t)rt_status_named((const char *)sqlite3_column_text(stmt, 5)),
      .spawned = sqlite3_column_double(stmt, 6), .started = sqlite3_column_double(stmt, 7),
      .ended = sqlite3_column_double(stmt, 8), .version = m->version,
  };
  *open = call.status == RT_RUNNING;
  uint32_t place = m->places[seq];
  if (place) {
    rt_model_call *old = &m->calls[place - 1];
    if (old->status == call.status && old->started == call.started) return true;
    call.node = old->node;
    *old = call;
    return true;
  }
  call.node = place_name(m, rt_source_text(stmt, 3));
  if (call.node == UINT32_MAX ||
      !grow(&m->calls, &m->room, m->count + (size_t)1, sizeof *m->calls))
    return false;
  m->calls[m->count++] = call;
  m->places[seq] = m->count;
  return true;
}

/* Looks at those again that were open; keeps those that still are. 1, 0 when out of memory,
 * or -1. */
static int look_at_open(rt_model *m, rt_source *s) {
  sqlite3_stmt *stmt = rt_source_statement(s, RT_SQL_CALL_STATE);
  if (!stmt) return -1;
  uint32_t kept = 0;
  for (uint32_t i = 0; i < m->opens; i++) {
    bool open = true;
    sqlite3_bind_int64(stmt, 1, rt_sqlite_key(m->run, m->open[i]));
    int rc = rt_source_step(s, stmt);
    if (rc < 0) return -1;
    if (rc == SQLITE_ROW && !take(m, stmt, &open)) return 0;
    sqlite3_reset(stmt);
    if (open) m->open[kept++] = m->open[i];
  }
  m->opens = kept;
  return 1;
}

static int read_new(rt_model *m, rt_source *s) {
  sqlite3_stmt *stmt = rt_source_statement(s, RT_SQL_CALLS);
  if (!stmt) return -1;
  sqlite3_bind_int64(stmt, 1, rt_sqlite_key(m->run, m->newest));
  sqlite3_bind_int64(stmt, 2, rt_sqlite_key(m->run, UINT32_MAX));
  int rc;
  while ((rc = rt_source_step(s, stmt)) == SQLITE_ROW) {
    uint32_t seq = (uint32_t)sqlite3_column_int64(stmt, 0);
    if (seq > RT_MODEL_CALLS) {
      m->more = true;
      break;
    }
    bool open;
    if (!take(m, stmt, &open)) return 0;
    while (++m->newest < seq)
      if (!look_again(m, m->newest)) return 0;
    if (open && !look_again(m, seq)) return 0;
  }
  sqlite3_reset(stmt);
  return rc < 0 ? -1 : 1;
}

static int refresh(rt_model *m, rt_source *s, const rt_run_record *run) {
  if (m->over) return 1;
  int64_t seen = rt_source_version(s);
  bool over = run->status != RT_RUNNING;
  if (seen < 0) return -1;
  if (m->version && seen == m->seen && !over) return 1;
  m->version++;
  int done = look_at_open(m, s);
  if (done > 0) done = read_new(m, s);
  if (done <= 0) return done;
  m->seen = seen;
  m->over = over;
  return 1;
}

/* ---- models ---- */

static rt_model *find(rt_models *m, const rt_source *s, int64_t run) {
  rt_model *oldest = &m->models[0];
  for (int i = 0; i < RT_MODELS; i++) {
    rt_model *at = &m->models[i];
    if (at->run == run && at->opened == s->opened) return at;
    if (at->used < oldest->used) oldest = at;
  }
  clear(oldest);
  if (!m->epoch) m->epoch = (uint32_t)time(NULL);  // not that of a server before
  oldest->run = run;
  oldest->opened = s->opened;
  oldest->epoch = ++m->epoch;
  return oldest;
}

rt_model *rt_models_of(rt_models *m, rt_source *s, const rt_run_record *run) {
  rt_model *model = find(m, s, run->run);
  model->used = ++m->uses;
  int done = refresh(model, s, run);
  if (done > 0) return model;
  clear(model);
  if (done == 0) {
    free(s->error);
    s->error = NULL;
  }
  return NULL;
}

int64_t rt_models_count(const rt_models *m, const rt_source *s, int64_t run) {
  for (int i = 0; i < RT_MODELS; i++) {
    const rt_model *at = &m->models[i];
    if (at->run == run && at->opened == s->opened && !at->more) return at->count;
  }
  return -1;
}

void rt_models_close(rt_models *m) {
  for (int i = 0; i < RT_MODELS; i++) clear(&m->models[i]);
}
