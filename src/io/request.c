#include "request.h"

#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>

#include "secret.h"

#define SET(option, value) (curl->easy_setopt(t->easy, option, value) == CURLE_OK)

/* ---- options ---- */

static long milliseconds(double seconds) {
  if (seconds <= 0) return 0;
  double ms = seconds * 1000;
  return ms < 1 ? 1 : ms > 1e9 ? 1000000000 : (long)ms;
}

bool rt_request_set_url(rt_transfer *t, const char *user) {
  const rt_curl *curl = &t->http->curl;
  if (!SET(CURLOPT_URL, t->url.text)) return false;
  // Without TLS this is HTTP/1.1, and must be called so: else libcurl may let requests share a
  // connection as if it were HTTP/2, once another to that host is.
  long version = t->request.version == RT_HTTP_2_ONLY ? CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE
                 : t->request.version == RT_HTTP_1 || !t->url.tls ? CURL_HTTP_VERSION_1_1
                                                                  : CURL_HTTP_VERSION_2TLS;
  if (!SET(CURLOPT_HTTP_VERSION, version)) return false;
  // Several requests of one HTTP/2 connection wait for it to be there.
  bool waits = t->url.tls || t->request.version == RT_HTTP_2_ONLY;
  if (!SET(CURLOPT_PIPEWAIT, waits ? 1L : 0L)) return false;
  if (!user && !t->url.user) return true;
  if (!SET(CURLOPT_HTTPAUTH, CURLAUTH_BASIC)) return false;
  if (user) return SET(CURLOPT_USERPWD, user);
  return SET(CURLOPT_USERNAME, t->url.user) && SET(CURLOPT_PASSWORD, t->url.password);
}

/* Files of certificates that the environment names, as for the program curl. */
static const char *usual_ca(void) {
  static const char *const names[] = {"CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const char *path = getenv(names[i]);
    if (path && *path) return path;
  }
  return NULL;
}

bool rt_request_trust(const rt_curl *curl, CURL *easy, const char *ca, bool insecure) {
  struct stat file;
  bool set = true;
  if (insecure)
    set = curl->easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L) == CURLE_OK &&
          curl->easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L) == CURLE_OK;
  if (!ca) ca = usual_ca();
  if (!ca) return set;
  bool folder = stat(ca, &file) == 0 && S_ISDIR(file.st_mode);
  return curl->easy_setopt(easy, CURLOPT_CAPATH, folder ? ca : NULL) == CURLE_OK &&
         curl->easy_setopt(easy, CURLOPT_CAINFO, folder ? NULL : ca) == CURLE_OK && set;
}

static bool set_upload(rt_transfer *t, const rt_request *r) {
  const rt_curl *curl = &t->http->curl;
  switch (r->upload) {
    case RT_UPLOAD_NONE: return true;
    case RT_UPLOAD_BYTES:
      return SET(CURLOPT_POST, 1L) &&
             SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->upload_size) &&
             SET(CURLOPT_POSTFIELDS, r->bytes);
    default:
      return SET(CURLOPT_UPLOAD, 1L) &&
             SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->upload_size);
  }
}

static bool set_method(rt_transfer *t, const rt_request *r) {
  const rt_curl *curl = &t->http->curl;
  bool body = r->upload != RT_UPLOAD_NONE;
  if (!body && strcmp(r->method, "GET") == 0) return true;
  if (!body && strcmp(r->method, "HEAD") == 0) return SET(CURLOPT_NOBODY, 1L);
  return SET(CURLOPT_CUSTOMREQUEST, r->method);
}

bool rt_request_set(rt_transfer *t, const rt_request *r) {
  const rt_curl *curl = &t->http->curl;
  const char *proxy = r->proxy ? r->proxy : t->http->direct ? "" : NULL;
  // A stream is read in larger pieces: fewer turns of the loop. A handle that has a buffer,
  // left there by a request that never came to be sent, keeps that.
  if (r->stream) curl->easy_setopt(t->easy, CURLOPT_BUFFERSIZE, 128L << 10);
  return rt_request_set_url(t, r->user) && set_upload(t, r) && set_method(t, r) &&
         SET(CURLOPT_HTTPHEADER, t->headers ? t->headers : t->http->usual) &&
         SET(CURLOPT_PROTOCOLS_STR, "http,https") && SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) &&
         (!proxy || SET(CURLOPT_PROXY, proxy)) &&
         (!r->compressed || SET(CURLOPT_ACCEPT_ENCODING, "gzip")) &&
         SET(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(r->connect_timeout)) &&
         rt_request_trust(curl, t->easy, r->ca, r->insecure);
}

/* ---- redirects ---- */

static bool names(const char *line, const char *name) {
  size_t size = strlen(name);
  return strncasecmp(line, name, size) == 0;
}

/* Takes headers out of the list: those that are secret, or those that tell of a body. */
static void drop_headers(rt_transfer *t, bool secrets, bool body) {
  struct curl_slist **at = &t->headers;
  while (*at) {
    struct curl_slist *one = *at;
    size_t name = strcspn(one->data, ":;");
    bool drop = (secrets && rt_secret_header(one->data, name)) ||
                (body && (names(one->data, "content-") || names(one->data, "transfer-")));
    if (!drop) {
      at = &one->next;
      continue;
    }
    *at = one->next;
    one->next = NULL;
    t->http->curl.slist_free_all(one);
  }
}

