/* plugin_fuzz.c -- what is checked of the table that a plugin exports.
 *
 * A table made of the input lies in memory that ends where the table says it does, so that a
 * look behind it is noticed. It must be refused exactly if something is wrong with it, for the
 * first thing that is; and nothing of a refused library may stay open. */
#include <dlfcn.h>
#include <stddef.h>

#include "fuzz.h"
#include "native.h"

/* ---- a table ---- */

enum { NAMES = 16 };

typedef struct table {
  rt_plugin whole;         // what it would be, were all of it there
  rt_plugin *plugin;       // as much of it as there is
  rt_native *nodes;
  size_t count;            // of nodes, without the one that ends them
  char *names[NAMES];      // as strings of exactly their length
} table;

static int run(rt_native_call *c) { return (void)c, 0; }

static int opens_as;       // what 'open' is to return
static int opened;
static const char *open_says;

static int open_it(void **state, const char **error) {
  opened++;
  check(*state == NULL && *error == NULL, "what was there before");
  *state = &opened;
  *error = open_says;
  return opens_as;
}

static char *copy(const char *text, size_t size) {
  char *made = __real_malloc(size + 1);
  memcpy(made, text, size);
  made[size] = '\0';
  return made;
}

static const char *pick_name(input *in, table *t) {
  unsigned which = next_byte(in);
  if (which >= 250) return NULL;
  return t->names[which % NAMES];
}

static void make_nodes(input *in, table *t) {
  t->count = next_byte(in) % 32;
  t->nodes = __real_malloc((t->count + 1) * sizeof *t->nodes);
  memset(t->nodes, 0xA5, (t->count + 1) * sizeof *t->nodes);
  for (size_t i = 0; i < t->count; i++) {
    rt_native *node = &t->nodes[i];
    unsigned how = next_byte(in);
    node->name = t->names[(i + how) % NAMES];
    if (how % 4 == 0) node->name = pick_name(in, t);
    node->kind = (rt_kind)(how % 8 == 1 ? (int)next_byte(in) - 4 : (int)(how % 3));
    node->run = how % 16 == 2 ? NULL : run;
  }
  t->nodes[t->count].name = NULL;
  for (size_t i = 0; i < t->count; i++)
    if (!t->nodes[i].name) t->count = i;
}

/* Of a table of another version nothing but the version is there. */
static size_t present(const rt_plugin *whole) {
  if (whole->api != RT_API) return sizeof whole->api;
  size_t least = offsetof(rt_plugin, size) + sizeof whole->size;
  if (whole->size < least) return least;
  return whole->size < sizeof *whole ? whole->size : sizeof *whole;
}

static void make_table(input *in, table *t) {
  for (int i = 0; i < NAMES; i++) {
    size_t size = i ? next_byte(in) % 16 : 0;
    if (size == 15) size = 15 * (size_t)next_byte(in);
    const char *bytes = next_bytes(in, &size);
    t->names[i] = copy(bytes, size);
  }
  make_nodes(in, t);
  unsigned how = next_byte(in);
  t->whole = (rt_plugin){
      .api = how % 8 == 0 ? (int)next_word(in) : RT_API,
      .size = how % 8 == 1 ? (size_t)next_word(in) : sizeof(rt_plugin),
      .name = how % 8 == 2 ? pick_name(in, t) : t->names[1 + how % 4],
      .nodes = how % 8 == 3 ? NULL : t->nodes,
      .open = how & 32 ? open_it : NULL};
  if (how % 8 == 4) t->whole.size = how;
  size_t size = present(&t->whole);
  t->plugin = memcpy(__real_malloc(size), &t->whole, size);
}

static void free_table(table *t) {
  for (int i = 0; i < NAMES; i++) free(t->names[i]);
  free(t->nodes);
  free(t->plugin);
}

/* ---- what is wrong with it: a word of the message; NULL if nothing is ---- */

static const char *wrong_with_node(const table *t, size_t i) {
  const rt_native *node = &t->nodes[i];
  if (!*node->name) return "empty name";
  if (!node->run) return "no function to run";
  if ((int)node->kind < 0 || (int)node->kind > 2) return "of kind";
  for (size_t k = 0; k < i; k++)
    if (strcmp(t->nodes[k].name, node->name) == 0) return "two nodes are named";
  return NULL;
}

static const char *wrong_with(const table *t) {
  const char *wrong = NULL;
  if (t->whole.api != RT_API) return "made for version";
  if (t->whole.size < sizeof(rt_plugin)) return "bytes, expected";
  if (!t->whole.name || !*t->whole.name) return "the plugin has no name";
  if (!t->whole.nodes) return "no table of nodes";
  for (size_t i = 0; i < t->count && !wrong; i++) wrong = wrong_with_node(t, i);
  return wrong;
}

/* ---- the checks ---- */

static void check_alone(const table *t, const char *wrong, long fault) {
  rt_buf why = {0};
  until_fault = fault;
  bool good = rt_plugin_check("a/path", t->plugin, &why);
  until_fault = 0;
  rt_buf_char(&why, '\0');
  check(good == !wrong, "%s", wrong ? wrong : "nothing is wrong");
  if (good) check(why.size == 1, "good, but: %s", why.data);
  else if (!why.failed) check(strncmp(why.data, "a/path: ", 8) == 0, "%s", why.data);
  if (!good && !why.failed) check(strstr(why.data, wrong) != NULL, "%s", why.data);
  if (why.failed) check(fault, "memory was not short");
  rt_buf_free(&why);
}

/* The library is a real one, whose table can be written to. */
static void check_library(const table *t, const char *wrong, long fault) {
  static rt_plugin *exported;
  char *error = NULL;
  if (!exported) {
    void *library = dlopen(RT_FUZZED_LIBRARY, RTLD_NOW);
    check(library != NULL, "%s", dlerror());
    exported = dlsym(library, "railtracks_plugin");
    check(exported != NULL, "%s", dlerror());
  }
  *exported = t->whole;
  opened = 0;
  until_fault = fault;
  rt_loaded *home = rt_library_open(RT_FUZZED_LIBRARY, &error);
  until_fault = 0;
  bool may_open = !wrong && t->whole.open && (home || error);
  if (fault && !home) check(!may_open || opened <= 1, "opened %d times", opened);
  else check(opened == may_open, "opened %d times", opened);
  if (may_open && opens_as != 0) wrong = open_says ? open_says : "refused to open";
  if (home) {
    check(!wrong, "%s", wrong);
    check(home->plugin == exported && home->inode != 0, "another one");
    check(home->state == (opened ? &opened : NULL), "another state");
    rt_library_close(home->library);
    free(home);
  } else if (error) {
    const char *said = error + strlen(RT_FUZZED_LIBRARY);
    check(strncmp(error, RT_FUZZED_LIBRARY ": ", strlen(RT_FUZZED_LIBRARY) + 2) == 0, "%s", error);
    check(fault || (wrong && strstr(said, wrong)), "%s", error);
  } else {
    check(fault, "memory was not short");
  }
  free(error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  input in = {data, data + size};
  table t = {0};
  long fault = (long)(next_byte(&in) % 16);
  unsigned how = next_byte(&in);
  opens_as = how & 1 ? (int)how - 128 : 0;
  open_says = how & 2 ? "the moon is full" : NULL;
  make_table(&in, &t);
  const char *wrong = wrong_with(&t);
  check_alone(&t, wrong, 0);
  if (fault) check_alone(&t, wrong, fault);
  check_library(&t, wrong, 0);
  if (fault) check_library(&t, wrong, fault);
  free_table(&t);
  return 0;
}
