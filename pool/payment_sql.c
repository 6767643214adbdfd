#include "pool/payment_sql_private.h"

#include "pool/payment_row_private.h"
#include "pool/pg_array_private.h"

#include "embedded_sql.h"

#include <string.h>

static const uint32_t EVAL_BATCH_TYPES[] = {PG_OID_INT8_ARRAY, PG_OID_INT8_ARRAY, PG_OID_TEXT_ARRAY,
                                            PG_OID_INT4_ARRAY, PG_OID_TEXT_ARRAY, PG_OID_TEXT};
static const uint32_t EVAL_ONE_TYPES[] = {PG_OID_INT8, PG_OID_INT8, PG_OID_TEXT,
                                          PG_OID_INT4, PG_OID_TEXT, PG_OID_TEXT};
static const uint32_t HOLD_TYPES[] = {
    PG_OID_UUID_ARRAY, PG_OID_INT4_ARRAY, PG_OID_BYTEA_ARRAY, PG_OID_BYTEA_ARRAY, PG_OID_INT8_ARRAY,
    PG_OID_INT8_ARRAY, PG_OID_TEXT_ARRAY, PG_OID_INT4_ARRAY,  PG_OID_TEXT_ARRAY,  PG_OID_INT4_ARRAY,
    PG_OID_INT4_ARRAY, PG_OID_TEXT,       PG_OID_INT4_ARRAY};
static const uint32_t STEP_TYPES[] = {PG_OID_UUID_ARRAY,  PG_OID_UUID_ARRAY,  PG_OID_INT4_ARRAY,
                                      PG_OID_BYTEA_ARRAY, PG_OID_BYTEA_ARRAY, PG_OID_TEXT_ARRAY,
                                      PG_OID_UUID_ARRAY,  PG_OID_INT8_ARRAY,  PG_OID_INT4_ARRAY,
                                      PG_OID_INT4_ARRAY,  PG_OID_INT4_ARRAY,  PG_OID_TEXT};
static const uint32_t EXPIRE_BATCH_TYPES[] = {PG_OID_UUID_ARRAY, PG_OID_TIMESTAMPTZ, PG_OID_UUID,
                                              PG_OID_INT8, PG_OID_TEXT};
static const uint32_t FIND_TYPES[] = {PG_OID_UUID, PG_OID_INT4, PG_OID_TEXT};
static const uint32_t FIND_KEY_TYPES[] = {PG_OID_BYTEA, PG_OID_INT4, PG_OID_TEXT};
static const uint32_t WALLET_TYPES[] = {PG_OID_INT8, PG_OID_INT4, PG_OID_TEXT};
static const uint32_t TRANSACTIONS_TYPES[] = {PG_OID_INT8, PG_OID_INT4, PG_OID_INT8,
                                              PG_OID_UUID, PG_OID_INT4, PG_OID_TEXT};

#define STATEMENT(text_name, text, types)                                                          \
    {                                                                                              \
        .name = (text_name), .sql = (text), .param_types = (types),                                \
        .param_count = sizeof(types) / sizeof((types)[0])                                          \
    }

const struct pg_statement PAYMENT_SQL[PAYMENT_SQL_STATEMENTS] = {
    [PAYMENT_SQL_EVAL_BATCH] = STATEMENT("eval_batch", SQL_EVAL_BATCH, EVAL_BATCH_TYPES),
    [PAYMENT_SQL_EVAL_ONE] = STATEMENT("eval_one", SQL_EVAL_ONE, EVAL_ONE_TYPES),
    [PAYMENT_SQL_HOLD_BATCH] = STATEMENT("hold_batch", SQL_HOLD_BATCH, HOLD_TYPES),
    [PAYMENT_SQL_HOLD_FOLD] = STATEMENT("hold_fold", SQL_HOLD_FOLD, HOLD_TYPES),
    [PAYMENT_SQL_STEP_BATCH] = STATEMENT("step_batch", SQL_STEP_BATCH, STEP_TYPES),
    [PAYMENT_SQL_FIND] = STATEMENT("find", SQL_FIND, FIND_TYPES),
    [PAYMENT_SQL_EXPIRE_BATCH] = STATEMENT("expire_batch", SQL_EXPIRE_BATCH, EXPIRE_BATCH_TYPES),
    [PAYMENT_SQL_FIND_KEY] = STATEMENT("find_key", SQL_FIND_KEY, FIND_KEY_TYPES),
    [PAYMENT_SQL_WALLET] = STATEMENT("wallet", SQL_WALLET, WALLET_TYPES),
    [PAYMENT_SQL_TRANSACTIONS] = STATEMENT("transactions", SQL_TRANSACTIONS, TRANSACTIONS_TYPES),
    [PAYMENT_SQL_PROBE] = {.name = "probe", .sql = SQL_PROBE},
};

