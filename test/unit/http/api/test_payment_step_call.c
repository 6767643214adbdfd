/* The steps of a hold against a fake server and a fake store: what is asked, what is answered. */
#include "api_fixture.h"
#include "http/api/problem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define STEP_PATH(name) "/api/payment/simulate/{id}/" name
#define HOLD_ID "txn_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5"

static const struct {
    const char *path, *member;
    enum payment_op_kind op;
    uint16_t status;
} STEPS[PAYMENT_STEP_KINDS] = {
    [PAYMENT_CAPTURE] = {STEP_PATH("capture"), "\"captures\":\"", PAYMENT_OP_CAPTURE, 201},
    [PAYMENT_VOID] = {STEP_PATH("void"), "\"voids\":\"", PAYMENT_OP_VOID, 200},
    [PAYMENT_INCREMENT] = {STEP_PATH("increment"), "\"increments\":\"", PAYMENT_OP_INCREMENT, 201},
    [PAYMENT_REFUND] = {STEP_PATH("refund"), "\"refunds\":\"", PAYMENT_OP_REFUND, 201},
};

/* key NULL: without one. */
static void ask(enum payment_step_kind kind, const char *body, const char *key)
{
    request(HTTP_POST);
    given.param = SPAN(HOLD_ID);
    if (body[0] != '\0')
        header("Content-Type", "application/json");
    if (key != NULL)
        header("Idempotency-Key", key);
    given.request.body = span_of(body);
    handle(STEPS[kind].path);
}

/* As the store would. */
static void tell(enum payment_step_how how)
{
    submitted->step_decision = (struct payment_step_decision){
        .how = how,
        .kind = submitted->step.kind,
        .code_index = PAYMENT_CODE_APPROVED,
        .txn_id = submitted->txn_id,
        .hold_id = submitted->step.hold_id,
        .amount_minor = 300,
        .balance_after_minor = 98750,
        .limit_minor = 200,
        .amounts = {.authorised_minor = 1250, .captured_minor = 300},
        .state = PAYMENT_EXPIRED,
        .processing_us = 1420,
        .created_wall_us = UINT64_C(1795485806496301),
        .wallet_id = 7,
        .currency = "EUR",
        .fingerprint = submitted->fingerprint,
    };
}

static uint64_t counted(enum payment_step_kind kind, enum payment_step_result result)
{
    return payment_api_stats(api)->steps_total[kind][result];
}

static void assert_all_counted(uint64_t expected)
{
    uint64_t sum = 0;
    for (unsigned kind = 0; kind < PAYMENT_STEP_KINDS; kind++)
        for (unsigned result = 0; result < PAYMENT_STEP_RESULTS; result++)
            sum += payment_api_stats(api)->steps_total[kind][result];
    assert_int_equal(sum, expected);
}

/* ---- asking ---- */

static void test_each_step_is_asked_for_as_what_it_is(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PAYMENT_STEP_KINDS; i++) {
        const enum payment_step_kind kind = (enum payment_step_kind)i;
        ask(kind, "{\"amount\":300}", "k1");

        assert_non_null(submitted);
        assert_int_equal(submitted->kind, STEPS[kind].op);
        assert_int_equal(submitted->step.kind, kind);
        assert_true(submitted->step.has_amount && submitted->has_key);
        assert_int_equal(submitted->step.amount_minor, 300);
        assert_int_equal(submitted->step.hold_id.bytes[15], 0xf5);
        assert_memory_not_equal(&submitted->txn_id, &submitted->spare_id, sizeof(struct uuid7));
        assert_int_equal(submitted->due_us, 1100000);
        tell(PAYMENT_STEP_NEW);
        finish(PG_DONE);

        assert_int_equal(given.status, STEPS[kind].status);
        assert_true(body_has(STEPS[kind].member));
        assert_true(body_has("\"amount\":300,\"currency\":\"EUR\",\"authorised\":1250"));
        assert_int_equal(headers_have("Location: /api/payment/simulate/txn_"),
                         kind != PAYMENT_VOID);
        assert_false(headers_have("Idempotent-Replayed"));
        assert_int_equal(counted(kind, PAYMENT_STEP_RESULT_DONE), 1);
        assert_string_equal(given.note.effect, payment_step_name(kind));
        assert_string_equal(given.note.response_code, "00");
        assert_string_equal(given.note.idempotency, "new");
        assert_int_equal(given.note.amount_minor, 300);
        assert_true(given.note.has_txn && given.note.has_payment);
    }
    assert_int_equal(payment_api_stats(api)->idempotency_total[PAYMENT_IDEMPOTENCY_NEW],
                     PAYMENT_STEP_KINDS);
}

