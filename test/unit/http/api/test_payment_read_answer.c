#include "http/api/payment_read_answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define WALL_US UINT64_C(1795485806496301) /* 2026-11-24T02:03:26.496301Z */
#define WHEN "\"timestamp\":\"2026-11-24T02:03:26.496301Z\""
#define HOLD "txn_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5"
#define STEP "txn_0192f0c1a2b37c4d8e9fa0b1c2d3e4ff"

static struct payment_answer_style style;
static char storage[PAYMENT_READ_BODY_BYTES + 1];
static struct buf out;
static struct payment_read got;
static struct payment_command command;
static struct payment_answer answer;

static int set_up(void **state)
{
    (void)state;
    const struct uuid7 hold_id = {{0x01, 0x92, 0xf0, 0xc1, 0xa2, 0xb3, 0x7c, 0x4d, 0x8e, 0x9f, 0xa0,
                                   0xb1, 0xc2, 0xd3, 0xe4, 0xf5}};
    command = (struct payment_command){
        .effect = PAYMENT_HOLD, .wallet_id = 7, .amount_minor = 1000, .currency = "EUR", .mcc = 42};
    answer = (struct payment_answer){.txn_id = hold_id,
                                     .code_index = PAYMENT_CODE_APPROVED,
                                     .processing_us = 1420,
                                     .wall_us = WALL_US,
                                     .command = &command,
                                     .has_balance = true,
                                     .balance_after_minor = 98750};
    memset(&got, 0, sizeof(got));
    got.view = (struct payment_view){.has_amounts = true,
                                     .amounts = {.authorised_minor = 1000},
                                     .has_expiry = true,
                                     .expires_wall_us = WALL_US};
    got.entries[0] = (struct payment_entry){.kind = PAYMENT_ENTRY_CAPTURE,
                                            .txn_id = hold_id,
                                            .hold_id = hold_id,
                                            .amount_minor = 300,
                                            .balance_after_minor = 98750,
                                            .version = 3,
                                            .created_wall_us = WALL_US};
    got.entries[0].txn_id.bytes[15] = 0xff;
    got.entries[1] = got.entries[0];
    got.entries[1].kind = PAYMENT_ENTRY_HOLD;
    got.entries[1].txn_id = hold_id;
    got.entries[1].version = 2;
    buf_init(&out, storage, sizeof(storage) - 1);
    return payment_answer_style_init(&style, SPAN("eu-south-2")) == ERR_OK ? 0 : -1;
}

static const char *text(void)
{
    assert_false(out.overflow);
    storage[out.len] = '\0';
    return storage;
}

static const char *payment(void)
{
    buf_init(&out, storage, sizeof(storage) - 1);
    payment_read_answer_write_payment(&out, &style, &answer, &got);
    return text();
}

static void test_an_open_payment(void **state)
{
    (void)state;
    got.view.amounts.captured_minor = 300;
    got.entry_count = 1;

    const char *whole = payment();

    assert_non_null(strstr(
        whole, ",\"balance_after\":98750,\"voided\":false,\"wallet_id\":\"wal_7\","
               "\"merchant\":{\"mcc\":\"0042\"},\"state\":\"open\","
               "\"expires_at\":\"2026-11-24T02:03:26.496301Z\","
               "\"authorised\":1000,\"captured\":300,\"released\":0,\"expired\":0,\"refunded\":0,"
               "\"open\":700,\"steps\":[{\"id\":\"" STEP "\",\"type\":\"capture\",\"amount\":300,"
               "\"balance_after\":98750," WHEN "}]}\n"));
}

static void test_closed_payments_expire_no_more_and_only_a_whole_void_is_one(void **state)
{
    (void)state;
    got.view.amounts.released_minor = 1000;
    assert_non_null(strstr(payment(), "\"voided\":true,"));
    assert_non_null(strstr(payment(), "\"state\":\"voided\",\"authorised\""));
    got.view.amounts = (struct payment_amounts){
        .authorised_minor = 1000, .captured_minor = 1, .released_minor = 999};
    assert_non_null(strstr(payment(), "\"voided\":false,"));
    assert_non_null(strstr(payment(), "\"state\":\"captured\",\"authorised\""));
}

static void test_a_declined_payment_is_short(void **state)
{
    (void)state;
    got.view = (struct payment_view){0};
    answer.code_index = PAYMENT_CODE_FUNDS;

    assert_non_null(strstr(payment(), ",\"voided\":false,\"wallet_id\":\"wal_7\","
                                      "\"merchant\":{\"mcc\":\"0042\"}}\n"));
}

