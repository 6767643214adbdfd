#include "core/secret.h"
#include "http/api/json.h"
#include "http/api/payment_step_body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct payment_step step;
static struct payment_refusal refusal;

static bool body(enum payment_step_kind kind, const char *text)
{
    step = (struct payment_step){.kind = kind, .amount_minor = -1};
    return payment_step_body_read(span_of(text), &step, &refusal);
}

static bool refused_at(const char *pointer)
{
    return refusal.problem == PROBLEM_INVALID_PARAMETER && refusal.details.error_count == 1 &&
           strcmp(refusal.details.errors[0].pointer, pointer) == 0;
}

static void test_capture_with_every_member(void **state)
{
    (void)state;

    assert_true(body(PAYMENT_CAPTURE, "{\"amount\":1250,\"final\":true}"));

    assert_true(step.has_amount && step.final);
    assert_int_equal(step.amount_minor, 1250);
    assert_true(body(PAYMENT_CAPTURE, "{\"final\":false}"));
    assert_false(step.has_amount || step.final);
}

static void test_no_body_is_an_empty_object(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "{}", " {} "};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_true(body(PAYMENT_CAPTURE, texts[i]));
        assert_true(body(PAYMENT_VOID, texts[i]));
        assert_true(body(PAYMENT_REFUND, texts[i]));
        assert_false(step.has_amount || step.final);
        assert_int_equal(step.amount_minor, 0);

        assert_false(body(PAYMENT_INCREMENT, texts[i]));
        assert_true(refused_at("/amount"));
        assert_string_equal(refusal.details.errors[0].detail, "is required");
    }
}

static void test_amounts_from_1_to_12_digits(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "0",   "-1", "1000000000000", "9223372036854775807", "1.0", "1e2", "\"1\"", "true", "null",
        "[1]", "{}", "-999999999999"};
    for (unsigned kind = 0; kind < PAYMENT_STEP_KINDS; kind++) {
        assert_true(body((enum payment_step_kind)kind, "{\"amount\":1}"));
        assert_int_equal(step.amount_minor, 1);
        assert_true(body((enum payment_step_kind)kind, "{\"amount\":999999999999}"));
        assert_int_equal(step.amount_minor, PAYMENT_AMOUNT_MAX);
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            char text[64];
            struct buf out;
            buf_init(&out, text, sizeof(text) - 1);
            buf_addf(&out, "{\"amount\":%s}", bad[i]);
            text[out.len] = '\0';

            assert_false(body((enum payment_step_kind)kind, text));

            assert_true(refused_at("/amount"));
            assert_false(step.has_amount);
        }
    }
}

static void test_an_integer_past_64_bits_is_no_json(void **state)
{
    (void)state;

    assert_false(body(PAYMENT_CAPTURE, "{\"amount\":9223372036854775808}"));

    assert_int_equal(refusal.problem, PROBLEM_INVALID_JSON);
}

static void test_final_is_a_boolean_of_a_capture(void **state)
{
    (void)state;
    static const char *const bad[] = {"{\"final\":1}", "{\"final\":\"true\"}", "{\"final\":null}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(body(PAYMENT_CAPTURE, bad[i]));
        assert_true(refused_at("/final"));
    }

    assert_false(body(PAYMENT_VOID, "{\"final\":true}"));
    assert_true(refused_at(""));
    assert_false(body(PAYMENT_INCREMENT, "{\"amount\":1,\"final\":true}"));
    assert_true(refused_at(""));
    assert_false(body(PAYMENT_REFUND, "{\"final\":false}"));
    assert_true(refused_at(""));
}

static void test_every_wrong_field_is_named(void **state)
{
    (void)state;

    assert_false(body(PAYMENT_CAPTURE, "{\"amount\":0,\"final\":0,\"currency\":\"EUR\"}"));

    assert_int_equal(refusal.problem, PROBLEM_INVALID_PARAMETER);
    assert_int_equal(refusal.details.error_count, 3);
}

static void test_what_is_no_object_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"[]", "1",    "null",
                                      "{",  "{}{}", "{\"amount\":1,\"amount\":1}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(body(PAYMENT_VOID, bad[i]));
        assert_int_equal(refusal.problem, PROBLEM_INVALID_JSON);
        assert_true(refusal.details.has_offset);
    }
}

static void test_card_number_is_refused_before_it_is_read(void **state)
{
    (void)state;
    char text[64] = "{\"note\":\"4000000000000000";
    const size_t last = strlen(text) - 1;
    text[last] = '2'; /* its check digit */

    assert_false(body(PAYMENT_CAPTURE, text));

    assert_int_equal(refusal.problem, PROBLEM_PAN_DETECTED);
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
        cmocka_unit_test(test_capture_with_every_member),
        cmocka_unit_test(test_no_body_is_an_empty_object),
        cmocka_unit_test(test_amounts_from_1_to_12_digits),
        cmocka_unit_test(test_an_integer_past_64_bits_is_no_json),
        cmocka_unit_test(test_final_is_a_boolean_of_a_capture),
        cmocka_unit_test(test_every_wrong_field_is_named),
        cmocka_unit_test(test_what_is_no_object_is_refused),
        cmocka_unit_test(test_card_number_is_refused_before_it_is_read),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
