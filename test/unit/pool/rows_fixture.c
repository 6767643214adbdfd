#include "rows_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* PostgreSQL counts from 2000-01-01. */
#define EPOCH_2000_US INT64_C(946684800000000)

const uint8_t ROWS_IDEMPOTENCY_KEY[SECRET_MAC_KEY_BYTES] = "what keys are hashed with: 32 by";

static int damaged_column = -1;
static enum rows_damage damage_kind;
static int next_column;

void rows_damage(int column, enum rows_damage damage)
{
    damaged_column = column;
    damage_kind = damage;
}

static void add(PGresult *rows, const void *bytes, size_t size)
{
    char damaged[64] = {0};
    const enum rows_damage kind = next_column++ == damaged_column ? damage_kind : ROWS_WHOLE;

    assert_true(size < sizeof(damaged));
    memcpy(damaged, bytes, size);
    switch (kind) {
    case ROWS_WHOLE:
        fake_pq_add_bytes(rows, bytes, size);
        return;
    case ROWS_NULL:
        fake_pq_add_null(rows);
        return;
    case ROWS_SHORT:
        fake_pq_add_bytes(rows, bytes, size - 1);
        return;
    case ROWS_LONG:
        fake_pq_add_bytes(rows, damaged, size + 1);
        return;
    }
}

static void add_number(PGresult *rows, uint64_t value, size_t size)
{
    unsigned char bytes[8];
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(value >> (8 * (size - 1 - i)));
    add(rows, bytes, size);
}

static void add_text(PGresult *rows, const char *text)
{
    add(rows, text, strlen(text));
}

struct payment_decision rows_decision(int n)
{
    struct payment_decision decision = {
        .how = PAYMENT_NEW,
        .code_index = PAYMENT_CODE_APPROVED,
        .has_balance = true,
        .balance_after_minor = 5000 + n,
        .processing_us = 1234 + (uint32_t)n,
        .created_wall_us = UINT64_C(1764000000000000) + (uint64_t)n,
        .command = {.effect = PAYMENT_HOLD,
                    .wallet_id = 100 + n,
                    .amount_minor = 250 + n,
                    .currency = "EUR",
                    .mcc = 5411},
    };
    memset(decision.txn_id.bytes, 0x10 + n, sizeof(decision.txn_id.bytes));
    memset(decision.fingerprint.bytes, 0x40 + n, sizeof(decision.fingerprint.bytes));
    return decision;
}

static void add_recorded(PGresult *rows, const struct payment_decision *decision)
{
    add(rows, decision->txn_id.bytes, sizeof(decision->txn_id.bytes));
    add(rows, decision->fingerprint.bytes, sizeof(decision->fingerprint.bytes));
    add(rows, PAYMENT_CODES[decision->code_index].code, PAYMENT_CODE_LEN);
    add_number(rows, (uint64_t)decision->balance_after_minor, 8);
    add_number(rows, decision->processing_us, 4);
    add_number(rows, decision->created_wall_us - (uint64_t)EPOCH_2000_US, 8);
    add_number(rows, (uint64_t)decision->command.wallet_id, 8);
    add_number(rows, (uint64_t)decision->command.amount_minor, 8);
    add_text(rows, decision->command.currency);
    add_number(rows, decision->command.mcc, 4);
}

PGresult *rows_hold(void)
{
    return fake_pq_rows(2 + ROWS_RECORDED_COLUMNS);
}

void rows_add_hold(PGresult *rows, int n, const char *how, const struct payment_decision *decision)
{
    next_column = 0;
    add_number(rows, (uint64_t)n, 8);
    add_text(rows, how);
    if (decision != NULL) {
        add_recorded(rows, decision);
        return;
    }
    for (int i = 0; i < ROWS_RECORDED_COLUMNS; i++)
        fake_pq_add_null(rows);
}

PGresult *rows_evaluate(void)
{
    return fake_pq_rows(3);
}

void rows_add_evaluate(PGresult *rows, int n, const char *code, int64_t balance_minor)
{
    next_column = 0;
    add_number(rows, (uint64_t)n, 8);
    add_text(rows, code);
    add_number(rows, (uint64_t)balance_minor, 8);
}

PGresult *rows_find(const struct payment_decision *decision, int32_t voided)
{
    PGresult *rows = fake_pq_rows(ROWS_RECORDED_COLUMNS + 1);
    next_column = 0;
    add_recorded(rows, decision);
    add_number(rows, (uint32_t)voided, 4);
    return rows;
}

