#include "test/bench/samples.h"

#include "test/bench/options.h"

#include <stdlib.h>
#include <time.h>

enum { SAMPLES_FIRST = 1 << 16 };

uint64_t samples_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

void samples_add(struct samples *samples, uint64_t ns)
{
    if (samples->count == samples->cap) {
        const size_t cap = samples->cap == 0 ? SAMPLES_FIRST : samples->cap * 2;
        uint64_t *grown = realloc(samples->ns, cap * sizeof(*grown));
        if (grown == NULL)
            options_die("samples");
        samples->ns = grown;
        samples->cap = cap;
    }
    samples->ns[samples->count++] = ns;
}

static int by_size(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

void samples_sort(struct samples *samples)
{
    if (samples->count > 0)
        qsort(samples->ns, samples->count, sizeof(*samples->ns), by_size);
}

double samples_percentile_us(const struct samples *samples, double percent)
{
    if (samples->count == 0)
        return 0;
    const double exact = percent / 100 * (double)samples->count;
    size_t rank = (size_t)exact;
    if ((double)rank < exact)
        rank++;
    return (double)samples->ns[rank == 0 ? 0 : rank - 1] / 1000;
}

void samples_print(struct samples *samples, double seconds, FILE *out)
{
    samples_sort(samples);
    fprintf(out,
            "\"count\":%zu,\"per_s\":%.1f,\"p50_us\":%.2f,\"p90_us\":%.2f,\"p99_us\":%.2f,"
            "\"p999_us\":%.2f,\"max_us\":%.2f",
            samples->count, (double)samples->count / seconds, samples_percentile_us(samples, 50),
            samples_percentile_us(samples, 90), samples_percentile_us(samples, 99),
            samples_percentile_us(samples, 99.9), samples_percentile_us(samples, 100));
}

void samples_free(struct samples *samples)
{
    free(samples->ns);
    *samples = (struct samples){0};
}
