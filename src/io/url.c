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

/* Goes through the parameters: appends them to 'out' unless that is NULL, and tells whether
 * one was secret. Some stand in a path. */
static bool walk(const rt_url *url, rt_buf *out) {
  bool secrets = false;
  size_t begin = url->path + span(url->text + url->path, url->size - url->path, "?&");
  if (out) rt_buf_add(out, url->text, begin);
  for (size_t at = begin; at < url->size;) {
    const char *text = url->text + at + 1;   // behind the '?' or '&'
    size_t left = url->size - at - 1, whole = span(text, left, "?&");
    size_t name = span(text, whole, "=");
    bool secret = name < whole && rt_secret_parameter(text, name);
    secrets |= secret;
    if (out) {
      rt_buf_add(out, url->text + at, 1 + (secret ? name + 1 : whole));
      if (secret) rt_buf_text(out, RT_HIDDEN);
    }
    at += 1 + whole;
  }
  return secrets;
}

void rt_url_show(const rt_url *url, rt_buf *out) {
  walk(url, out);
}

bool rt_url_has_secrets(const rt_url *url) { return walk(url, NULL); }

bool rt_url_same_origin(const rt_url *a, const rt_url *b) {
  return a->path == b->path && strncasecmp(a->text, b->text, a->path) == 0;
}
