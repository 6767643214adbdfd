#include "core/payment.h"

#include <string.h>

enum { CARD_DIGITS_MIN = 13, CARD_DIGITS_MAX = 19, FINGERPRINT_TEXT_MAX = 128 };

const struct payment_code PAYMENT_CODES[] = {
    [PAYMENT_CODE_LATE] = {"68", "deadline_exceeded", "retry_later"},
    [PAYMENT_CODE_UNKNOWN_WALLET] = {"14", "unknown_wallet", "do_not_retry"},
    [PAYMENT_CODE_OTHER_REGION] = {"93", "other_region", "do_not_retry"},
    [PAYMENT_CODE_WALLET_CLOSED] = {"46", "wallet_closed", "do_not_retry"},
    [PAYMENT_CODE_WALLET_BLOCKED] = {"62", "wallet_blocked", "retry_later"},
    [PAYMENT_CODE_WALLET_EXPIRED] = {"54", "wallet_expired", "fix_data"},
    [PAYMENT_CODE_CURRENCY] = {"12", "currency_not_supported", "do_not_retry"},
    [PAYMENT_CODE_MERCHANT] = {"57", "merchant_not_permitted", "do_not_retry"},
    [PAYMENT_CODE_COUNT_LIMIT] = {"65", "count_limit_exceeded", "retry_later"},
    [PAYMENT_CODE_AMOUNT_LIMIT] = {"61", "amount_limit_exceeded", "retry_later"},
    [PAYMENT_CODE_FUNDS] = {"51", "insufficient_funds", "retry_later"},
    [PAYMENT_CODE_APPROVED] = {"00", "approved", "none"},
};
const uint32_t PAYMENT_CODE_COUNT = sizeof(PAYMENT_CODES) / sizeof(PAYMENT_CODES[0]);

static const struct {
    const char *pointer, *name, *rule;
} FIELDS[] = {
    [PAYMENT_FIELD_NONE] = {"", "", ""},
    [PAYMENT_FIELD_WALLET_ID] = {"/wallet_id", "wallet_id",
                                 "must be wal_ and a number of 1 to 12 digits, no leading zero"},
    [PAYMENT_FIELD_AMOUNT] = {"/amount", "amount",
                              "must be a whole number of minor units from 1 to 999999999999, or 0 "
                              "with effect evaluate"},
    [PAYMENT_FIELD_CURRENCY] = {"/currency", "currency", "must be EUR or MXN"},
    [PAYMENT_FIELD_MCC] = {"/merchant/mcc", "merchant.mcc", "must be 4 digits"},
    [PAYMENT_FIELD_MERCHANT_COUNTRY] = {"/merchant/country", "merchant.country",
                                        "must be 2 upper-case letters"},
    [PAYMENT_FIELD_EFFECT] = {"/effect", "effect", "must be evaluate or hold"},
    [PAYMENT_FIELD_EXPIRES_IN] = {"/expires_in_s", "expires_in_s",
                                  "must be a whole number of seconds from 1 to 2678400"},
};
_Static_assert(PAYMENT_EXPIRES_IN_S_MAX == 2678400, "as its rule says");

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

const char *payment_effect_name(enum payment_effect effect)
{
    static const char *const NAMES[] = {
        [PAYMENT_EVALUATE] = "evaluate",
        [PAYMENT_HOLD] = "hold",
    };
    return NAMES[effect];
}

const char *payment_field_pointer(enum payment_field field)
{
    return FIELDS[field].pointer;
}

const char *payment_field_name(enum payment_field field)
{
    return FIELDS[field].name;
}

const char *payment_field_rule(enum payment_field field)
{
    return FIELDS[field].rule;
}

bool payment_set_wallet(struct payment_command *command, struct span text)
{
    const struct span prefix = SPAN("wal_");
    if (!span_starts_with(text, prefix))
        return false;
    const struct span digits = {text.ptr + prefix.len, text.len - prefix.len};
    /* No leading zero: one wallet has one spelling, and wal_0 is none. */
    if (digits.len == 0 || digits.len > PAYMENT_WALLET_DIGITS || digits.ptr[0] == '0')
        return false;
    uint64_t id;
    if (!span_parse_u64(digits, INT64_MAX, &id))
        return false;
    command->wallet_id = (int64_t)id;
    return true;
}

bool payment_set_amount(struct payment_command *command, struct span digits)
{
    uint64_t amount;
    if (digits.len == 0 || !span_parse_u64(digits, (uint64_t)PAYMENT_AMOUNT_MAX, &amount))
        return false;
    command->amount_minor = (int64_t)amount;
    return true;
}

bool payment_set_currency(struct payment_command *command, struct span text)
{
    if (!span_equal(text, SPAN("EUR")) && !span_equal(text, SPAN("MXN")))
        return false;
    memcpy(command->currency, text.ptr, PAYMENT_CURRENCY_LEN);
    command->currency[PAYMENT_CURRENCY_LEN] = '\0';
    return true;
}

