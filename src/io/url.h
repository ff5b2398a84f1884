/* url.h -- an address, taken apart as far as a request needs it.
 *
 * The user and the password are taken out of the text, so that it may be shown and sent;
 * the fragment goes, too. Bytes that are not ASCII are escaped behind the host.
 */
#ifndef RT_URL_H
#define RT_URL_H

#include "buf.h"

typedef struct rt_url {
  char *text;           /* "https://host:8443/path?query", ended by a zero byte; malloc'd */
  size_t size;
  size_t host;          /* where in it the host begins, */
  size_t path;          /* the path */
  size_t query;         /* and the '?'; 'size' if there is none */
  char *user;           /* decoded; NULL: none. Likewise */
  char *password;
  bool tls;
} rt_url;

/* Reads an absolute address. Returns NULL, or what is wrong with it. */
const char *rt_url_parse(rt_url *url, const char *text, size_t size);
void rt_url_free(rt_url *url);

/* Appends it for people: the values of secret parameters are hidden. */
void rt_url_show(const rt_url *url, rt_buf *out);

/* Whether it has a parameter whose value is hidden. */
bool rt_url_has_secrets(const rt_url *url);

/* Whether the text begins with the value of such a parameter, of 'least' bytes or more: then how
 * long that is. */
size_t rt_url_secret_at(const rt_url *url, const char *text, size_t size, size_t least);

/* Whether both are of the same scheme, host and port. */
bool rt_url_same_origin(const rt_url *a, const rt_url *b);

#endif
