/* payment_inflight: a (client, key) pair is claimed once, and free again when it is released. */
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

enum { OPS = 300 };

static struct payment_inflight inflight;
static struct payment_op ops[OPS];
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
    ops[i].key_len = (uint8_t)strlen(key);
    memcpy(ops[i].key, key, ops[i].key_len);
    return &ops[i];
}

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(secret_init(), ERR_OK);
    memset(ops, 0, sizeof(ops));
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
        cmocka_unit_test(test_create_without_memory_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
