#include "http/api/payment_step_answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define WALL_US UINT64_C(1795485806496301) /* 2026-11-24T02:03:26.496301Z */
#define HOLD "txn_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5"
#define STEP "txn_0192f0c1a2b37c4d8e9fa0b1c2d3e4ff"

static struct payment_answer_style style;
static char storage[PAYMENT_ANSWER_BODY_BYTES + 1];
static struct buf out;

static struct payment_step_decision decision_of(enum payment_step_kind kind)
{
    struct payment_step_decision decision = {
        .kind = kind,
        .code_index = PAYMENT_CODE_APPROVED,
        .hold_id = {{0x01, 0x92, 0xf0, 0xc1, 0xa2, 0xb3, 0x7c, 0x4d, 0x8e, 0x9f, 0xa0, 0xb1, 0xc2,
                     0xd3, 0xe4, 0xf5}},
        .amount_minor = 300,
        .balance_after_minor = 98750,
        .amounts = {.authorised_minor = 1250,
                    .captured_minor = 500,
                    .released_minor = 200,
                    .expired_minor = 50,
                    .refunded_minor = 100},
        .processing_us = 1420,
        .created_wall_us = WALL_US,
        .currency = "EUR",
    };
    decision.txn_id = decision.hold_id;
    decision.txn_id.bytes[15] = 0xff;
    return decision;
}

static const char *written(const struct payment_step_decision *decision)
{
    buf_init(&out, storage, sizeof(storage) - 1);
    payment_step_answer_write(&out, &style, decision);
    assert_false(out.overflow);
    storage[out.len] = '\0';
    return storage;
}

#define AMOUNTS                                                                                    \
    "\"authorised\":1250,\"captured\":500,\"released\":200,\"expired\":50,\"refunded\":100,"       \
    "\"open\":500"
#define WHEN "\"region\":\"eu-south-2\",\"timestamp\":\"2026-11-24T02:03:26.496301Z\","

static void test_capture_and_refund(void **state)
{
    (void)state;
    const struct payment_step_decision capture = decision_of(PAYMENT_CAPTURE);
    const struct payment_step_decision refund = decision_of(PAYMENT_REFUND);

    assert_string_equal(written(&capture),
                        "{\"transaction_id\":\"" STEP "\",\"captures\":\"" HOLD
                        "\",\"status\":\"captured\"," WHEN "\"processing_time_ms\":\"1.42\","
                        "\"amount\":300,\"currency\":\"EUR\"," AMOUNTS
                        ",\"balance_after\":98750}\n");
    assert_string_equal(written(&refund),
                        "{\"transaction_id\":\"" STEP "\",\"refunds\":\"" HOLD
                        "\",\"status\":\"refunded\"," WHEN "\"processing_time_ms\":\"1.42\","
                        "\"amount\":300,\"currency\":\"EUR\"," AMOUNTS
                        ",\"balance_after\":98750}\n");
}

static void test_void_begins_as_it_always_did(void **state)
{
    (void)state;
    const struct payment_step_decision decision = decision_of(PAYMENT_VOID);

    assert_string_equal(
        written(&decision),
        "{\"transaction_id\":\"" STEP "\",\"voids\":\"" HOLD "\",\"status\":\"voided\"," WHEN
        "\"balance_after\":98750,"
        "\"processing_time_ms\":\"1.42\",\"amount\":300,\"currency\":\"EUR\"," AMOUNTS "}\n");
}

static void test_increment_tells_the_decision(void **state)
{
    (void)state;
    struct payment_step_decision decision = decision_of(PAYMENT_INCREMENT);

    assert_string_equal(written(&decision),
                        "{\"transaction_id\":\"" STEP "\",\"increments\":\"" HOLD
                        "\",\"status\":\"approved\"," WHEN "\"processing_time_ms\":\"1.42\","
                        "\"response_code\":\"00\",\"reason\":\"approved\",\"advice\":\"none\","
                        "\"amount\":300,\"currency\":\"EUR\"," AMOUNTS
                        ",\"balance_after\":98750}\n");

    decision.code_index = PAYMENT_CODE_FUNDS;
    assert_non_null(strstr(written(&decision), "\"status\":\"declined\""));
    assert_non_null(strstr(storage, "\"response_code\":\"51\",\"reason\":\"insufficient_funds\""));
}

static void test_longest_answer_fits(void **state)
{
    (void)state;
    enum { REGION_LEN = 255 }; /* what a setting may have */
    char region[REGION_LEN];
    memset(region, 'r', sizeof(region));
    struct payment_step_decision decision = decision_of(PAYMENT_INCREMENT);
    decision.amount_minor = decision.balance_after_minor = INT64_MIN;
    decision.amounts = (struct payment_amounts){
        .authorised_minor = INT64_MAX, .captured_minor = INT64_MAX, .refunded_minor = INT64_MAX};
    decision.processing_us = UINT32_MAX;
    decision.code_index = PAYMENT_CODE_CURRENCY;

    assert_int_equal(payment_answer_style_init(&style, (struct span){region, sizeof(region)}),
                     ERR_OK);
    (void)written(&decision);
}

static int set_up(void **state)
{
    (void)state;
    return payment_answer_style_init(&style, SPAN("eu-south-2")) == ERR_OK ? 0 : -1;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
    const struct CMUnitTest tests[] = {
        TEST(test_capture_and_refund),
        TEST(test_void_begins_as_it_always_did),
        TEST(test_increment_tells_the_decision),
        TEST(test_longest_answer_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
