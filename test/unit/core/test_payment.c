#include "core/payment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* What http/api passes for a hold. */
#define SCOPE SPAN("POST /api/payment/simulate")

static int set_up_secret(void **state)
{
    (void)state;
    return secret_init() == ERR_OK ? 0 : -1;
}

static struct payment_command a_hold(void)
{
    return (struct payment_command){.effect = PAYMENT_HOLD,
                                    .wallet_id = 42,
                                    .amount_minor = 1250,
                                    .currency = "EUR",
                                    .merchant_country = "ES",
                                    .mcc = 5812};
}

typedef bool setter_fn(struct payment_command *command, struct span text);

struct attempt {
    setter_fn *set;
    const char *text;
    bool accepted;
};

static const struct attempt ATTEMPTS[] = {
    {payment_set_wallet, "wal_1", true},
    {payment_set_wallet, "wal_999999999999", true},
    {payment_set_wallet, "wal_1000000000000", false},
    {payment_set_wallet, "wal_0", false},
    {payment_set_wallet, "wal_01", false},
    {payment_set_wallet, "wal_", false},
    {payment_set_wallet, "wal_1a", false},
    {payment_set_wallet, "wal_-1", false},
    {payment_set_wallet, "wal_ 1", false},
    {payment_set_wallet, "WAL_1", false},
    {payment_set_wallet, "1", false},
    {payment_set_wallet, "", false},
    {payment_set_amount, "0", true},
    {payment_set_amount, "999999999999", true},
    {payment_set_amount, "1000000000000", false},
    {payment_set_amount, "18446744073709551617", false},
    {payment_set_amount, "-1", false},
    {payment_set_amount, "+1", false},
    {payment_set_amount, "1.0", false},
    {payment_set_amount, "1e3", false},
    {payment_set_amount, "", false},
    {payment_set_currency, "EUR", true},
    {payment_set_currency, "MXN", true},
    {payment_set_currency, "USD", false},
    {payment_set_currency, "eur", false},
    {payment_set_currency, "EUR ", false},
    {payment_set_currency, "", false},
    {payment_set_mcc, "0000", true},
    {payment_set_mcc, "5812", true},
    {payment_set_mcc, "581", false},
    {payment_set_mcc, "58120", false},
    {payment_set_mcc, "58a2", false},
    {payment_set_mcc, "+812", false},
    {payment_set_country, "ES", true},
    {payment_set_country, "es", false},
    {payment_set_country, "E", false},
    {payment_set_country, "ESP", false},
    {payment_set_country, "E1", false},
    {payment_set_effect, "hold", true},
    {payment_set_effect, "evaluate", true},
    {payment_set_effect, "Hold", false},
    {payment_set_effect, "", false},
    {payment_set_expires_in, "1", true},
    {payment_set_expires_in, "2678400", true},
    {payment_set_expires_in, "2678401", false},
    {payment_set_expires_in, "0", false},
    {payment_set_expires_in, "-1", false},
    {payment_set_expires_in, "18446744073709551617", false},
    {payment_set_expires_in, "1.5", false},
    {payment_set_expires_in, "", false},
};

static void test_each_field_accepts_only_its_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(ATTEMPTS) / sizeof(ATTEMPTS[0]); i++) {
        struct payment_command command = a_hold();
        const struct payment_command before = command;
        const bool accepted = ATTEMPTS[i].set(&command, span_of(ATTEMPTS[i].text));

        if (accepted != ATTEMPTS[i].accepted)
            fail_msg("\"%s\" at %zu", ATTEMPTS[i].text, i);
        if (!accepted)
            assert_memory_equal(&command, &before, sizeof(before));
    }
}

static void test_fields_hold_what_was_said(void **state)
{
    (void)state;
    struct payment_command command = {0};
    assert_true(payment_set_wallet(&command, SPAN("wal_999999999999")));
    assert_true(payment_set_amount(&command, SPAN("999999999999")));
    assert_true(payment_set_currency(&command, SPAN("MXN")));
    assert_true(payment_set_mcc(&command, SPAN("0742")));
    assert_true(payment_set_country(&command, SPAN("MX")));
    assert_true(payment_set_effect(&command, SPAN("hold")));
    assert_true(payment_set_expires_in(&command, SPAN("60")));

    assert_int_equal(command.wallet_id, INT64_C(999999999999));
    assert_int_equal(command.amount_minor, PAYMENT_AMOUNT_MAX);
    assert_string_equal(command.currency, "MXN");
    assert_int_equal(command.mcc, 742);
    assert_string_equal(command.merchant_country, "MX");
    assert_string_equal(payment_effect_name(command.effect), "hold");
    assert_int_equal(command.expires_in_s, 60);
}

