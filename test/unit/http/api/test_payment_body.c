#include "core/secret.h"
#include "http/api/json.h"
#include "http/api/payment_body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct payment_command command;
static struct payment_refusal refusal;

static bool body(const char *text)
{
    return payment_body_read(span_of(text), &command, &refusal);
}

static bool query(const char *text)
{
    return payment_query_read(span_of(text), &command, &refusal);
}

/* The two texts, one behind the other. */
static const char *joined(const char *first, const char *second)
{
    static char storage[512];
    struct buf text;
    buf_init(&text, storage, sizeof(storage) - 1);
    buf_add_text(&text, first);
    buf_add_text(&text, second);
    assert_false(text.overflow);
    storage[text.len] = '\0';
    return storage;
}

static bool refused_at(const char *pointer)
{
    for (uint32_t i = 0; i < refusal.details.error_count; i++)
        if (strcmp(refusal.details.errors[i].pointer, pointer) == 0)
            return refusal.problem == PROBLEM_INVALID_PARAMETER;
    return false;
}

static void test_body_with_every_member(void **state)
{
    (void)state;

    assert_true(body("{\"effect\":\"evaluate\",\"wallet_id\":\"wal_42\",\"amount\":1250,"
                     "\"currency\":\"EUR\",\"merchant\":{\"mcc\":\"5812\",\"country\":\"ES\"}}"));

    assert_int_equal(command.effect, PAYMENT_EVALUATE);
    assert_int_equal(command.wallet_id, 42);
    assert_int_equal(command.amount_minor, 1250);
    assert_string_equal(command.currency, "EUR");
    assert_string_equal(command.merchant_country, "ES");
    assert_int_equal(command.mcc, 5812);
}

static void test_effect_defaults_to_hold(void **state)
{
    (void)state;

    assert_true(body("{\"wallet_id\":\"wal_1\",\"amount\":1,\"currency\":\"MXN\","
                     "\"merchant\":{\"mcc\":\"0000\",\"country\":\"MX\"}}"));

    assert_int_equal(command.effect, PAYMENT_HOLD);
}

static void test_a_hold_may_expire_early(void **state)
{
    (void)state;
    static const char purchase[] = "{\"wallet_id\":\"wal_1\",\"amount\":1,\"currency\":\"MXN\","
                                   "\"merchant\":{\"mcc\":\"0000\",\"country\":\"MX\"}";
#define MEMBER(value) ",\"expires_in_s\":" value "}"
    static const char *const bad[] = {MEMBER("0"),      MEMBER("-1"),   MEMBER("2678401"),
                                      MEMBER("1.5"),    MEMBER("null"), MEMBER("1e3"),
                                      MEMBER("\"60\""), MEMBER("{}")};

    assert_true(body(joined(purchase, "}")));
    assert_int_equal(command.expires_in_s, 0);
    assert_true(body(joined(purchase, MEMBER("1"))));
    assert_int_equal(command.expires_in_s, 1);
    assert_true(body(joined(purchase, MEMBER("2678400"))));
    assert_int_equal(command.expires_in_s, PAYMENT_EXPIRES_IN_S_MAX);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(body(joined(purchase, bad[i])));
        assert_true(refused_at("/expires_in_s"));
        assert_int_equal(refusal.details.error_count, 1);
    }
}

static void test_empty_object_names_every_required_member(void **state)
{
    (void)state;

    assert_false(body("{}"));

    assert_int_equal(refusal.details.error_count, 4);
    assert_true(refused_at("/wallet_id") && refused_at("/amount") && refused_at("/currency") &&
                refused_at("/merchant"));
}

static void test_every_wrong_member_is_named_at_once(void **state)
{
    (void)state;

    assert_false(body("{\"wallet_id\":1,\"amount\":\"1\",\"currency\":\"USD\",\"effect\":\"x\","
                      "\"merchant\":{\"mcc\":5812,\"country\":\"es\",\"y\":1},\"z\":1}"));

    assert_int_equal(refusal.details.error_count, PROBLEM_ERRORS_MAX);
    assert_true(refused_at("") && refused_at("/wallet_id") && refused_at("/amount") &&
                refused_at("/currency") && refused_at("/effect") && refused_at("/merchant") &&
                refused_at("/merchant/mcc") && refused_at("/merchant/country"));
}

static void test_amount_must_be_an_integer_in_range(void **state)
{
    (void)state;
    static const char *const bad[] = {"1.0}",  "1e2}",  "-1}", "1000000000000}",
                                      "true}", "null}", "0}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(body(joined("{\"wallet_id\":\"wal_1\",\"currency\":\"EUR\",\"merchant\":"
                                 "{\"mcc\":\"5812\",\"country\":\"ES\"},\"amount\":",
                                 bad[i])));
        assert_true(refused_at("/amount"));
    }
}

static void test_force_is_disabled(void **state)
{
    (void)state;

    assert_false(body("{\"force\":{\"code\":\"51\"}}"));

    assert_int_equal(refusal.problem, PROBLEM_FORCED_OUTCOME_DISABLED);
}

static void test_bad_json_is_told_apart(void **state)
{
    (void)state;

    assert_false(body("{\"amount\":1,\"amount\":2}"));
    assert_int_equal(refusal.problem, PROBLEM_INVALID_JSON);
    assert_false(body("[]"));
    assert_int_equal(refusal.problem, PROBLEM_INVALID_JSON);
    assert_false(body(""));
    assert_int_equal(refusal.problem, PROBLEM_INVALID_JSON);
}

