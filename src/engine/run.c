#include "run.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "deadline.h"
#include "engine.h"
#include "script.h"

/* The body and its arguments stand on the caller's stack. */
static void push_root(rt_call *c, lua_State *co) {
  rt_run *run = c->run;
  lua_State *from = run->caller;
  if (!lua_checkstack(from, run->count + 1) || !lua_checkstack(co, run->count + 4)) {
    // The body alone: it cannot be called with what there is no room for.
    run->count = 1;
  }
  rt_node_push_body(from, run->first);
  for (int i = 1; i < run->count; i++) lua_pushvalue(from, run->first + i);
  lua_xmove(from, co, run->count);
}

static int run_finish(lua_State *L, rt_task *task) {
  rt_run *run = task->wait.other.on;
  int count = run->count;
  bool failed = run->failed;
  rt_run_unref(run);
  if (!failed) return count;
  rt_call_receive(L, rt_call_of(task));
  return lua_error(L);
}

static void run_unlink(rt_scheduler *s, rt_task *task) {
  (void)s;
  rt_run_unref(task->wait.other.on);
}

const rt_wait_kind rt_run_wait = {.name = "a run", .finish = run_finish};

/* The waiter was cancelled before the run had ended. */
static const rt_wait_kind lost_run = {
    .name = "a run", .unlink = run_unlink, .finish = run_finish};

static void drop_context(rt_run *run) {
  rt_anchor_drop(&run->engine->scheduler, run->context);
  run->context = 0;
}

static void deliver_root(lua_State *L, rt_call *c, int first) {
  rt_run *run = c->run;
  rt_engine *e = run->engine;
  int count = lua_gettop(L) - first + 1;

  run->status = (rt_status)c->status;
  run->failed = c->status != RT_DONE;
  rt_text error = {0};
  if (run->failed) error = rt_call_written_error(c, rt_failure_at(L, first + 1));
  rt_run_record record = {
      .run = run->number, .ended_at = (double)(rt_scheduler_now(&e->scheduler) + run->epoch) / 1e9,
      .status = run->status, .calls = run->calls, .error = error,
  };
  rt_journal_run_end(e->journal, &record);
  run->over = true;
  run->root = NULL;
  drop_context(run);

  if (!lua_checkstack(run->caller, count + 4)) {
    lua_settop(L, first - 1);
    count = 0;
  }
  lua_xmove(L, run->caller, count);
  run->count = count;
  for (rt_run **at = &e->runs; *at; at = &(*at)->next)
    if (*at == run) {
      *at = run->next;
      break;
    }
  rt_call *waiter = run->waiter;
  if (waiter && rt_call_unwinds(waiter)) {
    waiter->task.kind = &lost_run;
    if (!waiter->live) rt_task_interrupt(&e->scheduler, &waiter->task);
  } else if (waiter) {
    rt_task_wake(&e->scheduler, &waiter->task);
  }
}

static const rt_use root_use = {.verb = "started", .push = push_root, .deliver = deliver_root};

static int64_t epoch_offset(const rt_scheduler *s, const rt_call *waiter) {
  // A run inside one that has left real time behind is of the same time as that one.
  if (waiter && s->virtual_clock) return waiter->run->epoch;
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec - rt_scheduler_now(s);
}

void rt_run_unref(rt_run *run) {
  if (--run->refs) return;
  rt_anchor_drop(&run->engine->scheduler, run->fatal_error);
  rt_anchor_drop(&run->engine->scheduler, run->fatal_failure);
  drop_context(run);
  free(run->fatal);
  free(run);
}

static void end_run(rt_run *run, const char *kind, const char *message) {
  run->fatal_kind = kind;
  rt_reason *reason = rt_reason_new(message, strlen(message));
  rt_call_cancel(run->root, reason);
  rt_call_end_shields(run->root);
  rt_reason_unref(reason);
}

void rt_run_fail(rt_run *run, const char *kind, const char *message) {
  if (run->fatal || !run->root) return;
  run->fatal = strdup(message);
  end_run(run, kind, message);
}

/* In: the run, the error, its failure or nil. */
static int keep_fatal(lua_State *L) {
  rt_run *run = lua_touserdata(L, 1);
  rt_scheduler *s = &run->engine->scheduler;
  const rt_failure *f = rt_failure_at(L, 3);
  run->fatal = strdup(f ? f->message : luaL_tolstring(L, 2, NULL));
  lua_settop(L, 3);
  run->fatal_failure = rt_anchor_put(s, L);
  run->fatal_error = rt_anchor_put(s, L);
  return 0;
}

/* Calls 'fn' with 'whom', the error at 'index' and its failure behind that. */
static void keep(lua_State *L, lua_CFunction fn, void *whom, int index) {
  index = lua_absindex(L, index);
  lua_pushcfunction(L, fn);
  lua_pushlightuserdata(L, whom);
  lua_pushvalue(L, index);
  lua_pushvalue(L, index + 1);
  if (lua_pcall(L, 3, 0, 0) != LUA_OK) lua_pop(L, 1);  // no memory
}

