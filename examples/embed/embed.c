/* embed.c -- a C program with Railtracks inside: a node of its own, a workflow in Lua, values in
 * and out, and what a failure looks like.
 *
 *   cc -o embed embed.c $(pkg-config --cflags --libs railtracks)
 *   ./embed "some text"
 */
#include <ctype.h>
#include <railtracks.h>
#include <stdio.h>
#include <string.h>

/* A node that workflows call: the text in capital letters. */
static int shout(rt_call *c) {
  size_t size;
  const char *text = rt_arg_text(c, 1, &size);
  char loud[256];
  if (size > sizeof loud) return rt_fail(c, "long", "shout: %zu bytes are too many", size);
  for (size_t i = 0; i < size; i++) loud[i] = (char)toupper((unsigned char)text[i]);
  return rt_return_text(c, loud, size);
}

static const rt_native nodes[] = {
    {.name = "shout", .kind = RT_INLINE, .run = shout, .about = "Makes a text louder."},
    {.name = NULL},
};

static const rt_plugin own = {
    .api = RT_API, .size = sizeof(rt_plugin), .name = "embed", .nodes = nodes};

static const char workflow[] =
    "local rt = require 'railtracks'\n"
    "local text = ...\n"
    "local words = {}\n"
    "for word in text:gmatch '%S+' do words[#words + 1] = word end\n"
    "return rt.map(rt.nodes.shout, words)\n";

/* Performs the call and prints what comes of it. 0 if it went well. */
static int show(rt_call *c) {
  if (rt_perform(c) < 0) {
    const rt_problem *problem = rt_problem_of(c);
    printf("failed: %s\n", problem->message);
    return 1;
  }
  for (int n = 1; n <= rt_result_count(c); n++) {
    const rt_value *v = rt_result(c, n);
    if (rt_value_type(v) == RT_TEXT) printf("%s\n", rt_value_text(v, NULL));
    for (size_t i = 0; i < rt_value_count(v); i++)
      printf("%zu: %s\n", i + 1, rt_value_text(rt_value_at(v, i, NULL), NULL));
  }
  return 0;
}

int main(int argc, char **argv) {
  const char *text = argc > 1 ? argv[1] : "hello world", *why;
  rt_options options = {.size = sizeof options, .journal = "none"};
  rt_engine *e = rt_open(&options, &why);
  if (!e || rt_add(e, &own, &why) < 0) {
    fprintf(stderr, "embed: %s\n", why);
    rt_close(e);
    return 1;
  }

  // A node, called from C.
  rt_call *c = rt_prepare(e, "shout");
  rt_pass(c, rt_new_text(c, text, strlen(text)));
  int status = show(c);
  rt_release(c);

  // A workflow in Lua that calls it for each word.
  c = rt_prepare_text(e, workflow, "workflow");
  rt_pass(c, rt_new_text(c, text, strlen(text)));
  status |= show(c);
  rt_release(c);

  // A failure.
  c = rt_prepare(e, "shout");
  rt_pass(c, rt_new_int(c, 42));
  show(c);
  rt_release(c);

  rt_close(e);
  return status;
}
