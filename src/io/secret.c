#include "secret.h"

#include <string.h>

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

static bool starts(const char *text, size_t size, const char *with) {
  for (; *with; text++, size--, with++)
    if (!size || lower(*text) != *with) return false;
  return true;
}

static bool equals(const char *text, size_t size, const char *other) {
  return size == strlen(other) && starts(text, size, other);
}

/* Whether it is "key", or its last word is. */
static bool is_key(const char *name, size_t size) {
  if (size < 3 || !equals(name + size - 3, 3, "key")) return false;
  return size == 3 || name[size - 4] == '-' || name[size - 4] == '_';
}

/* Whether one of these words is in the name. */
static bool has_word(const char *name, size_t size, const char *const *words) {
  for (size_t i = 0; i < size; i++) {
    switch (name[i] | 32) {  // most letters begin none of them
      case 'a': case 'c': case 'p': case 's': case 't':
        for (const char *const *word = words; *word; word++)
          if (starts(name + i, size - i, *word)) return true;
    }
  }
  return false;
}

bool rt_secret_header(const char *name, size_t size) {
  static const char *const words[] = {"api-key", "api_key", "apikey", "auth", "cookie",
                                      "credential", "passwd", "password", "secret",
                                      "signature", "token", NULL};
  if (is_key(name, size))  // but for the one that makes a request repeatable
    return !equals(name, size, "idempotency-key") && !equals(name, size, "sec-websocket-key");
  if (!has_word(name, size, words)) return false;
  // What asks for a secret is none.
  return !equals(name, size, "www-authenticate") && !equals(name, size, "proxy-authenticate");
}

bool rt_secret_parameter(const char *name, size_t size) {
  static const char *const words[] = {"api-key", "api_key", "apikey", "credential", "passwd",
                                      "password", "secret", "signature", "token", NULL};
  return is_key(name, size) || has_word(name, size, words) || equals(name, size, "sig") ||
         equals(name, size, "auth") || equals(name, size, "pwd");
}
