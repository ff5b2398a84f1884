/* url_fuzz.c -- addresses taken apart: what is read again means the same, and neither the text
 * nor what is shown of it has a password or a control character in it. */
#include "fuzz.h"
#include "url.h"

static bool is_plain(const char *text, size_t size) {
  for (size_t i = 0; i < size; i++)
    if (text[i] <= ' ' || text[i] >= 0x7f) return false;
  return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  input in = {data, data + size};
  unsigned how = next_byte(&in);
  size_t left = size;
  const char *text = next_bytes(&in, &left);
  rt_buf address = {0}, shown = {0};
  if (how & 4) rt_buf_text(&address, how & 1 ? "http://" : "HTTPS://");
  rt_buf_add(&address, text, left);

  rt_url url, again;
  until_fault = how & 2 ? how >> 3 : 0;
  const char *problem = rt_url_parse(&url, address.data, address.size);
  until_fault = 0;
  if (problem) {
    check(!url.text && !url.user && !url.password, "something is left");
    check(how & 2 || strcmp(problem, "not enough memory") != 0, "there was memory");
  } else {
    check(strlen(url.text) == url.size, "a zero byte");
    check(url.host < url.path && url.path <= url.query && url.query <= url.size, "%s", url.text);
    // The host is left to libcurl.
    check(is_plain(url.text + url.path, url.size - url.path), "%s", url.text);
    check(!memchr(url.text + url.host, '@', url.path - url.host), "%s", url.text);
    rt_url_show(&url, &shown);
    check(is_plain(shown.data + url.path, shown.size - url.path), "%s", url.text);
    problem = rt_url_parse(&again, url.text, url.size);
    check(!problem, "%s: %s", url.text, problem);
    check(strcmp(again.text, url.text) == 0, "%s, then %s", url.text, again.text);
    check(!again.user, "%s", again.user);
    check(rt_url_same_origin(&url, &again), "%s", url.text);
    rt_url_free(&again);
  }
  rt_url_free(&url);
  rt_buf_free(&address);
  rt_buf_free(&shown);
  return 0;
}