void rt_run_fail_with(rt_run *run, lua_State *L, int index) {
  if (run->fatal || !run->root || !lua_checkstack(L, 6)) return;
  keep(L, keep_fatal, run, index);
  if (!run->fatal) run->fatal = strdup("not enough memory");
  end_run(run, "fatal", run->fatal ? run->fatal : "not enough memory");
}

/* The line that 'c' belongs to; NULL: its run is no session of lines. */
static rt_call *line_of(rt_call *c) {
  if (!c->run->lines || !c->parent) return NULL;
  while (c->parent->parent) c = c->parent;
  return c;
}

/* In: the line, the error, its failure or nil. */
static int keep_fatal_of_line(lua_State *L) {
  rt_call *line = lua_touserdata(L, 1);
  rt_scheduler *s = &line->run->engine->scheduler;
  line->rare->fatal_failure = rt_anchor_put(s, L);
  line->rare->fatal_error = rt_anchor_put(s, L);
  return 0;
}

/* The error is at 'index' of L, its failure behind it. */
static void fail_line(rt_call *line, lua_State *L, int index) {
  if (!rt_call_rare_of(line) || line->rare->fatal_error) return;
  keep(L, keep_fatal_of_line, line, index);
  rt_call_cancel_for(line, "a fatal error has ended its line");
  rt_call_end_shields(line);
}

_Noreturn void rt_run_raise(lua_State *L, rt_call *c) {
  rt_call *line = line_of(c);
  rt_call_note_failure(L, c, -1);
  lua_pushvalue(L, -1);
  rt_call_push_failure(L, c);
  if (line) fail_line(line, L, -2);
  else rt_run_fail_with(c->run, L, -2);
  lua_pop(L, 2);
  rt_call_raise_through(L, c);
}

void rt_run_push_fatal(lua_State *L, rt_run *run) {
  rt_scheduler *s = &run->engine->scheduler;
  if (!run->fatal_error) {
    rt_error_push(L, run->fatal_kind, "%s", run->fatal);
    lua_pushnil(L);
    return;
  }
  rt_anchor_push(s, L, run->fatal_error);
  rt_anchor_push(s, L, run->fatal_failure);
}

/* A run that stands still does not wait for its own deadline. */
static bool set_deadline(lua_State *L, rt_run *run) {
  double seconds = run->timeout;
  rt_place here = rt_place_here(&run->engine->places, L);
  const char *by = here.file ? NULL : "for its run";
  if (run->engine->run_timeout && !run->waiter) {
    double most = (double)run->engine->run_timeout / 1e9;
    if (!(seconds > 0) || most < seconds) {
      seconds = most;
      by = "by --timeout";
    }
  }
  if (!(seconds > 0)) return true;
  if (!rt_deadline_set(run->root, seconds, here, by)) return false;
  rt_deadline_quiet(run->root);
  return true;
}

rt_run *rt_run_start(lua_State *L, rt_engine *e, rt_node *node, int first,
                     const rt_run_options *options) {
  rt_journal *journal = rt_engine_journal(e, L);
  rt_call *waiter = rt_call_current(e);
  int context = 0;
  if (options->context) {
    lua_pushvalue(L, options->context);
    context = rt_anchor_put(&e->scheduler, L);
  }
  rt_run *run = calloc(1, sizeof *run);
  if (!run) {
    rt_anchor_drop(&e->scheduler, context);
    luaL_error(L, "not enough memory");
  }
  *run = (rt_run){
      .engine = e, .refs = 1, .caller = L, .first = first,
      .count = lua_gettop(L) - first + 1, .status = RT_RUNNING, .waiter = waiter,
      .epoch = epoch_offset(&e->scheduler, waiter), .timeout = options->timeout,
      .stop_on_error = options->stop_on_error, .context = context,
      .slice_limit = options->slice_limit ? options->slice_limit : e->slice_limit,
  };
  uint8_t id[16];
  rt_uuid_make(&e->uuids, id);
  rt_uuid_text(id, run->id);

  rt_script script = {0};
  if (rt_journal_path(journal)) rt_script_read(&script, options->script);
  rt_text name = options->name.data ? options->name : (rt_text){node->name, node->name_size};
  rt_run_record record = {
      .id = {run->id, 36}, .name = name, .pid = getpid(),
      .script = {script.path, script.path ? strlen(script.path) : 0},
      .script_hash = {script.path ? script.hash : NULL, strlen(script.hash)},
      .host = {e->host, strlen(e->host)},
      .process = {e->process, e->process ? strlen(e->process) : 0},
      .started_at = (double)(rt_scheduler_now(&e->scheduler) + run->epoch) / 1e9,
      .status = RT_RUNNING,
  };
  if (waiter) {
    record.parent_run = (rt_text){waiter->run->id, 36};
    record.parent_call = waiter->seq;
  }
  rt_journal_run_begin(journal, &record);
  rt_script_free(&script);
  run->number = (uint32_t)record.run;

  run->root = rt_call_new(run, NULL, node, &root_use, 0);
  if (!run->root || !set_deadline(L, run)) {
    if (run->root) rt_call_unref(run->root);
    rt_run_unref(run);
    luaL_error(L, "not enough memory");
  }
  run->root->observed = true;
  rt_call_keep_args(L, run->root, first + 1, run->count - 1);
  run->next = e->runs;
  e->runs = run;
  rt_call_queue(e, run->root);
  return run;
}
