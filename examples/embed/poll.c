/* poll.c -- Railtracks inside a program that has a loop of its own: poll() waits for standard
 * input and for the engine at once. Each line becomes a call; answers come as they are ready.
 *
 *   cc -o poll poll.c $(pkg-config --cflags --libs railtracks)
 *   printf 'slow 3\nquick 1\n' | ./poll            --> quick, then slow
 */
#include <poll.h>
#include <railtracks.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char workflow[] =
    "local rt = require 'railtracks'\n"
    "local line = ...\n"
    "local name, tenths = line:match '^(%S+) (%d+)$'\n"
    "if not name then error('expected a name and a number, got ' .. line, 0) end\n"
    "rt.sleep(tenths / 10)\n"
    "return name\n";

static void ended(rt_call *c, void *data) {
  (void)data;
  const rt_problem *problem = rt_problem_of(c);
  if (problem) printf("failed: %s\n", problem->message);
  else printf("%s\n", rt_value_text(rt_result(c, 1), NULL));
  fflush(stdout);
  rt_release(c);
}

static void start(rt_engine *e, const char *line, size_t size) {
  rt_call *c = rt_prepare_text(e, workflow, "line");
  rt_pass(c, rt_new_text(c, line, size));
  if (rt_start(c, ended, NULL) < 0) ended(c, NULL);
}

/* Reads what has come and starts a call for each whole line. 0 at the end of the input. */
static int read_lines(rt_engine *e) {
  static char text[4096];
  static size_t size;
  ssize_t got = read(STDIN_FILENO, text + size, sizeof text - size);
  if (got <= 0) return 0;
  size += (size_t)got;
  char *from = text, *end;
  while ((end = memchr(from, '\n', size - (size_t)(from - text)))) {
    start(e, from, (size_t)(end - from));
    from = end + 1;
  }
  size -= (size_t)(from - text);
  memmove(text, from, size);
  return size < sizeof text;
}

int main(void) {
  const char *why;
  rt_options options = {.size = sizeof options, .journal = "none"};
  rt_engine *e = rt_open(&options, &why);
  if (!e) {
    fprintf(stderr, "poll: %s\n", why);
    return 1;
  }
  struct pollfd fds[2] = {{.fd = rt_loop_fd(e), .events = POLLIN},
                          {.fd = STDIN_FILENO, .events = POLLIN}};
  int left = 0;
  while (left > 0 || fds[1].fd >= 0) {
    poll(fds, 2, rt_loop_timeout(e));
    if (fds[1].fd >= 0 && fds[1].revents && !read_lines(e)) fds[1].fd = -1;
    left = rt_loop_step(e, 0);
  }
  rt_close(e);
  return left < 0;
}