static void test_card_number_is_refused_before_anything_else(void **state)
{
    (void)state;
    char digits[20] = "4";
    memset(digits + 1, '1', 15); /* a synthetic number that passes the check */

    assert_false(body(joined("{\"note\":\"", digits)));

    assert_int_equal(refusal.problem, PROBLEM_PAN_DETECTED);
}

static void test_query_with_every_parameter(void **state)
{
    (void)state;

    assert_true(query("merchant_country=ES&wallet_id=wal%5F7&amount=%30&currency=EUR&mcc=5812"));

    assert_int_equal(command.effect, PAYMENT_EVALUATE);
    assert_int_equal(command.wallet_id, 7);
    assert_int_equal(command.amount_minor, 0);
}

static void test_query_refuses_missing_unknown_and_repeated(void **state)
{
    (void)state;

    assert_false(query("wallet_id=wal_1"));
    assert_int_equal(refusal.details.error_count, 4);
    assert_true(refused_at("amount") && refused_at("currency") && refused_at("mcc") &&
                refused_at("merchant_country"));
    assert_false(query("merchant_country=ES&wallet_id=wal_1&amount=1&currency=EUR&mcc=5812&x=1"));
    assert_true(refused_at(""));
    assert_false(
        query("merchant_country=ES&wallet_id=wal_1&amount=1&currency=EUR&mcc=5812&amount=1"));
    assert_true(refused_at("amount"));
    assert_false(query("x=1&merchant_country=ES&y&wallet_id=wal_1&amount=1&currency=EUR&mcc=1&&z"));
    assert_int_equal(refusal.details.errors[0].position, 1);
    assert_int_equal(refusal.details.errors[1].position, 3);
    assert_true(refused_at("mcc"));
    assert_int_equal(refusal.details.errors[3].position, 9);
}

static void test_query_with_empty_parameters_is_as_if_they_were_not_there(void **state)
{
    (void)state;

    assert_true(query("&merchant_country=ES&&wallet_id=wal_1&amount=1&currency=EUR&mcc=5812&"));
    assert_false(query("merchant_country=ES&wallet_id=wal_1&amount=1&currency=EUR&mcc=5812&="));
    assert_true(refused_at(""));
}

static void test_query_is_a_purchase_by_one_of_the_five_names(void **state)
{
    (void)state;
    static const char *const NONE[] = {
        "",           "&",        "?",   "x",         "t=1",           "t=1&",
        "=wallet_id", "Amount=1", "%zz", "amounts=1", "t=wallet_id=1", "%61mount%00=1"};
    static const char *const ANY[] = {"amount", "mcc=", "t=1&currency=EUR", "%61mount=1",
                                      "&&merchant_country=x"};

    assert_false(payment_query_is_purchase((struct span){0}));
    for (size_t i = 0; i < sizeof(NONE) / sizeof(NONE[0]); i++)
        assert_false(payment_query_is_purchase(span_of(NONE[i])));
    for (size_t i = 0; i < sizeof(ANY) / sizeof(ANY[0]); i++)
        assert_true(payment_query_is_purchase(span_of(ANY[i])));
}

static void test_wrong_type_is_told_with_what_it_must_be(void **state)
{
    (void)state;
    static const struct {
        const char *value, *instead;
    } cases[] = {{"\"1\"}", "a string"},     {"1.0}", "a number with a fraction or an exponent"},
                 {"true}", "true or false"}, {"null}", "null"},
                 {"[1]}", "an array"},       {"{}}", "an object"}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_false(body(joined("{\"amount\":", cases[i].value)));
        for (uint32_t error = 0; error < refusal.details.error_count; error++)
            if (strcmp(refusal.details.errors[error].pointer, "/amount") == 0)
                assert_string_equal(refusal.details.errors[error].instead, cases[i].instead);
        assert_true(refused_at("/amount"));
    }
    assert_false(body("{\"currency\":978}"));
    assert_true(refused_at("/currency"));
}

static void test_query_decodes_strictly(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "1%", "1%3", "%zz", "1%00", "+1", "1%20", "", "%31%31%31%31%31%31%31%31%31%31%31%31%31"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(query(
            joined("merchant_country=ES&wallet_id=wal_1&currency=EUR&mcc=5812&amount=", bad[i])));
        assert_true(refused_at("amount"));
    }
}

static int set_up(void **state)
{
    (void)state;
    if (secret_init() != ERR_OK)
        return -1;
    json_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body_with_every_member),
        cmocka_unit_test(test_effect_defaults_to_hold),
        cmocka_unit_test(test_a_hold_may_expire_early),
        cmocka_unit_test(test_empty_object_names_every_required_member),
        cmocka_unit_test(test_every_wrong_member_is_named_at_once),
        cmocka_unit_test(test_amount_must_be_an_integer_in_range),
        cmocka_unit_test(test_force_is_disabled),
        cmocka_unit_test(test_bad_json_is_told_apart),
        cmocka_unit_test(test_card_number_is_refused_before_anything_else),
        cmocka_unit_test(test_query_with_every_parameter),
        cmocka_unit_test(test_query_refuses_missing_unknown_and_repeated),
        cmocka_unit_test(test_query_with_empty_parameters_is_as_if_they_were_not_there),
        cmocka_unit_test(test_query_is_a_purchase_by_one_of_the_five_names),
        cmocka_unit_test(test_wrong_type_is_told_with_what_it_must_be),
        cmocka_unit_test(test_query_decodes_strictly),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
