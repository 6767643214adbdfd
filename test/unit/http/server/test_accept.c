#include "http/server/accept.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct http_request request;

static const struct http_request *with(const char *value)
{
    request = (struct http_request){.header_count = 2};
    request.headers[0] = (struct http_header){SPAN("Host"), SPAN("a")};
    request.headers[1] = (struct http_header){SPAN("accept"), span_of(value)};
    return &request;
}

static bool allows(const char *value)
{
    return accept_allows(with(value), SPAN("application/json"));
}

static void test_absent_allows_everything(void **state)
{
    (void)state;
    request = (struct http_request){.header_count = 0};

    assert_true(accept_allows(&request, SPAN("application/json")));
    assert_false(accept_names(&request, SPAN("application/json")));
}

static void test_ranges_that_cover_json(void **state)
{
    (void)state;

    assert_true(allows("application/json"));
    assert_true(allows("Application/JSON; charset=utf-8"));
    assert_true(allows("application/*"));
    assert_true(allows("*/*"));
    assert_true(allows("text/html, application/xhtml+xml ,*/*;q=0.8"));
    assert_true(allows("text/html,application/json;q=0.001"));
}

static void test_ranges_that_do_not(void **state)
{
    (void)state;

    assert_false(allows("text/html"));
    assert_false(allows("text/*"));
    assert_false(allows("application/json5"));
    assert_false(allows("application/xml, text/plain"));
    assert_false(allows("*"));
}

static void test_weight_zero_is_not_accepted(void **state)
{
    (void)state;

    assert_false(allows("application/json;q=0"));
    assert_false(allows("application/json ; Q=0.000"));
    assert_false(allows("*/*;q=0.0"));
    assert_true(allows("application/json;q=0.010"));
}

static void test_nothing_said_is_as_if_absent(void **state)
{
    (void)state;

    assert_true(allows(""));
    assert_true(allows(" , ,"));
    assert_false(allows(", text/html"));
    assert_false(accept_names(with(""), SPAN("application/json")));
    assert_false(accept_refuses(with(""), SPAN("application/json")));
}

static void test_closest_range_decides_wherever_it_stands(void **state)
{
    (void)state;

    assert_false(allows("application/json;q=0, */*"));
    assert_false(allows("*/*, application/json;q=0"));
    assert_false(allows("*/*;q=1,APPLICATION/*; Q=0.0"));
    assert_true(allows("application/*;q=0, application/json;q=0.1"));
    assert_true(allows("*/*;q=0, application/*"));
    assert_false(allows("application/json;q=0, application/*, */*"));
    assert_true(allows("application/json;q=0, application/json"));
    assert_true(allows("application/json, application/json;q=0"));
    assert_true(allows("application/json;version=2;q=0, */*"));
    assert_true(allows("application/json;version=2"));
    assert_true(accept_refuses(with("application/*;q=0"), SPAN("application/json")));
    assert_false(accept_refuses(with("text/html"), SPAN("application/json")));
}

static void test_fields_are_one_list(void **state)
{
    (void)state;
    with("*/*");
    request.headers[request.header_count++] =
        (struct http_header){SPAN("Accept"), SPAN("application/json;q=0")};

    assert_false(accept_allows(&request, SPAN("application/json")));
}

static void test_names_wants_the_name_itself(void **state)
{
    (void)state;
    const struct span openmetrics = SPAN("application/openmetrics-text");

    assert_true(accept_names(with("application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1"),
                             openmetrics));
    assert_false(accept_names(with("*/*"), openmetrics));
    assert_false(accept_names(with("application/openmetrics-text;q=0"), openmetrics));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_absent_allows_everything),
        cmocka_unit_test(test_ranges_that_cover_json),
        cmocka_unit_test(test_ranges_that_do_not),
        cmocka_unit_test(test_weight_zero_is_not_accepted),
        cmocka_unit_test(test_nothing_said_is_as_if_absent),
        cmocka_unit_test(test_closest_range_decides_wherever_it_stands),
        cmocka_unit_test(test_fields_are_one_list),
        cmocka_unit_test(test_names_wants_the_name_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