bool payment_set_mcc(struct payment_command *command, struct span text)
{
    uint64_t mcc;
    if (text.len != 4 || !span_parse_u64(text, PAYMENT_MCC_MAX, &mcc))
        return false;
    command->mcc = (uint16_t)mcc;
    return true;
}

bool payment_set_country(struct payment_command *command, struct span text)
{
    if (text.len != PAYMENT_COUNTRY_LEN)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < 'A' || text.ptr[i] > 'Z')
            return false;
    }
    memcpy(command->merchant_country, text.ptr, PAYMENT_COUNTRY_LEN);
    command->merchant_country[PAYMENT_COUNTRY_LEN] = '\0';
    return true;
}

bool payment_set_effect(struct payment_command *command, struct span text)
{
    if (span_equal(text, SPAN("evaluate")))
        command->effect = PAYMENT_EVALUATE;
    else if (span_equal(text, SPAN("hold")))
        command->effect = PAYMENT_HOLD;
    else
        return false;
    return true;
}

bool payment_set_expires_in(struct payment_command *command, struct span digits)
{
    uint64_t seconds;
    if (digits.len == 0 || !span_parse_u64(digits, PAYMENT_EXPIRES_IN_S_MAX, &seconds) ||
        seconds == 0)
        return false;
    command->expires_in_s = (int32_t)seconds;
    return true;
}

enum payment_field payment_command_check(const struct payment_command *command)
{
    if (command->amount_minor == 0 && command->effect != PAYMENT_EVALUATE)
        return PAYMENT_FIELD_AMOUNT;
    return PAYMENT_FIELD_NONE;
}

struct secret_digest payment_fingerprint(const struct payment_command *command, struct span scope)
{
    char text[FINGERPRINT_TEXT_MAX];
    struct buf out;
    buf_init(&out, text, sizeof(text));
    /* No part can hold a line feed, so the text reads back in one way only. Its hash is stored for
     * as long as keys are kept: changing it turns retries of older holds into mismatches. */
    CHECK(scope.len <= PAYMENT_SCOPE_MAX);
    buf_add(&out, scope);
    buf_add_char(&out, '\n');
    buf_add_text(&out, payment_effect_name(command->effect));
    buf_add_char(&out, '\n');
    buf_add_i64(&out, command->wallet_id);
    buf_add_char(&out, '\n');
    buf_add_i64(&out, command->amount_minor);
    buf_add_char(&out, '\n');
    buf_add_text(&out, command->currency);
    buf_add_char(&out, '\n');
    buf_add_u64(&out, command->mcc);
    buf_add_char(&out, '\n');
    buf_add_text(&out, command->merchant_country);
    if (command->expires_in_s != 0) { /* left out, it reads as before there was such a field */
        buf_add_char(&out, '\n');
        buf_add_i64(&out, command->expires_in_s);
    }
    CHECK(!out.overflow);
    return secret_hash(buf_span(&out));
}

/* What card numbers begin with, as ranges of their first four digits (ISO/IEC 7812). Those of
 * travel cards (1) are left out: every time stamp begins so. */
static const struct {
    uint16_t first, last;
} ISSUERS[] = {
    {2200, 2204}, /* Mir */
    {2221, 2720}, /* Mastercard */
    {3000, 3059}, /* Diners Club */
    {3095, 3095}, /* Diners Club */
    {3400, 3499}, /* American Express */
    {3528, 3589}, /* JCB */
    {3600, 3699}, /* Diners Club */
    {3700, 3799}, /* American Express */
    {3800, 3999}, /* Diners Club */
    {4000, 4999}, /* Visa */
    {5000, 5999}, /* Mastercard, Maestro, Carnet */
    {6000, 6999}, /* Maestro, Discover, UnionPay, RuPay, Carnet */
    {8100, 8299}, /* UnionPay, RuPay */
    {9792, 9792}, /* Troy */
};

static bool issuer_is_known(const char digits[CARD_DIGITS_MAX])
{
    const int number = (digits[0] - '0') * 1000 + (digits[1] - '0') * 100 + (digits[2] - '0') * 10 +
                       (digits[3] - '0');
    for (size_t i = 0; i < sizeof(ISSUERS) / sizeof(ISSUERS[0]); i++)
        if (number >= ISSUERS[i].first && number <= ISSUERS[i].last)
            return true;
    return false;
}

/* From the right every second digit is doubled, not the last one. */
static bool luhn_passes(const char *digits, size_t count)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        const uint32_t digit = (uint32_t)(digits[count - 1 - i] - '0');
        const uint32_t doubled = digit < 5 ? digit * 2 : digit * 2 - 9;
        sum += i % 2 == 1 ? doubled : digit;
    }
    return sum % 10 == 0;
}

/* The text begins with a card number that ends where a group of digits does. */
static bool card_number_begins(struct span text)
{
    char digits[CARD_DIGITS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < text.len && count < CARD_DIGITS_MAX; i++) {
        const char byte = text.ptr[i];
        if (!is_digit(byte)) {
            if ((byte != ' ' && byte != '-') || i == 0 || !is_digit(text.ptr[i - 1]))
                return false;
            continue;
        }
        digits[count++] = byte;
        const bool group_ends = i + 1 == text.len || !is_digit(text.ptr[i + 1]);
        if (group_ends && count >= CARD_DIGITS_MIN && issuer_is_known(digits) &&
            luhn_passes(digits, count))
            return true;
    }
    return false;
}

