/* uuid.h -- ids that sort by the time they were made.
 *
 * UUID version 7 of RFC 9562, section 5.7: 48 bits of milliseconds since 1970, then 12
 * bits of their fraction (section 6.2, method 3), then 62 random bits. An id made from a
 * clock is always greater than those made from it before, also when many are made at
 * once and when the system's time is set back: then the last time is counted on.
 */
#ifndef RT_UUID_H
#define RT_UUID_H

#include <stdint.h>

/* All zero to begin with. */
typedef struct rt_uuid_clock {
  uint64_t last;  /* milliseconds * 4096 of the last id */
} rt_uuid_clock;

/* Makes an id. One thread at a time for each clock. */
void rt_uuid_make(rt_uuid_clock *clock, uint8_t out[16]);

/* Writes an id as 36 characters, "01890a5d-ac96-774b-bcce-b302099a8057", and a zero. */
void rt_uuid_text(const uint8_t uuid[16], char out[37]);

#endif
