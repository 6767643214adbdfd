#include "pool/payment_step_sql_private.h"

#include "pool/payment_row_private.h"

/* The kinds as pay.simulation.effect and pay.transfer.kind know them. */
static const char KIND_LETTERS[PAYMENT_STEP_KINDS] = {
    [PAYMENT_CAPTURE] = 'C',
    [PAYMENT_VOID] = 'V',
    [PAYMENT_INCREMENT] = 'I',
    [PAYMENT_REFUND] = 'R',
};
static const char HOLD_LETTER = 'H';

/* ---- parameters ---- */

/* $1 to $5: who asks. */
static void encode_identity(const struct payment_sql_step *steps, uint32_t count,
                            struct pg_params *params, struct buf *storage)
{
    struct pg_array array;

    pg_array_begin(&array, params, storage, PG_OID_UUID, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_add_bytes(&array, uuid7_span(&steps[i].txn_id));
    pg_array_end(&array);
    pg_array_begin(&array, params, storage, PG_OID_UUID, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_add_bytes(&array, uuid7_span(&steps[i].spare_id));
    pg_array_end(&array);
    pg_array_begin(&array, params, storage, PG_OID_INT4, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_add_int4(&array, steps[i].client_id);
    pg_array_end(&array);
    pg_array_begin(&array, params, storage, PG_OID_BYTEA, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct secret_mac *hash = steps[i].key_hash;
        if (hash == NULL)
            pg_array_add_null(&array);
        else
            pg_array_add_bytes(&array, (struct span){(const char *)hash->bytes, SECRET_MAC_BYTES});
    }
    pg_array_end(&array);
    pg_array_begin(&array, params, storage, PG_OID_BYTEA, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_add_bytes(
            &array, (struct span){(const char *)steps[i].fingerprint->bytes, SECRET_DIGEST_BYTES});
    pg_array_end(&array);
}

/* $6 to $9: what is asked. */
static void encode_asked(const struct payment_sql_step *steps, uint32_t count,
                         struct pg_params *params, struct buf *storage)
{
    struct pg_array array;

    pg_array_begin(&array, params, storage, PG_OID_TEXT, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_add_bytes(
            &array, (struct span){&KIND_LETTERS[steps[i].step->kind], PAYMENT_STEP_SQL_KIND_BYTES});
    pg_array_end(&array);
    pg_array_begin(&array, params, storage, PG_OID_UUID, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_add_bytes(&array, uuid7_span(&steps[i].step->hold_id));
    pg_array_end(&array);
    pg_array_begin(&array, params, storage, PG_OID_INT8, count);
    for (uint32_t i = 0; i < count; i++) {
        if (steps[i].step->has_amount)
            pg_array_add_int8(&array, steps[i].step->amount_minor);
        else
            pg_array_add_null(&array);
    }
    pg_array_end(&array);
    pg_array_begin(&array, params, storage, PG_OID_INT4, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_add_int4(&array, steps[i].step->final ? 1 : 0);
    pg_array_end(&array);
}

void payment_step_sql_encode(const struct payment_sql_step *steps, uint32_t count,
                             struct span region, struct pg_params *params, struct buf *storage)
{
    struct pg_array array;

    params->statement = PAYMENT_SQL_STEP_BATCH;
    encode_identity(steps, count, params, storage);
    encode_asked(steps, count, params, storage);
    pg_array_begin(&array, params, storage, PG_OID_INT4, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_add_int4(&array, steps[i].elapsed_us);
    pg_array_end(&array);
    pg_array_begin(&array, params, storage, PG_OID_INT4, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_add_int4(&array, steps[i].budget_us);
    pg_array_end(&array);
    pg_param_bytes(params, storage, region);
}

/* ---- rows ---- */

enum column {
    COLUMN_HOW = 1, /* 0 is n */
    COLUMN_TXN_ID,
    COLUMN_FINGERPRINT,
    COLUMN_KIND,
    COLUMN_HOLD_ID,
    COLUMN_CODE,
    COLUMN_AMOUNT,
    COLUMN_BALANCE,
    COLUMN_PROCESSING_US,
    COLUMN_CREATED_AT,
    COLUMN_WALLET_ID,
    COLUMN_CURRENCY,
    COLUMN_MCC, /* of the hold; nobody shows it with a step */
    COLUMN_AUTHORISED,
    COLUMN_LIMIT = COLUMN_AUTHORISED + 5, /* after the other amounts */
    COLUMN_STATE,
};

/* The word for "ask again": no answer, so not among the ways of answering. */
static bool decode_how(const struct pg_rows *rows, uint32_t row, enum payment_step_how *how,
                       bool *busy)
{
    static const struct span WORDS[] = {
        [PAYMENT_STEP_NEW] = {"new", 3},
        [PAYMENT_STEP_REPLAY] = {"replay", 6},
        [PAYMENT_STEP_RACE] = {"race", 4},
        [PAYMENT_STEP_LATE] = {"late", 4},
        [PAYMENT_STEP_NOT_FOUND] = {"not_found", 9},
        [PAYMENT_STEP_RESOLVED] = {"resolved", 8},
        [PAYMENT_STEP_EXCEEDS] = {"exceeds", 7},
        [PAYMENT_STEP_TOO_MANY] = {"too_many", 8},
    };
    struct span word;

    if (!pg_row_bytes(rows, row, COLUMN_HOW, &word))
        return false;
    *busy = span_equal(word, SPAN("busy"));
    for (unsigned i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++) {
        if (span_equal(word, WORDS[i])) {
            *how = (enum payment_step_how)i;
            return true;
        }
    }
    return *busy;
}

static bool decode_state(const struct pg_rows *rows, uint32_t row, enum payment_state *state)
{
    struct span word;

    if (!pg_row_bytes(rows, row, COLUMN_STATE, &word))
        return false;
    for (unsigned i = PAYMENT_OPEN; i <= PAYMENT_REFUNDED; i++) {
        if (span_equal(word, span_of(payment_state_name((enum payment_state)i)))) {
            *state = (enum payment_state)i;
            return true;
        }
    }
    return false;
}

static bool decode_letter(const struct pg_rows *rows, uint32_t row, char *letter)
{
    struct span text;

    if (!pg_row_bytes(rows, row, COLUMN_KIND, &text) || text.len != PAYMENT_STEP_SQL_KIND_BYTES)
        return false;
    *letter = text.ptr[0];
    return true;
}

static bool kind_of_letter(char letter, enum payment_step_kind *kind)
{
    for (unsigned i = 0; i < PAYMENT_STEP_KINDS; i++) {
        if (KIND_LETTERS[i] == letter) {
            *kind = (enum payment_step_kind)i;
            return true;
        }
    }
    return false;
}

/* What is on record of a step. Only an increment is decided by rules, and may be declined. */
static bool decode_recorded(const struct pg_rows *rows, uint32_t row,
                            struct payment_step_decision *decision)
{
    return payment_row_uuid(rows, row, COLUMN_TXN_ID, &decision->txn_id) &&
           payment_row_uuid(rows, row, COLUMN_HOLD_ID, &decision->hold_id) &&
           payment_row_code(rows, row, COLUMN_CODE, &decision->code_index) &&
           (decision->kind == PAYMENT_INCREMENT || decision->code_index == PAYMENT_CODE_APPROVED) &&
           pg_row_int8(rows, row, COLUMN_AMOUNT, &decision->amount_minor) &&
           decision->amount_minor > 0 &&
           pg_row_int8(rows, row, COLUMN_BALANCE, &decision->balance_after_minor) &&
           payment_row_processing_us(rows, row, COLUMN_PROCESSING_US, &decision->processing_us) &&
           pg_row_time(rows, row, COLUMN_CREATED_AT, &decision->created_wall_us) &&
           decision->wallet_id > 0 &&
           payment_row_currency(rows, row, COLUMN_CURRENCY, decision->currency) &&
           payment_row_amounts(rows, row, COLUMN_AUTHORISED, &decision->amounts);
}

static bool decode_answered(const struct pg_rows *rows, uint32_t row,
                            struct payment_step_decision *decision)
{
    char letter;

    if (!payment_row_fingerprint(rows, row, COLUMN_FINGERPRINT, &decision->fingerprint) ||
        !decode_letter(rows, row, &letter))
        return false;
    if (letter == HOLD_LETTER)
        return decision->how != PAYMENT_STEP_NEW;
    return kind_of_letter(letter, &decision->kind) && decode_recorded(rows, row, decision);
}

bool payment_step_sql_decode(const struct pg_rows *rows, uint32_t row,
                             struct payment_step_decision *decision, bool *busy)
{
    *decision = (struct payment_step_decision){0};
    if (!decode_how(rows, row, &decision->how, busy))
        return false;
    const bool has_wallet = pg_row_int8(rows, row, COLUMN_WALLET_ID, &decision->wallet_id);
    if (*busy)
        return has_wallet && decision->wallet_id > 0;
    switch (decision->how) {
    case PAYMENT_STEP_NEW:
    case PAYMENT_STEP_REPLAY:
    case PAYMENT_STEP_RACE:
        return decode_answered(rows, row, decision);
    case PAYMENT_STEP_LATE:
    case PAYMENT_STEP_NOT_FOUND:
    case PAYMENT_STEP_TOO_MANY:
        return true;
    case PAYMENT_STEP_RESOLVED:
        return payment_row_amounts(rows, row, COLUMN_AUTHORISED, &decision->amounts) &&
               decode_state(rows, row, &decision->state);
    case PAYMENT_STEP_EXCEEDS:
        return payment_row_amounts(rows, row, COLUMN_AUTHORISED, &decision->amounts) &&
               pg_row_int8(rows, row, COLUMN_LIMIT, &decision->limit_minor) &&
               decision->limit_minor >= 0;
    }
    UNREACHABLE();
}
