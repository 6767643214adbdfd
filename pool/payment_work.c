#include "pool/payment_work_private.h"

#include "core/clock.h"
#include "pool/payment_sql_private.h"
#include "pool/payment_step_sql_private.h"
#include "pool/pg_array_private.h"

static struct payment_op *op_of(const struct pg_member *member)
{
    return container_of((struct pg_member *)(uintptr_t)member, struct payment_op, member);
}

/* True: the database is another region's, it did nothing, and every member is told so. */
static bool was_elsewhere(struct pg_member **members, uint32_t count, const struct pg_rows *rows)
{
    if (!payment_sql_is_elsewhere(rows))
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (members[i] != NULL)
            members[i]->verdict = PG_VERDICT_ELSEWHERE;
    return true;
}

/* ---- evaluate ---- */

static struct span region_of(const struct payment_op *op)
{
    return payment_store_region(op->store);
}

static void evaluate_encode(struct pg_member *const *members, uint32_t count,
                            struct pg_params *params, struct buf *storage)
{
    const struct payment_command *commands[PG_BATCH_MAX];

    for (uint32_t i = 0; i < count; i++)
        commands[i] = &op_of(members[i])->command;
    payment_sql_encode_evaluate(commands, count, region_of(op_of(members[0])), params, storage);
}

static void evaluate_decode(struct pg_member **members, uint32_t count, const struct pg_rows *rows)
{
    if (was_elsewhere(members, count, rows))
        return;
    for (uint32_t row = 0; row < pg_rows_count(rows); row++) {
        uint32_t n;
        if (!payment_sql_row_number(rows, row, count, &n) || members[n] == NULL)
            continue;
        struct payment_op *op = op_of(members[n]);
        if (payment_sql_decode_evaluate(rows, row, &op->decision)) {
            op->decision.command = op->command;
            members[n]->verdict = PG_VERDICT_DONE;
        }
    }
}

const struct pg_work PAYMENT_WORK_EVALUATE = {
    .name = "eval",
    .read_only = true,
    .member_bytes_max = PAYMENT_SQL_EVALUATE_BYTES_MAX,
    .encode = evaluate_encode,
    .decode = evaluate_decode,
};

/* ---- hold ---- */

/* What is left of its time: later than that nothing moves. */
static int32_t budget_of(const struct payment_op *op, uint64_t now_us)
{
    const uint64_t left_us = op->due_us > now_us ? op->due_us - now_us : 0;

    return left_us > INT32_MAX ? INT32_MAX : (int32_t)left_us;
}

static struct payment_sql_hold hold_of(const struct payment_op *op, uint64_t now_us)
{
    return (struct payment_sql_hold){
        .txn_id = op->txn_id,
        .client_id = op->client_id,
        .key_hash = &op->key_hash,
        .fingerprint = &op->fingerprint,
        .command = &op->command,
        .elapsed_us = (int32_t)(now_us - op->started_us),
        .budget_us = budget_of(op, now_us),
    };
}

static void hold_encode(struct pg_member *const *members, uint32_t count, struct pg_params *params,
                        struct buf *storage)
{
    struct payment_sql_hold holds[PG_BATCH_MAX];
    const uint64_t now_us = clock_mono_us();

    for (uint32_t i = 0; i < count; i++)
        holds[i] = hold_of(op_of(members[i]), now_us);
    payment_sql_encode_hold(holds, count, region_of(op_of(members[0])), params, storage);
}

static void hold_decode(struct pg_member **members, uint32_t count, const struct pg_rows *rows)
{
    if (was_elsewhere(members, count, rows))
        return;
    for (uint32_t row = 0; row < pg_rows_count(rows); row++) {
        uint32_t n;
        bool busy;
        if (!payment_sql_row_number(rows, row, count, &n) || members[n] == NULL)
            continue;
        if (payment_sql_decode_hold(rows, row, &op_of(members[n])->decision, &busy))
            members[n]->verdict = busy ? PG_VERDICT_BUSY : PG_VERDICT_DONE;
    }
}

const struct pg_work PAYMENT_WORK_HOLD = {
    .name = "hold",
    .member_bytes_max = PAYMENT_SQL_HOLD_BYTES_MAX,
    .encode = hold_encode,
    .decode = hold_decode,
};

/* ---- steps ---- */

static struct payment_sql_step step_of(const struct payment_op *op, uint64_t now_us)
{
    return (struct payment_sql_step){
        .txn_id = op->txn_id,
        .spare_id = op->spare_id,
        .client_id = op->client_id,
        .key_hash = op->has_key ? &op->key_hash : NULL,
        .fingerprint = &op->fingerprint,
        .step = &op->step,
        .elapsed_us = (int32_t)(now_us - op->started_us),
        .budget_us = budget_of(op, now_us),
    };
}

static void step_encode(struct pg_member *const *members, uint32_t count, struct pg_params *params,
                        struct buf *storage)
{
    struct payment_sql_step steps[PG_BATCH_MAX];
    const uint64_t now_us = clock_mono_us();

    for (uint32_t i = 0; i < count; i++)
        steps[i] = step_of(op_of(members[i]), now_us);
    payment_step_sql_encode(steps, count, region_of(op_of(members[0])), params, storage);
}

static void step_decode(struct pg_member **members, uint32_t count, const struct pg_rows *rows)
{
    if (was_elsewhere(members, count, rows))
        return;
    for (uint32_t row = 0; row < pg_rows_count(rows); row++) {
        uint32_t n;
        bool busy;
        if (!payment_sql_row_number(rows, row, count, &n) || members[n] == NULL)
            continue;
        struct payment_op *op = op_of(members[n]);
        if (!payment_step_sql_decode(rows, row, &op->step_decision, &busy))
            continue;
        if (busy) /* now that the wallet is known, the step waits with its holds */
            members[n]->shard = (uint64_t)op->step_decision.wallet_id;
        members[n]->verdict = busy ? PG_VERDICT_BUSY : PG_VERDICT_DONE;
    }
}

const struct pg_work PAYMENT_WORK_STEP = {
    .name = "step",
    .member_bytes_max = PAYMENT_STEP_SQL_BYTES_MAX,
    .encode = step_encode,
    .decode = step_decode,
};
