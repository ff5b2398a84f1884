#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "buf.h"

struct rt_sink {
  pthread_mutex_t lock;
  pthread_cond_t filled;   // the thread waits here
  pthread_cond_t emptied;  // who closes does
  rt_buf waiting;
  uint64_t lost;           // lines that found no room
  int fd;
  char *path;              // NULL: standard error
  int64_t size, most;      // of the file
  pthread_t thread;
  bool started, busy, stop;
  bool left;               // nobody waits for the thread: it frees the sink
};

// ---- writing ----

static void write_all(int fd, const char *data, size_t size) {
  while (size) {
    ssize_t count = write(fd, data, size);
    if (count < 0 && errno == EAGAIN) poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
    else if (count < 0 && errno != EINTR) return;  // nobody is left to tell
    if (count <= 0) continue;
    data += count;
    size -= (size_t)count;
  }
}

/* Begins a new file; the one before becomes FILE.1, that FILE.2, and so on. */
static void rotate(rt_sink *s) {
  size_t room = strlen(s->path) + 16;
  char *from = malloc(room), *to = malloc(room);
  for (int i = RT_SINK_OLD - 1; from && to && i >= 0; i--) {
    if (i) snprintf(from, room, "%s.%d", s->path, i);
    else snprintf(from, room, "%s", s->path);
    snprintf(to, room, "%s.%d", s->path, i + 1);
    rename(from, to);
  }
  free(from);
  free(to);
  int fd = open(s->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return;  // it goes on in the old one
  close(s->fd);
  s->fd = fd;
  s->size = 0;
}

/* Under the lock. */
static void put(rt_sink *s, const char *line, size_t size) {
  if (s->most && s->size && s->size + (int64_t)size > s->most) rotate(s);
  s->size += (int64_t)size;
  if (!s->path && fileno(stderr) != STDERR_FILENO) fwrite(line, 1, size, stderr);  // the REPL's
  else write_all(s->fd, line, size);
}

/* Whether that much can be written without waiting: a pipe that can be written to at all has
 * room for PIPE_BUF bytes. */
static bool is_ready(const rt_sink *s, size_t size) {
  struct stat file;
  if (s->path && fstat(s->fd, &file) == 0 && S_ISREG(file.st_mode)) return true;
  if (!s->path && fileno(stderr) != STDERR_FILENO) return true;
  return size <= PIPE_BUF && poll(&(struct pollfd){.fd = s->fd, .events = POLLOUT}, 1, 0) == 1;
}

static void free_sink(rt_sink *s) {
  if (s->path) close(s->fd);
  pthread_mutex_destroy(&s->lock);
  pthread_cond_destroy(&s->filled);
  pthread_cond_destroy(&s->emptied);
  rt_buf_free(&s->waiting);
  free(s->path);
  free(s);
}

static void *write_waiting(void *data) {
  rt_sink *s = data;
  pthread_mutex_lock(&s->lock);
  while (true) {
    while (!s->waiting.size && !s->stop) pthread_cond_wait(&s->filled, &s->lock);
    if (!s->waiting.size) break;
    rt_buf lines = s->waiting;
    uint64_t lost = s->lost;
    s->waiting = (rt_buf){0};
    s->lost = 0;
    s->busy = true;
    pthread_mutex_unlock(&s->lock);
    if (lost)
      rt_buf_printf(&lines, "railtracks: warning: %llu lines were lost here, since nobody read"
                    " them\n", (unsigned long long)lost);
    write_all(s->fd, lines.data, lines.size);
    rt_buf_free(&lines);
    pthread_mutex_lock(&s->lock);
    s->busy = false;
  }
  pthread_cond_broadcast(&s->emptied);
  s->busy = false;
  s->started = false;
  bool left = s->left;
  pthread_mutex_unlock(&s->lock);
  if (left) free_sink(s);
  return NULL;
}

/* Under the lock: leaves the line to the thread. */
static void leave(rt_sink *s, const char *line, size_t size) {
  if (s->waiting.size + size > RT_SINK_MOST || !rt_buf_reserve(&s->waiting, size)) {
    s->waiting.failed = false;
    s->lost++;
    return;
  }
  rt_buf_add(&s->waiting, line, size);
  if (!s->started) s->started = pthread_create(&s->thread, NULL, write_waiting, s) == 0;
  pthread_cond_signal(&s->filled);
}

void rt_sink_write(rt_sink *s, const char *line, size_t size) {
  pthread_mutex_lock(&s->lock);
  if (!s->waiting.size && !s->busy && is_ready(s, size)) put(s, line, size);
  else leave(s, line, size);
  pthread_mutex_unlock(&s->lock);
}

// ---- opening and closing ----

rt_sink *rt_sink_open(const char *path, int64_t most) {
  rt_sink *s = calloc(1, sizeof *s);
  if (!s) return NULL;
  s->fd = STDERR_FILENO;
  if (path) {
    struct stat file;
    s->path = strdup(path);
    // A pipe that nobody reads is to be an error, not a wait.
    s->fd = s->path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0600)
                    : -1;
    if (s->fd < 0) {
      int error = s->path ? errno : ENOMEM;
      free(s->path);
      free(s);
      errno = error;
      return NULL;
    }
    if (fstat(s->fd, &file) == 0) s->size = file.st_size;
    if (fstat(s->fd, &file) == 0 && S_ISREG(file.st_mode)) s->most = most;
  }
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_mutex_init(&s->lock, NULL);
  pthread_cond_init(&s->filled, NULL);
  pthread_cond_init(&s->emptied, &monotonic);
  pthread_condattr_destroy(&monotonic);
  return s;
}

void rt_sink_close(rt_sink *s, int64_t ns) {
  if (!s) return;
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  ns += until.tv_nsec;
  until.tv_sec += (time_t)(ns / 1000000000);
  until.tv_nsec = (long)(ns % 1000000000);
  pthread_mutex_lock(&s->lock);
  s->stop = true;
  pthread_cond_signal(&s->filled);
  int status = 0;
  bool had_thread = s->started;
  pthread_t thread = s->thread;
  while (s->started && status == 0)
    status = pthread_cond_timedwait(&s->emptied, &s->lock, &until);
  s->left = s->started;
  bool left = s->left;
  pthread_mutex_unlock(&s->lock);
  if (left) {
    pthread_detach(thread);
    return;
  }
  if (had_thread) pthread_join(thread, NULL);
  free_sink(s);
}
