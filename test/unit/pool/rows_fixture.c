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

/* ---- reads ---- */

static void add_find_step(PGresult *rows, uint32_t n)
{
    const uint8_t id[UUID7_BYTES] = {0x60, (uint8_t)n};

    add(rows, id, sizeof(id));
    add_text(rows, "C");
    add_number(rows, n, 8);
    add_number(rows, UINT64_C(1764000000000000) + n - (uint64_t)EPOCH_2000_US, 8);
    add_number(rows, 7000 + n, 8);
}

static void add_find_row(PGresult *rows, const struct payment_decision *decision)
{
    const struct payment_amounts amounts = {.authorised_minor = 1000,
                                            .captured_minor = 300,
                                            .released_minor = 50,
                                            .expired_minor = 20,
                                            .refunded_minor = 10};

    next_column = 0;
    add_recorded(rows, decision);
    add_number(rows, decision->created_wall_us + ROWS_EXPIRES_AFTER_US - (uint64_t)EPOCH_2000_US,
               8);
    if (payment_approved(decision))
        add_amounts(rows, &amounts);
    else
        add_nulls(rows, 5);
}

PGresult *rows_find(const struct payment_decision *decision, uint32_t steps)
{
    PGresult *rows = fake_pq_rows(ROWS_FIND_COLUMNS);
    for (uint32_t n = 1; n <= steps; n++) {
        add_find_row(rows, decision);
        add_find_step(rows, n);
    }
    if (steps == 0) {
        add_find_row(rows, decision);
        add_nulls(rows, 5);
    }
    return rows;
}

PGresult *rows_wallet(const char *status)
{
    PGresult *rows = fake_pq_rows(ROWS_WALLET_COLUMNS);
    next_column = 0;
    add_number(rows, 1, 8);
    add_text(rows, status);
    add_text(rows, "EUR");
    add_number(rows, 4, 8);
    add_number(rows, 5, 8);
    add_number(rows, 6, 8);
    add_number(rows, 7, 8);
    add_number(rows, 0, 4);
    add_text(rows, "2026-11-24");
    add_number(rows, 10, 8);
    add_number(rows, 11, 4);
    add_number(rows, 12, 8);
    add_number(rows, 13, 8);
    add_number(rows, 14, 8);
    add_number(rows, 15, 8);
    add_number(rows, 16, 4);
    return rows;
}

static void add_transaction(PGresult *rows, int64_t version)
{
    const uint8_t id[UUID7_BYTES] = {0x60, (uint8_t)version}, hold_id[UUID7_BYTES] = {0x10};

    add(rows, id, sizeof(id));
    add_text(rows, "V");
    add(rows, hold_id, sizeof(hold_id));
    add_number(rows, 70, 8);
    add_number(rows, 7000, 8);
    add_number(rows, (uint64_t)version, 8);
    add_number(rows, UINT64_C(1764000000000000) - (uint64_t)EPOCH_2000_US, 8);
}

PGresult *rows_page(int64_t floor, int64_t newest, uint32_t transactions)
{
    PGresult *rows = fake_pq_rows(ROWS_PAGE_COLUMNS);
    for (uint32_t i = 0; i < transactions || i == 0; i++) {
        next_column = 0;
        add_number(rows, 1, 4);
        add_number(rows, (uint64_t)floor, 8);
        if (transactions > 0)
            add_transaction(rows, newest - i);
        else
            add_nulls(rows, ROWS_PAGE_COLUMNS - 2);
    }
    return rows;
}

PGresult *rows_probe(const char *region, int32_t schema_version, const char *isolation)
{
    PGresult *rows = fake_pq_rows(13);
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
    for (uint64_t audit = 0; audit < 2; audit++) {
        add_number(rows, ROWS_AUDIT_FINISHED_S + audit, 8);
        add_number(rows, ROWS_AUDIT_BREACHES + audit, 8);
    }
    return rows;
}

const struct pg_rows *rows_of(PGresult *result)
{
    return (const struct pg_rows *)(const void *)result;
}
