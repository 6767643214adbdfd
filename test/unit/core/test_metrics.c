#include "core/metrics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char storage[8192];
static struct buf out;
static struct metrics_writer writer;

static int set_up_text(void **state)
{
    (void)state;
    buf_init(&out, storage, sizeof(storage) - 1);
    metrics_begin(&writer, &out, false);
    return 0;
}

static int set_up_openmetrics(void **state)
{
    (void)state;
    buf_init(&out, storage, sizeof(storage) - 1);
    metrics_begin(&writer, &out, true);
    return 0;
}

static void assert_written(const char *expected)
{
    assert_false(out.overflow);
    storage[out.len] = '\0';
    assert_string_equal(storage, expected);
}

static void write_counter(void)
{
    const struct metrics_label labels[] = {{"method", SPAN("GET")}, {"status", SPAN("200")}};
    metrics_family(&writer, "http_requests_total", METRICS_COUNTER,
                   "Total number of HTTP requests");
    metrics_u64(&writer, labels, 2, 18446744073709551615U);
    metrics_end(&writer);
}

static void test_counter_in_text_format(void **state)
{
    (void)state;
    write_counter();

    assert_written("# HELP http_requests_total Total number of HTTP requests\n"
                   "# TYPE http_requests_total counter\n"
                   "http_requests_total{method=\"GET\",status=\"200\"} 18446744073709551615\n");
}

static void test_counter_in_openmetrics_loses_total_in_its_family_only(void **state)
{
    (void)state;
    write_counter();

    assert_written("# HELP http_requests Total number of HTTP requests\n"
                   "# TYPE http_requests counter\n"
                   "http_requests_total{method=\"GET\",status=\"200\"} 18446744073709551615\n"
                   "# EOF\n");
}

static void test_label_values_are_escaped(void **state)
{
    (void)state;
    const struct metrics_label label = {"version", SPAN("a\\b\"c\nd")};
    metrics_family(&writer, "build_info", METRICS_GAUGE, "Build");
    metrics_u64(&writer, &label, 1, 1);

    assert_written("# HELP build_info Build\n# TYPE build_info gauge\n"
                   "build_info{version=\"a\\\\b\\\"c\\nd\"} 1\n");
}

static void test_doubles_read_back_as_written(void **state)
{
    (void)state;
    metrics_family(&writer, "g", METRICS_GAUGE, "G");
    metrics_double(&writer, NULL, 0, 0.1);
    metrics_double(&writer, NULL, 0, 1763949806.25);
    metrics_double(&writer, NULL, 0, 0.1 + 0.2);
    metrics_double(&writer, NULL, 0, -3);
    metrics_double(&writer, NULL, 0, (double)NAN);
    metrics_double(&writer, NULL, 0, (double)INFINITY);
    metrics_double(&writer, NULL, 0, -(double)INFINITY);

    assert_written("# HELP g G\n# TYPE g gauge\ng 0.1\ng 1763949806.25\n"
                   "g 0.30000000000000004\ng -3\ng NaN\ng +Inf\ng -Inf\n");
}

static void write_histogram(const struct metrics_label *labels, size_t count)
{
    static struct histogram histogram;
    histogram = (struct histogram){0};
    histogram_record(&histogram, 500);      /* on an edge: le="0.0005" */
    histogram_record(&histogram, 100000);   /* on the edge of the goal: le="0.1" */
    histogram_record(&histogram, 100001);   /* just missed it */
    histogram_record(&histogram, 20000000); /* above every edge */
    metrics_family(&writer, "d_seconds", METRICS_HISTOGRAM, "D");
    metrics_histogram(&writer, labels, count, &histogram);
}