static void test_a_wallet(void **state)
{
    (void)state;
    struct payment_wallet wallet = {.wallet_id = 7,
                                    .status = PAYMENT_WALLET_BLOCKED,
                                    .currency = "EUR",
                                    .balance_minor = 5,
                                    .version = 6,
                                    .open_count = 2,
                                    .open_minor = 70,
                                    .day = "2026-11-24",
                                    .day_spent_minor = 8,
                                    .day_count = 9,
                                    .month_spent_minor = 10,
                                    .txn_max_minor = 11,
                                    .day_max_minor = 12,
                                    .month_max_minor = 13,
                                    .day_count_max = 14};

    payment_read_answer_write_wallet(&out, &style, &wallet, WALL_US);
    assert_string_equal(
        text(), "{\"wallet_id\":\"wal_7\",\"status\":\"blocked\",\"currency\":\"EUR\","
                "\"balance\":5,\"version\":6,\"open_holds\":{\"count\":2,\"amount\":70},"
                "\"day\":\"2026-11-24\",\"day_spent\":8,\"day_count\":9,\"month_spent\":10,"
                "\"limits\":{\"txn_max\":11,\"day_max\":12,\"month_max\":13,\"day_count_max\":14},"
                "\"region\":\"eu-south-2\"," WHEN "}\n");

    buf_init(&out, storage, sizeof(storage) - 1);
    wallet.open_cut = true;
    payment_read_answer_write_wallet(&out, &style, &wallet, WALL_US);
    assert_non_null(strstr(text(), "{\"count\":2,\"amount\":70,\"at_least\":true}"));
}

static void test_pages(void **state)
{
    (void)state;
    payment_read_answer_write_page(&out, &got);
    assert_string_equal(text(), "{\"transactions\":[]}\n");

    buf_init(&out, storage, sizeof(storage) - 1);
    got.entry_count = 2;
    got.page.next_version = 2;
    payment_read_answer_write_page(&out, &got);
    assert_string_equal(text(), "{\"transactions\":["
                                "{\"id\":\"" STEP "\",\"type\":\"capture\",\"hold\":\"" HOLD "\","
                                "\"version\":3,\"amount\":300,\"balance_after\":98750," WHEN "},"
                                "{\"id\":\"" HOLD "\",\"type\":\"hold\","
                                "\"version\":2,\"amount\":300,\"balance_after\":98750," WHEN "}],"
                                "\"next_before\":2}\n");
}

static void test_the_longest_answers_fit(void **state)
{
    (void)state;
    char region[256] = {0};
    memset(region, 'r', sizeof(region) - 1);
    assert_int_equal(payment_answer_style_init(&style, span_of(region)), ERR_OK);
    answer.balance_after_minor = INT64_MIN;
    answer.processing_us = UINT32_MAX;
    command.amount_minor = command.wallet_id = INT64_MIN;
    got.view.amounts = (struct payment_amounts){.authorised_minor = INT64_MAX};
    for (uint32_t i = 0; i < PAYMENT_ENTRIES_MAX; i++)
        got.entries[i] = (struct payment_entry){.kind = PAYMENT_ENTRY_OVER_CAPTURE,
                                                .amount_minor = INT64_MIN,
                                                .balance_after_minor = INT64_MIN,
                                                .version = INT64_MIN,
                                                .created_wall_us = WALL_US};
    got.entry_count = PAYMENT_ENTRIES_MAX;
    payment();
    assert_true(out.len > 128 * 150);

    buf_init(&out, storage, sizeof(storage) - 1);
    got.page.next_version = INT64_MIN;
    payment_read_answer_write_page(&out, &got);
    assert_false(out.overflow);
    assert_true(out.len / PAYMENT_ENTRIES_MAX <= PAYMENT_READ_ENTRY_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_an_open_payment, set_up),
        cmocka_unit_test_setup(test_closed_payments_expire_no_more_and_only_a_whole_void_is_one,
                               set_up),
        cmocka_unit_test_setup(test_a_declined_payment_is_short, set_up),
        cmocka_unit_test_setup(test_a_wallet, set_up),
        cmocka_unit_test_setup(test_pages, set_up),
        cmocka_unit_test_setup(test_the_longest_answers_fit, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
