/* readline.c -- the module railtracks.readline: line editing with GNU Readline.
 *
 * A library of its own, which only the REPL loads and does without where it is missing:
 * Readline is under the GPL, and so is this module once it is linked; nothing else is.
 *
 *   open(ready, complete)   once. ready(text): is it complete? complete(text, from, to): the
 *                           candidates for the word from+1 .. to, what follows a single one,
 *                           a text that lists them, and one to be shown in their place
 *   start(prompt)           shows the prompt, and what is typed from now on
 *   read()                  takes what was typed: nil, or the text when it is complete, or
 *                           false at its end (Ctrl-D)
 *   stop()                  gives the terminal back
 *   hide() show()           takes prompt and text away, for others to write, and back
 *   clear()                 Ctrl-C: forgets the text, begins on a new line
 *   resize()                the terminal has another size
 *   pause() resume()        gives the terminal back for a while
 *   add(text)               to the history
 *
 * Readline has one state for the process, and so has this.
 */
#include <lauxlib.h>
#include <locale.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include <readline/readline.h>
#include <readline/history.h>

enum {
  AT_ONCE = 4096,         // keys taken before others get their turn
  HISTORY = 10000,        // entries
};

static struct {
  lua_State *L;           // that runs read()
  int ready, complete;    // in the registry; 0: not open
  FILE *out;              // the terminal: standard output may be held back
  char *line;             // that was typed; malloc'd
  bool done;              // it is complete
  bool up;                // the prompt stands
  int shown_from;         // the first byte of the text that is on the screen
  char *listing;          // of the candidates found last
  rl_command_func_t *above, *below;  // what the arrows do on a text of one row
} editor;

/* ---- keys ---- */

/* Calls the function in the registry with the text and the count of integers on the stack.
 * False, with nothing left there, when it fails. */
static bool ask(int function, int integers, int results) {
  lua_State *L = editor.L;
  if (!L || !lua_checkstack(L, 16)) return false;
  lua_rawgeti(L, LUA_REGISTRYINDEX, function);
  lua_pushstring(L, rl_line_buffer);
  lua_rotate(L, -2 - integers, 2);
  if (lua_pcall(L, 1 + integers, results, 0) == LUA_OK) return true;
  lua_pop(L, 1);
  return false;
}

static int press_enter(int count, int key) {
  bool complete = true;
  if (ask(editor.ready, 0, 1)) {
    complete = lua_toboolean(editor.L, -1);
    lua_pop(editor.L, 1);
  }
  if (!complete) return rl_insert_text("\n"), 0;
  rl_point = rl_end;
  return rl_newline(count, key);
}

static int press_new_row(int count, int key) {
  (void)count, (void)key;
  rl_insert_text("\n");
  return 0;
}

/* At the beginning of a row it indents. */
static int press_tab(int count, int key) {
  int at = rl_point;
  while (at > 0 && (rl_line_buffer[at - 1] == ' ' || rl_line_buffer[at - 1] == '\t')) at--;
  if (at > 0 && rl_line_buffer[at - 1] == '\n') return rl_insert_text("  "), 0;
  if (rl_last_func == press_tab) rl_last_func = rl_complete;  // the second one lists them
  return rl_complete(count, key);
}

static int row_begin(int at) {
  while (at > 0 && rl_line_buffer[at - 1] != '\n') at--;
  return at;
}

static int row_end(int at) {
  while (at < rl_end && rl_line_buffer[at] != '\n') at++;
  return at;
}

/* Moves 'column' bytes into the row that begins at 'begin', to the beginning of a character. */
static void go_to_row(int begin, int column) {
  int end = row_end(begin);
  rl_point = begin + column < end ? begin + column : end;
  while (rl_point > begin && (rl_line_buffer[rl_point] & 0xC0) == 0x80) rl_point--;
}

static int press_up(int count, int key) {
  int begin = row_begin(rl_point);
  if (begin == 0) return editor.above(count, key);
  go_to_row(row_begin(begin - 1), rl_point - begin);
  return 0;
}

static int press_down(int count, int key) {
  int begin = row_begin(rl_point), end = row_end(rl_point);
  if (end == rl_end) return editor.below(count, key);
  go_to_row(end + 1, rl_point - begin);
  return 0;
}

