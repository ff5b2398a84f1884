/* odd.c -- a plugin that does what the specs ask of it, some of it wrong. */
#include <pthread.h>
#include <railtracks.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Gives back what it is given, whatever that is. */
static int echo(rt_call *c) {
  for (int i = 1; i <= rt_arg_count(c); i++) rt_return_value(c, rt_arg_value(c, i));
  return 0;
}

/* Likewise later, within its own function. */
static int echo_later(rt_call *c) {
  rt_call *later = rt_later(c);
  echo(later);
  rt_finish(later);
  return 0;
}

static int types(rt_call *c) {
  for (int i = 1; i <= rt_arg_count(c); i++) rt_return_int(c, rt_arg_type(c, i));
  return 0;
}

static int take(rt_call *c) {
  size_t size;
  rt_return_boolean(c, rt_arg_boolean(c, 1));
  rt_return_int(c, rt_arg_int(c, 2));
  rt_return_number(c, rt_arg_number(c, 3));
  const char *text = rt_arg_text(c, 4, &size);
  return rt_return_text(c, text, size);
}

static int optional(rt_call *c) {
  size_t size;
  rt_return_boolean(c, rt_arg_boolean_or(c, 1, 1));
  rt_return_int(c, rt_arg_int_or(c, 2, 7));
  rt_return_number(c, rt_arg_number_or(c, 3, 0.5));
  const char *text = rt_arg_text_or(c, 4, &size, "other");
  return rt_return_text(c, text, size);
}

static int many(rt_call *c) {
  int64_t count = rt_arg_int(c, 1);
  for (int64_t i = 1; i <= count; i++) rt_return_int(c, i);
  return 0;
}

static int owned(rt_call *c) {
  size_t size = (size_t)rt_arg_int(c, 1);
  char *text = malloc(size + 1);
  if (!text) return rt_fail(c, NULL, "no memory");
  memset(text, 'x', size);
  return rt_return_owned(c, text, size, free);
}

static int keys(rt_call *c) {
  rt_value *map = rt_new_map(c), *inner = rt_new_list(c);
  rt_map_put(map, rt_new_int(c, 10), rt_new_text(c, "int", 3));
  rt_map_put(map, rt_new_number(c, 1.5), rt_new_text(c, "float", 5));
  rt_map_put(map, rt_new_boolean(c, 1), rt_new_nil(c));
  rt_map_put(map, rt_new_text(c, "a\0b", 3), inner);
  rt_map_set(map, "twice", rt_new_int(c, 1));
  rt_map_set(map, "twice", rt_new_int(c, 2));
  return rt_return_value(c, map);
}

/* field(table, name) -> whether there is one, and its value */
static int field(rt_call *c) {
  const rt_value *v = rt_value_get(rt_arg_value(c, 1), rt_arg_text(c, 2, NULL));
  rt_return_boolean(c, v != NULL);
  return v ? rt_return_value(c, v) : 0;
}

static int only_nil(rt_call *c) {
  rt_value *list = rt_new_list(c);
  rt_list_add(list, rt_new_nil(c));
  return rt_return_value(c, list);
}

/* Mistakes */

static int into_itself(rt_call *c) {
  rt_value *list = rt_new_list(c), *inner = rt_new_list(c);
  rt_list_add(list, inner);
  rt_list_add(inner, list);
  return rt_return_value(c, list);
}

/* deep(levels): a list in a list in a list ..., from the outermost on */
static int deep(rt_call *c) {
  rt_value *outer = rt_new_list(c), *list = outer;
  for (int64_t i = rt_arg_int(c, 1); i > 1; i--) {
    rt_value *inner = rt_new_list(c);
    rt_list_add(list, inner);
    list = inner;
  }
  return rt_return_value(c, outer);
}

static int adds_to_text(rt_call *c) {
  rt_list_add(rt_new_text(c, "x", 1), rt_new_int(c, 1));
  return 0;
}

static int adds_null(rt_call *c) {
  rt_value *map = rt_new_map(c);
  rt_map_set(map, "x", rt_value_get(rt_arg_value(c, 1), "x"));
  return rt_return_value(c, map);
}

static int null_key(rt_call *c) {
  rt_map_set(rt_new_map(c), NULL, rt_new_int(c, 1));
  return 0;
}

static int table_key(rt_call *c) {
  rt_value *map = rt_new_map(c);
  rt_map_put(map, rt_new_list(c), rt_new_int(c, 1));
  return rt_return_value(c, map);
}

static int silent(rt_call *c) { return (void)c, 7; }
static int wrong_later(rt_call *c) { return (void)rt_later(c), 0; }

static int fails(rt_call *c) {
  rt_fail(c, "FIRST", "the first of %d", 2);
  return rt_fail(c, "SECOND", "the second");
}

static int fails_unprintably(rt_call *c) { return rt_fail(c, "WIDE", "one %ls", L"\u20ac"); }

static int drops(rt_call *c) { return rt_drop(rt_later(c)), 0; }

/* Does not return before it is cancelled: true if it was. */
static int until_cancelled(rt_call *c) {
  struct timespec pause = {.tv_nsec = 1000000};
  for (int i = 0; i < 20000 && !rt_cancelled(c); i++) nanosleep(&pause, NULL);
  return rt_return_boolean(c, rt_cancelled(c));
}

