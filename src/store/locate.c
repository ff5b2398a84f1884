#include "locate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"

static char *join(const char *a, const char *b) {
  rt_buf path = {0};
  rt_buf_text(&path, a);
  if (b) {
    if (path.size && path.data[path.size - 1] != '/') rt_buf_char(&path, '/');
    rt_buf_text(&path, b);
  }
  rt_buf_char(&path, '\0');
  if (path.failed) rt_buf_free(&path);
  return path.data;
}

static bool is_folder(const char *path) {
  struct stat s;
  return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

/* A folder that keeps itself out of the user's git. */
static bool make_folder(const char *path) {
  if (mkdir(path, 0777) < 0) return errno == EEXIST && is_folder(path);
  char *ignore = join(path, ".gitignore");
  int fd = ignore ? open(ignore, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) : -1;
  free(ignore);
  if (fd < 0) return true;  // the folder is what matters
  bool written = write(fd, "*\n", 2) == 2;
  close(fd);
  return written;
}

/* The nearest .railtracks upwards from the current directory; NULL if there is none. */
static char *search(void) {
  char *at = getcwd(NULL, 0);
  while (at) {
    char *folder = join(at, ".railtracks");
    if (!folder || is_folder(folder)) {
      free(at);
      return folder;
    }
    free(folder);
    char *slash = strrchr(at, '/');
    if (!slash || !slash[1]) break;
    slash[slash == at ? 1 : 0] = '\0';
  }
  free(at);
  return NULL;
}

int rt_journal_locate(char **path, bool make, char **error) {
  const char *file = getenv("RAILTRACKS_JOURNAL"), *home = getenv("RAILTRACKS_HOME");
  char *folder = NULL;
  *path = NULL;
  *error = NULL;
  if (file && *file) {
    if (strcmp(file, "none") == 0) return 0;
    *path = strdup(file);
  } else {
    folder = home && *home ? strdup(home) : search();
    if (!folder) folder = strdup(".railtracks");
    if (folder && make && !is_folder(folder) && !make_folder(folder)) {
      rt_buf text = {0};
      rt_buf_printf(&text, "journal: cannot make the folder %s: %s", folder, strerror(errno));
      rt_buf_char(&text, '\0');
      *error = text.data;
      free(folder);
      return -1;
    }
    if (folder) *path = join(folder, "journal.db");
    free(folder);
  }
  if (*path) return 0;
  *error = strdup("journal: not enough memory");
  return -1;
}
