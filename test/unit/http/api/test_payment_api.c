/* The use cases against a fake server and a fake store: what outcome becomes which answer. */
#include "api_fixture.h"
#include "core/clock.h"
#include "http/api/problem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* ---- the key ---- */

static void test_only_who_has_no_valid_key_is_throttled(void **state)
{
    (void)state;
    for (int i = 0; i < FAILURES_PER_S; i++) {
        request_without_key(HTTP_GET);
        routes[0].on_request(api, &given);
        assert_int_equal(given.status, 401);
        assert_int_equal(given.note.auth, AUTH_TOLD);
    }
    request_without_key(HTTP_GET);
    header("X-API-Key", "not-the-key");
    routes[0].on_request(api, &given);
    assert_int_equal(given.status, 429);
    assert_true(body_has("urn:problem:payment-latency-api:too-many-failures\""));
    assert_non_null(strstr(given.headers, "Retry-After: 1\r\n"));
    assert_int_equal(given.note.auth, AUTH_THROTTLED);

    hold_with_key("k");
    assert_non_null(submitted);
    assert_int_equal(given.note.auth, AUTH_NOT_REFUSED);
    assert_string_equal(given.note.key_id, "current");
    finish(PG_UNAVAILABLE);
}

static void test_key_comes_before_everything(void **state)
{
    (void)state;
    request_without_key(HTTP_POST);
    given.request.body = SPAN("not json");

    routes[0].on_request(api, &given);
    assert_int_equal(given.status, 401);
    assert_true(body_has("\"error\":\"Missing X-API-Key header\""));
    assert_true(headers_have("WWW-Authenticate: ApiKey"));

    request_without_key(HTTP_GET);
    header("X-API-Key", "the-kez");
    routes[0].on_request(api, &given);
    assert_int_equal(given.status, 403);
    assert_true(body_has("\"error\":\"Invalid API key\""));

    request(HTTP_GET);
    header("X-API-Key", "the-key");
    routes[0].on_request(api, &given);
    assert_int_equal(given.status, 403);

    request_without_key(HTTP_GET);
    header("X-API-Key", "");
    routes[0].on_request(api, &given);
    assert_int_equal(given.status, 401);
    assert_null(submitted);
}

static void test_previous_key_is_accepted(void **state)
{
    (void)state;
    request_without_key(HTTP_GET);
    header("X-API-Key", "the-old-key");

    routes[0].on_request(api, &given);

    assert_non_null(submitted);
    assert_string_equal(given.note.key_id, "previous");
}

/* ---- GET ---- */

static void test_get_answers_five_members(void **state)
{
    (void)state;
    request(HTTP_GET);
    routes[0].on_request(api, &given);
    assert_int_equal(submitted->kind, PAYMENT_OP_EVALUATE);
    assert_int_equal(submitted->command.amount_minor, 100);
    assert_int_equal(submitted->due_us, 1100000);
    decide(PAYMENT_NEW, "00");

    finish(PG_DONE);

    assert_int_equal(given.status, 200);
    assert_string_equal(given.body,
                        "{\"transaction_id\":\"txn_1795485806496301000\",\"status\":\"approved\","
                        "\"processing_time_ms\":\"1.42\",\"region\":\"eu-south-2\",\"timestamp\":"
                        "\"2026-11-24T02:03:26.496301Z\"}\n");
    assert_true(headers_have("Server-Timing: "));
    assert_true(headers_have("total;dur=1.42\r\n"));
}

static void test_get_numbers_increase_while_the_clock_stands(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        request(HTTP_GET);
        routes[0].on_request(api, &given);
        decide(PAYMENT_NEW, "00");
        finish(PG_DONE);
    }

    assert_true(body_has("\"txn_1795485806496301001\""));
}

