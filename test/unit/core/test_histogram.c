#include "core/histogram.h"

#include "core/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct histogram histogram;

static int set_up(void **state)
{
    (void)state;
    histogram = (struct histogram){0};
    return 0;
}

/* The width of the bucket of a value from 1 us to 100 s: two significant digits, the slow way. */
static uint64_t width_of(uint64_t value_us)
{
    uint64_t width = 1;
    while (value_us > 100 * width)
        width *= 10;
    return width;
}

static void test_empty_counts_nothing(void **state)
{
    (void)state;
    assert_int_equal(histogram_count_at_most(&histogram, 100000), 0);
}

static void test_record_keeps_count_and_sum(void **state)
{
    (void)state;
    histogram_record(&histogram, 7);
    histogram_record(&histogram, 5000);
    histogram_record(&histogram, 300);

    assert_int_equal(histogram.count, 3);
    assert_int_equal(histogram.sum_us, 5307);
}

static void test_zero_counts_in_the_first_bucket(void **state)
{
    (void)state;
    histogram_record(&histogram, 0);

    assert_int_equal(histogram.counts[0], 1);
    assert_int_equal(histogram_count_at_most(&histogram, 1), 1);
}

static void test_every_value_lands_under_its_two_digit_bound(void **state)
{
    (void)state;
    for (uint64_t value = 1; value <= 100000000; value += 1 + value / 997) {
        histogram = (struct histogram){0};
        histogram_record(&histogram, value);
        const uint64_t width = width_of(value);
        const uint64_t bound = (value + width - 1) / width * width;

        assert_true(bound - value <= value / 10);
        assert_int_equal(histogram_count_at_most(&histogram, bound), 1);
        if (bound > width)
            assert_int_equal(histogram_count_at_most(&histogram, bound - width), 0);
    }
}

static void test_bounds_include_the_value_itself_in_every_decade(void **state)
{
    (void)state;
    for (uint64_t width = 1; width <= 1000000; width *= 10) {
        for (uint64_t step = 10; step <= 100; step++) {
            const uint64_t edge = step * width;
            histogram = (struct histogram){0};
            histogram_record(&histogram, edge);
            assert_int_equal(histogram_count_at_most(&histogram, edge), 1);

            histogram = (struct histogram){0};
            histogram_record(&histogram, edge + 1);
            assert_int_equal(histogram_count_at_most(&histogram, edge), 0);
        }
    }
}

static void test_every_published_edge_splits_exactly(void **state)
{
    (void)state;
    for (size_t i = 0; i < METRICS_LATENCY_EDGE_COUNT; i++) {
        const uint64_t edge = METRICS_LATENCY_EDGES_US[i];
        histogram = (struct histogram){0};
        histogram_record(&histogram, edge - 1);
        histogram_record(&histogram, edge);
        histogram_record(&histogram, edge + 1);

        assert_int_equal(histogram_count_at_most(&histogram, edge), 2);
    }
}

static void test_values_above_the_range_are_kept_in_the_last_bucket(void **state)
{
    (void)state;
    histogram_record(&histogram, 100000000);
    histogram_record(&histogram, 100000001);
    histogram_record(&histogram, UINT64_MAX / 2);

    assert_int_equal(histogram.counts[HISTOGRAM_BUCKETS - 2], 1);
    assert_int_equal(histogram.counts[HISTOGRAM_BUCKETS - 1], 2);
    assert_int_equal(histogram_count_at_most(&histogram, 100000000), 1);
    assert_int_equal(histogram.sum_us, UINT64_C(200000001) + UINT64_MAX / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_empty_counts_nothing, set_up),
        cmocka_unit_test_setup(test_record_keeps_count_and_sum, set_up),
        cmocka_unit_test_setup(test_zero_counts_in_the_first_bucket, set_up),
        cmocka_unit_test_setup(test_every_value_lands_under_its_two_digit_bound, set_up),
        cmocka_unit_test_setup(test_bounds_include_the_value_itself_in_every_decade, set_up),
        cmocka_unit_test_setup(test_every_published_edge_splits_exactly, set_up),
        cmocka_unit_test_setup(test_values_above_the_range_are_kept_in_the_last_bucket, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
