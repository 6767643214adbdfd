#include "core/clock.h"
#include "core/secret.h"
#include "core/uuid7.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static uint64_t wall_us;

static uint64_t test_wall(void)
{
    return wall_us;
}

static int start(void **unused)
{
    (void)unused;
    clock_replace(NULL, test_wall);
    return secret_init() == ERR_OK ? 0 : -1;
}

static int stop(void **unused)
{
    (void)unused;
    clock_replace(NULL, NULL);
    return 0;
}

static uint64_t ms_of(const struct uuid7 *id)
{
    uint64_t ms = 0;
    for (size_t i = 0; i < 6; i++)
        ms = ms << 8 | id->bytes[i];
    return ms;
}

static void assert_well_formed(const struct uuid7 *id)
{
    assert_int_equal(id->bytes[6] >> 4, 7);
    assert_int_equal(id->bytes[8] >> 6, 2);
}

static void assert_before(const struct uuid7 *a, const struct uuid7 *b)
{
    assert_true(memcmp(a->bytes, b->bytes, UUID7_BYTES) < 0);
}

static void test_identifier_carries_time_version_and_variant(void **unused)
{
    struct uuid7_generator generator = {0};
    (void)unused;
    wall_us = UINT64_C(0x0123456789AB) * CLOCK_US_PER_MS + 999;

    const struct uuid7 id = uuid7_next(&generator);

    assert_true(ms_of(&id) == UINT64_C(0x0123456789AB));
    assert_well_formed(&id);
}

static void test_many_in_one_millisecond_increase(void **unused)
{
    struct uuid7_generator generator = {0};
    (void)unused;
    wall_us = UINT64_C(1795485806496301);

    struct uuid7 last = uuid7_next(&generator);
    for (int i = 0; i < 100 * 1000; i++) {
        const struct uuid7 next = uuid7_next(&generator);
        assert_before(&last, &next);
        assert_well_formed(&next);
        last = next;
    }

    assert_true(ms_of(&last) == wall_us / CLOCK_US_PER_MS);
}

static void test_order_holds_when_the_wall_clock_steps_back(void **unused)
{
    struct uuid7_generator generator = {0};
    (void)unused;
    wall_us = UINT64_C(1795485806496301);
    const struct uuid7 before = uuid7_next(&generator);

    wall_us -= UINT64_C(365) * 24 * 3600 * CLOCK_US_PER_S;
    const struct uuid7 after = uuid7_next(&generator);

    assert_before(&before, &after);
    assert_true(ms_of(&before) == ms_of(&after));
}

static void test_new_millisecond_starts_a_new_random_counter(void **unused)
{
    struct uuid7_generator generator = {0};
    (void)unused;
    wall_us = UINT64_C(1795485806496301);
    const struct uuid7 first = uuid7_next(&generator);
    const uint64_t first_counter = generator.counter;

    wall_us += CLOCK_US_PER_MS;
    const struct uuid7 second = uuid7_next(&generator);

    assert_before(&first, &second);
    assert_true(ms_of(&second) == ms_of(&first) + 1);
    assert_true(generator.counter != first_counter + 1);
    assert_true(generator.counter < UINT64_C(1) << 41);
}

static void test_counter_overflow_borrows_the_next_millisecond(void **unused)
{
    struct uuid7_generator generator = {0};
    (void)unused;
    wall_us = UINT64_C(1795485806496301);
    (void)uuid7_next(&generator);
    generator.counter = (UINT64_C(1) << 42) - 2;

    const struct uuid7 last = uuid7_next(&generator);
    const struct uuid7 borrowed = uuid7_next(&generator);
    const struct uuid7 next = uuid7_next(&generator);

    assert_true(ms_of(&last) == wall_us / CLOCK_US_PER_MS);
    assert_true(ms_of(&borrowed) == ms_of(&last) + 1);
    assert_well_formed(&last);
    assert_well_formed(&borrowed);
    assert_before(&last, &borrowed);
    assert_before(&borrowed, &next);
}

static void test_two_generators_differ_in_the_same_millisecond(void **unused)
{
    struct uuid7_generator one = {0}, two = {0};
    (void)unused;
    wall_us = UINT64_C(1795485806496301);

    const struct uuid7 a = uuid7_next(&one);
    const struct uuid7 b = uuid7_next(&two);

    assert_memory_not_equal(a.bytes, b.bytes, UUID7_BYTES);
}

static void test_parse_reads_back_what_was_printed(void **unused)
{
    struct uuid7_generator generator = {0};
    struct uuid7 parsed;
    char text[UUID7_HEX_LEN];
    struct buf buf;
    (void)unused;
    wall_us = UINT64_C(1795485806496301);
    const struct uuid7 id = uuid7_next(&generator);
    buf_init(&buf, text, sizeof text);
    buf_add_hex(&buf, id.bytes, UUID7_BYTES);

    assert_true(uuid7_parse_hex(buf_span(&buf), &parsed));

    assert_memory_equal(parsed.bytes, id.bytes, UUID7_BYTES);
}

static void test_parse_refuses_and_leaves_the_output(void **unused)
{
    static const char *const bad[] = {"",
                                      "0123456789abcdef0123456789abcde",
                                      "0123456789abcdef0123456789abcdef0",
                                      "0123456789ABCDEF0123456789abcdef",
                                      "0123456789abcdef0123456789abcdeg",
                                      "01234567-89ab-cdef-0123-456789ab",
                                      " 123456789abcdef0123456789abcdef"};
    struct uuid7 out = {.bytes = {7}};
    (void)unused;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(uuid7_parse_hex(span_of(bad[i]), &out));

    assert_int_equal(out.bytes[0], 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identifier_carries_time_version_and_variant),
        cmocka_unit_test(test_many_in_one_millisecond_increase),
        cmocka_unit_test(test_order_holds_when_the_wall_clock_steps_back),
        cmocka_unit_test(test_new_millisecond_starts_a_new_random_counter),
        cmocka_unit_test(test_counter_overflow_borrows_the_next_millisecond),
        cmocka_unit_test(test_two_generators_differ_in_the_same_millisecond),
        cmocka_unit_test(test_parse_reads_back_what_was_printed),
        cmocka_unit_test(test_parse_refuses_and_leaves_the_output),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
