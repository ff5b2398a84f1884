#include "transfer.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "patience.h"
#include "request.h"

/* ---- what libcurl calls while it works ---- */

/* A header line's value, if it is of that name: without blanks around it. */
static bool value_of(const char *line, size_t size, const char *name, const char **value,
                     size_t *length) {
  size_t at = strlen(name);
  if (size <= at || line[at] != ':' || strncasecmp(line, name, at) != 0) return false;
  for (at++; at < size && (line[at] == ' ' || line[at] == '\t');) at++;
  while (size > at && (unsigned char)line[size - 1] <= ' ') size--;
  *value = line + at;
  *length = size - at;
  return true;
}

static bool is_redirect(const rt_transfer *t) {
  bool asks = t->status == 301 || t->status == 302 || t->status == 303 || t->status == 307 ||
              t->status == 308;
  if (!asks || t->request.follow < 0) return false;
  const char *value;
  size_t length;
  for (size_t at = 0, end; at < t->head.size; at = end) {
    const char *line = t->head.data + at, *newline = memchr(line, '\n', t->head.size - at);
    end = newline ? (size_t)(newline - t->head.data) + 1 : t->head.size;
    if (value_of(line, end - at, "location", &value, &length)) return length > 0;
  }
  return false;
}

/* The head of an answer is whole, which may not be the final one. */
static void head_over(rt_transfer *t) {
  if (t->status < 200) return;
  t->redirecting = is_redirect(t);
  t->headed = !t->redirecting;
  if (t->headed) t->changed(t);
}

static size_t header_came(char *line, size_t one, size_t size, void *client) {
  rt_transfer *t = client;
  (void)one;
  if (t->headed || (t->redirecting && t->received)) return size;  // behind a chunked body
  if (size > 5 && memcmp(line, "HTTP/", 5) == 0) {
    const char *status = memchr(line, ' ', size);
    t->head.size = 0;
    t->lines = 0;
    t->status = status ? strtol(status, NULL, 10) : 0;
    t->redirecting = false;
  } else if (size <= 2 && (*line == '\r' || *line == '\n')) {
    head_over(t);
    return size;
  }
  if (t->head.size + size > RT_HEAD_MOST || ++t->lines > RT_HEAD_LINES) {
    rt_transfer_fail(t, "too_large", "the head of the answer is larger than 256 KiB, or has "
                     "more than 1000 lines");
    return 0;
  }
  rt_buf_add(&t->head, line, size);
  return t->head.failed ? 0 : size;
}

/* Room for the whole body, if its size is told and not fantastic. */
static void make_room(rt_transfer *t) {
  enum { MOST = 16 << 20 };
  curl_off_t size = -1;
  t->http->curl.easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &size);
  if (size > 0 && size <= MOST) rt_buf_reserve(&t->body, (size_t)size);
}

static size_t body_came(char *data, size_t one, size_t size, void *client) {
  rt_transfer *t = client;
  (void)one;
  if (t->redirecting) {
    t->received += (int64_t)size;
    if (t->received <= RT_REDIRECT_MOST) return size;
    rt_transfer_fail(t, "too_large", "the body of a redirect is larger than 1 MiB");
    return CURL_WRITEFUNC_ERROR;
  }
  if (t->request.stream && t->body.size && t->body.size + size > RT_STREAM_QUEUE) {
    t->paused = true;
    return CURL_WRITEFUNC_PAUSE;
  }
  if (t->request.max_body >= 0 && t->received + (int64_t)size > t->request.max_body) {
    char text[100];
    snprintf(text, sizeof text, "the body is larger than max_body, which is %lld bytes",
             (long long)t->request.max_body);
    rt_transfer_fail(t, "too_large", text);
    return CURL_WRITEFUNC_ERROR;
  }
  if (!t->received && !t->request.stream) make_room(t);
  t->received += (int64_t)size;
  rt_buf_add(&t->body, data, size);
  if (t->body.failed) return CURL_WRITEFUNC_ERROR;
  if (t->request.stream) t->changed(t);
  return size;
}

