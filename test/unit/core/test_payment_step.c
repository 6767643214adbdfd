/* payment, its second half: what a step is, and what a hold has come to. */
#include "core/payment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int set_up_secret(void **state)
{
    (void)state;
    return secret_init() == ERR_OK ? 0 : -1;
}

static struct payment_step a_capture(void)
{
    struct payment_step step = {
        .kind = PAYMENT_CAPTURE, .has_amount = true, .final = true, .amount_minor = 1250};
    for (int i = 0; i < UUID7_BYTES; i++)
        step.hold_id.bytes[i] = (uint8_t)i;
    return step;
}

static void assert_fingerprint(const struct payment_step *step, const char *text, const char *hex)
{
    const struct secret_digest digest = payment_step_fingerprint(step);
    const struct secret_digest of_text = secret_hash(span_of(text));
    char found[2 * SECRET_DIGEST_BYTES + 1] = "";
    struct buf out;
    buf_init(&out, found, sizeof(found) - 1);
    buf_add_hex(&out, digest.bytes, sizeof(digest.bytes));

    assert_true(secret_digest_equal(&digest, &of_text));
    assert_string_equal(found, hex);
}

/* What databases will hold: these digests must be the same in every version. */
static void test_fingerprint_is_the_one_that_is_stored(void **state)
{
    (void)state;
    struct payment_step step = a_capture();
    assert_fingerprint(&step, "step\ncapture\n000102030405060708090a0b0c0d0e0f\n1250\nfinal",
                       "5c74b8c64bc456f85b2d511ac4a4c003c9766b30ae2f224d761a76705ed83b16");
    step.kind = PAYMENT_VOID;
    step.has_amount = step.final = false; /* what stands in amount_minor means nothing then */
    assert_fingerprint(&step, "step\nvoid\n000102030405060708090a0b0c0d0e0f\n\n",
                       "81414e22e12e9880ce706880575a6f23c18abd3bbbb1775f7ade308259d38235");
}

static void test_fingerprint_differs_with_every_member(void **state)
{
    (void)state;
    struct payment_step steps[] = {a_capture(), a_capture(), a_capture(), a_capture(),
                                   a_capture(), a_capture(), a_capture()};
    enum { COUNT = sizeof(steps) / sizeof(steps[0]) };
    steps[1].kind = PAYMENT_VOID;
    steps[2].kind = PAYMENT_INCREMENT;
    steps[3].kind = PAYMENT_REFUND;
    steps[4].has_amount = false;
    steps[5].final = false;
    steps[6].hold_id.bytes[UUID7_BYTES - 1]++;

    for (size_t i = 0; i < COUNT; i++) {
        for (size_t k = i + 1; k < COUNT; k++) {
            const struct secret_digest a = payment_step_fingerprint(&steps[i]);
            const struct secret_digest b = payment_step_fingerprint(&steps[k]);
            assert_false(secret_digest_equal(&a, &b));
        }
    }
}

static void test_the_largest_amount_has_a_fingerprint(void **state)
{
    (void)state;
    struct payment_step step = a_capture();
    step.kind = PAYMENT_INCREMENT;
    step.amount_minor = INT64_MIN;
    const struct secret_digest a = payment_step_fingerprint(&step);
    const struct secret_digest b = payment_step_fingerprint(&step);

    assert_true(secret_digest_equal(&a, &b));
}

static void test_steps_and_states_have_names(void **state)
{
    (void)state;
    static const char *const STEPS[] = {"capture", "void", "increment", "refund"};
    static const char *const STATES[] = {"open", "captured", "voided", "expired", "refunded"};

    for (unsigned i = 0; i < PAYMENT_STEP_KINDS; i++)
        assert_string_equal(payment_step_name((enum payment_step_kind)i), STEPS[i]);
    for (unsigned i = PAYMENT_OPEN; i <= PAYMENT_REFUNDED; i++)
        assert_string_equal(payment_state_name((enum payment_state)i), STATES[i]);
}

/* authorised captured released expired refunded */
static struct payment_amounts amounts_of(const int64_t minor[5])
{
    return (struct payment_amounts){minor[0], minor[1], minor[2], minor[3], minor[4]};
}

static void test_a_hold_is_where_its_amounts_say(void **state)
{
    (void)state;
    static const struct {
        int64_t minor[5], open_minor;
        enum payment_state state;
    } CASES[] = {
        {{100, 0, 0, 0, 0}, 100, PAYMENT_OPEN},
        {{100, 99, 0, 0, 0}, 1, PAYMENT_OPEN},
        {{100, 40, 59, 0, 40}, 1, PAYMENT_OPEN}, /* also with all of the captured refunded */
        {{100, 100, 0, 0, 0}, 0, PAYMENT_CAPTURED},
        {{100, 1, 99, 0, 0}, 0, PAYMENT_CAPTURED},
        {{100, 1, 0, 99, 0}, 0, PAYMENT_CAPTURED},
        {{100, 100, 0, 0, 99}, 0, PAYMENT_CAPTURED},
        {{100, 100, 0, 0, 100}, 0, PAYMENT_REFUNDED},
        {{100, 1, 98, 1, 1}, 0, PAYMENT_REFUNDED},
        {{100, 0, 100, 0, 0}, 0, PAYMENT_VOIDED},
        {{100, 0, 0, 100, 0}, 0, PAYMENT_EXPIRED},
        {{100, 0, 40, 60, 0}, 0, PAYMENT_EXPIRED}, /* that is what ended it */
        {{INT64_MAX, 0, 0, 0, 0}, INT64_MAX, PAYMENT_OPEN},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        const struct payment_amounts amounts = amounts_of(CASES[i].minor);

        assert_true(payment_amounts_are_sound(&amounts));
        assert_int_equal(payment_amounts_open_minor(&amounts), CASES[i].open_minor);
        assert_int_equal(payment_state_of(&amounts), CASES[i].state);
    }
}

static void test_amounts_that_break_the_rule_are_unsound(void **state)
{
    (void)state;
    static const int64_t BROKEN[][5] = {
        {-1, 0, 0, 0, 0},
        {100, -1, 0, 0, -1},
        {100, 0, -1, 0, 0},
        {100, 0, 0, -1, 0},
        {100, 0, 0, 0, -1},
        {100, 101, 0, 0, 0},
        {100, 50, 51, 0, 0},
        {100, 50, 0, 51, 0},
        {100, 40, 40, 21, 0},
        {100, 50, 0, 0, 51},
        {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, 0}, /* their sum is no number */
        {0, INT64_MAX, 0, 0, 0},
        {INT64_MIN, 0, 0, 0, 0},
        {0, INT64_MIN, 0, 0, INT64_MIN},
    };
    for (size_t i = 0; i < sizeof(BROKEN) / sizeof(BROKEN[0]); i++) {
        const struct payment_amounts amounts = amounts_of(BROKEN[i]);
        assert_false(payment_amounts_are_sound(&amounts));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fingerprint_is_the_one_that_is_stored),
        cmocka_unit_test(test_fingerprint_differs_with_every_member),
        cmocka_unit_test(test_the_largest_amount_has_a_fingerprint),
        cmocka_unit_test(test_steps_and_states_have_names),
        cmocka_unit_test(test_a_hold_is_where_its_amounts_say),
        cmocka_unit_test(test_amounts_that_break_the_rule_are_unsound),
    };
    return cmocka_run_group_tests(tests, set_up_secret, NULL);
}