static void test_get_with_query_answers_the_decision(void **state)
{
    (void)state;
    request(HTTP_GET);
    given.request.query =
        SPAN("wallet_id=wal_9&amount=5&currency=EUR&mcc=5812&merchant_country=ES");
    routes[0].on_request(api, &given);
    assert_int_equal(submitted->command.wallet_id, 9);
    decide(PAYMENT_NEW, "51");

    finish(PG_DONE);

    assert_true(body_has("\"status\":\"declined\""));
    assert_true(body_has("\"response_code\":\"51\""));
    assert_true(body_has("\"effect\":\"evaluate\",\"amount\":5,\"currency\":\"EUR\""));
}

static void test_get_without_a_known_reference_is_503(void **state)
{
    (void)state;
    health.has_reference = false;
    request(HTTP_GET);

    routes[0].on_request(api, &given);

    assert_int_equal(given.status, 503);
    assert_true(body_has("database-unavailable"));
    assert_true(headers_have("Retry-After: 1\r\n"));
}

static void test_head_does_not_decide_and_guesses_no_length(void **state)
{
    (void)state;
    request(HTTP_HEAD);

    routes[0].on_request(api, &given);

    assert_int_equal(given.status, 200);
    assert_true(given.length_unknown);
    assert_null(submitted);
}

static void test_accept_that_excludes_json_is_406(void **state)
{
    (void)state;
    request(HTTP_GET);
    header("Accept", "text/html");

    routes[0].on_request(api, &given);

    assert_int_equal(given.status, 406);
}

/* ---- holds ---- */

static void test_hold_is_created_with_location(void **state)
{
    (void)state;
    hold_with_key("k1");
    assert_int_equal(submitted->kind, PAYMENT_OP_HOLD);
    assert_int_equal(keys_hashed, 1);
    assert_int_equal(submitted->key_hash.bytes[0], 2);
    assert_memory_equal(given.note.key_tag, submitted->key_hash.bytes, SECRET_TAG_BYTES);
    decide(PAYMENT_NEW, "00");

    finish(PG_DONE);

    assert_int_equal(given.status, 201);
    assert_true(headers_have("Location: /api/payment/simulate/txn_"));
    assert_false(headers_have("Idempotent-Replayed"));
    assert_true(body_has("\"effect\":\"hold\",\"amount\":1250,\"currency\":\"EUR\","
                         "\"balance_after\":98750}"));
    assert_int_equal(payment_api_stats(api)->idempotency_total[0], 1);
}

static void test_replay_and_race_give_the_same_bytes(void **state)
{
    (void)state;
    hold_with_key("k1");
    decide(PAYMENT_NEW, "51");
    const struct payment_decision first = submitted->decision;
    finish(PG_DONE);
    char body[4096];
    memcpy(body, given.body, sizeof(body));

    for (int i = 0; i < 2; i++) {
        hold_with_key("\"k1\"");
        submitted->decision = first;
        submitted->decision.how = i == 0 ? PAYMENT_REPLAY : PAYMENT_RACE;
        finish(PG_DONE);

        assert_int_equal(given.status, 201);
        assert_string_equal(given.body, body);
        assert_true(headers_have("Idempotent-Replayed: true\r\n"));
    }
    assert_int_equal(payment_api_stats(api)->idempotency_total[1], 1);
    assert_int_equal(payment_api_stats(api)->idempotency_total[2], 1);
}

static void test_reused_key_names_the_field(void **state)
{
    (void)state;
    hold_with_key("k1");
    decide(PAYMENT_REPLAY, "00");
    submitted->decision.fingerprint.bytes[0] ^= 1;
    submitted->decision.command.amount_minor = 7;

    finish(PG_DONE);

    assert_int_equal(given.status, 422);
    assert_true(body_has("idempotency-key-reused"));
    assert_true(body_has("\"mismatch\":[\"amount\"]"));
}