bool rt_request_becomes_get(const rt_transfer *t) {
  char *method = NULL;
  t->http->curl.easy_getinfo(t->easy, CURLINFO_EFFECTIVE_METHOD, &method);
  if (method && strcmp(method, "HEAD") == 0) return false;
  bool post = method && strcmp(method, "POST") == 0;
  return t->status == 303 || (post && (t->status == 301 || t->status == 302));
}

const char *rt_request_redirect(rt_transfer *t, rt_url *next) {
  const rt_curl *curl = &t->http->curl;
  t->request.plain = false;
  bool elsewhere = !rt_url_same_origin(&t->url, next);
  bool had_user = t->url.user != NULL;
  if (!next->user && !elsewhere && had_user) {  // they were part of the address we came from
    next->user = t->url.user;
    next->password = t->url.password;
    t->url.user = t->url.password = NULL;
  }
  rt_url_free(&t->url);
  t->url = *next;
  if (t->url.tls) t->http->tls = true;
  bool set = !elsewhere || (SET(CURLOPT_USERNAME, NULL) && SET(CURLOPT_PASSWORD, NULL));
  bool get = rt_request_becomes_get(t);
  if (get) set = SET(CURLOPT_CUSTOMREQUEST, NULL) && SET(CURLOPT_HTTPGET, 1L) && set;
  drop_headers(t, elsewhere, get);
  *t->said = '\0';
  set = (!t->headers || SET(CURLOPT_HTTPHEADER, t->headers)) &&
        rt_request_set_url(t, NULL) && set;
  return set ? NULL : "out_of_memory";
}

/* ---- errors ---- */

enum { SHORT = 6 };  // bytes of a secret that may be anything else

/* Whether the text begins with what is secret of a header line: then how long that is. */
static size_t secret_at(const char *line, const char *text, size_t size) {
  size_t name = strcspn(line, ":;");
  if (!line[name] || !rt_secret_header(line, name)) return 0;
  const char *value = line + name + 1 + strspn(line + name + 1, " ");
  const char *word = strrchr(value, ' ');  // of "Bearer abc" the word
  if (word && strlen(word + 1) >= SHORT) value = word + 1;
  size_t length = strlen(value);
  return length >= SHORT && length <= size && memcmp(text, value, length) == 0 ? length : 0;
}

/* Of "Basic bWU6d2hv" the second word's length, at which the text begins: it names the user and
 * the password, whoever has put them together. */
static size_t basic_at(const char *text, size_t at, size_t size) {
  static const char word[] = "basic ";
  size_t length = 0;
  if (at < sizeof word - 1 || !names(text + at - (sizeof word - 1), word)) return 0;
  while (at + length < size && (unsigned char)text[at + length] > ' ' &&
         text[at + length] != '"') length++;
  return length >= SHORT ? length : 0;
}

void rt_request_scrub(const rt_transfer *t, const char *text, size_t size, size_t most,
                      rt_buf *out) {
  for (size_t i = 0; i < size && i < most;) {
    size_t hidden = basic_at(text, i, size);
    if (!hidden) hidden = rt_url_secret_at(&t->url, text + i, size - i, SHORT);
    for (const struct curl_slist *h = t->headers; h && !hidden; h = h->next)
      hidden = secret_at(h->data, text + i, size - i);
    if (hidden) rt_buf_text(out, RT_HIDDEN);
    else rt_buf_char(out, (unsigned char)text[i] < ' ' ? ' ' : text[i]);
    i += hidden ? hidden : 1;
  }
}

const char *rt_request_code(CURLcode result, const char *message) {
  switch (result) {
    case CURLE_URL_MALFORMAT: return "url";
    case CURLE_COULDNT_RESOLVE_HOST: return "could_not_resolve";
    case CURLE_COULDNT_CONNECT:
    case CURLE_INTERFACE_FAILED: return "connect";
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_PROXY: return "proxy";
    case CURLE_OPERATION_TIMEDOUT: return "timeout";
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_CLIENTCERT: return "tls";
    case CURLE_OUT_OF_MEMORY: return "out_of_memory";
    case CURLE_FILESIZE_EXCEEDED: return "too_large";
    case CURLE_READ_ERROR:
    case CURLE_ABORTED_BY_CALLBACK:
    case CURLE_SEND_FAIL_REWIND: return "read";
    case CURLE_PARTIAL_FILE:  // also when an HTTP/2 connection ends before the answer came
      return strstr(message, "end of the underlying stream") ? "closed" : "partial";
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2:         // a server that wants no more of a connection ends it so
    case CURLE_HTTP2_STREAM:
    case CURLE_SEND_ERROR: return "closed";
    case CURLE_RECV_ERROR:  // libcurl has no codes for these
      return strstr(message, "chunked-encoding") ? "protocol"
             : strstr(message, "CONNECT tunnel") ? "proxy"
             : strstr(message, "Too large response headers") ? "too_large" : "closed";
    default: return "protocol";
  }
}
