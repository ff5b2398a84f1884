/* asking.c -- a plugin of nodes that call other nodes. */
#include <pthread.h>
#include <railtracks.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* How often 'then' was promised and has been called. */
typedef struct tally {
  pthread_mutex_t lock;
  int asked, told;
  rt_call *kept;  // a handle that is out; NULL: none
} tally;

static void count(rt_call *c, int asked, int told) {
  tally *t = rt_state(c);
  pthread_mutex_lock(&t->lock);
  t->asked += asked;
  t->told += told;
  pthread_mutex_unlock(&t->lock);
}

static int ask(rt_call *c, const char *node, const rt_value *args, rt_then *then, void *data) {
  count(c, 1, 0);  // once it has asked, a handle may be gone
  int said = rt_ask(c, node, args, then, data);
  if (said != 0) count(c, -1, 0);
  return said;
}

/* The arguments from 'first' on. */
static rt_value *rest(rt_call *c, int first) {
  rt_value *args = rt_new_list(c);
  for (int i = first; i <= rt_arg_count(c); i++) rt_list_add(args, rt_arg_value(c, i));
  return args;
}

static int give(rt_call *c, const rt_problem *problem, void *data) {
  (void)data;
  count(c, 0, 1);
  if (problem) return -1;
  for (int i = 1; i <= rt_answer_count(c); i++) rt_return_value(c, rt_answer(c, i));
  return 0;
}

/* pass(name, ...) -> what the node returns for the rest */
static int pass(rt_call *c) { return ask(c, rt_arg_text(c, 1, NULL), rest(c, 2), give, NULL); }

static int give_problem(rt_call *c, const rt_problem *problem, void *data) {
  (void)data;
  count(c, 0, 1);
  if (!problem) return rt_return_nil(c);
  const char *said[] = {problem->kind, problem->code, problem->message, problem->traceback};
  for (int i = 0; i < 4; i++)
    if (said[i]) rt_return_text(c, said[i], strlen(said[i]));
    else rt_return_nil(c);
  return 0;
}

/* A handle that asks for what cannot be is still to be given back. */
static int asks_wrongly_later(rt_call *c) {
  rt_call *later = rt_later(c);
  if (rt_ask(later, NULL, NULL, give, NULL) == 0) return 0;
  rt_drop(later);
  return 0;
}

/* catch(name, ...) -> kind, code, message, traceback of its failure */
static int catch_(rt_call *c) {
  return ask(c, rt_arg_text(c, 1, NULL), rest(c, 2), give_problem, NULL);
}

static int give_other(rt_call *c, const rt_problem *problem, void *data) {
  (void)data;
  count(c, 0, 1);
  return rt_fail(c, "OTHER", "instead of: %s", problem ? problem->message : "nothing");
}

static int replace(rt_call *c) {
  return ask(c, rt_arg_text(c, 1, NULL), rest(c, 2), give_other, NULL);
}

/* chain(name, n, x) -> name(... name(x)), n times */
static int chain_next(rt_call *c, const rt_problem *problem, void *data) {
  intptr_t left = (intptr_t)data;
  rt_value *args = rt_new_list(c);
  count(c, 0, 1);
  if (problem) return -1;
  if (left == 0) return rt_return_value(c, rt_answer(c, 1));
  rt_list_add(args, rt_answer(c, 1));
  return ask(c, rt_arg_text(c, 1, NULL), args, chain_next, (void *)(left - 1));
}

static int chain(rt_call *c) {
  intptr_t times = (intptr_t)rt_arg_int(c, 2);
  return ask(c, rt_arg_text(c, 1, NULL), rest(c, 3), chain_next, (void *)(times - 1));
}

/* down(n) -> n, through n calls of itself */
static int down(rt_call *c) {
  rt_value *args = rt_new_list(c);
  int64_t n = rt_arg_int(c, 1);
  if (n == 0) return rt_return_int(c, 0);
  rt_list_add(args, rt_new_int(c, n - 1));
  return ask(c, "down", args, give, NULL);
}

/* results before, between and after */
static int around_then(rt_call *c, const rt_problem *problem, void *data) {
  give(c, problem, data);
  return rt_return_text(c, "after", 5);
}

static int around(rt_call *c) {
  rt_return_text(c, "before", 6);
  return ask(c, rt_arg_text(c, 1, NULL), NULL, around_then, NULL);
}

static int twice(rt_call *c) {
  ask(c, "give_back", NULL, give, NULL);
  return ask(c, "give_back", NULL, give, NULL);
}

static int then_fails(rt_call *c) {
  ask(c, "give_back", NULL, give, NULL);
  return rt_fail(c, NULL, "then_fails: after all");
}

static int no_list(rt_call *c) { return ask(c, "give_back", rt_new_map(c), give, NULL); }
static int no_then(rt_call *c) { return ask(c, "give_back", NULL, NULL, NULL); }

/* Tries again however often it is told that it is over. */
static int again(rt_call *c, const rt_problem *problem, void *data) {
  count(c, 0, 1);
  if (!problem) return 0;
  return ask(c, rt_arg_text(c, 1, NULL), rest(c, 2), again, data);
}

static int stubborn(rt_call *c) {
  return ask(c, rt_arg_text(c, 1, NULL), rest(c, 2), again, NULL);
}