static int never(rt_call *c) {
  (void)c;
  while (1) {
    struct timespec pause = {.tv_sec = 1};
    nanosleep(&pause, NULL);
  }
  return 0;
}

/* A crowd of eight threads that answer handles in any way and order. */

enum { THREADS = 8 };

typedef struct handle {
  struct handle *next;
  rt_call *later;
  int64_t number;
} handle;

typedef struct crowd {
  pthread_t threads[THREADS];
  pthread_mutex_t lock;
  pthread_cond_t more;
  handle *handles;
  int closing;
} crowd;

static void *answer(void *data) {
  crowd *all = data;
  pthread_mutex_lock(&all->lock);
  while (1) {
    while (!all->handles && !all->closing) pthread_cond_wait(&all->more, &all->lock);
    handle *h = all->handles;
    if (!h) break;
    all->handles = h->next;
    pthread_mutex_unlock(&all->lock);
    switch (h->number % 4) {
      case 0: rt_drop(h->later); break;
      case 1: rt_fail(h->later, "ODD", "number %lld", (long long)h->number); break;
      default:
        if (!rt_cancelled(h->later)) rt_return_int(h->later, h->number);
        rt_finish(h->later);
    }
    free(h);
    pthread_mutex_lock(&all->lock);
  }
  pthread_mutex_unlock(&all->lock);
  return NULL;
}

static int ask_crowd(rt_call *c) {
  crowd *all = rt_state(c);
  handle *h = malloc(sizeof *h);
  if (!h) return rt_fail(c, NULL, "no memory");
  h->number = rt_arg_int(c, 1);
  h->later = rt_later(c);
  pthread_mutex_lock(&all->lock);
  h->next = all->handles;
  all->handles = h;
  pthread_cond_signal(&all->more);
  pthread_mutex_unlock(&all->lock);
  return 0;
}

static int open_crowd(void **state, const char **error) {
  crowd *all = calloc(1, sizeof *all);
  (void)error;
  if (!all) return -1;
  pthread_mutex_init(&all->lock, NULL);
  pthread_cond_init(&all->more, NULL);
  for (int i = 0; i < THREADS; i++) pthread_create(&all->threads[i], NULL, answer, all);
  *state = all;
  return 0;
}

static void close_crowd(void *state) {
  crowd *all = state;
  pthread_mutex_lock(&all->lock);
  all->closing = 1;
  pthread_cond_broadcast(&all->more);
  pthread_mutex_unlock(&all->lock);
  for (int i = 0; i < THREADS; i++) pthread_join(all->threads[i], NULL);
  pthread_cond_destroy(&all->more);
  pthread_mutex_destroy(&all->lock);
  free(all);
}

static const rt_native nodes[] = {
    {.name = "echo", .kind = RT_INLINE, .run = echo},
    {.name = "echo_offload", .kind = RT_OFFLOAD, .run = echo},
    {.name = "echo_later", .kind = RT_LATER, .run = echo_later},
    {.name = "echo_soon", .kind = RT_LATER, .run = echo},
    {.name = "types", .kind = RT_INLINE, .run = types},
    {.name = "types_offload", .kind = RT_OFFLOAD, .run = types},
    {.name = "take", .kind = RT_INLINE, .run = take},
    {.name = "take_offload", .kind = RT_OFFLOAD, .run = take},
    {.name = "optional", .kind = RT_INLINE, .run = optional},
    {.name = "optional_offload", .kind = RT_OFFLOAD, .run = optional},
    {.name = "many", .kind = RT_INLINE, .run = many},
    {.name = "owned", .kind = RT_OFFLOAD, .run = owned},
    {.name = "field", .kind = RT_INLINE, .run = field},
    {.name = "keys", .kind = RT_INLINE, .run = keys},
    {.name = "only_nil", .kind = RT_INLINE, .run = only_nil},
    {.name = "into_itself", .kind = RT_INLINE, .run = into_itself},
    {.name = "deep", .kind = RT_INLINE, .run = deep},
    {.name = "deep_offload", .kind = RT_OFFLOAD, .run = deep},
    {.name = "adds_to_text", .kind = RT_INLINE, .run = adds_to_text},
    {.name = "adds_null", .kind = RT_INLINE, .run = adds_null},
    {.name = "null_key", .kind = RT_INLINE, .run = null_key},
    {.name = "table_key", .kind = RT_INLINE, .run = table_key},
    {.name = "silent", .kind = RT_INLINE, .run = silent},
    {.name = "wrong_later", .kind = RT_OFFLOAD, .run = wrong_later},
    {.name = "fails", .kind = RT_INLINE, .run = fails},
    {.name = "fails_offload", .kind = RT_OFFLOAD, .run = fails},
    {.name = "fails_unprintably", .kind = RT_INLINE, .run = fails_unprintably},
    {.name = "drops", .kind = RT_LATER, .run = drops},
    {.name = "until_cancelled", .kind = RT_OFFLOAD, .run = until_cancelled},
    {.name = "until_deadline", .kind = RT_INLINE, .run = until_cancelled},
    {.name = "never", .kind = RT_OFFLOAD, .run = never},
    {.name = "ask_crowd", .kind = RT_LATER, .run = ask_crowd},
    {.name = NULL},
};

const rt_plugin railtracks_plugin = {
    .api = RT_API, .size = sizeof(rt_plugin), .name = "odd", .nodes = nodes,
    .open = open_crowd, .close = close_crowd};