struct payment_step_decision rows_step_decision(int n)
{
    struct payment_step_decision decision = {
        .how = PAYMENT_STEP_NEW,
        .kind = PAYMENT_CAPTURE,
        .code_index = PAYMENT_CODE_APPROVED,
        .amount_minor = 70 + n,
        .balance_after_minor = 5000 + n,
        .limit_minor = 900 + n,
        .amounts = {.authorised_minor = 1000 + n,
                    .captured_minor = 300 + n,
                    .released_minor = 50,
                    .expired_minor = 20,
                    .refunded_minor = 10},
        .state = PAYMENT_EXPIRED,
        .processing_us = 1234 + (uint32_t)n,
        .created_wall_us = UINT64_C(1764000000000000) + (uint64_t)n,
        .wallet_id = 100 + n,
        .currency = "EUR",
    };
    memset(decision.txn_id.bytes, 0x10 + n, sizeof(decision.txn_id.bytes));
    memset(decision.hold_id.bytes, 0x20 + n, sizeof(decision.hold_id.bytes));
    memset(decision.fingerprint.bytes, 0x40 + n, sizeof(decision.fingerprint.bytes));
    return decision;
}

PGresult *rows_step(void)
{
    return fake_pq_rows(ROWS_STEP_COLUMNS);
}

static void add_nulls(PGresult *rows, int count)
{
    for (; count > 0; count--) {
        fake_pq_add_null(rows);
        next_column++;
    }
}

/* txn_id to currency and mcc */
static void add_step_recorded(PGresult *rows, const struct payment_step_decision *decision)
{
    static const char *const LETTERS[] = {"C", "V", "I", "R"};
    add(rows, decision->txn_id.bytes, sizeof(decision->txn_id.bytes));
    add(rows, decision->fingerprint.bytes, sizeof(decision->fingerprint.bytes));
    add_text(rows, LETTERS[decision->kind]);
    add(rows, decision->hold_id.bytes, sizeof(decision->hold_id.bytes));
    add(rows, PAYMENT_CODES[decision->code_index].code, PAYMENT_CODE_LEN);
    add_number(rows, (uint64_t)decision->amount_minor, 8);
    add_number(rows, (uint64_t)decision->balance_after_minor, 8);
    add_number(rows, decision->processing_us, 4);
    add_number(rows, decision->created_wall_us - (uint64_t)EPOCH_2000_US, 8);
    add_number(rows, (uint64_t)decision->wallet_id, 8);
    add_text(rows, decision->currency);
    add_number(rows, 5411, 4);
}

static void add_amounts(PGresult *rows, const struct payment_amounts *amounts)
{
    add_number(rows, (uint64_t)amounts->authorised_minor, 8);
    add_number(rows, (uint64_t)amounts->captured_minor, 8);
    add_number(rows, (uint64_t)amounts->released_minor, 8);
    add_number(rows, (uint64_t)amounts->expired_minor, 8);
    add_number(rows, (uint64_t)amounts->refunded_minor, 8);
}

enum { STEP_WALLET = 11, STEP_AUTHORISED = 14 };

void rows_add_step(PGresult *rows, int n, const char *how,
                   const struct payment_step_decision *decision)
{
    const bool resolved = strcmp(how, "resolved") == 0, exceeds = strcmp(how, "exceeds") == 0;

    next_column = 0;
    add_number(rows, (uint64_t)n, 8);
    add_text(rows, how);
    if (resolved || exceeds) {
        add_nulls(rows, STEP_AUTHORISED - next_column);
        add_amounts(rows, &decision->amounts);
    } else if (strcmp(how, "busy") == 0) {
        add_nulls(rows, STEP_WALLET - next_column);
        add_number(rows, ROWS_BUSY_WALLET, 8);
    } else if (decision != NULL) {
        add_step_recorded(rows, decision);
        add_amounts(rows, &decision->amounts);
    }
    if (exceeds)
        add_number(rows, (uint64_t)decision->limit_minor, 8);
    if (resolved) {
        add_nulls(rows, 1);
        add_text(rows, payment_state_name(decision->state));
    }
    add_nulls(rows, ROWS_STEP_COLUMNS - next_column);
}

void rows_add_step_of_hold(PGresult *rows, int n, const struct secret_digest *fingerprint)
{
    next_column = 0;
    add_number(rows, (uint64_t)n, 8);
    add_text(rows, "replay");
    add_nulls(rows, 1);
    add(rows, fingerprint->bytes, sizeof(fingerprint->bytes));
    add_text(rows, "H");
    add_nulls(rows, ROWS_STEP_COLUMNS - next_column);
}

PGresult *rows_probe(const char *region, int32_t schema_version, const char *isolation)
{
    PGresult *rows = fake_pq_rows(9);
    next_column = 0;
    add_text(rows, region);
    add_number(rows, 77, 8);
    add_number(rows, 1999, 8);
    add_text(rows, "EUR");
    add_number(rows, 5411, 4);
    add_text(rows, "DE");
    add_number(rows, (uint32_t)schema_version, 4);
    add_text(rows, isolation);
    add(rows, ROWS_IDEMPOTENCY_KEY, SECRET_MAC_KEY_BYTES);
    return rows;
}

const struct pg_rows *rows_of(PGresult *result)
{
    return (const struct pg_rows *)(const void *)result;
}