/* asked, told */
static int tally_(rt_call *c) {
  tally *t = rt_state(c);
  pthread_mutex_lock(&t->lock);
  rt_return_int(c, t->asked);
  rt_return_int(c, t->told);
  pthread_mutex_unlock(&t->lock);
  return 0;
}

/* ---- from another thread ---- */

static void *ask_there(void *data) {
  rt_call *c = data;
  if (ask(c, rt_arg_text(c, 1, NULL), rest(c, 2), give, NULL) != 0) rt_drop(c);
  return NULL;
}

static void start(rt_call *c, void *(*run)(void *)) {
  pthread_t thread;
  pthread_attr_t detached;
  rt_call *later = rt_later(c);
  pthread_attr_init(&detached);
  pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
  if (pthread_create(&thread, &detached, run, later) != 0) rt_drop(later);
  pthread_attr_destroy(&detached);
}

static int pass_there(rt_call *c) { return start(c, ask_there), 0; }

static void *finish_there(void *data) {
  rt_call *c = data;
  for (int i = 1; i <= rt_answer_count(c); i++) rt_return_value(c, rt_answer(c, i));
  rt_finish(c);
  return NULL;
}

static int go_there(rt_call *c, const rt_problem *problem, void *data) {
  (void)data;
  count(c, 0, 1);
  if (problem && !rt_cancelled(c)) return -1;
  return start(c, finish_there), 0;
}

static void *ask_and_return(void *data) {
  rt_call *c = data;
  if (ask(c, rt_arg_text(c, 1, NULL), rest(c, 2), go_there, NULL) != 0) rt_drop(c);
  return NULL;
}

/* Asks from a thread of its own, and answers from another one. */
static int there_and_back(rt_call *c) { return start(c, ask_and_return), 0; }

static int keep_then(rt_call *c, const rt_problem *problem, void *data) {
  tally *t = rt_state(c);
  (void)problem, (void)data;
  count(c, 0, 1);
  pthread_mutex_lock(&t->lock);
  t->kept = rt_later(c);
  pthread_mutex_unlock(&t->lock);
  return 0;
}

static void *ask_late(void *data) {
  rt_call *c = data;
  while (!rt_cancelled(c)) sched_yield();
  if (ask(c, "give_back", NULL, keep_then, NULL) != 0) rt_drop(c);
  return NULL;
}

/* Asks once it is cancelled, and keeps a handle when it is told that it is over. */
static int keep(rt_call *c) { return start(c, ask_late), 0; }

/* -> whether a handle is kept */
static int keeps(rt_call *c) {
  tally *t = rt_state(c);
  pthread_mutex_lock(&t->lock);
  bool is = t->kept;
  pthread_mutex_unlock(&t->lock);
  return rt_return_boolean(c, is);
}

static int give_kept(rt_call *c) {
  tally *t = rt_state(c);
  rt_finish(t->kept);
  t->kept = NULL;
  return 0;
}

static int open_tally(void **state, const char **error) {
  tally *t = calloc(1, sizeof *t);
  (void)error;
  if (!t) return -1;
  pthread_mutex_init(&t->lock, NULL);
  *state = t;
  return 0;
}

static void close_tally(void *state) {
  tally *t = state;
  pthread_mutex_destroy(&t->lock);
  free(t);
}

static const rt_native nodes[] = {
    {.name = "pass", .kind = RT_INLINE, .run = pass},
    {.name = "pass_later", .kind = RT_LATER, .run = pass},
    {.name = "pass_there", .kind = RT_LATER, .run = pass_there},
    {.name = "there_and_back", .kind = RT_LATER, .run = there_and_back},
    {.name = "pass_offload", .kind = RT_OFFLOAD, .run = pass},
    {.name = "asks_wrongly_later", .kind = RT_LATER, .run = asks_wrongly_later},
    {.name = "catch", .kind = RT_INLINE, .run = catch_},
    {.name = "catch_later", .kind = RT_LATER, .run = catch_},
    {.name = "replace", .kind = RT_INLINE, .run = replace},
    {.name = "chain", .kind = RT_INLINE, .run = chain},
    {.name = "chain_later", .kind = RT_LATER, .run = chain},
    {.name = "down", .kind = RT_INLINE, .run = down},
    {.name = "around", .kind = RT_INLINE, .run = around},
    {.name = "twice", .kind = RT_INLINE, .run = twice},
    {.name = "then_fails", .kind = RT_INLINE, .run = then_fails},
    {.name = "no_list", .kind = RT_INLINE, .run = no_list},
    {.name = "no_then", .kind = RT_INLINE, .run = no_then},
    {.name = "stubborn", .kind = RT_INLINE, .run = stubborn},
    {.name = "stubborn_later", .kind = RT_LATER, .run = stubborn},
    {.name = "keep", .kind = RT_LATER, .run = keep},
    {.name = "keeps", .kind = RT_INLINE, .run = keeps},
    {.name = "give_kept", .kind = RT_INLINE, .run = give_kept},
    {.name = "tally", .kind = RT_INLINE, .run = tally_},
    {.name = NULL},
};

const rt_plugin railtracks_plugin = {
    .api = RT_API, .size = sizeof(rt_plugin), .name = "asking", .nodes = nodes,
    .open = open_tally, .close = close_tally};