static void test_histogram_in_text_format(void **state)
{
    (void)state;
    write_histogram(NULL, 0);

    assert_written("# HELP d_seconds D\n# TYPE d_seconds histogram\n"
                   "d_seconds_bucket{le=\"0.0005\"} 1\n"
                   "d_seconds_bucket{le=\"0.001\"} 1\n"
                   "d_seconds_bucket{le=\"0.0025\"} 1\n"
                   "d_seconds_bucket{le=\"0.005\"} 1\n"
                   "d_seconds_bucket{le=\"0.01\"} 1\n"
                   "d_seconds_bucket{le=\"0.025\"} 1\n"
                   "d_seconds_bucket{le=\"0.05\"} 1\n"
                   "d_seconds_bucket{le=\"0.075\"} 1\n"
                   "d_seconds_bucket{le=\"0.1\"} 2\n"
                   "d_seconds_bucket{le=\"0.15\"} 3\n"
                   "d_seconds_bucket{le=\"0.2\"} 3\n"
                   "d_seconds_bucket{le=\"0.25\"} 3\n"
                   "d_seconds_bucket{le=\"0.3\"} 3\n"
                   "d_seconds_bucket{le=\"0.5\"} 3\n"
                   "d_seconds_bucket{le=\"1\"} 3\n"
                   "d_seconds_bucket{le=\"2\"} 3\n"
                   "d_seconds_bucket{le=\"2.5\"} 3\n"
                   "d_seconds_bucket{le=\"5\"} 3\n"
                   "d_seconds_bucket{le=\"10\"} 3\n"
                   "d_seconds_bucket{le=\"+Inf\"} 4\n"
                   "d_seconds_sum 20.200501\n"
                   "d_seconds_count 4\n");
}

static void test_histogram_in_openmetrics_spells_whole_edges_canonically(void **state)
{
    (void)state;
    const struct metrics_label label = {"q", SPAN("eval")};
    write_histogram(&label, 1);

    storage[out.len] = '\0';
    assert_non_null(strstr(storage, "d_seconds_bucket{q=\"eval\",le=\"0.5\"} 3\n"));
    assert_non_null(strstr(storage, "d_seconds_bucket{q=\"eval\",le=\"1.0\"} 3\n"));
    assert_non_null(strstr(storage, "d_seconds_bucket{q=\"eval\",le=\"10.0\"} 3\n"));
    assert_non_null(strstr(storage, "d_seconds_sum{q=\"eval\"} 20.200501\n"));
    assert_non_null(strstr(storage, "d_seconds_count{q=\"eval\"} 4\n"));
    assert_null(strstr(storage, "le=\"1\""));
}

static void test_edges_hold_the_legacy_buckets_and_rise(void **state)
{
    (void)state;
    static const uint64_t LEGACY_US[] = {100000, 200000, 300000, 500000, 1000000, 2000000, 5000000};
    for (size_t i = 1; i < METRICS_LATENCY_EDGE_COUNT; i++)
        assert_true(METRICS_LATENCY_EDGES_US[i - 1] < METRICS_LATENCY_EDGES_US[i]);
    for (size_t i = 0; i < sizeof(LEGACY_US) / sizeof(LEGACY_US[0]); i++) {
        size_t found = 0;
        for (size_t k = 0; k < METRICS_LATENCY_EDGE_COUNT; k++)
            found += METRICS_LATENCY_EDGES_US[k] == LEGACY_US[i];
        assert_int_equal(found, 1);
    }
}

static void test_too_small_a_buffer_says_overflow(void **state)
{
    (void)state;
    buf_init(&out, storage, 64);
    write_histogram(NULL, 0);

    assert_true(out.overflow);
    assert_true(out.len <= 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_counter_in_text_format, set_up_text),
        cmocka_unit_test_setup(test_counter_in_openmetrics_loses_total_in_its_family_only,
                               set_up_openmetrics),
        cmocka_unit_test_setup(test_label_values_are_escaped, set_up_text),
        cmocka_unit_test_setup(test_doubles_read_back_as_written, set_up_text),
        cmocka_unit_test_setup(test_histogram_in_text_format, set_up_text),
        cmocka_unit_test_setup(test_histogram_in_openmetrics_spells_whole_edges_canonically,
                               set_up_openmetrics),
        cmocka_unit_test(test_edges_hold_the_legacy_buckets_and_rise),
        cmocka_unit_test_setup(test_too_small_a_buffer_says_overflow, set_up_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
