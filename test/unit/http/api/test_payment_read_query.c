#include "http/api/payment_read_query.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct payment_page_ask ask;
static struct payment_refusal refusal;

static bool reads(const char *query)
{
    return payment_read_query(span_of(query), &ask, &refusal);
}

static void test_no_query_is_the_newest(void **state)
{
    (void)state;
    static const char *const CASES[] = {"", "&", "&&"};
    static const struct uuid7 NIL;

    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        assert_true(reads(CASES[i]));
        assert_int_equal(ask.limit, PAYMENT_READ_LIMIT_DEFAULT);
        assert_int_equal(ask.before_version, INT64_MAX);
        assert_memory_equal(&ask.before_id, &NIL, sizeof(NIL));
    }
}

static void test_limit_and_before(void **state)
{
    (void)state;
    assert_true(reads("limit=1&before=1"));
    assert_int_equal(ask.limit, 1);
    assert_int_equal(ask.before_version, 1);
    assert_true(reads("before=9223372036854775807&limit=100"));
    assert_int_equal(ask.limit, 100);
    assert_int_equal(ask.before_version, INT64_MAX);
    assert_true(reads("before=txn_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5"));
    assert_int_equal(ask.before_id.bytes[1], 0x92);
    assert_true(reads("%6cimit=%31%30"));
    assert_int_equal(ask.limit, 10);
}

static void test_what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *query, *pointer;
    } CASES[] = {
        {"limit=0", "limit"},
        {"limit=101", "limit"},
        {"limit=", "limit"},
        {"limit", "limit"},
        {"limit=-1", "limit"},
        {"limit=99999999999999999999999", "limit"},
        {"limit=%", "limit"},
        {"limit=1&limit=1", "limit"},
        {"before=0", "before"},
        {"before=9223372036854775808", "before"},
        {"before=wal_1", "before"},
        {"before=txn_0192F0C1A2B37C4D8E9FA0B1C2D3E4F5", "before"},
        {"before=0000000000000000000000000000000000000000000000000000000000000000000000001",
         "before"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        assert_false(reads(CASES[i].query));
        assert_int_equal(refusal.problem, PROBLEM_INVALID_PARAMETER);
        assert_int_equal(refusal.details.error_count, 1);
        assert_string_equal(refusal.details.errors[0].pointer, CASES[i].pointer);
    }
}

static void test_a_stranger_has_its_position_and_all_that_is_wrong_is_told(void **state)
{
    (void)state;
    assert_false(reads("limit=5&&page=2"));
    assert_int_equal(refusal.details.error_count, 1);
    assert_int_equal(refusal.details.errors[0].position, 3);
    assert_string_equal(refusal.details.errors[0].pointer, "");

    assert_false(reads("limit=x&before=x&a&b&c&d&e&f&g"));
    assert_int_equal(refusal.details.error_count, PROBLEM_ERRORS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_query_is_the_newest),
        cmocka_unit_test(test_limit_and_before),
        cmocka_unit_test(test_what_is_wrong_is_named),
        cmocka_unit_test(test_a_stranger_has_its_position_and_all_that_is_wrong_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
