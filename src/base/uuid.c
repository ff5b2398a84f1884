#include "uuid.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static uint64_t random_bits(uint64_t ticks) {
  uint64_t bits;
  ssize_t got;
  do got = getrandom(&bits, sizeof bits, 0);
  while (got < 0 && errno == EINTR);
  if (got == sizeof bits) return bits;

  // Not offered in this sandbox: two processes still differ. Mixed as splitmix64 does.
  bits = ticks ^ (uint64_t)getpid() << 32;
  bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9u;
  bits = (bits ^ bits >> 27) * 0x94D049BB133111EBu;
  return bits ^ bits >> 31;
}

void rt_uuid_make(rt_uuid_clock *clock, uint8_t out[16]) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  uint64_t ns = (uint64_t)now.tv_nsec;
  uint64_t ms = (uint64_t)now.tv_sec * 1000 + ns / 1000000;
  uint64_t ticks = ms << 12 | (ns % 1000000 << 12) / 1000000;

  if (ticks <= clock->last) ticks = clock->last + 1;
  clock->last = ticks;

  uint64_t high = ticks >> 12 << 16 | 0x7000 | (ticks & 0xFFF);  // version 7
  uint64_t low = random_bits(ticks) >> 2 | UINT64_C(1) << 63;    // variant 10
  for (int i = 0; i < 8; i++) {
    out[i] = (uint8_t)(high >> (56 - 8 * i));
    out[8 + i] = (uint8_t)(low >> (56 - 8 * i));
  }
}

void rt_uuid_text(const uint8_t uuid[16], char out[37]) {
  static const char hex[] = "0123456789abcdef";
  for (int i = 0; i < 16; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *out++ = '-';
    *out++ = hex[uuid[i] >> 4];
    *out++ = hex[uuid[i] & 15];
  }
  *out = '\0';
}
