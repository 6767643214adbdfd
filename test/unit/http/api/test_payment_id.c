#include "http/api/payment_id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_what_is_written_is_read_again(void **state)
{
    (void)state;
    const struct uuid7 id = {{0x01, 0x92, 0xf0, 0xc1, 0xa2, 0xb3, 0x7c, 0x4d, 0x8e, 0x9f, 0xa0,
                              0xb1, 0xc2, 0xd3, 0xe4, 0xf5}};
    char storage[PAYMENT_ID_LEN];
    struct buf text;
    struct uuid7 again;
    buf_init(&text, storage, sizeof(storage));

    payment_id_add(&text, &id);

    assert_false(text.overflow);
    assert_true(span_equal(buf_span(&text), SPAN("txn_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5")));
    assert_true(payment_id_parse(buf_span(&text), &again));
    assert_memory_equal(again.bytes, id.bytes, UUID7_BYTES);
}

static void test_number_of_the_go_service(void **state)
{
    (void)state;
    char storage[32];
    struct buf text;
    struct uuid7 id;
    buf_init(&text, storage, sizeof(storage));

    payment_id_add_number(&text, UINT64_C(1795485806496301000));

    assert_true(span_equal(buf_span(&text), SPAN("txn_1795485806496301000")));
    assert_false(payment_id_parse(buf_span(&text), &id));
}

static void test_other_texts_are_no_ids(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "txn",
                                      "txn_",
                                      "TXN_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5",
                                      "0192f0c1a2b37c4d8e9fa0b1c2d3e4f5",
                                      "txn_0192f0c1a2b37c4d8e9fa0b1c2d3e4f",
                                      "txn_0192f0c1a2b37c4d8e9fa0b1c2d3e4f56",
                                      "txn_0192F0c1a2b37c4d8e9fa0b1c2d3e4f5"};
    struct uuid7 id;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(payment_id_parse(span_of(bad[i]), &id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read_again),
        cmocka_unit_test(test_number_of_the_go_service),
        cmocka_unit_test(test_other_texts_are_no_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