static void test_two_amounts_have_two_fingerprints(void **state)
{
    (void)state;
    ask(PAYMENT_CAPTURE, "{\"amount\":300}", "k1");
    const struct secret_digest first = submitted->fingerprint;
    tell(PAYMENT_STEP_NEW);
    finish(PG_DONE);

    ask(PAYMENT_CAPTURE, "{ \"final\":false, \"amount\":300 }", "k1");
    assert_true(secret_digest_equal(&submitted->fingerprint, &first)); /* the same meaning */
    finish(PG_UNAVAILABLE);
    ask(PAYMENT_CAPTURE, "{\"amount\":301}", "k1");
    assert_false(secret_digest_equal(&submitted->fingerprint, &first));
    finish(PG_UNAVAILABLE);
}

static void test_only_a_void_of_all_needs_no_key(void **state)
{
    (void)state;
    static const struct {
        enum payment_step_kind kind;
        const char *body;
        bool needs;
    } cases[] = {
        {PAYMENT_CAPTURE, "", true},
        {PAYMENT_CAPTURE, "{\"amount\":1}", true},
        {PAYMENT_VOID, "", false},
        {PAYMENT_VOID, "{}", false},
        {PAYMENT_VOID, "{\"amount\":1}", true},
        {PAYMENT_INCREMENT, "{\"amount\":1}", true},
        {PAYMENT_REFUND, "{}", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ask(cases[i].kind, cases[i].body, NULL);
        if (cases[i].needs) {
            assert_null(submitted);
            assert_int_equal(given.status, 400);
            assert_string_equal(given.note.problem, "idempotency-key-missing");
            continue;
        }
        assert_false(submitted->has_key);
        tell(PAYMENT_STEP_NEW);
        finish(PG_DONE);
        assert_int_equal(given.status, 200);
        assert_null(given.note.idempotency);
        assert_false(given.note.has_key_tag);
    }
    assert_int_equal(payment_api_stats(api)->idempotency_total[PAYMENT_IDEMPOTENCY_NONE], 2);
}

static void test_a_key_that_is_given_must_be_one(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < PAYMENT_STEP_KINDS; kind++) {
        ask((enum payment_step_kind)kind, "{\"amount\":1}", "a b");
        assert_int_equal(given.status, 400);
        assert_string_equal(given.note.problem, "idempotency-key-invalid");

        knows_hash_key = false;
        ask((enum payment_step_kind)kind, "{\"amount\":1}", "k1");
        knows_hash_key = true;
        assert_int_equal(given.status, 503);
        assert_string_equal(given.note.problem, "database-unavailable");
    }
    assert_null(submitted);
    assert_int_equal(payment_api_stats(api)->shed_total[PAYMENT_SHED_DOWN], PAYMENT_STEP_KINDS);
}

