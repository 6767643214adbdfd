#include "http/api/payment_answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define WALL_US UINT64_C(1795485806496301) /* 2026-11-24T02:03:26.496301Z */

static struct payment_answer_style style;
static char storage[PAYMENT_ANSWER_BODY_BYTES + 1];
static struct buf out;

static const struct payment_command purchase = {.effect = PAYMENT_HOLD,
                                                .wallet_id = 1,
                                                .amount_minor = 1250,
                                                .currency = "EUR",
                                                .merchant_country = "ES",
                                                .mcc = 5812};
static const struct uuid7 id = {{0x01, 0x92, 0xf0, 0xc1, 0xa2, 0xb3, 0x7c, 0x4d, 0x8e, 0x9f, 0xa0,
                                 0xb1, 0xc2, 0xd3, 0xe4, 0xf5}};

static struct payment_answer answer_of(const char *code)
{
    return (struct payment_answer){
        .txn_id = id,
        .code_index = (uint8_t)payment_code_find(code),
        .processing_us = 1420,
        .wall_us = WALL_US,
        .command = &purchase,
        .has_balance = true,
        .balance_after_minor = 98750,
    };
}

static const char *text(void)
{
    assert_false(out.overflow);
    storage[out.len] = '\0';
    return storage;
}

static int set_up(void **state)
{
    (void)state;
    buf_init(&out, storage, sizeof(storage) - 1);
    return payment_answer_style_init(&style, SPAN("eu-south-2")) == ERR_OK ? 0 : -1;
}

static void test_legacy_answer_is_the_go_service_s(void **state)
{
    (void)state;
    struct payment_answer answer = answer_of("00");
    answer.number = UINT64_C(1795485806496301000);

    payment_answer_write_legacy(&out, &style, &answer);

    assert_string_equal(text(), "{\"transaction_id\":\"txn_1795485806496301000\",\"status\":"
                                "\"approved\",\"processing_time_ms\":\"1.42\",\"region\":"
                                "\"eu-south-2\",\"timestamp\":\"2026-11-24T02:03:26.496301Z\"}\n");
}

static void test_hold_appends_the_decision(void **state)
{
    (void)state;
    const struct payment_answer answer = answer_of("00");

    payment_answer_write(&out, &style, &answer);

    assert_string_equal(
        text(), "{\"transaction_id\":\"txn_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5\",\"status\":"
                "\"approved\",\"processing_time_ms\":\"1.42\",\"region\":\"eu-south-2\","
                "\"timestamp\":\"2026-11-24T02:03:26.496301Z\",\"response_code\":\"00\",\"reason\":"
                "\"approved\",\"advice\":\"none\",\"effect\":\"hold\",\"amount\":1250,\"currency\":"
                "\"EUR\",\"balance_after\":98750}\n");
}

static void test_decline_without_balance(void **state)
{
    (void)state;
    struct payment_answer answer = answer_of("14");
    answer.has_balance = false;

    payment_answer_write(&out, &style, &answer);

    assert_non_null(strstr(text(), "\"status\":\"declined\""));
    assert_non_null(strstr(text(), "\"response_code\":\"14\""));
    assert_non_null(strstr(text(), "\"advice\":\"do_not_retry\""));
    assert_non_null(strstr(text(), "\"currency\":\"EUR\"}\n"));
}

static void test_recorded_is_the_same_and_goes_on(void **state)
{
    (void)state;
    const struct payment_answer answer = answer_of("00");
    char whole[sizeof(storage)];

    payment_answer_write(&out, &style, &answer);
    memcpy(whole, text(), sizeof(whole));
    buf_init(&out, out.data, out.cap);
    payment_answer_open_recorded(&out, &style, &answer);

    assert_int_equal(out.len, strlen(whole) - strlen("}\n"));
    assert_memory_equal(out.data, whole, out.len);
}

static void test_headers_are_server_timing_in_milliseconds(void **state)
{
    (void)state;

    payment_answer_write_headers(
        &out,
        &(struct payment_timing){.auth_us = 10, .queue_us = 120, .db_us = 1310, .total_us = 1600});

    assert_string_equal(text(), "Server-Timing: auth;dur=0.01, "
                                "queue;dur=0.12, db;dur=1.31, total;dur=1.60\r\n");
}

static void test_longest_region_fits_or_is_refused(void **state)
{
    (void)state;
    char region[512] = {0};
    memset(region, 'r', 255);
    struct payment_answer answer = answer_of("00");
    answer.processing_us = UINT32_MAX;
    answer.balance_after_minor = INT64_MIN;

    assert_int_equal(payment_answer_style_init(&style, span_of(region)), ERR_OK);
    payment_answer_write(&out, &style, &answer);
    assert_false(out.overflow);
    memset(region, 'r', 500);
    assert_int_equal(payment_answer_style_init(&style, span_of(region)), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_legacy_answer_is_the_go_service_s, set_up),
        cmocka_unit_test_setup(test_hold_appends_the_decision, set_up),
        cmocka_unit_test_setup(test_decline_without_balance, set_up),
        cmocka_unit_test_setup(test_recorded_is_the_same_and_goes_on, set_up),
        cmocka_unit_test_setup(test_headers_are_server_timing_in_milliseconds, set_up),
        cmocka_unit_test_setup(test_longest_region_fits_or_is_refused, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
