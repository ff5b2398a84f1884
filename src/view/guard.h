/* guard.h -- who may ask.
 *
 * A page of somebody else's, in the user's own browser, reaches this server as the user does.
 * What tells it apart: the name it used to get here (Host: a name of the attacker's that was
 * made to mean 127.0.0.1), the page that asks (Origin, Sec-Fetch-Site), and, where others on
 * the network can reach us too, that it does not know the token.
 */
#ifndef RT_VIEW_GUARD_H
#define RT_VIEW_GUARD_H

#include <microhttpd.h>
#include <stdbool.h>

enum { RT_TOKEN_SIZE = 33 };

typedef struct rt_guard {
  const char *host;             /* as given; NULL: loopback, without a token */
  char machine[256];            /* its name */
  char token[RT_TOKEN_SIZE];    /* empty: none is asked */
  char cookie[32];              /* what the token's cookie is called */
} rt_guard;

/* False when there is no randomness to be had. */
bool rt_guard_open(rt_guard *g, const char *host, int port);

/* Whether the headers are as a browser or a tool of the user's would send them: 0, or the
 * status to refuse with, and why. */
unsigned rt_guard_check(const rt_guard *g, struct MHD_Connection *c, bool page,
                        const char **why);

typedef enum rt_admission {
  RT_ADMITTED,
  RT_SHOWN_IN,  /* the token was in the address: set the cookie, go on without it */
  RT_STRANGER,
} rt_admission;

rt_admission rt_guard_admit(const rt_guard *g, struct MHD_Connection *c);

#endif
