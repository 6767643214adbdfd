#include "pool/payment_hold_wallets_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct payment_hold_wallets wallets;

static int set_up(void **state)
{
    (void)state;
    return payment_hold_wallets_create(&wallets) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    payment_hold_wallets_destroy(&wallets);
    payment_hold_wallets_destroy(&wallets); /* twice is once */
    return 0;
}

static struct uuid7 hold(uint8_t first, uint8_t last)
{
    struct uuid7 id = {{first}};
    id.bytes[UUID7_BYTES - 1] = last;
    return id;
}

static void test_a_hold_is_found_by_its_whole_id_and_its_client(void **state)
{
    (void)state;
    const struct uuid7 id = hold(1, 2), other_end = hold(1, 3), other_start = hold(9, 2);
    payment_hold_wallets_note(&wallets, &id, 7, 42);

    assert_int_equal(payment_hold_wallets_find(&wallets, &id, 7), 42);
    assert_int_equal(payment_hold_wallets_find(&wallets, &id, 8), 0);
    assert_int_equal(payment_hold_wallets_find(&wallets, &other_end, 7), 0);
    assert_int_equal(payment_hold_wallets_find(&wallets, &other_start, 7), 0);
}

static void test_an_empty_place_knows_nothing_of_an_id_of_zeros(void **state)
{
    (void)state;
    const struct uuid7 zeros = {{0}};

    assert_int_equal(payment_hold_wallets_find(&wallets, &zeros, 0), 0);
}

static void test_a_later_hold_takes_an_earlier_ones_place(void **state)
{
    (void)state;
    const struct uuid7 first = hold(1, 2), second = hold(9, 2);
    payment_hold_wallets_note(&wallets, &first, 7, 42);
    payment_hold_wallets_note(&wallets, &second, 7, 43);

    assert_int_equal(payment_hold_wallets_find(&wallets, &first, 7), 0);
    assert_int_equal(payment_hold_wallets_find(&wallets, &second, 7), 43);
}

static void test_every_end_of_an_id_has_a_place(void **state)
{
    (void)state;
    struct uuid7 id = {{1}};
    for (unsigned i = 0; i < 4096; i++) {
        const uint32_t tail = i * 2654435761U;
        memcpy(id.bytes + UUID7_BYTES - sizeof(tail), &tail, sizeof(tail));
        payment_hold_wallets_note(&wallets, &id, 7, 1 + i);
        assert_int_equal(payment_hold_wallets_find(&wallets, &id, 7), 1 + i);
    }
}

#define WALLETS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WALLETS_TEST(test_a_hold_is_found_by_its_whole_id_and_its_client),
        WALLETS_TEST(test_an_empty_place_knows_nothing_of_an_id_of_zeros),
        WALLETS_TEST(test_a_later_hold_takes_an_earlier_ones_place),
        WALLETS_TEST(test_every_end_of_an_id_has_a_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
