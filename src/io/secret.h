/* secret.h -- which parts of a request are nobody else's business, by their names. */
#ifndef RT_SECRET_H
#define RT_SECRET_H

#include <stdbool.h>
#include <stddef.h>

/* What stands in a record in place of a secret. */
#define RT_HIDDEN "[hidden]"

/* Whether the value of a header of that name is a secret: Authorization, Cookie, X-Api-Key
 * and the like. */
bool rt_secret_header(const char *name, size_t size);

/* The same for a parameter in the query of a URL: api_key, access_token, sig ... */
bool rt_secret_parameter(const char *name, size_t size);

#endif
