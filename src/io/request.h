/* request.h -- a request in libcurl's terms: its options, its error codes. */
#ifndef RT_REQUEST_H
#define RT_REQUEST_H

#include "transfer.h"

/* Tells libcurl all of it. False when out of memory. */
bool rt_request_set(rt_transfer *t, const rt_request *request);

/* Which authorities are trusted: those of the file or folder 'ca', else what the environment
 * says; or nobody is asked for. False when out of memory. */
bool rt_request_trust(const rt_curl *curl, CURL *easy, const char *ca, bool insecure);

/* Only where it goes, and as whom ("name:password"); NULL: as the address says, if it does. */
bool rt_request_set_url(rt_transfer *t, const char *user);

/* Whether the redirect that has come is followed with a GET, whatever the request was. */
bool rt_request_becomes_get(const rt_transfer *t);

/* Tells it to go where the answer says: with another method if the answer wants that, and
 * without what is secret if that is somebody else. Takes over the address. NULL, or the
 * code of what is wrong. */
const char *rt_request_redirect(rt_transfer *t, rt_url *next);

/* Appends the first 'most' bytes of an answer on one line, without the request's own secrets. */
void rt_request_scrub(const rt_transfer *t, const char *text, size_t size, size_t most,
                      rt_buf *out);

/* What an error of libcurl is in one word; its message may tell more. */
const char *rt_request_code(CURLcode result, const char *message);

#endif
