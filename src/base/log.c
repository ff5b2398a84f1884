#include "log.h"

#include <stdarg.h>
#include <stdio.h>

#include "buf.h"

void rt_log(rt_log_level level, const char *format, ...) {
  static const char *const names[] = {"", "warning: ", "error: "};
  va_list args;
  va_start(args, format);
  char text[1024];
  int size = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (size < 0) return;

  rt_buf line = {0};
  rt_buf_text(&line, "railtracks: ");
  rt_buf_text(&line, names[level]);
  rt_buf_text(&line, text);
  if ((size_t)size >= sizeof text) rt_buf_text(&line, "...");
  rt_buf_char(&line, '\n');
  if (line.size) fwrite(line.data, 1, line.size, stderr);  // the REPL's own while it stands
  rt_buf_free(&line);
}
