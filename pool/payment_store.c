#include "pool/payment_store.h"

#include "core/clock.h"
#include "pool/payment_inflight_private.h"
#include "pool/payment_probe_private.h"
#include "pool/payment_sql_private.h"
#include "pool/pg_array_private.h"

#include <stdlib.h>
#include <string.h>

enum {
    EVALUATE_TRACKS = 2,
    HOLD_TRACKS = 2,
    SINGLE_TRACKS = 2,
};

enum lane_index { LANE_EVALUATE, LANE_HOLD, LANE_SINGLE };
enum { LANES = LANE_SINGLE + 1 };

/* What db_query_duration_seconds tells apart. */
enum query_index { QUERY_EVAL, QUERY_HOLD, QUERY_VOID, QUERY_FIND, QUERY_PROBE };
enum { QUERIES = QUERY_PROBE + 1 };
static const char *const QUERY_NAMES[QUERIES] = {"eval", "hold", "void", "find", "probe"};

struct payment_store {
    struct pg_pool *pool;
    struct pg_lane *lanes[LANES];
    char region[CONFIG_TEXT_MAX];

    struct payment_inflight inflight;
    struct payment_probe probe;
    struct histogram query_time[QUERIES];
};

static struct payment_op *op_of(const struct pg_member *member)
{
    return container_of((struct pg_member *)(uintptr_t)member, struct payment_op, member);
}

/* ---- evaluate ---- */

static struct span region_of(const struct payment_op *op)
{
    return span_of(op->store->region);
}

static void evaluate_encode(struct pg_member *const *members, uint32_t count,
                            struct pg_params *params, struct buf *storage, bool alone)
{
    (void)alone; /* it never waits for a lock, so alone and together are the same */
    const struct payment_command *commands[PG_BATCH_MAX];

    for (uint32_t i = 0; i < count; i++)
        commands[i] = &op_of(members[i])->command;
    payment_sql_encode_evaluate(commands, count, region_of(op_of(members[0])), params, storage);
}