/* What the user has bound to the keys of an arrow stays what it does on a single row. */
static void bind_arrow(const char *const *keys, rl_command_func_t *ours,
                       rl_command_func_t **theirs) {
  for (; *keys; keys++) {
    int type;
    rl_command_func_t *before = rl_function_of_keyseq(*keys, NULL, &type);
    if (before && type == ISFUNC && before != ours) *theirs = before;
    rl_bind_keyseq(*keys, ours);
  }
}

static void bind_keys(void) {
  static const char *const up[] = {"\033[A", "\033OA", NULL};
  static const char *const down[] = {"\033[B", "\033OB", NULL};
  Keymap maps[] = {emacs_standard_keymap, vi_insertion_keymap};
  Keymap before = rl_get_keymap();
  editor.above = rl_get_previous_history;
  editor.below = rl_get_next_history;
  for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
    rl_set_keymap(maps[i]);
    rl_bind_key('\r', press_enter);
    rl_bind_key('\n', press_enter);
    rl_bind_key('\t', press_tab);
    bind_arrow(up, press_up, &editor.above);
    bind_arrow(down, press_down, &editor.below);
  }
  rl_bind_keyseq_in_map("\033\r", press_new_row, emacs_standard_keymap);
  rl_set_keymap(before);
}

/* ---- completion ---- */

static void write_above(const char *text) {
  rl_clear_visible_line();
  fputs(text, editor.out);
  fflush(editor.out);
  rl_forced_update_display();
}

static size_t common(const char *a, const char *b, size_t most) {
  size_t size = 0;
  while (size < most && a[size] && a[size] == b[size]) size++;
  while (size && (a[size] & 0xC0) == 0x80) size--;  // whole characters
  return size;
}

/* The list of strings at 'index' as Readline wants it: first what all have in common. */
static char **matches_at(lua_State *L, int index) {
  lua_Integer count = (lua_Integer)lua_rawlen(L, index);
  if (count == 0) return NULL;
  char **matches = calloc((size_t)count + 2, sizeof *matches);
  if (!matches) return NULL;
  size_t shared = 0;
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, index, i);
    const char *text = lua_tostring(L, -1);
    matches[i] = strdup(text ? text : "");
    lua_pop(L, 1);
    if (!matches[i]) abort();
    shared = common(matches[1], matches[i], i == 1 ? strlen(matches[1]) : shared);
  }
  matches[0] = strndup(matches[1], shared);
  if (count == 1) {
    free(matches[1]);
    matches[1] = NULL;
  }
  return matches;
}

static char *kept(lua_State *L, int index) {
  return lua_isstring(L, index) ? strdup(lua_tostring(L, index)) : NULL;
}

static char **find_candidates(const char *word, int from, int to) {
  (void)word;
  rl_attempted_completion_over = 1;
  rl_completion_append_character = '\0';
  lua_State *L = editor.L;
  if (!L || !lua_checkstack(L, 16)) return NULL;
  lua_pushinteger(L, from);
  lua_pushinteger(L, to);
  if (!ask(editor.complete, 2, 4)) return NULL;
  int top = lua_gettop(L);
  char **matches = lua_istable(L, top - 3) ? matches_at(L, top - 3) : NULL;
  const char *follows = lua_tostring(L, top - 2);
  if (follows) rl_completion_append_character = *follows;
  free(editor.listing);
  editor.listing = kept(L, top - 1);
  char *instead = kept(L, top);
  lua_settop(L, top - 4);
  if (instead) write_above(instead);
  free(instead);
  return matches;
}

static void list_candidates(char **matches, int count, int longest) {
  (void)matches, (void)count, (void)longest;
  if (editor.listing) write_above(editor.listing);
}

/* ---- showing more rows than the screen has ---- */

/* Lines of the screen that the bytes from 'at' to 'end' take, at most. */
static int lines_of(int at, int end, int columns) {
  int lines = 1, column = 0;
  for (; at < end; at++) {
    if (rl_line_buffer[at] == '\n') lines++, column = 0;
    else if (column++ == columns) lines++, column = 1;
    if (rl_line_buffer[at] == '\t') column += 7;
  }
  return lines;
}

/* Readline draws no more than fits: of a longer text it is shown the rows around the cursor
 * only, with dots for the others. */