/* ---- parameters ---- */

static struct span currency_of(const struct payment_command *command)
{
    return (struct span){command->currency, PAYMENT_CURRENCY_LEN};
}

static struct span country_of(const struct payment_command *command)
{
    return (struct span){command->merchant_country, PAYMENT_COUNTRY_LEN};
}

static void encode_evaluate_one(const struct payment_command *command, struct span region,
                                struct pg_params *params, struct buf *storage)
{
    params->statement = PAYMENT_SQL_EVAL_ONE;
    pg_param_int8(params, storage, command->wallet_id);
    pg_param_int8(params, storage, command->amount_minor);
    pg_param_bytes(params, storage, currency_of(command));
    pg_param_int4(params, storage, command->mcc);
    pg_param_bytes(params, storage, country_of(command));
    pg_param_bytes(params, storage, region);
}

void payment_sql_encode_evaluate(const struct payment_command *const *commands, uint32_t count,
                                 struct span region, struct pg_params *params, struct buf *storage)
{
    struct pg_array array;

    if (count == 1) {
        encode_evaluate_one(commands[0], region, params, storage);
        return;
    }
    params->statement = PAYMENT_SQL_EVAL_BATCH;
    pg_array_begin(&array, params, storage, PG_OID_INT8, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_add_int8(&array, commands[i]->wallet_id);
    pg_array_end(&array);
    pg_array_begin(&array, params, storage, PG_OID_INT8, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_add_int8(&array, commands[i]->amount_minor);
    pg_array_end(&array);
    pg_array_begin(&array, params, storage, PG_OID_TEXT, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_add_bytes(&array, currency_of(commands[i]));
    pg_array_end(&array);
    pg_array_begin(&array, params, storage, PG_OID_INT4, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_add_int4(&array, commands[i]->mcc);
    pg_array_end(&array);
    pg_array_begin(&array, params, storage, PG_OID_TEXT, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_add_bytes(&array, country_of(commands[i]));
    pg_array_end(&array);
    pg_param_bytes(params, storage, region);
}

/* $1 to $4: who asks. */
static void encode_hold_identity(const struct payment_sql_hold *holds, uint32_t count,
                                 struct pg_params *params, struct buf *storage)
{
    struct pg_array array;

    pg_array_begin(&array, params, storage, PG_OID_UUID, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_add_bytes(&array, uuid7_span(&holds[i].txn_id));
    pg_array_end(&array);
    pg_array_begin(&array, params, storage, PG_OID_INT4, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_add_int4(&array, holds[i].client_id);
    pg_array_end(&array);
    pg_array_begin(&array, params, storage, PG_OID_BYTEA, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_add_bytes(&array,
                           (struct span){(const char *)holds[i].key_hash->bytes, SECRET_MAC_BYTES});
    pg_array_end(&array);
    pg_array_begin(&array, params, storage, PG_OID_BYTEA, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_add_bytes(
            &array, (struct span){(const char *)holds[i].fingerprint->bytes, SECRET_DIGEST_BYTES});
    pg_array_end(&array);
}

/* $5 to $9: what is asked. */
static void encode_hold_command(const struct payment_sql_hold *holds, uint32_t count,
                                struct pg_params *params, struct buf *storage)
{
    struct pg_array array;

    pg_array_begin(&array, params, storage, PG_OID_INT8, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_add_int8(&array, holds[i].command->wallet_id);
    pg_array_end(&array);
    pg_array_begin(&array, params, storage, PG_OID_INT8, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_add_int8(&array, holds[i].command->amount_minor);
    pg_array_end(&array);
    pg_array_begin(&array, params, storage, PG_OID_TEXT, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_add_bytes(&array, currency_of(holds[i].command));
    pg_array_end(&array);
    pg_array_begin(&array, params, storage, PG_OID_INT4, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_add_int4(&array, holds[i].command->mcc);
    pg_array_end(&array);
    pg_array_begin(&array, params, storage, PG_OID_TEXT, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_add_bytes(&array, country_of(holds[i].command));
    pg_array_end(&array);
}

static bool has_repeats(const struct payment_sql_hold *holds, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++)
        if (holds[i].command->wallet_id == holds[i - 1].command->wallet_id)
            return true;
    return false;
}

void payment_sql_encode_hold(const struct payment_sql_hold *holds, uint32_t count,
                             struct span region, struct pg_params *params, struct buf *storage)
{
    struct pg_array array;

    params->statement = has_repeats(holds, count) ? PAYMENT_SQL_HOLD_FOLD : PAYMENT_SQL_HOLD_BATCH;
    encode_hold_identity(holds, count, params, storage);
    encode_hold_command(holds, count, params, storage);
    pg_array_begin(&array, params, storage, PG_OID_INT4, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_add_int4(&array, holds[i].elapsed_us);
    pg_array_end(&array);
    pg_array_begin(&array, params, storage, PG_OID_INT4, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_add_int4(&array, holds[i].budget_us);
    pg_array_end(&array);
    pg_param_bytes(params, storage, region);
    pg_array_begin(&array, params, storage, PG_OID_INT4, count);
    for (uint32_t i = 0; i < count; i++) {
        if (holds[i].command->expires_in_s != 0)
            pg_array_add_int4(&array, holds[i].command->expires_in_s);
        else
            pg_array_add_null(&array);
    }
    pg_array_end(&array);
}

/* ---- rows ---- */

bool payment_sql_is_elsewhere(const struct pg_rows *rows)
{
    return pg_rows_count(rows) == 0;
}

bool payment_sql_row_number(const struct pg_rows *rows, uint32_t row, uint32_t count,
                            uint32_t *index)
{
    int64_t n;

    if (!pg_row_int8(rows, row, 0, &n) || n < 1 || n > (int64_t)count)
        return false;
    *index = (uint32_t)(n - 1);
    return true;
}

bool payment_sql_decode_evaluate(const struct pg_rows *rows, uint32_t row,
                                 struct payment_decision *decision)
{
    *decision = (struct payment_decision){.how = PAYMENT_NEW};
    if (!payment_row_code(rows, row, 1, &decision->code_index))
        return false;
    decision->has_balance = pg_row_int8(rows, row, 2, &decision->balance_after_minor);
    return true;
}

static bool decode_how(const struct pg_rows *rows, uint32_t row, enum payment_how *how, bool *busy)
{
    static const struct {
        struct span word;
        enum payment_how how;
    } HOWS[] = {{{"new", 3}, PAYMENT_NEW},
                {{"replay", 6}, PAYMENT_REPLAY},
                {{"race", 4}, PAYMENT_RACE},
                {{"late", 4}, PAYMENT_LATE}};
    struct span word;

    if (!pg_row_bytes(rows, row, 1, &word))
        return false;
    *busy = span_equal(word, SPAN("busy"));
    for (size_t i = 0; i < sizeof(HOWS) / sizeof(HOWS[0]); i++) {
        if (span_equal(word, HOWS[i].word)) {
            *how = HOWS[i].how;
            return true;
        }
    }
    return *busy;
}

bool payment_sql_decode_recorded(const struct pg_rows *rows, uint32_t row, uint32_t first,
                                 struct payment_decision *decision)
{
    struct payment_command *command = &decision->command;

    if (!payment_row_uuid(rows, row, first, &decision->txn_id) ||
        !payment_row_fingerprint(rows, row, first + 1, &decision->fingerprint) ||
        !payment_row_code(rows, row, first + 2, &decision->code_index) ||
        !payment_row_processing_us(rows, row, first + 4, &decision->processing_us) ||
        !pg_row_time(rows, row, first + 5, &decision->created_wall_us) ||
        !pg_row_int8(rows, row, first + 6, &command->wallet_id) ||
        !pg_row_int8(rows, row, first + 7, &command->amount_minor) ||
        !payment_row_currency(rows, row, first + 8, command->currency) ||
        !payment_row_mcc(rows, row, first + 9, &command->mcc))
        return false;
    decision->has_balance = pg_row_int8(rows, row, first + 3, &decision->balance_after_minor);
    command->effect = PAYMENT_HOLD;
    return true;
}

bool payment_sql_decode_hold(const struct pg_rows *rows, uint32_t row,
                             struct payment_decision *decision, bool *busy)
{
    *decision = (struct payment_decision){0};
    if (!decode_how(rows, row, &decision->how, busy))
        return false;
    if (*busy || decision->how == PAYMENT_LATE)
        return true;
    return payment_sql_decode_recorded(rows, row, 2, decision);
}

static bool decode_text(const struct pg_rows *rows, uint32_t column, char *out, size_t room)
{
    struct span text;

    if (!pg_row_bytes(rows, 0, column, &text) || text.len >= room)
        return false;
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    return true;
}

/* The reference purchase is whole or absent. */
static bool decode_reference(const struct pg_rows *rows, struct payment_command *command)
{
    *command = (struct payment_command){.effect = PAYMENT_EVALUATE};
    return pg_row_int8(rows, 0, 1, &command->wallet_id) &&
           pg_row_int8(rows, 0, 2, &command->amount_minor) &&
           decode_text(rows, 3, command->currency, sizeof(command->currency)) &&
           payment_row_mcc(rows, 0, 4, &command->mcc) &&
           decode_text(rows, 5, command->merchant_country, sizeof(command->merchant_country));
}

static bool decode_idempotency_key(const struct pg_rows *rows, struct payment_probe_row *row)
{
    struct span key;

    if (!pg_row_bytes(rows, 0, 8, &key) || key.len != SECRET_MAC_KEY_BYTES)
        return false;
    memcpy(row->idempotency_key, key.ptr, SECRET_MAC_KEY_BYTES);
    return true;
}

/* Time and breaches; NULL and whatever else is no count: there was no such audit. */
static void decode_audit(const struct pg_rows *rows, uint32_t column, struct audit_result *audit)
{
    int64_t finished_s, breaches;

    *audit = (struct audit_result){0};
    if (!pg_row_int8(rows, 0, column, &finished_s) || finished_s <= 0 ||
        !pg_row_int8(rows, 0, column + 1, &breaches) || breaches < 0)
        return;
    audit->finished_s = (uint64_t)finished_s;
    audit->breaches = (uint64_t)breaches;
}

bool payment_sql_decode_probe(const struct pg_rows *rows, struct payment_probe_row *row)
{
    *row = (struct payment_probe_row){0};
    if (pg_rows_count(rows) != 1 || !decode_text(rows, 0, row->region, sizeof(row->region)) ||
        !pg_row_int4(rows, 0, 6, &row->schema_version) ||
        !decode_text(rows, 7, row->isolation, sizeof(row->isolation)) ||
        !decode_idempotency_key(rows, row))
        return false;
    row->has_reference = decode_reference(rows, &row->reference);
    decode_audit(rows, 9, &row->whole_audit);
    decode_audit(rows, 11, &row->recent_audit);
    return true;
}
