#include "counts.h"

const double rt_bucket_bounds[RT_BUCKETS] = {1e-4, 1e-3, 5e-3, 0.025, 0.1, 0.5, 1, 5, 30, 300};

int rt_bucket_of(double seconds) {
  int bucket = 0;
  while (bucket < RT_BUCKETS && seconds > rt_bucket_bounds[bucket]) bucket++;
  return bucket;
}