static void evaluate_decode(struct pg_member **members, uint32_t count, const struct pg_rows *rows)
{
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

static const struct pg_work WORK_EVALUATE = {
    .name = "eval",
    .read_only = true,
    .encode = evaluate_encode,
    .decode = evaluate_decode,
};

/* ---- hold ---- */

static struct payment_sql_hold hold_of(const struct payment_op *op, uint64_t now_us)
{
    const uint64_t left_us = op->due_us > now_us ? op->due_us - now_us : 0;

    return (struct payment_sql_hold){
        .txn_id = op->txn_id,
        .client_id = op->client_id,
        .key = {op->key, op->key_len},
        .fingerprint = &op->fingerprint,
        .command = &op->command,
        .elapsed_us = (int32_t)(now_us - op->started_us),
        .budget_us = left_us > INT32_MAX ? INT32_MAX : (int32_t)left_us,
    };
}

static void hold_encode(struct pg_member *const *members, uint32_t count, struct pg_params *params,
                        struct buf *storage, bool alone)
{
    struct payment_sql_hold holds[PG_BATCH_MAX];
    const uint64_t now_us = clock_mono_us();

    for (uint32_t i = 0; i < count; i++)
        holds[i] = hold_of(op_of(members[i]), now_us);
    payment_sql_encode_hold(holds, count, alone, region_of(op_of(members[0])), params, storage);
}

static void hold_decode(struct pg_member **members, uint32_t count, const struct pg_rows *rows)
{
    for (uint32_t row = 0; row < pg_rows_count(rows); row++) {
        uint32_t n;
        bool busy;
        if (!payment_sql_row_number(rows, row, count, &n) || members[n] == NULL)
            continue;
        if (payment_sql_decode_hold(rows, row, &op_of(members[n])->decision, &busy))
            members[n]->verdict = busy ? PG_VERDICT_BUSY : PG_VERDICT_DONE;
    }
}

/* Two holds of one wallet cannot share a statement: the second must see what the first left. Keys
 * differ by construction: a (client, key) in flight is refused at submit. */
static bool hold_compatible(const struct pg_member *a, const struct pg_member *b)
{
    return a->shard != b->shard;
}

static const struct pg_work WORK_HOLD = {
    .name = "hold",
    .encode = hold_encode,
    .decode = hold_decode,
    .compatible = hold_compatible,
};

/* ---- find and void ---- */

static void find_encode(struct pg_member *const *members, uint32_t count, struct pg_params *params,
                        struct buf *storage, bool alone)
{
    (void)alone;
    CHECK(count == 1);
    const struct payment_op *op = op_of(members[0]);
    payment_sql_encode_find(&op->txn_id, op->client_id, params, storage);
}

static void find_decode(struct pg_member **members, uint32_t count, const struct pg_rows *rows)
{
    CHECK(count == 1);
    if (members[0] == NULL)
        return;
    struct payment_op *op = op_of(members[0]);
    op->found = pg_rows_count(rows) == 1;
    if (!op->found || payment_sql_decode_find(rows, &op->decision, &op->voided))
        members[0]->verdict = PG_VERDICT_DONE;
}

static const struct pg_work WORK_FIND = {
    .name = "find",
    .read_only = true,
    .encode = find_encode,
    .decode = find_decode,
};

static void void_encode(struct pg_member *const *members, uint32_t count, struct pg_params *params,
                        struct buf *storage, bool alone)
{
    (void)alone;
    CHECK(count == 1);
    const struct payment_op *op = op_of(members[0]);
    payment_sql_encode_void(&op->txn_id, &op->pending_id, op->client_id, params, storage);
}

static void void_decode(struct pg_member **members, uint32_t count, const struct pg_rows *rows)
{
    CHECK(count == 1);
    if (members[0] == NULL)
        return;
    struct payment_op *op = op_of(members[0]);
    if (payment_sql_decode_void(rows, &op->void_result, &op->void_balance_minor))
        members[0]->verdict = PG_VERDICT_DONE;
}

static const struct pg_work WORK_VOID = {
    .name = "void",
    .encode = void_encode,
    .decode = void_decode,
};

/* ---- the store ---- */

static enum err lanes_create(struct payment_store *store, const struct config *config)
{
    const uint32_t queue_wait_us = config->queue_wait_max_ms * CLOCK_US_PER_MS;
    const struct pg_lane_config single = {.name = "single",
                                          .tracks = SINGLE_TRACKS,
                                          .batch_max = 1,
                                          .alone = true,
                                          .queue_max = config->lane_queue_max,
                                          .queue_wait_max_us = queue_wait_us};
    enum err err = pg_lane_create(&store->lanes[LANE_SINGLE], store->pool, &single);
    if (err != ERR_OK)
        return err;

    const struct pg_lane_config evaluate = {.name = "evaluate",
                                            .tracks = EVALUATE_TRACKS,
                                            .batch_max = (uint8_t)config->lane_batch_max,
                                            .queue_max = config->lane_queue_max,
                                            .queue_wait_max_us = queue_wait_us,
                                            .retry = store->lanes[LANE_SINGLE]};
    err = pg_lane_create(&store->lanes[LANE_EVALUATE], store->pool, &evaluate);
    if (err != ERR_OK)
        return err;

    struct pg_lane_config hold = evaluate;
    hold.name = "hold";
    hold.tracks = HOLD_TRACKS;
    hold.sharded = true;
    return pg_lane_create(&store->lanes[LANE_HOLD], store->pool, &hold);
}

enum err payment_store_create(struct payment_store **store, struct pg_pool *pool,
                              const struct config *config, uint32_t op_max)
{
    struct payment_store *made = calloc(1, sizeof(*made));

    if (made == NULL)
        return ERR_SYSTEM;
    made->pool = pool;
    memcpy(made->region, config->region, sizeof(made->region));
    if (!payment_inflight_create(&made->inflight, op_max) || lanes_create(made, config) != ERR_OK) {
        payment_store_destroy(made);
        return ERR_SYSTEM;
    }
    payment_probe_start(&made->probe, pool, made->lanes[LANE_SINGLE], config,
                        &made->query_time[QUERY_PROBE]);
    *store = made;
    return ERR_OK;
}

void payment_store_destroy(struct payment_store *store)
{
    if (store == NULL)
        return;
    payment_probe_stop(&store->probe);
    for (uint32_t i = 0; i < LANES; i++)
        pg_lane_destroy(store->lanes[i]);
    payment_inflight_destroy(&store->inflight);
    free(store);
}

const struct pg_statement *payment_store_statements(uint8_t *count)
{
    *count = PAYMENT_SQL_STATEMENTS;
    return PAYMENT_SQL;
}

static enum query_index query_of_kind(enum payment_op_kind kind)
{
    switch (kind) {
    case PAYMENT_OP_EVALUATE:
        return QUERY_EVAL;
    case PAYMENT_OP_HOLD:
        return QUERY_HOLD;
    case PAYMENT_OP_FIND:
        return QUERY_FIND;
    case PAYMENT_OP_VOID:
        return QUERY_VOID;
    }
    UNREACHABLE();
}

/* Hands over what the lane measured. */
static void tell_times(struct payment_op *op, const struct pg_member *member)
{
    if (member->queued_us != 0 && member->sent_us >= member->queued_us)
        op->queue_us = (uint32_t)(member->sent_us - member->queued_us);
    if (member->sent_us != 0 && member->answered_us >= member->sent_us)
        op->db_us = (uint32_t)(member->answered_us - member->sent_us);
    memcpy(op->sqlstate, member->sqlstate, sizeof(op->sqlstate));
}

static void op_on_done(struct pg_member *member, enum pg_outcome outcome)
{
    struct payment_op *op = op_of(member);
    struct payment_store *store = op->store;

    tell_times(op, member);
    payment_inflight_release(&store->inflight, op);
    if (member->sent_us != 0)
        histogram_record(&store->query_time[query_of_kind(op->kind)],
                         member->answered_us - member->sent_us);
    op->on_done(op, outcome);
}

static struct pg_lane *lane_of(const struct payment_store *store, enum payment_op_kind kind)
{
    switch (kind) {
    case PAYMENT_OP_EVALUATE:
        return store->lanes[LANE_EVALUATE];
    case PAYMENT_OP_HOLD:
        return store->lanes[LANE_HOLD];
    case PAYMENT_OP_FIND:
    case PAYMENT_OP_VOID:
        return store->lanes[LANE_SINGLE];
    }
    UNREACHABLE();
}

static const struct pg_work *work_of(enum payment_op_kind kind)
{
    switch (kind) {
    case PAYMENT_OP_EVALUATE:
        return &WORK_EVALUATE;
    case PAYMENT_OP_HOLD:
        return &WORK_HOLD;
    case PAYMENT_OP_FIND:
        return &WORK_FIND;
    case PAYMENT_OP_VOID:
        return &WORK_VOID;
    }
    UNREACHABLE();
}

enum err payment_store_submit(struct payment_store *store, struct payment_op *op)
{
    CHECK(!list_node_linked(&op->key_node));

    op->store = store;
    op->member.work = work_of(op->kind);
    op->member.shard = (uint64_t)op->command.wallet_id;
    op->member.due_us = op->due_us;
    op->member.on_done = op_on_done;
    op->member.state = PG_MEMBER_NEW;

    if (op->kind == PAYMENT_OP_HOLD && !payment_inflight_claim(&store->inflight, op))
        return ERR_CONFLICT;
    const enum err err = pg_lane_submit(lane_of(store, op->kind), &op->member);
    if (err != ERR_OK)
        payment_inflight_release(&store->inflight, op);
    return err;
}

bool payment_store_cancel(struct payment_store *store, struct payment_op *op)
{
    if (!pg_lane_cancel(lane_of(store, op->kind), &op->member))
        return false;
    payment_inflight_release(&store->inflight, op);
    return true;
}

const struct payment_store_health *payment_store_health(struct payment_store *store)
{
    return payment_probe_health(&store->probe);
}

bool payment_store_ready(struct payment_store *store)
{
    const struct payment_store_health *health = payment_store_health(store);

    return health->database_ok && health->schema_ok && health->region_ok && health->isolation_ok &&
           health->pool_ready;
}

bool payment_store_quiet(const struct payment_store *store)
{
    for (uint32_t i = 0; i < LANES; i++)
        if (!pg_lane_quiet(store->lanes[i]))
            return false;
    return true;
}

uint32_t payment_store_lane_count(void)
{
    return LANES;
}

const struct pg_lane *payment_store_lane(const struct payment_store *store, uint32_t index)
{
    CHECK(index < LANES);
    return store->lanes[index];
}

const struct histogram *payment_store_query_time(const struct payment_store *store, uint32_t index,
                                                 const char **name)
{
    if (index >= QUERIES)
        return NULL;
    *name = QUERY_NAMES[index];
    return &store->query_time[index];
}
