/* process.c -- which process is it, and does it still live.
 *
 * A pid alone is given again to another process. With the time it started, the boot it
 * belongs to and the pid namespace it was counted in, it is not.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "buf.h"
#include "store.h"

enum { BOOT_SIZE = 64 };

/* The three parts of a process id: "BOOT:NAMESPACE:STARTED". */
typedef struct place {
  char boot[BOOT_SIZE];
  uint64_t space;    // inode of the pid namespace
  uint64_t started;  // clock ticks after boot
} place;

/* Reads at most size - 1 bytes of a file; returns how many, or -1. */
static ssize_t read_text(const char *path, char *text, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t got = read(fd, text, size - 1);
  int reason = errno;
  close(fd);
  errno = reason;
  text[got > 0 ? got : 0] = '\0';
  return got;
}

/* Reads when the process of /proc/NAME started, and whether it is a corpse that nobody
 * has waited for yet (one whose first thread alone has ended still has others). */
static bool read_stat(const char *name, uint64_t *started, bool *corpse) {
  char path[40], text[1024], state;
  long threads;
  snprintf(path, sizeof path, "/proc/%s/stat", name);
  if (read_text(path, text, sizeof text) <= 0) return false;
  // "PID (COMMAND) S ...": the command may hold blanks and parentheses, what follows not.
  const char *rest = strrchr(text, ')');
  if (!rest) return false;
  if (sscanf(rest + 1, " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
             "%*s %ld %*s %" SCNu64, &state, &threads, started) != 3)
    return false;
  *corpse = (state == 'Z' || state == 'X') && threads <= 1;
  return true;
}

/* Where this process is; its start is left to the caller. */
static bool read_here(place *p) {
  struct stat space;
  if (read_text("/proc/sys/kernel/random/boot_id", p->boot, sizeof p->boot) <= 0)
    return false;
  p->boot[strcspn(p->boot, "\n:")] = '\0';
  if (stat("/proc/self/ns/pid", &space) < 0) return false;
  p->space = space.st_ino;
  return true;
}

char *rt_process_id(void) {
  place p = {.boot = "-"};
  bool corpse;
  if (!read_here(&p) || !read_stat("self", &p.started, &corpse)) return strdup("unknown");
  rt_buf text = {0};
  rt_buf_printf(&text, "%s:%" PRIu64 ":%" PRIu64, p.boot, p.space, p.started);
  return text.data;
}

static bool same_host(const char *host) {
  char name[HOST_NAME_MAX + 1];
  if (!host || gethostname(name, sizeof name) < 0) return false;
  name[sizeof name - 1] = '\0';
  return strcmp(name, host) == 0;
}

bool rt_process_alive(const char *host, int64_t pid, const char *process) {
  place here, there;
  char name[24];
  uint64_t started;
  bool corpse;
  if (!process || sscanf(process, "%63[^:]:%" SCNu64 ":%" SCNu64, there.boot, &there.space,
                         &there.started) != 3)
    return true;
  if (!read_here(&here)) return true;

  // Another boot is another machine, or this one before it was started again.
  if (strcmp(here.boot, there.boot) != 0) return !same_host(host);
  if (here.space != there.space) return true;
  if (pid <= 0 || pid > INT_MAX) return false;

  snprintf(name, sizeof name, "%" PRId64, pid);
  if (read_stat(name, &started, &corpse)) return !corpse && started == there.started;
  // Others' processes may be hidden in /proc, but not from kill.
  return kill((pid_t)pid, 0) == 0 || errno != ESRCH;
}