#define LASTING                                                                                    \
    "{\"wallet_id\":\"wal_1\",\"amount\":1250,\"currency\":\"EUR\",\"expires_in_s\":60,"           \
    "\"merchant\":{\"mcc\":\"5812\",\"country\":\"ES\"}}"

static void hold_of(const char *body)
{
    request(HTTP_POST);
    header("Content-Type", "application/json");
    header("Idempotency-Key", "k1");
    given.request.body = span_of(body);
    handle("/api/payment/simulate");
}

static void test_reused_key_of_another_time_to_live_is_told_from_another_country(void **state)
{
    (void)state;
    hold_of(HOLD);
    const struct secret_digest without = submitted->fingerprint;
    decide(PAYMENT_NEW, "00");
    finish(PG_DONE);

    hold_of(LASTING);
    assert_int_equal(submitted->command.expires_in_s, 60);
    assert_false(secret_digest_equal(&submitted->fingerprint, &without));
    decide(PAYMENT_REPLAY, "00");
    submitted->decision.fingerprint = without;
    finish(PG_DONE);
    assert_true(body_has("\"mismatch\":[\"expires_in_s\"]"));

    hold_of(HOLD); /* what was recorded may have had another country, or may expire */
    decide(PAYMENT_REPLAY, "00");
    submitted->decision.fingerprint.bytes[0] ^= 1;
    finish(PG_DONE);
    assert_true(body_has("\"mismatch\":[\"merchant.country\",\"expires_in_s\"]"));
}

static void test_hold_waits_for_the_hash_key_and_an_evaluation_does_not(void **state)
{
    (void)state;
    knows_hash_key = false;
    hold_with_key("k1");
    assert_null(submitted);
    assert_int_equal(given.status, 503);
    assert_true(body_has("database-unavailable"));
    assert_int_equal(payment_api_stats(api)->shed_total[PAYMENT_SHED_DOWN], 1);

    request(HTTP_POST);
    header("Content-Type", "application/json");
    header("Idempotency-Key", "k1");
    given.request.body =
        SPAN("{\"wallet_id\":\"wal_1\",\"amount\":0,\"currency\":\"EUR\",\"effect\":\"evaluate\","
             "\"merchant\":{\"mcc\":\"5812\",\"country\":\"ES\"}}");
    routes[0].on_request(api, &given);
    assert_int_equal(submitted->kind, PAYMENT_OP_EVALUATE);
    decide(PAYMENT_NEW, "00");
    finish(PG_DONE);
    assert_int_equal(given.status, 200);
    assert_false(given.note.has_key_tag);
}

static void test_hold_needs_a_key_and_json(void **state)
{
    (void)state;
    request(HTTP_POST);
    header("Content-Type", "application/json");
    given.request.body = span_of(HOLD);
    routes[0].on_request(api, &given);
    assert_int_equal(given.status, 400);
    assert_true(body_has("idempotency-key-missing"));

    request(HTTP_POST);
    header("Content-Type", "text/plain");
    routes[0].on_request(api, &given);
    assert_int_equal(given.status, 415);

    hold_with_key("a b");
    assert_int_equal(given.status, 400);
    assert_true(body_has("idempotency-key-invalid"));
    assert_null(submitted);
}

static void test_post_evaluate_is_200_and_needs_no_key(void **state)
{
    (void)state;
    request(HTTP_POST);
    header("Content-Type", "application/json");
    given.request.body =
        SPAN("{\"wallet_id\":\"wal_1\",\"amount\":0,\"currency\":\"EUR\",\"effect\":\"evaluate\","
             "\"merchant\":{\"mcc\":\"5812\",\"country\":\"ES\"}}");
    routes[0].on_request(api, &given);
    assert_int_equal(submitted->kind, PAYMENT_OP_EVALUATE);
    decide(PAYMENT_NEW, "00");

    finish(PG_DONE);

    assert_int_equal(given.status, 200);
    assert_false(headers_have("Location"));
    assert_true(body_has("\"effect\":\"evaluate\""));
}

