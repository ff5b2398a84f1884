#include "url.h"

#include <stdlib.h>
#include <strings.h>

#include "secret.h"

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/* The bytes with %XX decoded, as a string of their own; NULL when out of memory. */
static char *decoded(const char *text, size_t size) {
  char *out = malloc(size + 1), *to = out;
  if (!out) return NULL;
  for (size_t i = 0; i < size; i++) {
    int high = i + 2 < size && text[i] == '%' ? hex_digit(text[i + 1]) : -1;
    int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
    *to++ = low >= 0 ? (char)(high * 16 + low) : text[i];
    if (low >= 0) i += 2;
  }
  *to = '\0';
  return out;
}

/* Up to the first of the bytes in 'ends', or to the end. */
static size_t span(const char *text, size_t size, const char *ends) {
  size_t at = 0;
  while (at < size && !strchr(ends, text[at])) at++;
  return at;
}

static void add_escaped(rt_buf *out, const char *text, size_t size) {
  static const char digits[] = "0123456789ABCDEF";
  for (size_t i = 0; i < size; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c < 0x80) {
      rt_buf_char(out, (char)c);
    } else {
      rt_buf_char(out, '%');
      rt_buf_char(out, digits[c >> 4]);
      rt_buf_char(out, digits[c & 15]);
    }
  }
}

/* Whether what follows the host is a port, or nothing. */
static bool has_port(const char *text, size_t size) {
  long port = 0;
  for (size_t i = 1; i < size && port <= 65535; i++) {
    if (text[i] < '0' || text[i] > '9') return false;
    port = port * 10 + (text[i] - '0');
  }
  return !size || (*text == ':' && port <= 65535);
}

static const char *take_user(rt_url *url, const char *text, size_t size) {
  size_t user = span(text, size, ":"), password = user < size ? user + 1 : size;
  url->user = decoded(text, user);
  url->password = decoded(text + password, size - password);
  return url->user && url->password ? NULL : "not enough memory";
}

const char *rt_url_parse(rt_url *url, const char *text, size_t size) {
  *url = (rt_url){0};
  for (size_t i = 0; i < size; i++)
    if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
      return "spaces and control characters must be escaped";

  size_t scheme = size >= 8 && strncasecmp(text, "https://", 8) == 0 ? 8
                  : size >= 7 && strncasecmp(text, "http://", 7) == 0 ? 7 : 0;
  if (!scheme) return "expected one that begins with http:// or https://";
  url->tls = scheme == 8;
  text += scheme;
  size -= scheme;

  size_t authority = span(text, size, "/?#"), host = 0;
  for (size_t i = 0; i < authority; i++)
    if (text[i] == '@') host = i + 1;
  if (host == authority || text[host] == ':') return "expected one with a host";
  size_t name = span(text + host, authority - host, text[host] == '[' ? "]" : ":");
  if (text[host] == '[' && name < authority - host) name++;
  if (!has_port(text + host + name, authority - host - name))
    return "expected a port of 0 to 65535 behind the host";
  if (host) {
    const char *problem = take_user(url, text, host - 1);
    if (problem) return rt_url_free(url), problem;
  }

  rt_buf out = {0};
  rt_buf_text(&out, url->tls ? "https://" : "http://");
  url->host = out.size;
  rt_buf_add(&out, text + host, authority - host);
  url->path = out.size;
  text += authority;
  size -= authority;
  size = span(text, size, "#");
  size_t path = span(text, size, "?");
  if (path) add_escaped(&out, text, path);
  else rt_buf_char(&out, '/');
  url->query = out.size;
  add_escaped(&out, text + path, size - path);
  url->size = out.size;
  rt_buf_char(&out, '\0');
  if (out.failed) {
    rt_buf_free(&out);
    rt_url_free(url);
    return "not enough memory";
  }
  url->text = out.data;
  return NULL;
}

void rt_url_free(rt_url *url) {
  free(url->text);
  free(url->user);
  free(url->password);
  *url = (rt_url){0};
}

/* A parameter with the '?' or '&' before it. */
typedef struct parameter {
  const char *text;
  size_t size;
  size_t value;   // where that begins
  bool secret;
} parameter;

static size_t first_parameter(const rt_url *url) {  // some stand in a path
  return url->path + span(url->text + url->path, url->size - url->path, "?&");
}

static bool next_parameter(const rt_url *url, size_t *at, parameter *p) {
  if (*at >= url->size) return false;
  const char *name = url->text + *at + 1;
  size_t whole = span(name, url->size - *at - 1, "?&"), length = span(name, whole, "=");
  bool secret = length < whole && rt_secret_parameter(name, length);
  *p = (parameter){name - 1, whole + 1, length + 2, secret};
  *at += whole + 1;
  return true;
}

void rt_url_show(const rt_url *url, rt_buf *out) {
  parameter p;
  size_t at = first_parameter(url);
  rt_buf_add(out, url->text, at);
  while (next_parameter(url, &at, &p)) {
    rt_buf_add(out, p.text, p.secret ? p.value : p.size);
    if (p.secret) rt_buf_text(out, RT_HIDDEN);
  }
}

bool rt_url_has_secrets(const rt_url *url) {
  parameter p;
  for (size_t at = first_parameter(url); next_parameter(url, &at, &p);)
    if (p.secret) return true;
  return false;
}

size_t rt_url_secret_at(const rt_url *url, const char *text, size_t size, size_t least) {
  parameter p;
  for (size_t at = first_parameter(url); next_parameter(url, &at, &p);) {
    size_t length = p.secret ? p.size - p.value : 0;
    if (length >= least && length && length <= size && memcmp(text, p.text + p.value, length) == 0)
      return length;
  }
  return 0;
}

bool rt_url_same_origin(const rt_url *a, const rt_url *b) {
  return a->path == b->path && strncasecmp(a->text, b->text, a->path) == 0;
}
