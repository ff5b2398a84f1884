#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "url.h"

static void expect_shown(const char *text, const char *shown) {
  rt_url url;
  rt_buf out = {0};
  assert_null(rt_url_parse(&url, text, strlen(text)));
  rt_url_show(&url, &out);
  rt_buf_char(&out, '\0');
  assert_string_equal(out.data, shown);
  rt_buf_free(&out);
  rt_url_free(&url);
}

static void expect_parts(const char *text, const char *rest, const char *user,
                         const char *password) {
  rt_url url;
  assert_null(rt_url_parse(&url, text, strlen(text)));
  assert_string_equal(url.text, rest);
  assert_int_equal(url.size, strlen(rest));
  if (user) assert_string_equal(url.user, user);
  else assert_null(url.user);
  if (user) assert_string_equal(url.password, password);
  rt_url_free(&url);
}

static void expect_problem(const char *text, const char *problem) {
  rt_url url;
  assert_string_equal(rt_url_parse(&url, text, strlen(text)), problem);
  assert_null(url.text);
  assert_null(url.user);
}

static void an_address_gets_a_path_and_loses_its_fragment(void **state) {
  (void)state;
  expect_parts("http://a", "http://a/", NULL, NULL);
  expect_parts("HTTPS://a:1?x", "https://a:1/?x", NULL, NULL);
  expect_parts("https://[::1]:8/p?q#f?g", "https://[::1]:8/p?q", NULL, NULL);
}

static void user_and_password_are_taken_out_and_decoded(void **state) {
  (void)state;
  expect_parts("http://u:p%40%zz%4@a/b", "http://a/b", "u", "p@%zz%4");
  expect_parts("http://u@a/", "http://a/", "u", "");
  expect_parts("http://a@b:c@d/@e", "http://d/@e", "a@b", "c");
}

static void bytes_that_are_not_ascii_are_escaped(void **state) {
  (void)state;
  expect_parts("http://a/\xC3\xA9?\xFF", "http://a/%C3%A9?%FF", NULL, NULL);
}

static void what_is_no_address_is_refused(void **state) {
  (void)state;
  static const char scheme[] = "expected one that begins with http:// or https://";
  expect_problem("", scheme);
  expect_problem("http:/", scheme);
  expect_problem("ftp://a", scheme);
  expect_problem("http://", "expected one with a host");
  expect_problem("http://u:p@/", "expected one with a host");
  expect_problem("http://:80/", "expected one with a host");
  expect_problem("http://a b", "spaces and control characters must be escaped");
  expect_problem("http://a\n", "spaces and control characters must be escaped");
}

static void secrets_are_hidden_wherever_parameters_may_stand(void **state) {
  (void)state;
  expect_shown("http://u:p@a/b?x=1&api_key=2&y", "http://a/b?x=1&api_key=[hidden]&y");
  expect_shown("http://a/b&token=2?sig=3?token=4",
               "http://a/b&token=[hidden]?sig=[hidden]?token=[hidden]");
  expect_shown("http://a/?token", "http://a/?token");
}

static void origins_are_scheme_host_and_port(void **state) {
  (void)state;
  static const struct {
    const char *text;
    bool same;
  } others[] = {{"http://A:1/other", true}, {"http://u:p@a:1", true}, {"https://a:1/", false},
                {"http://a:2/", false}, {"http://ab:1/", false}};
  rt_url url, other;
  assert_null(rt_url_parse(&url, "http://a:1/", 11));
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    assert_null(rt_url_parse(&other, others[i].text, strlen(others[i].text)));
    assert_int_equal(rt_url_same_origin(&url, &other), others[i].same);
    rt_url_free(&other);
  }
  rt_url_free(&url);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_address_gets_a_path_and_loses_its_fragment),
      cmocka_unit_test(user_and_password_are_taken_out_and_decoded),
      cmocka_unit_test(bytes_that_are_not_ascii_are_escaped),
      cmocka_unit_test(what_is_no_address_is_refused),
      cmocka_unit_test(secrets_are_hidden_wherever_parameters_may_stand),
      cmocka_unit_test(origins_are_scheme_host_and_port),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
