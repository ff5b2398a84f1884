/* words.c -- a plugin of inline nodes: small work on texts and tables, done on the loop.
 *
 *   cc -shared -fPIC -o words.so words.c
 *
 *   local words = rt.load "./words.so"
 *   print(words.count_words "one two three")   --> 3
 */
#include <ctype.h>
#include <railtracks.h>
#include <string.h>

/* The next word of the text from '*at' on; NULL when there is none. */
static const char *next_word(const char **at, const char *end, size_t *size) {
  const char *start = *at;
  while (start < end && isspace((unsigned char)*start)) start++;
  const char *stop = start;
  while (stop < end && !isspace((unsigned char)*stop)) stop++;
  *at = stop;
  *size = (size_t)(stop - start);
  return *size ? start : NULL;
}

static int count_words(rt_call *c) {
  size_t size, word;
  const char *text = rt_arg_text(c, 1, &size), *at = text;
  int64_t words = 0;
  while (next_word(&at, text + size, &word)) words++;
  return rt_return_int(c, words);
}

/* split_text(text [, most]) -> list of the words, and how many there were */
static int split_text(rt_call *c) {
  size_t size, word;
  const char *text = rt_arg_text(c, 1, &size), *at = text, *found;
  int64_t most = rt_arg_int_or(c, 2, INT64_MAX), words = 0;
  if (most < 0) return rt_fail(c, "range", "split_text: argument 2 must not be negative");
  rt_value *list = rt_new_list(c);
  for (; (found = next_word(&at, text + size, &word)); words++)
    if (words < most) rt_list_add(list, rt_new_text(c, found, word));
  rt_return_value(c, list);
  return rt_return_int(c, words);
}

/* describe(value) -> {type=, count=}: what C sees of a value */
static int describe(rt_call *c) {
  static const char *const names[] = {"nil", "boolean", "integer", "float", "text", "list", "map"};
  const rt_value *v = rt_arg_value(c, 1);
  const char *name = names[rt_value_type(v)];
  rt_value *map = rt_new_map(c);
  rt_map_set(map, "type", rt_new_text(c, name, strlen(name)));
  rt_map_set(map, "count", rt_new_int(c, (int64_t)rt_value_count(v)));
  return rt_return_value(c, map);
}

static const rt_native nodes[] = {
    {.name = "count_words", .kind = RT_INLINE, .run = count_words,
     .about = "Counts the words of a text."},
    {.name = "split_text", .kind = RT_INLINE, .run = split_text,
     .about = "Splits a text into words."},
    {.name = "describe", .kind = RT_INLINE, .run = describe,
     .about = "Tells what C sees of a value."},
    {.name = NULL},
};

const rt_plugin railtracks_plugin = {
    .api = RT_API, .size = sizeof(rt_plugin), .name = "words", .nodes = nodes};