static void test_what_cannot_be_read_is_not_submitted(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PAYMENT_STEP_KINDS; i++) {
        const enum payment_step_kind kind = (enum payment_step_kind)i;
        ask(kind, "{\"amount\":0}", "k1");
        assert_int_equal(given.status, 422);
        assert_true(body_has("\"pointer\":\"/amount\""));
        ask(kind, "{", "k1");
        assert_int_equal(given.status, 400);
        assert_string_equal(given.note.problem, "invalid-json");

        request(HTTP_POST);
        given.param = SPAN(HOLD_ID);
        header("Idempotency-Key", "k1");
        given.request.body = SPAN("{}");
        handle(STEPS[kind].path);
        assert_int_equal(given.status, 415);

        request(HTTP_POST);
        given.param = SPAN("txn_1");
        given.request.body = SPAN("not looked at");
        handle(STEPS[kind].path);
        assert_int_equal(given.status, 404);

        request_without_key(HTTP_POST);
        given.param = SPAN("txn_1");
        handle(STEPS[kind].path);
        assert_int_equal(given.status, 401);
    }
    assert_null(submitted);
    assert_int_equal(keys_hashed, 0);
    assert_all_counted(0);
}

/* ---- answering ---- */

static void test_replay_and_race_give_the_same_bytes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PAYMENT_STEP_KINDS; i++) {
        const enum payment_step_kind kind = (enum payment_step_kind)i;
        ask(kind, "{\"amount\":300}", "k1");
        tell(PAYMENT_STEP_NEW);
        const struct payment_step_decision first = submitted->step_decision;
        finish(PG_DONE);
        char body[4096];
        memcpy(body, given.body, sizeof(body));

        for (int race = 0; race < 2; race++) {
            ask(kind, "{\"amount\":300}", "\"k1\"");
            submitted->step_decision = first;
            submitted->step_decision.how = race ? PAYMENT_STEP_RACE : PAYMENT_STEP_REPLAY;
            finish(PG_DONE);

            assert_int_equal(given.status, STEPS[kind].status);
            assert_string_equal(given.body, body);
            assert_true(headers_have("Idempotent-Replayed: true\r\n"));
            assert_string_equal(given.note.idempotency, race ? "race" : "replay");
        }
        assert_int_equal(counted(kind, PAYMENT_STEP_RESULT_DONE), 1);
        assert_int_equal(counted(kind, PAYMENT_STEP_RESULT_REPLAYED), 2);
    }
}

static void test_declined_increment_is_an_answer(void **state)
{
    (void)state;
    ask(PAYMENT_INCREMENT, "{\"amount\":300}", "k1");
    tell(PAYMENT_STEP_NEW);
    submitted->step_decision.code_index = PAYMENT_CODE_AMOUNT_LIMIT;

    finish(PG_DONE);

    assert_int_equal(given.status, 201);
    assert_true(body_has("\"status\":\"declined\""));
    assert_true(body_has("\"response_code\":\"61\""));
    assert_string_equal(given.note.response_code, "61");
    assert_int_equal(counted(PAYMENT_INCREMENT, PAYMENT_STEP_RESULT_DECLINED), 1);
    assert_int_equal(counted(PAYMENT_INCREMENT, PAYMENT_STEP_RESULT_DONE), 0);
}

