/* dice.h -- chance that is the same each time, for the tests. */
#ifndef RT_DICE_H
#define RT_DICE_H

#include <stdint.h>

/* Always the same row of numbers. */
__attribute__((unused)) static uint32_t dice(uint32_t *state) {
  *state = *state * 1664525 + 1013904223;
  return *state >> 8;
}

#endif
