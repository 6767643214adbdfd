#include "core/histogram.h"

#include "core/check.h"

#include <assert.h>

/* With m = value - 1, bucket m is exact below 100; from there each decade 10^d * (10, 100] has 90
 * buckets of width 10^d, and value lies in the one numbered 90 * d + m / 10^d. */
enum { PER_DECADE = 90, OVERFLOW = HISTOGRAM_BUCKETS - 1, RANGE_US = 100 * 1000 * 1000 };

static const uint32_t WIDTHS_US[HISTOGRAM_DECADES] = {1,         10,         100,        1000,
                                                      10 * 1000, 100 * 1000, 1000 * 1000};

static_assert(PER_DECADE * (HISTOGRAM_DECADES - 1) + 99 == OVERFLOW - 1, "the last exact bucket");

static uint32_t bucket_of(uint64_t value_us)
{
    if (value_us > RANGE_US)
        return OVERFLOW;
    const uint32_t m = (uint32_t)value_us - (value_us != 0);
    /* A sum of comparisons has no branch to mispredict: latencies jump between decades. */
    const uint32_t decade =
        (uint32_t)((m >= 100) + (m >= 1000) + (m >= 10 * 1000) + (m >= 100 * 1000) +
                   (m >= 1000 * 1000) + (m >= 10 * 1000 * 1000));
    return PER_DECADE * decade + m / WIDTHS_US[decade];
}

static uint64_t bound_of(uint32_t bucket)
{
    if (bucket < 10)
        return bucket + 1;
    const uint32_t decade = (bucket - 10) / PER_DECADE;
    return (uint64_t)(bucket - PER_DECADE * decade + 1) * WIDTHS_US[decade];
}

void histogram_record(struct histogram *histogram, uint64_t value_us)
{
    histogram->counts[bucket_of(value_us)]++;
    histogram->count++;
    histogram->sum_us += value_us;
}

uint64_t histogram_count_at_most(const struct histogram *histogram, uint64_t edge_us)
{
    CHECK(edge_us >= 1);
    CHECK(edge_us <= RANGE_US);
    const uint32_t last = bucket_of(edge_us);
    CHECK(bound_of(last) == edge_us);

    uint64_t total = 0;
    for (uint32_t i = 0; i <= last; i++)
        total += histogram->counts[i];
    return total;
}
