#include "guard.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

bool rt_guard_open(rt_guard *g, const char *host, int port) {
  *g = (rt_guard){.host = host};
  gethostname(g->machine, sizeof g->machine - 1);
  snprintf(g->cookie, sizeof g->cookie, "railtracks_%d", port);
  if (!host) return true;
  unsigned char random[(RT_TOKEN_SIZE - 1) / 2];
  if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) return false;
  for (size_t i = 0; i < sizeof random; i++) sprintf(g->token + 2 * i, "%02x", random[i]);
  return true;
}

/* ---- the name we were called by ---- */

/* The length of the name in "name", "name:port", "[::1]:port"; 0 if it is none of them. */
static size_t name_size(const char *host) {
  size_t size;
  if (*host == '[') {
    size = strspn(host + 1, "0123456789abcdefABCDEF:.%") + 1;
    if (host[size] != ']') return 0;
    size++;
  } else {
    size = strcspn(host, ":");
  }
  if (!host[size]) return size;
  size_t digits = strspn(host + size + 1, "0123456789");
  return host[size] == ':' && digits && digits < 6 && !host[size + 1 + digits] ? size : 0;
}

static bool same(const char *name, size_t size, const char *known) {
  return *known && strlen(known) == size && strncasecmp(name, known, size) == 0;
}

static bool known_host(const rt_guard *g, const char *host) {
  size_t size = name_size(host);
  if (size == 0) return false;
  if (same(host, size, "localhost") || same(host, size, "127.0.0.1") || same(host, size, "[::1]"))
    return true;
  if (!g->host) return false;
  // An address cannot be made to mean another machine; a foreign name can.
  if (*host == '[' || strspn(host, "0123456789.") == size) return true;
  return same(host, size, g->host) || same(host, size, g->machine);
}

/* ---- headers ---- */

typedef struct found {
  const char *name, *value;
  int count;
} found;

static enum MHD_Result each_header(void *data, enum MHD_ValueKind kind, const char *name,
                                   const char *value) {
  found *f = data;
  (void)kind;
  if (strcasecmp(name, f->name) == 0) {
    f->value = value;
    f->count++;
  }
  return MHD_YES;
}

static found header(struct MHD_Connection *c, const char *name) {
  found f = {.name = name};
  MHD_get_connection_values(c, MHD_HEADER_KIND, each_header, &f);
  return f;
}

unsigned rt_guard_check(const rt_guard *g, struct MHD_Connection *c, bool page,
                        const char **why) {
  found host = header(c, "Host"), origin = header(c, "Origin");
  *why = "the Host header has to be there, once";
  if (host.count != 1 || !host.value) return 400;
  *why = "this server does not go by the name in the Host header";
  if (!known_host(g, host.value)) return 421;
  *why = "another site's page may not read this";
  if (origin.count > 1) return 403;
  if (origin.count && (!origin.value || strncmp(origin.value, "http://", 7) != 0 ||
                       strcasecmp(origin.value + 7, host.value) != 0))
    return 403;
  found site = header(c, "Sec-Fetch-Site"), mode = header(c, "Sec-Fetch-Mode");
  if (site.value && (strcmp(site.value, "cross-site") == 0 || strcmp(site.value, "same-site") == 0)) {
    // Another site may link to the page; it may not frame it, nor read anything.
    if (!page || !mode.value || strcmp(mode.value, "navigate") != 0) return 403;
  }
  return 0;
}

/* ---- the token ---- */

/* Takes as long however much of it is right. */
static bool same_token(const rt_guard *g, const char *given) {
  size_t size = strlen(given);
  unsigned char differ = size != RT_TOKEN_SIZE - 1;
  for (size_t i = 0; i < RT_TOKEN_SIZE - 1; i++)
    differ |= (unsigned char)(g->token[i] ^ (i < size ? given[i] : 0));
  return !differ;
}

rt_admission rt_guard_admit(const rt_guard *g, struct MHD_Connection *c) {
  if (!*g->token) return RT_ADMITTED;
  const char *cookie = MHD_lookup_connection_value(c, MHD_COOKIE_KIND, g->cookie);
  if (cookie && same_token(g, cookie)) return RT_ADMITTED;
  found bearer = header(c, "Authorization");
  if (bearer.value && strncasecmp(bearer.value, "Bearer ", 7) == 0 &&
      same_token(g, bearer.value + 7))
    return RT_ADMITTED;
  const char *given = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "token");
  return given && same_token(g, given) ? RT_SHOWN_IN : RT_STRANGER;
}
