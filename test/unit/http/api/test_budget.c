#include "http/api/budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { MAX_US = 100000 };

static uint64_t malformed;

static uint64_t budget_with(const char *name, const char *value)
{
    static struct http_request request;
    request = (struct http_request){.header_count = 1};
    request.headers[0] = (struct http_header){span_of(name), span_of(value)};
    malformed = 0;
    return budget_of_request_us(&request, MAX_US, &malformed);
}

static void test_without_headers_it_is_the_maximum(void **state)
{
    (void)state;

    assert_int_equal(budget_with("Host", "a"), MAX_US);
    assert_int_equal(malformed, 0);
}

static void test_headers_only_shorten(void **state)
{
    (void)state;

    assert_int_equal(budget_with("x-request-timeout-ms", "99"), 99000);
    assert_int_equal(budget_with("X-Envoy-Expected-Rq-Timeout-Ms", "1"), 1000);
    assert_int_equal(budget_with("X-Request-Timeout-Ms", "60000"), MAX_US);
    assert_int_equal(malformed, 0);
}

static void test_grpc_units(void **state)
{
    (void)state;

    assert_int_equal(budget_with("grpc-timeout", "50m"), 50000);
    assert_int_equal(budget_with("grpc-timeout", "1500u"), 1500);
    assert_int_equal(budget_with("grpc-timeout", "1n"), 1);
    assert_int_equal(budget_with("grpc-timeout", "99999999n"), 100000);
    assert_int_equal(budget_with("grpc-timeout", "1S"), MAX_US);
    assert_int_equal(budget_with("grpc-timeout", "99999999H"), MAX_US);
    assert_int_equal(budget_with("grpc-timeout", "99999999M"), MAX_US);
    assert_int_equal(malformed, 0);
}

static void test_malformed_is_ignored_and_counted(void **state)
{
    (void)state;
    static const char *const bad_ms[] = {"", "0", "60001", "-1", "1.5", "1 ", "0x10", "+5"};
    static const char *const bad_grpc[] = {"", "m", "5", "05m", "0m", "123456789m", "5s", "5 m"};

    for (size_t i = 0; i < sizeof(bad_ms) / sizeof(bad_ms[0]); i++) {
        assert_int_equal(budget_with("X-Request-Timeout-Ms", bad_ms[i]), MAX_US);
        assert_int_equal(malformed, 1);
    }
    for (size_t i = 0; i < sizeof(bad_grpc) / sizeof(bad_grpc[0]); i++) {
        assert_int_equal(budget_with("grpc-timeout", bad_grpc[i]), MAX_US);
        assert_int_equal(malformed, 1);
    }
}

static void test_the_smallest_wins(void **state)
{
    (void)state;
    static struct http_request request = {.header_count = 3};
    request.headers[0] = (struct http_header){SPAN("grpc-timeout"), SPAN("70m")};
    request.headers[1] = (struct http_header){SPAN("X-Request-Timeout-Ms"), SPAN("30")};
    request.headers[2] = (struct http_header){SPAN("x-envoy-expected-rq-timeout-ms"), SPAN("x")};
    uint64_t bad = 0;

    assert_int_equal(budget_of_request_us(&request, MAX_US, &bad), 30000);
    assert_int_equal(bad, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_headers_it_is_the_maximum),
        cmocka_unit_test(test_headers_only_shorten),
        cmocka_unit_test(test_grpc_units),
        cmocka_unit_test(test_malformed_is_ignored_and_counted),
        cmocka_unit_test(test_the_smallest_wins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
