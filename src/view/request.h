/* request.h -- one request of a browser, and the answer to it. */
#ifndef RT_VIEW_REQUEST_H
#define RT_VIEW_REQUEST_H

#include <microhttpd.h>

#include "buf.h"
#include "models.h"
#include "source.h"
#include "view.h"

typedef struct rt_metrics rt_metrics;

typedef struct rt_request {
  struct MHD_Connection *connection;
  const char *problem;     /* with its line, found before it was looked at; NULL if none */
  bool seen;               /* its headers have been handed over */
  rt_source *source;
  rt_models *models;
  rt_metrics *metrics;
  unsigned status;         /* of the answer */
  const char *type;
  rt_buf body;
} rt_request;

/* The value of "?name=": NULL if it is not there, or is empty. */
const char *rt_request_text(const rt_request *q, const char *name);

/* The same as a whole number from 'least' to 'most'; 'otherwise' if it is not there. False,
 * with the answer, if it is none. */
bool rt_request_number(rt_request *q, const char *name, int64_t least, int64_t most,
                       int64_t otherwise, int64_t *value);

/* The same as a number of seconds. */
bool rt_request_seconds(rt_request *q, const char *name, double otherwise, double *value);

/* Answers {"error":...} with this status. */
void rt_request_fail(rt_request *q, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Answers with what the journal says is wrong. */
void rt_request_broken(rt_request *q);

/* ---- the answers: each fills 'status', 'type' and 'body' ---- */

/* GET /api/...; 'path' is what follows "/api/". */
void rt_api(rt_request *q, const char *path);

void rt_api_runs(rt_request *q);
void rt_api_run(rt_request *q, const rt_run_record *run);
void rt_api_calls(rt_request *q, const rt_run_record *run);
void rt_api_search(rt_request *q, const rt_run_record *run);
void rt_api_previews(rt_request *q, const rt_run_record *run);
void rt_api_events(rt_request *q, const rt_run_record *run);
void rt_api_call(rt_request *q, const rt_run_record *run, uint32_t seq);
void rt_api_metrics(rt_request *q);
void rt_api_live(rt_request *q, const rt_view_live *live);

/* A statement's row of the runs; a run that is marked as running whose writer is gone is
 * RT_INTERRUPTED. */
void rt_api_read_run(sqlite3_stmt *stmt, rt_run_record *run);

/* Looks for a text in rows of (key, node, args, results, error), for a little while. */
typedef struct rt_find {
  const char *plain;   /* what is looked for, without regard to the case of letters */
  char *escaped;       /* as JSON has it, if that differs; free it */
  double until;        /* give up then */
} rt_find;

/* False when out of memory. */
bool rt_find_open(rt_find *f, const char *text, double seconds);
bool rt_find_matches(const rt_find *f, sqlite3_stmt *row);
bool rt_find_late(const rt_find *f);

#endif
