#include "request.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "json.h"

const char *rt_request_text(const rt_request *q, const char *name) {
  const char *value = MHD_lookup_connection_value(q->connection, MHD_GET_ARGUMENT_KIND, name);
  return value && *value ? value : NULL;
}

bool rt_request_number(rt_request *q, const char *name, int64_t least, int64_t most,
                       int64_t otherwise, int64_t *value) {
  const char *text = rt_request_text(q, name);
  char *end;
  *value = otherwise;
  if (!text) return true;
  errno = 0;
  long long number = *text >= '0' && *text <= '9' ? strtoll(text, &end, 10) : -1;
  if (number < 0 || errno || *end || number < least || number > most) {
    rt_request_fail(q, 400, "%s: expected a whole number from %lld to %lld", name,
                    (long long)least, (long long)most);
    return false;
  }
  *value = number;
  return true;
}

bool rt_request_seconds(rt_request *q, const char *name, double otherwise, double *value) {
  const char *text = rt_request_text(q, name);
  char *end;
  *value = otherwise;
  if (!text) return true;
  *value = strtod(text, &end);
  if (end != text && !*end && isfinite(*value)) return true;
  rt_request_fail(q, 400, "%s: expected a number of seconds", name);
  return false;
}

void rt_request_fail(rt_request *q, unsigned status, const char *format, ...) {
  char message[512];
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  q->status = status;
  q->type = "application/json";
  q->body.size = 0;
  rt_buf_text(&q->body, "{\"error\":");
  rt_view_name(&q->body, message);
  rt_buf_text(&q->body, "}\n");
}

void rt_request_broken(rt_request *q) {
  rt_request_fail(q, 500, "%s", rt_source_error(q->source));
}
