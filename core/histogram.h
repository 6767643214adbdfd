/*
 * histogram: latency counts in decimal log-linear buckets, 1 us to 100 s.
 *
 * 90 buckets a decade (two significant digits), bounds inclusive above, so every Prometheus edge we
 * publish (0.0005 ... 0.1 ... 10 s) is an exact bucket bound and cumulative counts are exact, while
 * any quantile is within 10 %. Recording is O(1) and allocates nothing.
 */
#ifndef CORE_HISTOGRAM_H
#define CORE_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_DECADES = 7, HISTOGRAM_BUCKETS = 10 + HISTOGRAM_DECADES * 90 + 1 };

/* Zeroed memory is an empty histogram. Written by histogram_record() only. */
struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS]; /* the last one: above 100 s */
    uint64_t count;
    uint64_t sum_us;
};

/* Counts one latency in microseconds. O(1). */
void histogram_record(struct histogram *histogram, uint64_t value_us);
/* How many values were <= edge_us, which is from 1 us to 100 s and has at most two significant
 * digits (CHECKed). */
uint64_t histogram_count_at_most(const struct histogram *histogram, uint64_t edge_us);

#endif