bool payment_has_card_number(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        const bool group_begins = is_digit(text.ptr[i]) && (i == 0 || !is_digit(text.ptr[i - 1]));
        if (group_begins && card_number_begins((struct span){text.ptr + i, text.len - i}))
            return true;
    }
    return false;
}

int payment_code_find(const char code[PAYMENT_CODE_LEN])
{
    for (uint32_t i = 0; i < PAYMENT_CODE_COUNT; i++) {
        if (memcmp(PAYMENT_CODES[i].code, code, PAYMENT_CODE_LEN) == 0)
            return (int)i;
    }
    return -1;
}

bool payment_approved(const struct payment_decision *decision)
{
    return decision->code_index == PAYMENT_CODE_APPROVED;
}

enum payment_field payment_mismatch(const struct payment_command *asked,
                                    const struct secret_digest *fingerprint,
                                    const struct payment_decision *stored)
{
    const struct payment_command *recorded = &stored->command;
    if (asked->wallet_id != recorded->wallet_id)
        return PAYMENT_FIELD_WALLET_ID;
    if (asked->amount_minor != recorded->amount_minor)
        return PAYMENT_FIELD_AMOUNT;
    if (strcmp(asked->currency, recorded->currency) != 0)
        return PAYMENT_FIELD_CURRENCY;
    if (asked->mcc != recorded->mcc)
        return PAYMENT_FIELD_MCC;
    if (asked->effect != recorded->effect)
        return PAYMENT_FIELD_EFFECT;
    if (!secret_digest_equal(fingerprint, &stored->fingerprint))
        return PAYMENT_FIELD_MERCHANT_COUNTRY;
    return PAYMENT_FIELD_NONE;
}

/* ---- steps ---- */

const char *payment_step_name(enum payment_step_kind kind)
{
    static const char *const NAMES[PAYMENT_STEP_KINDS] = {
        [PAYMENT_CAPTURE] = "capture",
        [PAYMENT_VOID] = "void",
        [PAYMENT_INCREMENT] = "increment",
        [PAYMENT_REFUND] = "refund",
    };
    return NAMES[kind];
}

struct secret_digest payment_step_fingerprint(const struct payment_step *step)
{
    char text[FINGERPRINT_TEXT_MAX];
    struct buf out;
    buf_init(&out, text, sizeof(text));
    /* As of a hold: one text for one meaning, and never another one for it. The second line of a
     * hold's is its effect, which no step is called. */
    buf_add_text(&out, "step\n");
    buf_add_text(&out, payment_step_name(step->kind));
    buf_add_char(&out, '\n');
    buf_add_hex(&out, step->hold_id.bytes, UUID7_BYTES);
    buf_add_char(&out, '\n');
    if (step->has_amount)
        buf_add_i64(&out, step->amount_minor);
    buf_add_char(&out, '\n');
    buf_add_text(&out, step->final ? "final" : "");
    CHECK(!out.overflow);
    return secret_hash(buf_span(&out));
}

int64_t payment_amounts_open_minor(const struct payment_amounts *amounts)
{
    return amounts->authorised_minor - amounts->captured_minor - amounts->released_minor -
           amounts->expired_minor;
}

bool payment_amounts_are_sound(const struct payment_amounts *amounts)
{
    if (amounts->authorised_minor < 0 || amounts->captured_minor < 0 ||
        amounts->released_minor < 0 || amounts->expired_minor < 0 || amounts->refunded_minor < 0)
        return false;
    /* What is subtracted is no less than 0, and what it is subtracted from neither. */
    int64_t open_minor = amounts->authorised_minor - amounts->captured_minor;
    if (open_minor >= 0)
        open_minor -= amounts->released_minor;
    if (open_minor >= 0)
        open_minor -= amounts->expired_minor;
    return open_minor >= 0 && amounts->refunded_minor <= amounts->captured_minor;
}

enum payment_state payment_state_of(const struct payment_amounts *amounts)
{
    if (payment_amounts_open_minor(amounts) > 0)
        return PAYMENT_OPEN;
    if (amounts->captured_minor > 0)
        return amounts->refunded_minor == amounts->captured_minor ? PAYMENT_REFUNDED
                                                                  : PAYMENT_CAPTURED;
    return amounts->expired_minor > 0 ? PAYMENT_EXPIRED : PAYMENT_VOIDED;
}

const char *payment_state_name(enum payment_state state)
{
    static const char *const NAMES[] = {
        [PAYMENT_OPEN] = "open",       [PAYMENT_CAPTURED] = "captured", [PAYMENT_VOIDED] = "voided",
        [PAYMENT_EXPIRED] = "expired", [PAYMENT_REFUNDED] = "refunded",
    };
    return NAMES[state];
}
