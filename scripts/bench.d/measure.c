/* measure.c -- runs one command and says what it took.
 *
 *   measure COMMAND [ARG...]
 *
 * After the command's own output come the lines "wall_ms", "cpu_ms", "peak_mb" (the most
 * memory it held at once, in millions of bytes) and "exit" (128 + N for signal N). The
 * time begins just before the process is made and ends when it is gone: no shell is
 * between. A command that hangs is killed.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE = 300 };  // seconds; the slowest command of the bench takes twenty

extern char **environ;

static pid_t child;

static void give_up(int signal) {
  (void)signal;
  kill(child, SIGKILL);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static double ms(struct timeval t) { return t.tv_sec * 1e3 + t.tv_usec / 1e3; }

int main(int argc, char **argv) {
  int status;
  struct rusage used;

  if (argc < 2) return fputs("usage: measure COMMAND [ARG...]\n", stderr), 2;

  double began = now();
  int failed = posix_spawnp(&child, argv[1], NULL, NULL, argv + 1, environ);
  if (failed) {
    fprintf(stderr, "measure: %s: %s\n", argv[1], strerror(failed));
    return 127;
  }
  struct sigaction action = {.sa_handler = give_up, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  alarm(PATIENCE);
  wait4(child, &status, 0, &used);
  double wall = now() - began;

  printf("wall_ms %.3f\n", wall * 1e3);
  printf("cpu_ms %.3f\n", ms(used.ru_utime) + ms(used.ru_stime));
  printf("peak_mb %.3f\n", used.ru_maxrss * 1024 / 1e6);
  printf("exit %d\n", WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
  return 0;
}
