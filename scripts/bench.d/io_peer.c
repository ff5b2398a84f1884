/* io_peer.c -- what plain C on libuv takes, and the other end of a server.
 *
 *   io_peer processes COUNT LIMIT   runs 'true' COUNT times, LIMIT at a time, each with two
 *                                   pipes that are read to their end; prints "us N"
 *   io_peer idle COUNT PORT         makes COUNT connections, has a byte echoed on each, then
 *                                   on each once more while all are open
 */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

static long count, limit;

/* ---- processes ---- */

typedef struct child {
  uv_process_t process;
  uv_pipe_t out[2];
  int open;
} child;

static void start(void);

static void closed(uv_handle_t *handle) {
  child *c = handle->data;
  if (--c->open) return;
  free(c);
  if (count > 0) start();
}

static void exited(uv_process_t *process, int64_t status, int signal) {
  (void)status, (void)signal;
  uv_close((uv_handle_t *)process, closed);
}

static void give_room(uv_handle_t *handle, size_t size, uv_buf_t *buf) {
  static char room[65536];
  (void)handle, (void)size;
  *buf = uv_buf_init(room, sizeof room);
}

static void read_some(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf) {
  (void)buf;
  if (size < 0) uv_close((uv_handle_t *)stream, closed);
}

static void start(void) {
  child *c = calloc(1, sizeof *c);
  char *args[] = {"true", NULL};
  uv_stdio_container_t stdio[3] = {{.flags = UV_IGNORE}};
  c->open = 3;
  c->process.data = c;
  for (int i = 0; i < 2; i++) {
    uv_pipe_init(uv_default_loop(), &c->out[i], 0);
    c->out[i].data = c;
    stdio[i + 1].flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE;
    stdio[i + 1].data.stream = (uv_stream_t *)&c->out[i];
  }
  uv_process_options_t options = {
      .file = "true", .args = args, .exit_cb = exited, .stdio = stdio, .stdio_count = 3,
      .flags = UV_PROCESS_DETACHED,
  };
  count--;
  if (uv_spawn(uv_default_loop(), &c->process, &options) < 0) exit(1);
  for (int i = 0; i < 2; i++) uv_read_start((uv_stream_t *)&c->out[i], give_room, read_some);
}

static void processes(void) {
  long all = count;
  uint64_t began = uv_hrtime();
  for (long i = 0; i < limit && count > 0; i++) start();
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  printf("us %f\n", (double)(uv_hrtime() - began) / 1e3 / (double)all);
}

/* ---- idle connections ---- */

static void echo(int fd) {
  char byte = 'x';
  if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1 || byte != 'x') {
    perror("io_peer: no echo");
    exit(1);
  }
}

static void idle(void) {
  struct rlimit most;
  getrlimit(RLIMIT_NOFILE, &most);
  most.rlim_cur = most.rlim_max;
  setrlimit(RLIMIT_NOFILE, &most);
  struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)limit)};
  inet_pton(AF_INET, "127.0.0.1", &server.sin_addr);
  int *fds = malloc((size_t)count * sizeof *fds);
  for (long i = 0; i < count; i++) {
    fds[i] = socket(AF_INET, SOCK_STREAM, 0);
    if (fds[i] < 0 || connect(fds[i], (struct sockaddr *)&server, sizeof server) < 0) {
      perror("io_peer: connect");
      exit(1);
    }
    echo(fds[i]);
  }
  for (long i = 0; i < count; i++) echo(fds[i]);
}

int main(int argc, char **argv) {
  if (argc != 4 || (count = atol(argv[2])) <= 0 || (limit = atol(argv[3])) <= 0) return 2;
  if (strcmp(argv[1], "processes") == 0) processes();
  else if (strcmp(argv[1], "idle") == 0) idle();
  else return 2;
  return 0;
}