static void test_reused_key_tells_what_differs_or_may(void **state)
{
    (void)state;
    static const struct {
        enum payment_step_kind recorded;
        uint8_t hold_last;
        int64_t amount;
        const char *mismatch;
    } cases[] = {
        {PAYMENT_VOID, 0xf5, 300, "\"mismatch\":[\"path\"]"},
        {PAYMENT_CAPTURE, 0xf6, 300, "\"mismatch\":[\"path\"]"},
        {PAYMENT_CAPTURE, 0xf5, 301, "\"mismatch\":[\"amount\"]"},
        {PAYMENT_CAPTURE, 0xf5, 300, "\"mismatch\":[\"amount\",\"final\"]"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ask(PAYMENT_CAPTURE, "{\"amount\":300}", "k1");
        tell(i % 2 == 0 ? PAYMENT_STEP_REPLAY : PAYMENT_STEP_RACE);
        submitted->step_decision.fingerprint.bytes[0] ^= 1;
        submitted->step_decision.kind = cases[i].recorded;
        submitted->step_decision.hold_id.bytes[15] = cases[i].hold_last;
        submitted->step_decision.amount_minor = cases[i].amount;

        finish(PG_DONE);

        assert_int_equal(given.status, 422);
        assert_string_equal(given.note.problem, "idempotency-key-reused");
        assert_string_equal(given.note.idempotency, "mismatch");
        assert_true(body_has(cases[i].mismatch));
    }
    assert_all_counted(0);
    assert_int_equal(payment_api_stats(api)->idempotency_total[PAYMENT_IDEMPOTENCY_MISMATCH], 4);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        enum payment_step_how how;
        enum payment_step_result result;
        uint16_t status;
        const char *slug, *says;
    } cases[] = {
        {PAYMENT_STEP_NOT_FOUND, PAYMENT_STEP_RESULT_NOT_FOUND, 404, "not-found", "no such hold"},
        {PAYMENT_STEP_RESOLVED, PAYMENT_STEP_RESULT_ALREADY_RESOLVED, 409, "already-resolved",
         ",\"state\":\"expired\"}\n"},
        {PAYMENT_STEP_EXCEEDS, PAYMENT_STEP_RESULT_EXCEEDS_OPEN, 422, "amount-exceeds-open",
         ",\"asked\":300,\"limit\":200}\n"},
        {PAYMENT_STEP_TOO_MANY, PAYMENT_STEP_RESULT_TOO_MANY, 409, "too-many-steps", "voided"},
    };
    for (unsigned i = 0; i < PAYMENT_STEP_KINDS; i++) {
        const enum payment_step_kind kind = (enum payment_step_kind)i;
        for (size_t at = 0; at < sizeof(cases) / sizeof(cases[0]); at++) {
            ask(kind, "{\"amount\":300}", "k1");
            tell(cases[at].how);

            finish(PG_DONE);

            assert_int_equal(given.status, cases[at].status);
            assert_string_equal(given.note.problem, cases[at].slug);
            assert_true(body_has(cases[at].says));
            assert_false(headers_have("Retry-After"));
            assert_false(headers_have("Location"));
            assert_int_equal(counted(kind, cases[at].result), 1);
        }
    }
    assert_all_counted(4 * PAYMENT_STEP_KINDS);
}

static void test_late_step_is_504_and_nothing_moved(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < PAYMENT_STEP_KINDS; kind++) {
        ask((enum payment_step_kind)kind, "{\"amount\":300}", "k1");
        tell(PAYMENT_STEP_LATE);

        finish(PG_DONE);

        assert_int_equal(given.status, 504);
        assert_string_equal(given.note.problem, "deadline-exceeded");
        assert_true(body_has("nothing was moved"));
    }
    assert_all_counted(0);
    assert_int_equal(payment_api_stats(api)->deadline_exceeded_total[PAYMENT_OVERDUE_DATABASE],
                     PAYMENT_STEP_KINDS);
}

static void test_void_without_a_key_is_repeated_without_one(void **state)
{
    (void)state;
    static const struct {
        enum pg_outcome outcome;
        const char *says;
    } cases[] = {{PG_UNKNOWN, "repeat it: a hold is voided at most once"},
                 {PG_TIMED_OUT, "nothing was moved; repeat it"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ask(PAYMENT_VOID, "", NULL);
        finish(cases[i].outcome);
        assert_int_equal(given.status, 504);
        assert_true(body_has(cases[i].says));
        assert_false(body_has("Idempotency-Key"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_each_step_is_asked_for_as_what_it_is),
        TEST(test_two_amounts_have_two_fingerprints),
        TEST(test_only_a_void_of_all_needs_no_key),
        TEST(test_a_key_that_is_given_must_be_one),
        TEST(test_what_cannot_be_read_is_not_submitted),
        TEST(test_replay_and_race_give_the_same_bytes),
        TEST(test_declined_increment_is_an_answer),
        TEST(test_reused_key_tells_what_differs_or_may),
        TEST(test_refusals),
        TEST(test_late_step_is_504_and_nothing_moved),
        TEST(test_void_without_a_key_is_repeated_without_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
