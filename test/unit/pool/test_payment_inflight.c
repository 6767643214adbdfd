/*
 * payment_inflight: a (client, key) pair is claimed once, and free again when it is released; one
 * that another session holds is remembered for a while.
 */
#include "core/clock.h"
#include "core/secret.h"
#include "pool/payment_inflight_private.h"
#include "pool/payment_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { OPS = 300, REFUSED_US = 500 * CLOCK_US_PER_MS, ALONE_US = 60 * CLOCK_US_PER_S };

static struct payment_inflight inflight;
static struct payment_op ops[OPS];
static struct secret_mac_key mac_key;
static bool calloc_fails;
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
    return calloc_fails ? NULL : __real_calloc(count, size);
}

static struct payment_op *op_with(int i, int32_t client_id, const char *key)
{
    ops[i].client_id = client_id;
    ops[i].key_hash = secret_mac(&mac_key, span_of(key));
    return &ops[i];
}

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(secret_init(), ERR_OK);
    secret_mac_key_set(&mac_key, (const uint8_t[SECRET_MAC_KEY_BYTES]){7});
    memset(ops, 0, sizeof(ops));
    memset(&inflight, 0, sizeof(inflight));
    assert_true(payment_inflight_create(&inflight, OPS));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    payment_inflight_destroy(&inflight);
    return 0;
}

static void test_the_same_pair_is_claimed_once(void **state)
{
    (void)state;
    assert_true(payment_inflight_claim(&inflight, op_with(0, 1, "key")));
    assert_false(payment_inflight_claim(&inflight, op_with(1, 1, "key")));

    payment_inflight_release(&inflight, &ops[1]); /* it claimed nothing */
    assert_false(payment_inflight_claim(&inflight, op_with(2, 1, "key")));
    payment_inflight_release(&inflight, &ops[0]);
    assert_true(payment_inflight_claim(&inflight, op_with(2, 1, "key")));
    payment_inflight_release(&inflight, &ops[2]);
}

static void test_another_client_or_key_is_another_pair(void **state)
{
    (void)state;
    static const char *const KEYS[] = {"key", "ke", "keyy", "Key", "kex"};
    for (int i = 0; i < 5; i++) {
        assert_true(payment_inflight_claim(&inflight, op_with(2 * i, 1, KEYS[i])));
        assert_true(payment_inflight_claim(&inflight, op_with(2 * i + 1, -1, KEYS[i])));
    }
    /* In the same bucket: the client's number differs above the table's mask alone. */
    assert_true(payment_inflight_claim(&inflight, op_with(10, 1 + (1 << 20), "key")));
    for (int i = 0; i < 11; i++)
        payment_inflight_release(&inflight, &ops[i]);
}

/* Full, the buckets hold several pairs each, so claims walk past others' nodes. */
static void test_every_pair_of_a_full_table_is_found(void **state)
{
    (void)state;
    char key[16];
    for (int i = 0; i < OPS; i++) {
        snprintf(key, sizeof(key), "key-%d", i);
        assert_true(payment_inflight_claim(&inflight, op_with(i, i % 3, key)));
    }
    for (int i = 0; i < OPS; i++) {
        static struct payment_op twin;
        twin = ops[i];
        twin.key_node = (struct list_node){0};
        assert_false(payment_inflight_claim(&inflight, &twin));
        payment_inflight_release(&inflight, &ops[i]);
        assert_true(payment_inflight_claim(&inflight, &twin));
        payment_inflight_release(&inflight, &twin);
    }
}

/* ---- pairs that another session holds ---- */

