/* prompt.c -- starts a command on a terminal of its own, and says how long it takes until
 * the prompt "rt> " stands there.
 *
 *   prompt COMMAND [ARG...]      prints "prompt_ms N"; Ctrl-D ends the command
 */
#define _GNU_SOURCE
#include <pty.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  char screen[65536];
  size_t size = 0;
  int terminal, status;
  if (argc < 2) return fputs("usage: prompt COMMAND [ARG...]\n", stderr), 2;
  struct winsize window = {.ws_row = 24, .ws_col = 80};
  double began = now();
  pid_t child = forkpty(&terminal, NULL, NULL, &window);
  if (child < 0) return perror("prompt"), 1;
  if (child == 0) {
    execvp(argv[1], argv + 1);
    _exit(127);
  }
  for (;;) {
    ssize_t more = read(terminal, screen + size, sizeof screen - 1 - size);
    if (more <= 0) return fputs("prompt: the command ended without one\n", stderr), 1;
    size += (size_t)more;
    if (memmem(screen, size, "rt> ", 4)) break;
  }
  printf("prompt_ms %.3f\n", (now() - began) * 1e3);
  if (write(terminal, "\4", 1) < 0) return perror("prompt"), 1;
  while (read(terminal, screen, sizeof screen) > 0) {}
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