static size_t read_file(rt_transfer *t, char *to, size_t room) {
  if (t->request.upload_size >= 0) {
    int64_t left = t->request.upload_size - t->file_at;
    if ((int64_t)room > left) room = (size_t)left;
  }
  ssize_t count;
  do count = pread(t->request.file, to, room, t->file_at);
  while (count < 0 && errno == EINTR);
  if (count < 0) {
    char text[200];
    snprintf(text, sizeof text, "the file that is sent cannot be read: %s", strerror(errno));
    rt_transfer_fail(t, "read", text);
    return CURL_READFUNC_ABORT;
  }
  if (!count && room) {  // the server would wait for the rest
    rt_transfer_fail(t, "read", "the file that is sent has become shorter");
    return CURL_READFUNC_ABORT;
  }
  t->file_at += count;
  return (size_t)count;
}

static size_t body_wanted(char *to, size_t one, size_t room, void *client) {
  rt_transfer *t = client;
  room *= one;
  if (t->request.upload == RT_UPLOAD_FILE) return read_file(t, to, room);
  size_t left = t->piece.size - t->piece_at;
  if (!left && !t->piece_last) {
    t->idle = t->hungry = true;
    t->changed(t);
    return CURL_READFUNC_PAUSE;
  }
  if (room > left) room = left;
  if (room) memcpy(to, t->piece.data + t->piece_at, room);
  t->piece_at += room;
  return room;
}

/* libcurl wants to send the body once more, from its beginning: it met a connection that was
 * being closed. */
static int body_again(void *client, curl_off_t offset, int origin) {
  rt_transfer *t = client;
  if (t->request.upload != RT_UPLOAD_FILE || origin != SEEK_SET) {
    rt_transfer_fail(t, "closed", "the connection was closed before the body was sent, which a "
                     "function gives once");
    return CURL_SEEKFUNC_FAIL;
  }
  t->file_at = offset;
  return CURL_SEEKFUNC_OK;
}

/* ---- the end ---- */

static double seconds(const rt_transfer *t, CURLINFO info) {
  curl_off_t us = 0;
  t->http->curl.easy_getinfo(t->easy, info, &us);
  return (double)us / 1e6;
}

static void read_timings(rt_transfer *t) {
  double before = t->spent.total;
  rt_timings now = {
      .lookup = seconds(t, CURLINFO_NAMELOOKUP_TIME_T),
      .connect = seconds(t, CURLINFO_CONNECT_TIME_T),
      .tls = seconds(t, CURLINFO_APPCONNECT_TIME_T),
      .first_byte = seconds(t, CURLINFO_STARTTRANSFER_TIME_T),
      .total = seconds(t, CURLINFO_TOTAL_TIME_T),
  };
  double *all[] = {&now.lookup, &now.connect, &now.tls, &now.first_byte};
  for (int i = 0; i < 4; i++)
    if (*all[i] > 0) *all[i] += before;
  now.total += before;
  t->timings = now;
}

/* What the transfer needs no more goes at once; what has come stays. */
static void end(rt_transfer *t, rt_transfer_state state) {
  if (t->state == RT_TRANSFER_RUNNING) {
    rt_quiet quiet;
    read_timings(t);
    rt_quiet_begin(&quiet, t->http->tls);
    t->http->curl.multi_remove_handle(t->http->multi, t->easy);
    rt_quiet_end(&quiet);
    rt_http_expect(t->http, -1);
  }
  t->state = state;
  rt_patience_end(t);
  if (t->easy && !t->request.plain) {
    rt_http_give_easy(t->http, t->easy);
    t->easy = NULL;
  }
  rt_buf_free(&t->piece);
  if (t->request.upload == RT_UPLOAD_FILE) close(t->request.file);
  t->request.upload = RT_UPLOAD_NONE;
  t->hungry = false;
}

void rt_transfer_fail(rt_transfer *t, const char *code, const char *message) {
  if (t->code) return;
  t->code = code;
  snprintf(t->message, sizeof t->message, "%s", message);
}

void rt_transfer_give_up(rt_transfer *t, const char *code, const char *message) {
  rt_transfer_fail(t, code, message);
  end(t, RT_TRANSFER_FAILED);
  t->changed(t);
}

static void fail_for(rt_transfer *t, CURLcode result) {
  if (t->body.failed || t->head.failed)
    rt_transfer_fail(t, "out_of_memory", "not enough memory for the answer");
  if (t->code) return;
  const char *why = *t->said ? t->said : t->http->curl.easy_strerror(result);
  if (strncmp(why, "Unsupported proxy", 17) == 0)  // and all of its address, with a password
    rt_transfer_fail(t, "proxy", "the address of the proxy cannot be used");
  else
    rt_transfer_fail(t, rt_request_code(result, t->said), why);
}

