/* The reads against a fake server and a fake store: what is asked, what is answered. */
#include "api_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define FIND_PATH "/api/payment/simulate/{id}"
#define KEY_PATH "/api/payment/simulate/by-key/{id}"
#define WALLET_PATH "/api/payment/wallets/{id}"
#define PAGE_PATH "/api/payment/wallets/{id}/transactions"
#define HOLD_ID "txn_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5"

static struct payment_read got;

static void ask(const char *path, const char *param)
{
    request(HTTP_GET);
    given.param = span_of(param);
    handle(path);
}

/* The store has found something. */
static void bring(void)
{
    assert_non_null(submitted);
    got = (struct payment_read){
        .view = {.has_amounts = true, .amounts = {.authorised_minor = 9}},
        .wallet = {.wallet_id = 7, .currency = "EUR", .day = "2026-11-24"},
        .page = {.before_known = true},
    };
    submitted->found = true;
    submitted->read = &got;
}

static void assert_problem(uint16_t status, const char *slug)
{
    assert_int_equal(given.answers, 1);
    assert_int_equal(given.status, status);
    assert_string_equal(given.note.problem, slug);
}

static void test_find_answers_the_recorded_decision_and_its_life(void **state)
{
    (void)state;
    ask(FIND_PATH, HOLD_ID);
    assert_int_equal(submitted->kind, PAYMENT_OP_FIND);
    submitted->command = (struct payment_command){
        .effect = PAYMENT_HOLD, .wallet_id = 7, .amount_minor = 9, .currency = "EUR", .mcc = 5812};
    decide(PAYMENT_REPLAY, "00");
    bring();

    finish(PG_DONE);

    assert_int_equal(given.status, 200);
    assert_true(body_has("{\"transaction_id\":\"" HOLD_ID "\","));
    assert_true(body_has(",\"voided\":false,\"wallet_id\":\"wal_7\","));
    assert_true(body_has(",\"state\":\"open\",\"authorised\":9,"));
    assert_true(given.note.has_txn);
    assert_true(given.note.has_payment);
}

static void test_an_id_that_is_none_is_404_and_not_asked_for(void **state)
{
    (void)state;
    static const char *const BAD[] = {"",
                                      "txn_",
                                      "txn_1795485806496301000",
                                      "0192f0c1a2b37c4d8e9fa0b1c2d3e4f5",
                                      "txn_0192F0C1A2B37C4D8E9FA0B1C2D3E4F5",
                                      "by-key"};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        ask(FIND_PATH, BAD[i]);
        assert_problem(404, "not-found");
        assert_null(submitted);
    }
}