static void redisplay(void) {
  static const char dots[] = "...\n";
  enum { DOTS = sizeof dots - 1 };
  int height, columns;
  rl_get_screen_size(&height, &columns);
  int most = height - 3;
  editor.shown_from = 0;
  if (most < 3 || columns < 10 || lines_of(0, rl_end, columns - 8) <= most) {
    rl_redisplay();
    return;
  }
  int from = row_begin(rl_point), to = row_end(rl_point);
  for (bool grown = true; grown;) {
    grown = false;
    int up = from > 0 ? row_begin(from - 1) : from;
    if (up < from && lines_of(up, to, columns - 8) <= most) from = up, grown = true;
    int down = to < rl_end ? row_end(to + 1) : to;
    if (down > to && lines_of(from, down, columns - 8) <= most) to = down, grown = true;
  }
  size_t size = (size_t)(to - from);
  char *whole = rl_line_buffer, *window = malloc(size + 2 * DOTS + 1);
  if (!window) return;
  int point = rl_point, end = rl_end, before = from > 0 ? DOTS : 0;
  editor.shown_from = from;
  memcpy(window, dots, (size_t)before);
  memcpy(window + before, whole + from, size);
  strcpy(window + before + size, to < end ? "\n..." : "");
  rl_deactivate_mark();
  rl_line_buffer = window;
  rl_point = point - from + before;
  rl_end = (int)strlen(window);
  rl_redisplay();
  rl_line_buffer = whole;
  rl_point = point;
  rl_end = end;
  free(window);
}

/* The column behind the text that begins in 'column'; *row counts those that it begins. */
static int column_behind(const char *text, int size, int column, int columns, int *row) {
  mbstate_t state = {0};
  for (int at = 0; at < size;) {
    wchar_t c;
    size_t bytes = mbrtowc(&c, text + at, (size_t)(size - at), &state);
    if (bytes == 0 || bytes > (size_t)size) bytes = 1, c = '?', state = (mbstate_t){0};
    at += (int)bytes;
    int width = c == '\t' ? 8 - column % 8 : wcwidth(c);
    if (width < 0) width = 2;  // ^A
    column += width;
    if (c == '\n' || column > columns) ++*row, column = c == '\n' ? 0 : width;
  }
  return column;
}

/* The row of the prompt's that the cursor is in, where a row has so many columns. */
static int cursor_row(int columns) {
  int row = 0, column = 0;
  for (const char *at = rl_display_prompt; at && *at;) {
    size_t hidden = strcspn(at, "\1");  // what takes no room stands between \1 and \2
    column = column_behind(at, (int)hidden, column, columns, &row);
    at += hidden;
    at += strcspn(at, "\2");
    if (*at) at++;
  }
  int from = editor.shown_from < rl_point ? editor.shown_from : rl_point;
  if (from > 0) row++, column = 0;  // behind the dots
  column = column_behind(rl_line_buffer + from, rl_point - from, column, columns, &row);
  return column < columns ? row : row + 1;
}

/* ---- the line ---- */

static void take_line(char *line) {
  editor.line = line;
  editor.done = true;
  editor.up = false;
  rl_callback_handler_remove();
}

/* Without a locale the text is UTF-8, as everywhere else. */
static void initialize(void) {
  const char *given = getenv("LC_ALL");
  if (!given || !*given) given = getenv("LC_CTYPE");
  if (!given || !*given) given = getenv("LANG");
  bool none = !given || !*given || strcmp(given, "C") == 0 || strcmp(given, "POSIX") == 0;
  const char *set = getenv("LC_ALL");
  char *before = set ? strdup(set) : NULL;
  if (none) setenv("LC_ALL", "C.UTF-8", 1);
  rl_initialize();
  if (none && before) setenv("LC_ALL", before, 1);
  else if (none) unsetenv("LC_ALL");
  free(before);
}