/* ---- refusals and outcomes ---- */

static void test_refused_submits(void **state)
{
    (void)state;
    static const struct {
        enum err err;
        uint16_t status;
        const char *slug;
    } cases[] = {
        {ERR_FULL, 503, "overloaded"},
        {ERR_TIMEOUT, 503, "overloaded"},
        {ERR_UNAVAILABLE, 503, "database-unavailable"},
        {ERR_CONFLICT, 409, "idempotency-in-flight"},
        {ERR_BUSY, 409, "wallet-busy"},
        {ERR_POISONED, 503, "wallet-unavailable"},
        {ERR_ELSEWHERE, 503, "wrong-region"},
        {ERR_SYSTEM, 500, "internal"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        submit_err = cases[i].err;
        hold_with_key("k1");

        assert_int_equal(given.answers, 1);
        assert_int_equal(given.status, cases[i].status);
        assert_string_equal(given.note.problem, cases[i].slug);
        assert_int_equal(headers_have("Retry-After: 1\r\n"), cases[i].status != 500);
    }
    const struct payment_stats *stats = payment_api_stats(api);
    for (unsigned i = 0; i < PAYMENT_SHEDS; i++) /* each under its own reason */
        assert_int_equal(stats->shed_total[i], 1);
    assert_int_equal(stats->idempotency_total[3], 1);
}

static void assert_says_applied(const char *value)
{
    char member[32];
    snprintf(member, sizeof(member), ",\"applied\":\"%s\"", value);
    assert_true(body_has(member));
}

static void test_outcomes_without_a_decision(void **state)
{
    (void)state;
    static const struct {
        enum pg_outcome outcome;
        uint16_t status;
        const char *slug, *applied, *detail;
    } cases[] = {
        {PG_EXPIRED, 503, "overloaded", "no", "it would have had to wait too long"},
        {PG_TIMED_OUT, 504, "deadline-exceeded", "no", "nothing was moved"},
        {PG_BUSY, 409, "wallet-busy", "no", "nothing was moved"},
        {PG_UNKNOWN, 504, "outcome-unknown", "unknown", "with the same Idempotency-Key"},
        {PG_UNAVAILABLE, 503, "database-unavailable", "no", "nothing was moved"},
        {PG_LOCKED, 409, "idempotency-in-flight", "unknown", "\"status\":409"},
        {PG_POISONED, 503, "wallet-unavailable", "no", "nothing was moved"},
        {PG_ELSEWHERE, 503, "wrong-region", "no", "nothing was read or moved"},
        {PG_FAILED, 500, "internal", "no", "\"title\":\"Internal error\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        hold_with_key("k1");
        memcpy(submitted->sqlstate, "XX000", sizeof("XX000"));

        finish(cases[i].outcome);

        assert_int_equal(given.status, cases[i].status);
        assert_string_equal(given.note.problem, cases[i].slug);
        assert_true(body_has(cases[i].detail));
        assert_says_applied(cases[i].applied);
        assert_int_equal(headers_have("Retry-After: 1\r\n"),
                         cases[i].status == 409 || cases[i].status == 503);
        assert_false(body_has("XX000"));
    }
    assert_string_equal(given.note.sqlstate, "XX000");
    assert_int_equal(payment_api_stats(api)->outcomes_total[PG_UNKNOWN], 1);
    assert_int_equal(payment_api_stats(api)->outcomes_total[PG_LOCKED], 1);
    assert_int_equal(payment_api_stats(api)->shed_total[PAYMENT_SHED_BUSY], 1);
    /* One whose time was over; the unknown outcome is counted as such. */
    assert_int_equal(payment_api_stats(api)->deadline_exceeded_total[PAYMENT_OVERDUE_DATABASE], 1);
    assert_int_equal(payment_api_stats(api)->idempotency_total[PAYMENT_IDEMPOTENCY_IN_FLIGHT], 1);
}

static void test_expired_after_the_budget_is_504(void **state)
{
    (void)state;
    hold_with_key("k1");
    submitted->due_us = clock_mono_us();

    finish(PG_EXPIRED);

    assert_int_equal(given.status, 504);
    assert_true(body_has("nothing was done"));
    assert_int_equal(payment_api_stats(api)->deadline_exceeded_total[0], 1);
}

static void test_late_decision_is_504(void **state)
{
    (void)state;
    hold_with_key("k1");
    submitted->decision.how = PAYMENT_LATE;

    finish(PG_DONE);

    assert_int_equal(given.status, 504);
    assert_int_equal(payment_api_stats(api)->deadline_exceeded_total[1], 1);
}

/* ---- a client that leaves ---- */

static void test_abandoned_while_waiting_is_forgotten(void **state)
{
    (void)state;
    hold_with_key("k1");
    cancel_answer = true;

    assert_true(routes[0].on_abandon(api, &given));

    assert_int_equal(given.answers, 0);
    hold_with_key("k2"); /* the slot is free again */
    assert_non_null(submitted);
}

static void test_sent_hold_finishes_without_its_client(void **state)
{
    (void)state;
    hold_with_key("k1");
    decide(PAYMENT_NEW, "00");

    assert_false(routes[0].on_abandon(api, &given));
    finish(PG_DONE);

    assert_int_equal(payment_api_stats(api)->orphans_finished_total, 1);
}

/* ---- the rows of the table of forms ---- */

static void ask_for_step(const char *path, const char *body)
{
    header("Content-Type", "application/json");
    header("Idempotency-Key", "k1");
    given.request.body = span_of(body);
    handle(path);
}

static void ask_in_form(enum payment_op_kind kind, enum http_method method)
{
    request(method);
    given.param = SPAN("txn_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5");
    switch (kind) {
    case PAYMENT_OP_EVALUATE:
        routes[0].on_request(api, &given);
        break;
    case PAYMENT_OP_HOLD:
        hold_with_key("k1");
        break;
    case PAYMENT_OP_FIND:
        handle("/api/payment/simulate/{id}");
        break;
    case PAYMENT_OP_FIND_KEY:
        handle("/api/payment/simulate/by-key/{id}");
        break;
    case PAYMENT_OP_WALLET:
        given.param = SPAN("wal_7");
        handle("/api/payment/wallets/{id}");
        break;
    case PAYMENT_OP_TRANSACTIONS:
        given.param = SPAN("wal_7");
        handle("/api/payment/wallets/{id}/transactions");
        break;
    case PAYMENT_OP_CAPTURE:
        ask_for_step("/api/payment/simulate/{id}/capture", "");
        break;
    case PAYMENT_OP_VOID:
        ask_for_step("/api/payment/simulate/{id}/void", "");
        break;
    case PAYMENT_OP_INCREMENT:
        ask_for_step("/api/payment/simulate/{id}/increment", "{\"amount\":1}");
        break;
    case PAYMENT_OP_REFUND:
        ask_for_step("/api/payment/simulate/{id}/refund", "");
        break;
    }
    assert_non_null(submitted);
    assert_int_equal(submitted->kind, kind);
}

static const struct {
    enum payment_op_kind kind;
    enum http_method method;
    bool writes;
    const char *late, *unanswered;
} FORMS[] = {
    {PAYMENT_OP_EVALUATE, HTTP_GET, false, "before the evaluation", "before the evaluation"},
    {PAYMENT_OP_HOLD, HTTP_POST, true, "before the decision; nothing was moved", "may have been"},
    {PAYMENT_OP_FIND, HTTP_GET, false, "before the record was read", "before the record was read"},
    {PAYMENT_OP_FIND_KEY, HTTP_GET, false, "before the record was", "before the record was"},
    {PAYMENT_OP_WALLET, HTTP_GET, false, "before the record was read", "before the record was"},
    {PAYMENT_OP_TRANSACTIONS, HTTP_GET, false, "before the record was", "before the record was"},
    {PAYMENT_OP_CAPTURE, HTTP_POST, true, "before the capture; nothing was moved", "may have been"},
    {PAYMENT_OP_VOID, HTTP_POST, true, "before the void; nothing was moved", "may have been"},
    {PAYMENT_OP_INCREMENT, HTTP_POST, true, "before the increment; nothing was", "may have been"},
    {PAYMENT_OP_REFUND, HTTP_POST, true, "before the refund; nothing was moved", "may have been"},
};

static void test_each_form_says_what_no_answer_in_time_means(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(FORMS) / sizeof(FORMS[0]); i++) {
        for (int sent = 0; sent < 2; sent++) {
            const bool open = sent && FORMS[i].writes;
            ask_in_form(FORMS[i].kind, FORMS[i].method);
            finish(sent ? PG_UNKNOWN : PG_TIMED_OUT);
            assert_int_equal(given.status, 504);
            assert_string_equal(given.note.problem, open ? "outcome-unknown" : "deadline-exceeded");
            assert_says_applied(open ? "unknown" : "no");
            assert_true(body_has(sent ? FORMS[i].unanswered : FORMS[i].late));
            assert_int_equal(body_has("Idempotency-Key"), FORMS[i].writes);
        }
    }
}

static void test_only_orphans_that_write_are_counted(void **state)
{
    (void)state;
    uint64_t expected = 0;
    for (size_t i = 0; i < sizeof(FORMS) / sizeof(FORMS[0]); i++) {
        ask_in_form(FORMS[i].kind, FORMS[i].method);
        assert_false(routes[0].on_abandon(api, &given));
        finish(PG_UNKNOWN);
        expected += FORMS[i].writes;
        assert_int_equal(payment_api_stats(api)->orphans_finished_total, expected);
    }
}

static void test_times_of_the_operation_are_shown_and_noted(void **state)
{
    (void)state;
    hold_with_key("k1");
    decide(PAYMENT_NEW, "00");
    submitted->queue_us = 120;
    submitted->db_us = 1310;

    finish(PG_DONE);

    assert_true(headers_have("queue;dur=0.12, db;dur=1.31, total;dur=1.42\r\n"));
    assert_int_equal(given.note.queue_us, 120);
    assert_int_equal(given.note.db_us, 1310);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_only_who_has_no_valid_key_is_throttled),
        TEST(test_key_comes_before_everything),
        TEST(test_previous_key_is_accepted),
        TEST(test_get_answers_five_members),
        TEST(test_get_numbers_increase_while_the_clock_stands),
        TEST(test_get_with_query_answers_the_decision),
        TEST(test_get_without_a_known_reference_is_503),
        TEST(test_head_does_not_decide_and_guesses_no_length),
        TEST(test_accept_that_excludes_json_is_406),
        TEST(test_hold_is_created_with_location),
        TEST(test_replay_and_race_give_the_same_bytes),
        TEST(test_reused_key_names_the_field),
        TEST(test_reused_key_of_another_time_to_live_is_told_from_another_country),
        TEST(test_hold_waits_for_the_hash_key_and_an_evaluation_does_not),
        TEST(test_hold_needs_a_key_and_json),
        TEST(test_post_evaluate_is_200_and_needs_no_key),
        TEST(test_refused_submits),
        TEST(test_outcomes_without_a_decision),
        TEST(test_expired_after_the_budget_is_504),
        TEST(test_late_decision_is_504),
        TEST(test_abandoned_while_waiting_is_forgotten),
        TEST(test_sent_hold_finishes_without_its_client),
        TEST(test_each_form_says_what_no_answer_in_time_means),
        TEST(test_only_orphans_that_write_are_counted),
        TEST(test_times_of_the_operation_are_shown_and_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
