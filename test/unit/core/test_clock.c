#include "core/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static uint64_t fixed_mono(void)
{
    return 123;
}

static uint64_t fixed_wall(void)
{
    return 456;
}

static void assert_rfc3339(uint64_t wall_us, const char *expected)
{
    char text[64];
    struct buf buf;
    buf_init(&buf, text, sizeof text);
    clock_add_rfc3339(&buf, wall_us);
    assert_int_equal(buf.len, strlen(expected));
    assert_memory_equal(text, expected, buf.len);
}

static void assert_http_date(uint64_t wall_us, const char *expected)
{
    char text[CLOCK_HTTP_DATE_LEN];
    struct buf buf;
    buf_init(&buf, text, sizeof text);
    clock_add_http_date(&buf, wall_us);
    assert_false(buf.overflow);
    assert_int_equal(buf.len, CLOCK_HTTP_DATE_LEN);
    assert_memory_equal(text, expected, CLOCK_HTTP_DATE_LEN);
}

static void test_monotonic_clock_moves_forward(void **unused)
{
    (void)unused;

    const uint64_t first_us = clock_mono_us();
    uint64_t now_us = first_us;
    for (int i = 0; i < 10 * 1000 * 1000 && now_us == first_us; i++)
        now_us = clock_mono_us();

    assert_true(first_us > 0);
    assert_true(now_us > first_us);
}

static void test_replaced_clock_is_used_until_put_back(void **unused)
{
    (void)unused;

    clock_replace(fixed_mono, fixed_wall);
    assert_int_equal(clock_mono_us(), 123);
    assert_int_equal(clock_wall_us(), 456);

    clock_replace(NULL, NULL);
    assert_true(clock_wall_us() > UINT64_C(1700000000) * CLOCK_US_PER_S);
}

static void test_rfc3339_has_six_fraction_digits(void **unused)
{
    (void)unused;

    assert_rfc3339(0, "1970-01-01T00:00:00.000000Z");
    assert_rfc3339(UINT64_C(1795485806496301), "2026-11-24T02:03:26.496301Z");
    assert_rfc3339(UINT64_C(1795485806000007), "2026-11-24T02:03:26.000007Z");
}

static void test_http_date_is_imf_fixdate(void **unused)
{
    (void)unused;

    assert_http_date(UINT64_C(784111777000000), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_http_date(UINT64_C(951782400000000), "Tue, 29 Feb 2000 00:00:00 GMT");
}

/* Every day from 1970 to 2400 against libc: all leap years and century rules are in there. */
static void test_calendar_agrees_with_libc_on_every_day(void **unused)
{
    const time_t day_s = 86400;
    const time_t last_s = day_s * 365 * 430;
    (void)unused;

    for (time_t s = 0; s < last_s; s += day_s + 1) {
        struct tm when;
        char expected[64];
        assert_non_null(gmtime_r(&s, &when));
        assert_true(strftime(expected, sizeof expected, "%a, %d %b %Y %H:%M:%S GMT", &when) > 0);
        assert_http_date((uint64_t)s * CLOCK_US_PER_S, expected);
    }
}

/* Replays show old times between new ones, so a second comes back after another was asked for. */
static void test_seconds_may_come_in_any_order(void **unused)
{
    (void)unused;

    assert_rfc3339(UINT64_C(1795485806999999), "2026-11-24T02:03:26.999999Z");
    assert_rfc3339(UINT64_C(1795485807000000), "2026-11-24T02:03:27.000000Z");
    assert_http_date(UINT64_C(784111777000000), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_rfc3339(UINT64_C(1795485806000000), "2026-11-24T02:03:26.000000Z");
    assert_rfc3339(UINT64_C(1795485806000001), "2026-11-24T02:03:26.000001Z");
    assert_http_date(0, "Thu, 01 Jan 1970 00:00:00 GMT");
}

static void test_wild_clock_keeps_the_length(void **unused)
{
    char text[64];
    struct buf buf;
    (void)unused;
    buf_init(&buf, text, sizeof text);

    clock_add_rfc3339(&buf, UINT64_MAX);

    assert_int_equal(buf.len, strlen("2026-11-24T02:03:26.496301Z"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_monotonic_clock_moves_forward),
        cmocka_unit_test(test_replaced_clock_is_used_until_put_back),
        cmocka_unit_test(test_rfc3339_has_six_fraction_digits),
        cmocka_unit_test(test_http_date_is_imf_fixdate),
        cmocka_unit_test(test_calendar_agrees_with_libc_on_every_day),
        cmocka_unit_test(test_seconds_may_come_in_any_order),
        cmocka_unit_test(test_wild_clock_keeps_the_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