static int open_editor(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  editor.complete = luaL_ref(L, LUA_REGISTRYINDEX);
  editor.ready = luaL_ref(L, LUA_REGISTRYINDEX);
  int fd = dup(STDOUT_FILENO);
  editor.out = fd < 0 ? NULL : fdopen(fd, "w");
  if (!editor.out) return luaL_error(L, "cannot write to the terminal");

  rl_readline_name = "railtracks";
  rl_instream = stdin;
  rl_outstream = editor.out;
  rl_catch_signals = 0;
  rl_catch_sigwinch = 0;
  rl_change_environment = 0;
  rl_completer_word_break_characters = " \t\n\"'`<>=;|&{}()[]+-*/%^#~,.:\\!?";
  rl_completer_quote_characters = rl_basic_quote_characters = "";
  rl_attempted_completion_function = find_candidates;
  rl_completion_display_matches_hook = list_candidates;
  rl_completion_query_items = 0;
  rl_sort_completion_matches = 0;
  rl_ignore_completion_duplicates = 0;
  initialize();
  rl_redisplay_function = redisplay;  // with one set before, there would be no bracketed paste
  bind_keys();
  using_history();
  stifle_history(HISTORY);
  return 0;
}

static int start(lua_State *L) {
  const char *prompt = luaL_checkstring(L, 1);
  editor.done = false;
  editor.up = true;
  rl_reset_screen_size();
  rl_callback_handler_install(prompt, take_line);
  return 0;
}

/* Whether there are more keys. */
static bool more(void) {
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  return poll(&input, 1, 0) == 1;
}

static int read_keys(lua_State *L) {
  if (!editor.up) return luaL_error(L, "readline: not started");
  editor.L = L;
  int count = 0;
  do rl_callback_read_char();
  while (!editor.done && ++count < AT_ONCE && more());
  editor.L = NULL;
  if (!editor.done) return lua_pushnil(L), 1;
  char *line = editor.line;
  editor.line = NULL;
  // At the end Readline goes to a new line only together with bracketed paste.
  const char *pastes = rl_variable_value("enable-bracketed-paste");
  if (!line && (!pastes || strcmp(pastes, "on") != 0)) fputs("\n", editor.out);
  fflush(editor.out);
  if (line) lua_pushstring(L, line);
  else lua_pushboolean(L, false);
  free(line);
  return 1;
}

static int stop(lua_State *L) {
  (void)L;
  if (editor.up) rl_callback_handler_remove();
  editor.up = false;
  return 0;
}

static int hide(lua_State *L) {
  (void)L;
  if (editor.up) rl_clear_visible_line();
  fflush(editor.out);
  return 0;
}

static int show(lua_State *L) {
  (void)L;
  if (editor.up) rl_forced_update_display();
  fflush(editor.out);
  return 0;
}

static int clear(lua_State *L) {
  (void)L;
  if (!editor.up) return 0;
  rl_callback_sigcleanup();
  rl_free_line_state();
  rl_point = rl_end;
  rl_redisplay();
  fputs("^C\n", editor.out);
  rl_replace_line("", 1);
  rl_mark = 0;
  using_history();
  rl_on_new_line();
  rl_redisplay();
  fflush(editor.out);
  return 0;
}

/* Terminals wrap their lines anew; Readline would begin where the cursor is. */
static int resize(lua_State *L) {
  int columns;
  (void)L;
  if (!editor.up) return 0;
  rl_reset_screen_size();
  rl_get_screen_size(NULL, &columns);
  int above = cursor_row(columns > 0 ? columns : 80);
  if (above > 0) fprintf(editor.out, "\033[%dA", above);
  fputs("\r\033[J", editor.out);
  rl_forced_update_display();
  fflush(editor.out);
  return 0;
}

static int pause_editing(lua_State *L) {
  (void)L;
  if (editor.up && rl_deprep_term_function) rl_deprep_term_function();
  return 0;
}

static int resume(lua_State *L) {
  (void)L;
  if (!editor.up) return 0;
  if (rl_prep_term_function) rl_prep_term_function(1);
  rl_reset_screen_size();
  rl_forced_update_display();
  return 0;
}

static int add(lua_State *L) {
  add_history(luaL_checkstring(L, 1));
  return 0;
}

__attribute__((visibility("default"))) int luaopen_railtracks_readline(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"add", add}, {"clear", clear}, {"hide", hide}, {"open", open_editor},
      {"pause", pause_editing}, {"read", read_keys}, {"resize", resize}, {"resume", resume},
      {"show", show}, {"start", start}, {"stop", stop}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
