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
    histogram_reset(&histogram);
    return 0;
}

/* The rule in the header, computed the slow way: the least bound with two significant digits that
 * is not below the value. */
static uint64_t expected_bound(uint64_t value_us)
{
    uint64_t width = 1;
    while (value_us > 100 * width)
        width *= 10;
    const uint64_t steps = (value_us + width - 1) / width;
    return steps == 0 ? width : steps * width;
}

static void test_empty_has_no_quantile(void **state)
{
    (void)state;
    assert_int_equal(histogram_quantile_us(&histogram, 0.99), 0);
    assert_int_equal(histogram_count_at_most(&histogram, 100000), 0);
}

static void test_record_keeps_count_sum_and_max(void **state)
{
    (void)state;
    histogram_record(&histogram, 7);
    histogram_record(&histogram, 5000);
    histogram_record(&histogram, 300);

    assert_int_equal(histogram.count, 3);
    assert_int_equal(histogram.sum_us, 5307);
    assert_int_equal(histogram.max_us, 5000);
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
        histogram_reset(&histogram);
        histogram_record(&histogram, value);
        const uint64_t bound = histogram_quantile_us(&histogram, 1);

        assert_int_equal(bound, expected_bound(value));
        assert_true(bound - value <= value / 10);
    }
}

static void test_bounds_include_the_value_itself_in_every_decade(void **state)
{
    (void)state;
    for (uint64_t width = 1; width <= 1000000; width *= 10) {
        for (uint64_t step = 10; step <= 100; step++) {
            const uint64_t edge = step * width;
            histogram_reset(&histogram);
            histogram_record(&histogram, edge);
            assert_int_equal(histogram_count_at_most(&histogram, edge), 1);

            histogram_reset(&histogram);
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
        histogram_reset(&histogram);
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
    assert_int_equal(histogram_quantile_us(&histogram, 1), UINT64_MAX / 2);
}

static void test_quantiles_of_one_to_a_hundred(void **state)
{
    (void)state;
    for (uint64_t value = 1; value <= 100; value++)
        histogram_record(&histogram, value);

    assert_int_equal(histogram_quantile_us(&histogram, 0.001), 1);
    assert_int_equal(histogram_quantile_us(&histogram, 0.5), 50);
    assert_int_equal(histogram_quantile_us(&histogram, 0.99), 99);
    assert_int_equal(histogram_quantile_us(&histogram, 0.991), 100);
    assert_int_equal(histogram_quantile_us(&histogram, 1), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_empty_has_no_quantile, set_up),
        cmocka_unit_test_setup(test_record_keeps_count_sum_and_max, set_up),
        cmocka_unit_test_setup(test_zero_counts_in_the_first_bucket, set_up),
        cmocka_unit_test_setup(test_every_value_lands_under_its_two_digit_bound, set_up),
        cmocka_unit_test_setup(test_bounds_include_the_value_itself_in_every_decade, set_up),
        cmocka_unit_test_setup(test_every_published_edge_splits_exactly, set_up),
        cmocka_unit_test_setup(test_values_above_the_range_are_kept_in_the_last_bucket, set_up),
        cmocka_unit_test_setup(test_quantiles_of_one_to_a_hundred, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
