/* transfer.h -- one request and its answer, redirects included.
 *
 *   open      a transfer in the hands of its owner
 *   address, header, prepare
 *             say what is to be sent, and where; nothing is sent yet
 *   start     from here on 'changed' is called: when the head of the answer has come, when
 *             bytes of its body have, when bytes to send are wanted, and at the end
 *   stop      ends it early, at once
 *   close     gives it back to the client
 *
 * 'changed' is called from within libcurl: it takes note, wakes somebody, and nothing else.
 * A body that is streamed is held back while nobody takes what has come.
 */
#ifndef RT_TRANSFER_H
#define RT_TRANSFER_H

#include <stdint.h>

#include "http.h"
#include "url.h"

enum {
  RT_HEAD_MOST = 256 << 10,      /* bytes of the head of an answer, */
  RT_HEAD_LINES = 1000,          /* and lines */
  RT_REDIRECT_MOST = 1 << 20,    /* of the body of a redirect, which nobody sees */
  RT_STREAM_QUEUE = 256 << 10,   /* of a streamed body that wait to be taken */
};

/* Where the bytes to send come from. */
typedef enum rt_upload {
  RT_UPLOAD_NONE, RT_UPLOAD_BYTES, RT_UPLOAD_FILE, RT_UPLOAD_PIECES,
} rt_upload;

typedef enum rt_http_version { RT_HTTP_ANY, RT_HTTP_1, RT_HTTP_2_ONLY } rt_http_version;

/* What is asked for. Texts are copied, but for 'bytes', which must stay. */
typedef struct rt_request {
  const char *method;
  const char *user;              /* "name:password"; NULL: as the URL says, if it does */
  const char *proxy;             /* NULL: as the environment says; "": none */
  const char *ca;                /* file or folder; NULL: the usual ones */
  rt_upload upload;
  const char *bytes;
  int file;                      /* a descriptor, which is taken over */
  int64_t upload_size;           /* of what is uploaded; -1: nobody knows */
  double timeout, connect_timeout, idle_timeout;   /* seconds; 0: none */
  int64_t max_body;              /* of the answer; -1: any size */
  int follow;                    /* redirects, at most */
  rt_http_version version;
  bool insecure, stream, compressed;
  bool plain;                    /* a GET of which nothing else was said */
} rt_request;

typedef enum rt_transfer_state {
  RT_TRANSFER_NEW, RT_TRANSFER_RUNNING,
  RT_TRANSFER_DONE, RT_TRANSFER_FAILED, RT_TRANSFER_STOPPED,   /* has ended */
} rt_transfer_state;

/* Seconds from the start; 0: did not happen. */
typedef struct rt_timings {
  double lookup, connect, tls, first_byte, total;
} rt_timings;

struct rt_transfer {
  rt_http *http;                 /* NULL once that is closed */
  rt_transfer *next, *previous;  /* among the client's */
  void (*changed)(rt_transfer *t);
  void *owner;
  rt_transfer_state state;
  bool headed;                   /* the head of the final answer is whole */
  bool hungry;                   /* more of the upload is wanted */
  long status;                   /* of the answer; 0 until there is one */
  rt_buf head;                   /* its header lines, of which the first is the status */
  rt_buf body;                   /* what has come and was not taken */
  int64_t received;              /* bytes of the body, all of them */
  rt_timings timings;            /* once it has ended */
  const char *code;              /* why it has failed, in a word; 'message' has some */
  rt_url url;                    /* where it goes, after redirects */
  /* its own: */
  struct curl_slist *headers;    /* NULL: the usual ones */
  rt_request request;            /* what of it is plain numbers */
  rt_buf piece;                  /* of the upload, not sent yet */
  size_t piece_at;
  int64_t file_at;
  rt_timings spent;              /* on the redirects so far */
  rt_patience *patience;  /* NULL: no limit in time */
  int followed;
  bool redirecting;              /* the answer that is coming says where to go */
  bool paused;                   /* libcurl waits until the body is taken */
  bool idle;                     /* ... until there is a piece */
  bool piece_last;
  int lines;                     /* of the head */
  /* what follows is not cleared when it is used again */
  CURL *easy;                    /* of an idle one: set for a plain request, or NULL */
  char message[300];
  char said[CURL_ERROR_SIZE];    /* by libcurl, of an error */
};

static inline bool rt_transfer_over(const rt_transfer *t) {
  return t->state >= RT_TRANSFER_DONE;
}

/* A transfer of the client; NULL when out of memory. */
rt_transfer *rt_transfer_open(rt_http *http);

/* Where it goes; NULL, or what is wrong with that. */
const char *rt_transfer_address(rt_transfer *t, const char *url, size_t size);

/* One line of its head, "Name: value". False when out of memory. */
bool rt_transfer_header(rt_transfer *t, const char *line);

/* False when out of memory. Takes over the file, if there is one, either way. */
bool rt_transfer_prepare(rt_transfer *t, const rt_request *request);

void rt_transfer_start(rt_transfer *t);

/* The bytes of the body are taken by the caller, who has emptied t->body: more may come. */
void rt_transfer_taken(rt_transfer *t);

/* The next piece of the upload, after t->hungry; the last one may be empty. */
void rt_transfer_give(rt_transfer *t, const char *data, size_t size, bool last);

/* Ends it, if it has not ended: it is stopped then. 'changed' is called. */
void rt_transfer_stop(rt_transfer *t);

/* Says why it has failed, or will have when libcurl is done with it. */
void rt_transfer_fail(rt_transfer *t, const char *code, const char *message);

/* Ends it as failed. 'changed' is called. */
void rt_transfer_give_up(rt_transfer *t, const char *code, const char *message);

void rt_transfer_close(rt_transfer *t);

/* ---- for the client ---- */

/* libcurl is done with what the easy handle did. */
void rt_transfer_done(rt_http *http, CURL *easy, CURLcode result);

/* Frees those that could be used again. */
void rt_transfer_free_idle(rt_http *http);

/* The client closes: the transfer is stopped, and is none of its any more. */
void rt_transfer_detach(rt_transfer *t);

#endif
