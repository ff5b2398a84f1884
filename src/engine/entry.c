#include "entry.h"

static double seconds(int64_t ns) { return (double)ns / 1e9; }

rt_text rt_entry_text(const char **at, uint32_t size) {
  if (size == NO_TEXT) return (rt_text){0};
  rt_text text = {*at, size};
  *at += size;
  return text;
}

rt_call_record rt_entry_begun(const call_begin *b, rt_buf *site) {
  const char *at = b->texts;
  rt_call_record c = {
      .run = b->run, .seq = b->seq, .parent = b->parent, .ordinal = b->ordinal,
      .kind = (rt_call_kind)b->kind, .status = RT_RUNNING,
      .spawned_at = seconds(b->spawned), .started_at = seconds(b->started),
  };
  c.node = rt_entry_text(&at, b->node);
  c.args = rt_entry_text(&at, b->args);
  site->size = 0;
  if (b->file) {
    rt_buf_add(site, b->file, b->file_size);
    rt_buf_char(site, ':');
    rt_buf_int(site, b->line);
    if (!site->failed) c.site = (rt_text){site->data, site->size};
  }
  return c;
}

void rt_entry_ended(rt_call_record *c, const call_end *e) {
  const char *at = e->texts;
  c->run = e->run;
  c->seq = e->seq;
  c->status = (rt_status)e->status;
  c->ended_at = seconds(e->ended);
  c->error = rt_entry_text(&at, e->error);
  c->results = rt_entry_text(&at, e->results);
}