/* Where to go next, as the answer says; 0, or the transfer has failed. */
static int redirect(rt_transfer *t) {
  char *where = NULL;
  rt_url next;
  t->http->curl.easy_getinfo(t->easy, CURLINFO_REDIRECT_URL, &where);
  if (t->followed >= t->request.follow) {
    char text[100];
    snprintf(text, sizeof text, "redirected more than %d times", t->request.follow);
    rt_transfer_fail(t, "too_many_redirects", text);
    return -1;
  }
  const char *problem = where ? NULL : "it cannot be read";
  if (where && rt_url_parse(&next, where, strlen(where))) problem = "not to http or https";
  if (!problem && t->url.tls && !next.tls) {
    rt_url_free(&next);
    problem = "it leads from https to http";
  }
  if (!problem && t->request.upload == RT_UPLOAD_PIECES && !rt_request_becomes_get(t)) {
    rt_url_free(&next);
    problem = "it wants the body again, which a function gives once";
  }
  if (problem) {
    char text[CURL_ERROR_SIZE];
    snprintf(text, sizeof text, "a redirect is not followed: %s", problem);
    rt_transfer_fail(t, "protocol", text);
    return -1;
  }
  read_timings(t);
  t->spent = t->timings;
  t->followed++;
  t->received = 0;
  t->redirecting = t->idle = false;
  t->file_at = 0;
  rt_quiet quiet;
  rt_quiet_begin(&quiet, t->http->tls);
  t->http->curl.multi_remove_handle(t->http->multi, t->easy);
  rt_quiet_end(&quiet);
  problem = rt_request_redirect(t, &next);
  if (problem) rt_transfer_fail(t, problem, "the redirect could not be followed");
  return problem ? -1 : 0;
}

static bool add(rt_transfer *t) {
  return t->http->curl.multi_add_handle(t->http->multi, t->easy) == CURLM_OK;
}

void rt_transfer_done(rt_http *http, CURL *easy, CURLcode result) {
  rt_transfer *t = NULL;
  http->curl.easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&t);
  if (!t || t->state != RT_TRANSFER_RUNNING) return;
  if (result == CURLE_OK && t->redirecting) {
    if (redirect(t) == 0) {
      if (add(t)) return;
      rt_transfer_fail(t, "out_of_memory", "not enough memory");
    }
    result = CURLE_TOO_MANY_REDIRECTS;
  }
  if (result != CURLE_OK) fail_for(t, result);
  end(t, result == CURLE_OK ? RT_TRANSFER_DONE : RT_TRANSFER_FAILED);
  t->changed(t);
}

/* ---- from open to close ---- */

rt_transfer *rt_transfer_open(rt_http *http) {
  rt_transfer *t = http->idle;
  if (t) {
    http->idle = t->next;
    http->idles--;
  } else {
    t = calloc(1, sizeof *t);
    if (!t) return NULL;
  }
  *t->message = *t->said = '\0';
  t->http = http;
  t->next = http->transfers;
  if (t->next) t->next->previous = t;
  http->transfers = t;
  return t;
}

const char *rt_transfer_address(rt_transfer *t, const char *url, size_t size) {
  return rt_url_parse(&t->url, url, size);
}

bool rt_transfer_header(rt_transfer *t, const char *line) {
  struct curl_slist *longer = t->http->curl.slist_append(t->headers, line);
  if (longer) t->headers = longer;
  return longer != NULL;
}

bool rt_transfer_prepare(rt_transfer *t, const rt_request *request) {
  const rt_curl *curl = &t->http->curl;
  t->request = *request;
  if (t->url.user) t->request.plain = false;
  if (t->easy && t->request.plain) return rt_request_set_url(t, NULL);
  if (t->easy) rt_http_give_easy(t->http, t->easy);
  t->easy = rt_http_take_easy(t->http);
  if (!t->easy) return false;
  curl->easy_setopt(t->easy, CURLOPT_PRIVATE, t);
  curl->easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->said);
  curl->easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, header_came);
  curl->easy_setopt(t->easy, CURLOPT_HEADERDATA, t);
  curl->easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, body_came);
  curl->easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
  if (request->upload == RT_UPLOAD_FILE || request->upload == RT_UPLOAD_PIECES) {
    curl->easy_setopt(t->easy, CURLOPT_READFUNCTION, body_wanted);
    curl->easy_setopt(t->easy, CURLOPT_READDATA, t);
    curl->easy_setopt(t->easy, CURLOPT_SEEKFUNCTION, body_again);
    curl->easy_setopt(t->easy, CURLOPT_SEEKDATA, t);
  }
  return rt_request_set(t, request);
}