static void test_amount_zero_is_only_for_evaluate(void **state)
{
    (void)state;
    struct payment_command command = a_hold();
    assert_int_equal(payment_command_check(&command), PAYMENT_FIELD_NONE);
    command.amount_minor = 0;
    assert_int_equal(payment_command_check(&command), PAYMENT_FIELD_AMOUNT);
    command.effect = PAYMENT_EVALUATE;
    assert_int_equal(payment_command_check(&command), PAYMENT_FIELD_NONE);
}

static void test_field_names_and_pointers(void **state)
{
    (void)state;
    assert_string_equal(payment_field_pointer(PAYMENT_FIELD_MCC), "/merchant/mcc");
    assert_string_equal(payment_field_name(PAYMENT_FIELD_MCC), "merchant.mcc");
    assert_string_equal(payment_field_pointer(PAYMENT_FIELD_MERCHANT_COUNTRY), "/merchant/country");
    for (int field = PAYMENT_FIELD_WALLET_ID; field <= PAYMENT_FIELD_EXPIRES_IN; field++) {
        assert_int_equal(payment_field_pointer((enum payment_field)field)[0], '/');
        assert_true(strlen(payment_field_name((enum payment_field)field)) > 0);
        assert_true(strlen(payment_field_rule((enum payment_field)field)) > 0);
    }
}

static void test_codes_are_in_the_contract_s_order(void **state)
{
    (void)state;
    static const char *const ORDER[][3] = {
        {"68", "deadline_exceeded", "retry_later"},
        {"14", "unknown_wallet", "do_not_retry"},
        {"93", "other_region", "do_not_retry"},
        {"46", "wallet_closed", "do_not_retry"},
        {"62", "wallet_blocked", "retry_later"},
        {"54", "wallet_expired", "fix_data"},
        {"12", "currency_not_supported", "do_not_retry"},
        {"57", "merchant_not_permitted", "do_not_retry"},
        {"65", "count_limit_exceeded", "retry_later"},
        {"61", "amount_limit_exceeded", "retry_later"},
        {"51", "insufficient_funds", "retry_later"},
        {"00", "approved", "none"},
    };
    assert_int_equal(PAYMENT_CODE_COUNT, sizeof(ORDER) / sizeof(ORDER[0]));
    for (uint32_t i = 0; i < PAYMENT_CODE_COUNT; i++) {
        assert_string_equal(PAYMENT_CODES[i].code, ORDER[i][0]);
        assert_string_equal(PAYMENT_CODES[i].reason, ORDER[i][1]);
        assert_string_equal(PAYMENT_CODES[i].advice, ORDER[i][2]);
        assert_int_equal(payment_code_find(ORDER[i][0]), i);
    }
    assert_int_equal(payment_code_find("05"), -1);
}

static void test_only_00_is_approved(void **state)
{
    (void)state;
    struct payment_decision decision = {0};
    for (uint32_t i = 0; i < PAYMENT_CODE_COUNT; i++) {
        decision.code_index = (uint8_t)i;
        assert_int_equal(payment_approved(&decision), strcmp(PAYMENT_CODES[i].code, "00") == 0);
    }
}

static void test_fingerprint_is_the_hash_of_the_canonical_text(void **state)
{
    (void)state;
    const struct payment_command command = a_hold();
    const struct secret_digest digest = payment_fingerprint(&command, SCOPE);
    const struct secret_digest expected =
        secret_hash(SPAN("POST /api/payment/simulate\nhold\n42\n1250\nEUR\n5812\nES"));

    assert_true(secret_digest_equal(&digest, &expected));
}

/* What databases hold already: this digest must be the same in every version. */
static void test_fingerprint_is_the_one_that_is_stored(void **state)
{
    (void)state;
    const struct payment_command command = a_hold();
    const struct secret_digest digest = payment_fingerprint(&command, SCOPE);
    char hex[2 * SECRET_DIGEST_BYTES + 1] = "";
    struct buf out;
    buf_init(&out, hex, sizeof(hex) - 1);
    buf_add_hex(&out, digest.bytes, sizeof(digest.bytes));

    assert_string_equal(hex, "cfa1a0a2047c16bd8bbcda0b1132448f88ab27ea7061d984a339a9f840fee2bd");
}

static void test_fingerprint_differs_with_the_scope(void **state)
{
    (void)state;
    const struct payment_command command = a_hold();
    const struct secret_digest a = payment_fingerprint(&command, SCOPE);
    const struct secret_digest b = payment_fingerprint(&command, SPAN("POST /api/payment/other"));

    assert_false(secret_digest_equal(&a, &b));
}

