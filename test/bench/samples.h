/*
 * samples: every latency of a run, kept whole, so that percentiles are exact.
 */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct samples {
    uint64_t *ns;
    size_t count, cap;
};

/* CLOCK_MONOTONIC. */
uint64_t samples_now_ns(void);
/* Grows as needed; ends the program when memory does not suffice. */
void samples_add(struct samples *samples, uint64_t ns);
void samples_sort(struct samples *samples);
/* Nearest rank, in microseconds, of sorted samples; 0 when there are none. percent in (0, 100]. */
double samples_percentile_us(const struct samples *samples, double percent);
/* Members of a JSON object, without braces: count, per_s, p50_us, p90_us, p99_us, p999_us, max_us.
 * Sorts them. */
void samples_print(struct samples *samples, double seconds, FILE *out);
void samples_free(struct samples *samples);

#endif