void rt_transfer_start(rt_transfer *t) {
  t->state = RT_TRANSFER_RUNNING;
  rt_http_expect(t->http, 1);
  // A proxy may be one over TLS.
  if (t->url.tls || t->request.proxy || !t->http->direct) t->http->tls = true;
  if (rt_patience_begin(t) && add(t)) return;
  rt_transfer_fail(t, "out_of_memory", "not enough memory");
  end(t, RT_TRANSFER_FAILED);
}

static void go_on(rt_transfer *t) {
  rt_quiet quiet;
  if (t->state != RT_TRANSFER_RUNNING) return;
  int pause = (t->paused ? CURLPAUSE_RECV : 0) | (t->idle ? CURLPAUSE_SEND : 0);
  rt_quiet_begin(&quiet, t->http->tls);
  CURLcode result = t->http->curl.easy_pause(t->easy, pause);
  rt_quiet_end(&quiet);
  if (result == CURLE_OK) return;
  // What it had kept meanwhile was refused: it tells nobody else.
  fail_for(t, result);
  end(t, RT_TRANSFER_FAILED);
  t->changed(t);
}

void rt_transfer_taken(rt_transfer *t) {
  if (!t->paused) return;
  t->paused = false;
  go_on(t);
}

void rt_transfer_give(rt_transfer *t, const char *data, size_t size, bool last) {
  t->piece.size = t->piece_at = 0;
  rt_buf_add(&t->piece, data, size);
  t->piece_last = last;
  t->hungry = false;
  if (t->piece.failed) {
    rt_transfer_give_up(t, "out_of_memory", "not enough memory");
    return;
  }
  if (!t->idle) return;
  t->idle = false;
  go_on(t);
}

void rt_transfer_stop(rt_transfer *t) {
  if (rt_transfer_over(t)) return;
  end(t, RT_TRANSFER_STOPPED);
  t->changed(t);
}

static void free_transfer(rt_transfer *t) {
  rt_buf_free(&t->head);
  rt_buf_free(&t->body);
  rt_url_free(&t->url);
  free(t);
}

void rt_transfer_detach(rt_transfer *t) {
  rt_http *http = t->http;
  if (!rt_transfer_over(t)) end(t, RT_TRANSFER_STOPPED);
  if (t->previous) t->previous->next = t->next;
  else http->transfers = t->next;
  if (t->next) t->next->previous = t->previous;
  t->next = t->previous = NULL;
  if (t->headers) http->curl.slist_free_all(t->headers);
  t->headers = NULL;
  if (t->easy) rt_http_give_easy(http, t->easy);
  t->easy = NULL;
  t->http = NULL;
}

/* It keeps its buffers, if they are small, and its handle. */
static void keep(rt_http *http, rt_transfer *t, CURL *easy) {
  enum { KEPT = 64 << 10 };
  if (t->head.capacity > KEPT) rt_buf_free(&t->head);
  if (t->body.capacity > KEPT) rt_buf_free(&t->body);
  rt_buf head = t->head, body = t->body;
  rt_url_free(&t->url);
  memset(t, 0, offsetof(rt_transfer, easy));
  head.size = body.size = 0;
  head.failed = body.failed = false;
  t->head = head;
  t->body = body;
  t->easy = easy;
  t->next = http->idle;
  http->idle = t;
  http->idles++;
}

void rt_transfer_close(rt_transfer *t) {
  rt_http *http = t ? t->http : NULL;
  if (http && http->idles < RT_HTTP_SPARE) {
    // A handle that was set for a plain request stays so.
    CURL *easy = NULL;
    if (!rt_transfer_over(t)) end(t, RT_TRANSFER_STOPPED);
    if (t->request.plain) easy = t->easy, t->easy = NULL;
    rt_transfer_detach(t);
    keep(http, t, easy);
  } else if (t) {
    if (http) rt_transfer_detach(t);
    free_transfer(t);
  }
}

void rt_transfer_free_idle(rt_http *http) {
  while (http->idle) {
    rt_transfer *t = http->idle;
    http->idle = t->next;
    if (t->easy) http->curl.easy_cleanup(t->easy);
    free_transfer(t);
  }
}