static void test_what_is_not_on_record_is_404(void **state)
{
    (void)state;
    static const struct {
        const char *path, *param, *detail;
    } CASES[] = {
        {FIND_PATH, HOLD_ID, "no such transaction"},
        {KEY_PATH, "k", "nothing is on record under this key"},
        {WALLET_PATH, "wal_7", "no such wallet"},
        {PAGE_PATH, "wal_7", "no such wallet"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        ask(CASES[i].path, CASES[i].param);
        finish(PG_DONE);
        assert_problem(404, "not-found");
        assert_true(body_has(CASES[i].detail));
    }
}

static void test_a_key_is_hashed_and_tagged(void **state)
{
    (void)state;
    ask(KEY_PATH, "%41b");
    assert_int_equal(submitted->kind, PAYMENT_OP_FIND_KEY);
    assert_int_equal(submitted->key_hash.bytes[0], 2); /* the fake's: length and first byte */
    assert_int_equal(submitted->key_hash.bytes[1], 'A');
    assert_false(submitted->has_key); /* it claims none */
    assert_true(given.note.has_key_tag);
    decide(PAYMENT_REPLAY, "00");
    bring();

    finish(PG_DONE);

    assert_int_equal(given.status, 200);
}

static void test_a_key_that_is_none_is_400_and_not_repeated(void **state)
{
    (void)state;
    request(HTTP_GET);
    given.request.path = SPAN("/api/payment/simulate/by-key/secret%");
    given.param = SPAN("secret%");

    handle(KEY_PATH);

    assert_problem(400, "idempotency-key-invalid");
    assert_null(submitted);
    assert_int_equal(keys_hashed, 0);
    assert_false(body_has("secret"));
    assert_true(body_has("\"instance\":\"/api/payment/simulate/by-key/\""));
}

static void test_a_key_waits_for_what_it_is_hashed_with(void **state)
{
    (void)state;
    knows_hash_key = false;

    ask(KEY_PATH, "k");

    assert_problem(503, "database-unavailable");
    assert_null(submitted);
    assert_int_equal(payment_api_stats(api)->shed_total[PAYMENT_SHED_DOWN], 1);
}

static void test_a_wallet(void **state)
{
    (void)state;
    ask(WALLET_PATH, "wal_7");
    assert_int_equal(submitted->kind, PAYMENT_OP_WALLET);
    assert_int_equal(submitted->command.wallet_id, 7);
    assert_true(given.note.has_wallet);
    bring();

    finish(PG_DONE);

    assert_int_equal(given.status, 200);
    assert_true(body_has("{\"wallet_id\":\"wal_7\",\"status\":\"active\","));
}

static void test_a_wallet_that_is_none_is_404_and_not_asked_for(void **state)
{
    (void)state;
    static const char *const PATHS[] = {WALLET_PATH, PAGE_PATH};
    static const char *const BAD[] = {"", "wal_", "wal_0", "7", "wal_1234567890123", "wal_%37"};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        for (int path = 0; path < 2; path++) {
            ask(PATHS[path], BAD[i]);
            assert_problem(404, "not-found");
            assert_null(submitted);
        }
    }
}

static void test_a_page_is_asked_for_as_the_query_says(void **state)
{
    (void)state;
    request(HTTP_GET);
    given.param = SPAN("wal_7");
    given.request.query = SPAN("limit=3&before=12");

    handle(PAGE_PATH);

    assert_int_equal(submitted->kind, PAYMENT_OP_TRANSACTIONS);
    assert_int_equal(submitted->command.wallet_id, 7);
    assert_int_equal(submitted->page.limit, 3);
    assert_int_equal(submitted->page.before_version, 12);
    bring();
    finish(PG_DONE);
    assert_int_equal(given.status, 200);
    assert_string_equal(given.body, "{\"transactions\":[]}\n");
}

static void test_a_place_that_is_none_is_422(void **state)
{
    (void)state;
    request(HTTP_GET);
    given.param = SPAN("wal_7");
    given.request.query = SPAN("limit=0");
    handle(PAGE_PATH);
    assert_problem(422, "invalid-parameter");
    assert_null(submitted);

    ask(PAGE_PATH, "wal_7");
    bring();
    got.page.before_known = false;
    finish(PG_DONE);
    assert_problem(422, "invalid-parameter");
    assert_true(body_has("\"pointer\":\"before\""));
}

static void test_reads_that_end_without_an_answer_moved_nothing(void **state)
{
    (void)state;
    static const char *const PATHS[] = {FIND_PATH, KEY_PATH, WALLET_PATH, PAGE_PATH};
    static const char *const PARAMS[] = {HOLD_ID, "k", "wal_7", "wal_7"};
    for (int i = 0; i < 4; i++) {
        ask(PATHS[i], PARAMS[i]);
        finish(PG_UNKNOWN);
        assert_problem(504, "deadline-exceeded");
        assert_true(body_has("\"applied\":\"no\""));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_find_answers_the_recorded_decision_and_its_life),
        TEST(test_an_id_that_is_none_is_404_and_not_asked_for),
        TEST(test_what_is_not_on_record_is_404),
        TEST(test_a_key_is_hashed_and_tagged),
        TEST(test_a_key_that_is_none_is_400_and_not_repeated),
        TEST(test_a_key_waits_for_what_it_is_hashed_with),
        TEST(test_a_wallet),
        TEST(test_a_wallet_that_is_none_is_404_and_not_asked_for),
        TEST(test_a_page_is_asked_for_as_the_query_says),
        TEST(test_a_place_that_is_none_is_422),
        TEST(test_reads_that_end_without_an_answer_moved_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