static void test_fingerprint_differs_with_every_field(void **state)
{
    (void)state;
    struct payment_command commands[] = {a_hold(), a_hold(), a_hold(), a_hold(), a_hold(),
                                         a_hold(), a_hold(), a_hold(), a_hold()};
    enum { COUNT = sizeof(commands) / sizeof(commands[0]) };
    commands[1].wallet_id = 421;
    commands[2].amount_minor = 12501;
    memcpy(commands[3].currency, "MXN", 4);
    commands[4].mcc = 581;
    memcpy(commands[5].merchant_country, "MX", 3);
    commands[6].effect = PAYMENT_EVALUATE;
    commands[7].expires_in_s = 1;
    commands[8].expires_in_s = 11;

    for (size_t i = 0; i < COUNT; i++) {
        for (size_t k = i + 1; k < COUNT; k++) {
            const struct secret_digest a = payment_fingerprint(&commands[i], SCOPE);
            const struct secret_digest b = payment_fingerprint(&commands[k], SCOPE);
            assert_false(secret_digest_equal(&a, &b));
        }
    }
}

static void test_the_longest_command_has_a_fingerprint(void **state)
{
    (void)state;
    struct payment_command command = a_hold();
    command.effect = PAYMENT_EVALUATE;
    command.wallet_id = INT64_MAX;
    command.amount_minor = INT64_MAX;
    command.mcc = UINT16_MAX;
    command.expires_in_s = INT32_MAX;
    char scope[PAYMENT_SCOPE_MAX];
    memset(scope, 's', sizeof(scope));
    const struct span longest = {scope, sizeof(scope)};
    const struct secret_digest a = payment_fingerprint(&command, longest);
    const struct secret_digest b = payment_fingerprint(&command, longest);

    assert_true(secret_digest_equal(&a, &b));
}

static enum payment_field mismatch(const struct payment_command *asked,
                                   const struct payment_decision *stored)
{
    const struct secret_digest fingerprint = payment_fingerprint(asked, SCOPE);
    return payment_mismatch(asked, &fingerprint, stored);
}

static void test_mismatch_names_the_field_that_differs(void **state)
{
    (void)state;
    const struct payment_command asked = a_hold();
    struct payment_decision stored = {.command = asked,
                                      .fingerprint = payment_fingerprint(&asked, SCOPE)};
    stored.command.merchant_country[0] = '\0';
    assert_int_equal(payment_mismatch(&asked, &stored.fingerprint, &stored), PAYMENT_FIELD_NONE);

    struct payment_command other = asked;
    other.wallet_id++;
    assert_int_equal(mismatch(&other, &stored), PAYMENT_FIELD_WALLET_ID);
    other = asked;
    other.amount_minor++;
    assert_int_equal(mismatch(&other, &stored), PAYMENT_FIELD_AMOUNT);
    other = asked;
    memcpy(other.currency, "MXN", 4);
    assert_int_equal(mismatch(&other, &stored), PAYMENT_FIELD_CURRENCY);
    other = asked;
    other.mcc++;
    assert_int_equal(mismatch(&other, &stored), PAYMENT_FIELD_MCC);
    other = asked;
    other.effect = PAYMENT_EVALUATE;
    assert_int_equal(mismatch(&other, &stored), PAYMENT_FIELD_EFFECT);
    other = asked;
    memcpy(other.merchant_country, "MX", 3);
    assert_int_equal(mismatch(&other, &stored), PAYMENT_FIELD_MERCHANT_COUNTRY);
}

/* Luhn the textbook way, from the right. */
static bool passes_luhn(const char *digits, size_t count)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t digit = (uint32_t)(digits[count - 1 - i] - '0');
        if (i % 2 == 1)
            digit = digit * 2 > 9 ? digit * 2 - 9 : digit * 2;
        sum += digit;
    }
    return sum % 10 == 0;
}

/* Fills `text` with `count` synthetic digits that begin with `issuer` and pass, or by one fail, the
 * check. */
static void make_run(char *text, const char *issuer, size_t count, bool passing)
{
    for (size_t i = 0; i < count; i++)
        text[i] = (char)('0' + (i * 7 + 3) % 10);
    memcpy(text, issuer, strlen(issuer));
    while (!passes_luhn(text, count))
        text[count - 1] = (char)('0' + (text[count - 1] - '0' + 1) % 10);
    if (!passing)
        text[count - 1] = (char)('0' + (text[count - 1] - '0' + 1) % 10);
    text[count] = '\0';
}

