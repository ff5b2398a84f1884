/* calls.c -- the calls of a run as columns, in the bytes of the machine (little-endian, as
 * all we run on), so that the page takes them as typed arrays without looking at each:
 *
 *   u32  "RTC1", epoch, version, flags (1: forget what you have, 2: the run has more calls
 *        than are told), rows, the first name that follows, bytes of names, 0
 *   f64  when the run began, in seconds since 1970
 *   JSON list of names, blanks up to a multiple of 8
 *   f64  spawned, started, ended [rows], in seconds since the run began; NaN for not yet
 *   u32  seq, parent, ordinal, node [rows]; node is a place among all names told so far
 *   u8   status, kind [rows]
 *
 * With ?since= and ?epoch= of the answer before, only what has changed since then.
 */
#include <math.h>
#include <string.h>

#include "json.h"
#include "request.h"
#include "sqlite_file.h"

enum { WHOLE = 1, MORE = 2 };

typedef struct columns {
  double *spawned, *started, *ended;
  uint32_t *seq, *parent, *ordinal, *node;
  uint8_t *status, *kind;
} columns;

enum { ROW_BYTES = 3 * sizeof(double) + 4 * sizeof(uint32_t) + 2 };

static columns lay_out(char *at, size_t rows) {
  double *times = (double *)(void *)at;
  uint32_t *numbers = (uint32_t *)(void *)(times + 3 * rows);
  uint8_t *bytes = (uint8_t *)(numbers + 4 * rows);
  return (columns){times, times + rows, times + 2 * rows, numbers, numbers + rows,
                   numbers + 2 * rows, numbers + 3 * rows, bytes, bytes + rows};
}

static double since_start(double time, double origin) {
  return time > 0 ? time - origin : NAN;
}

static void put(const columns *c, size_t at, const rt_model_call *call, double origin) {
  c->spawned[at] = since_start(call->spawned, origin);
  c->started[at] = since_start(call->started, origin);
  c->ended[at] = since_start(call->ended, origin);
  c->seq[at] = call->seq;
  c->parent[at] = call->parent;
  c->ordinal[at] = call->ordinal;
  c->node[at] = call->node;
  c->status[at] = call->status;
  c->kind[at] = call->kind;
}

static void write_names(rt_buf *b, const rt_model *m, uint32_t first) {
  rt_buf_char(b, '[');
  for (uint32_t i = first; i < m->names_count; i++) {
    if (i > first) rt_buf_char(b, ',');
    rt_view_text(b, (rt_text){m->names[i].text, m->names[i].size});
  }
  rt_buf_char(b, ']');
  while (b->size % 8) rt_buf_char(b, ' ');
}

void rt_api_calls(rt_request *q, const rt_run_record *run) {
  int64_t since, epoch, names;
  if (!rt_request_number(q, "since", 0, UINT32_MAX, 0, &since) ||
      !rt_request_number(q, "epoch", 0, UINT32_MAX, 0, &epoch) ||
      !rt_request_number(q, "names", 0, UINT32_MAX, 0, &names))
    return;
  double origin = run->started_at;
  rt_run_record now = *run;
  const rt_model *m = rt_models_of(q->models, q->source, &now);
  if (!m) {
    rt_request_broken(q);
    return;
  }
  bool whole = epoch != m->epoch || since > m->version || names > m->names_count;
  if (whole) since = names = 0;
  uint32_t rows = 0;
  for (uint32_t i = 0; i < m->count; i++) rows += m->calls[i].version > since;

  rt_buf *b = &q->body;
  uint32_t head[8] = {0, m->epoch, m->version, (whole ? WHOLE : 0) | (m->more ? MORE : 0),
                      rows, (uint32_t)names, 0, 0};
  memcpy(head, "RTC1", 4);
  rt_buf_add(b, head, sizeof head);
  rt_buf_add(b, &origin, sizeof origin);
  size_t before = b->size;
  write_names(b, m, (uint32_t)names);
  if (!rt_buf_reserve(b, rows * (size_t)ROW_BYTES)) return;
  head[6] = (uint32_t)(b->size - before);
  memcpy(b->data, head, sizeof head);

  columns c = lay_out(b->data + b->size, rows);
  size_t at = 0;
  for (uint32_t i = 0; i < m->count; i++)
    if (m->calls[i].version > since) put(&c, at++, &m->calls[i], origin);
  b->size += rows * (size_t)ROW_BYTES;
  q->type = "application/octet-stream";
}