static void test_a_pair_held_elsewhere_is_busy_then_alone_then_free(void **state)
{
    (void)state;
    const uint64_t at_us = CLOCK_US_PER_S;
    const struct payment_op *op = op_with(0, 1, "key");
    static const struct {
        uint64_t after_us;
        enum payment_pair pair;
    } CASES[] = {{0, PAYMENT_PAIR_BUSY},
                 {REFUSED_US - 1, PAYMENT_PAIR_BUSY},
                 {REFUSED_US, PAYMENT_PAIR_ALONE},
                 {ALONE_US - 1, PAYMENT_PAIR_ALONE},
                 {ALONE_US, PAYMENT_PAIR_FREE}};
    assert_int_equal(payment_inflight_pair(&inflight, op, at_us), PAYMENT_PAIR_FREE);

    payment_inflight_note_elsewhere(&inflight, op, at_us);

    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
        assert_int_equal(payment_inflight_pair(&inflight, op, at_us + CASES[i].after_us),
                         CASES[i].pair);
}

static void test_a_pair_noted_again_is_busy_again(void **state)
{
    (void)state;
    const struct payment_op *op = op_with(0, 1, "key");

    payment_inflight_note_elsewhere(&inflight, op, 0);
    payment_inflight_note_elsewhere(&inflight, op, ALONE_US);

    assert_int_equal(payment_inflight_pair(&inflight, op, ALONE_US), PAYMENT_PAIR_BUSY);
    assert_int_equal(payment_inflight_pair(&inflight, op, 2 * (uint64_t)ALONE_US - 1),
                     PAYMENT_PAIR_ALONE);
}

static void test_a_pair_held_elsewhere_says_nothing_of_others(void **state)
{
    (void)state;
    payment_inflight_note_elsewhere(&inflight, op_with(0, 1, "key"), 0);

    assert_int_equal(payment_inflight_pair(&inflight, op_with(1, 2, "key"), 0), PAYMENT_PAIR_FREE);
    assert_int_equal(payment_inflight_pair(&inflight, op_with(1, 1, "kez"), 0), PAYMENT_PAIR_FREE);
    /* Known elsewhere is not in flight here. */
    assert_true(payment_inflight_claim(&inflight, op_with(1, 1, "key")));
    payment_inflight_release(&inflight, &ops[1]);
}

static uint64_t place_of(const struct payment_op *op)
{
    uint64_t tag;
    memcpy(&tag, op->key_hash.bytes, sizeof(tag));
    tag ^= (uint64_t)(uint32_t)op->client_id;
    return tag % PAYMENT_ELSEWHERE_MAX;
}

/* Two pairs of one place: the later one is remembered, and the earlier not taken for it. */
static void test_a_later_pair_takes_the_place_of_an_earlier(void **state)
{
    (void)state;
    const struct payment_op *first = op_with(0, 1, "key");
    struct payment_op *second = NULL;
    char key[16];
    for (int i = 0; second == NULL; i++) {
        snprintf(key, sizeof(key), "key-%d", i);
        if (place_of(op_with(1, 1, key)) == place_of(first))
            second = &ops[1];
    }
    payment_inflight_note_elsewhere(&inflight, first, 0);
    assert_int_equal(payment_inflight_pair(&inflight, second, 0), PAYMENT_PAIR_FREE);

    payment_inflight_note_elsewhere(&inflight, second, 0);

    assert_int_equal(payment_inflight_pair(&inflight, second, 0), PAYMENT_PAIR_BUSY);
    assert_int_equal(payment_inflight_pair(&inflight, first, 0), PAYMENT_PAIR_FREE);
}

static void test_create_without_memory_fails(void **state)
{
    (void)state;
    struct payment_inflight none = {0};
    calloc_fails = true;
    const bool made = payment_inflight_create(&none, 1);
    calloc_fails = false;
    assert_false(made);
    payment_inflight_destroy(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_same_pair_is_claimed_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_another_client_or_key_is_another_pair, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_every_pair_of_a_full_table_is_found, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_pair_held_elsewhere_is_busy_then_alone_then_free,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_pair_noted_again_is_busy_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_pair_held_elsewhere_says_nothing_of_others, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_later_pair_takes_the_place_of_an_earlier, set_up,
                                        tear_down),
        cmocka_unit_test(test_create_without_memory_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