static void test_card_number_needs_13_to_19_digits_and_the_check(void **state)
{
    (void)state;
    char run[32];
    for (size_t count = 5; count <= 25; count++) {
        make_run(run, "4", count, true);
        assert_int_equal(payment_has_card_number(span_of(run)), count >= 13 && count <= 19);
        make_run(run, "4", count, false);
        assert_false(payment_has_card_number(span_of(run)));
    }
    assert_false(payment_has_card_number(SPAN("")));
}

static void test_card_number_begins_as_an_issuers_do(void **state)
{
    (void)state;
    static const char *const KNOWN[] = {"2200", "2204", "2221", "2720", "3000", "3059", "3095",
                                        "34",   "3528", "3589", "36",   "37",   "38",   "39",
                                        "4",    "50",   "51",   "55",   "5062", "6011", "62",
                                        "65",   "6999", "81",   "8299", "9792"};
    static const char *const UNKNOWN[] = {"0",    "1",    "2199", "2205", "2220", "2721",
                                          "3060", "3094", "3096", "33",   "3527", "3590",
                                          "7",    "80",   "8300", "90",   "9791", "9793"};
    char run[32];
    for (size_t i = 0; i < sizeof(KNOWN) / sizeof(KNOWN[0]); i++) {
        make_run(run, KNOWN[i], 16, true);
        assert_true(payment_has_card_number(span_of(run)));
    }
    for (size_t i = 0; i < sizeof(UNKNOWN) / sizeof(UNKNOWN[0]); i++) {
        make_run(run, UNKNOWN[i], 16, true);
        assert_false(payment_has_card_number(span_of(run)));
    }
}

static bool found_between(const char *before, const char *run, const char *after)
{
    char text[128];
    struct buf out;
    buf_init(&out, text, sizeof(text));
    buf_add_text(&out, before);
    buf_add_text(&out, run);
    buf_add_text(&out, after);
    assert_false(out.overflow);
    return payment_has_card_number(buf_span(&out));
}

static void test_card_number_is_found_anywhere(void **state)
{
    (void)state;
    char run[32];
    make_run(run, "4", 16, true);
    assert_true(found_between("", run, ""));
    assert_true(found_between("{\"wallet_id\":\"", run, "\"}"));
    assert_true(found_between("x", run, "y"));
    assert_true(found_between("", run, "\n"));
    assert_true(found_between("-", run, "-"));
    assert_true(found_between("7, ", run, " , 7"));
    assert_false(found_between("1", run, ""));
    assert_false(found_between("", run, "1"));
    /* Groups beside it do not hide it. */
    assert_true(found_between("order 7-", run, ""));
    assert_true(found_between("", run, "-12/27"));
    assert_true(found_between("2026-11-24 ", run, " 123"));
}

static void test_card_number_may_have_single_separators(void **state)
{
    (void)state;
    char run[32], spaced[64];
    make_run(run, "4", 16, true);
    static const struct {
        const char *separator;
        bool found;
    } CASES[] = {{" ", true},   {"-", true},  {"  ", false}, {"--", false},
                 {"- ", false}, {".", false}, {"\n", false}};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct buf out;
        buf_init(&out, spaced, sizeof(spaced));
        for (size_t group = 0; group < 4; group++) {
            if (group > 0)
                buf_add_text(&out, CASES[i].separator);
            buf_add(&out, (struct span){run + group * 4, 4});
        }
        assert_int_equal(payment_has_card_number(buf_span(&out)), CASES[i].found);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_field_accepts_only_its_form),
        cmocka_unit_test(test_fields_hold_what_was_said),
        cmocka_unit_test(test_amount_zero_is_only_for_evaluate),
        cmocka_unit_test(test_field_names_and_pointers),
        cmocka_unit_test(test_codes_are_in_the_contract_s_order),
        cmocka_unit_test(test_only_00_is_approved),
        cmocka_unit_test(test_fingerprint_is_the_hash_of_the_canonical_text),
        cmocka_unit_test(test_fingerprint_is_the_one_that_is_stored),
        cmocka_unit_test(test_fingerprint_differs_with_the_scope),
        cmocka_unit_test(test_fingerprint_differs_with_every_field),
        cmocka_unit_test(test_the_longest_command_has_a_fingerprint),
        cmocka_unit_test(test_mismatch_names_the_field_that_differs),
        cmocka_unit_test(test_card_number_needs_13_to_19_digits_and_the_check),
        cmocka_unit_test(test_card_number_begins_as_an_issuers_do),
        cmocka_unit_test(test_card_number_is_found_anywhere),
        cmocka_unit_test(test_card_number_may_have_single_separators),
    };
    return cmocka_run_group_tests(tests, set_up_secret, NULL);
}
