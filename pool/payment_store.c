#include "pool/payment_store.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/secret.h"
#include "pool/payment_expiry_private.h"
#include "pool/payment_hold_wallets_private.h"
#include "pool/payment_inflight_private.h"
#include "pool/payment_probe_private.h"
#include "pool/payment_sql_private.h"
#include "pool/payment_work_private.h"
#include "pool/pg_share.h"

#include <stdlib.h>
#include <string.h>

/* In the order in which they go first between equals. */
enum lane_index { LANE_HOLD, LANE_STEP, LANE_READ, LANE_EVALUATE, LANE_REPORT, LANE_EXPIRE };
enum { LANES = LANE_EXPIRE + 1 };

/* What db_query_duration_seconds tells apart: the kinds, and what nobody asked for. */
enum { QUERY_EXPIRE = PAYMENT_OP_KINDS, QUERY_PROBE, QUERIES };

struct payment_store {
    struct pg_share *share;
    struct pg_shards *wallets;   /* of what writes: one statement at a time for each */
    struct pg_shards *evaluated; /* of what only reads them */
    struct pg_lane *lanes[LANES];
    char region[CONFIG_TEXT_MAX];

    struct payment_inflight inflight;
    struct payment_hold_wallets hold_wallets;
    struct payment_probe probe;
    struct payment_expiry expiry;
    struct payment_read read; /* what the answer under way is written from */
    struct histogram query_time[QUERIES];
};

struct span payment_store_region(const struct payment_store *store)
{
    return span_of(store->region);
}

struct payment_read *payment_store_read(struct payment_store *store)
{
    return &store->read;
}

static struct payment_op *op_of(const struct pg_member *member)
{
    return container_of((struct pg_member *)(uintptr_t)member, struct payment_op, member);
}

/* ---- the kinds ---- */

/* Whether an operation comes with an Idempotency-Key: then one of its (client, key) at a time. */
enum key_use { KEY_NONE, KEY_OPTIONAL, KEY_NEEDED };

/* All that tells one kind of operation from another. */
static const struct payment_kind {
    const char *name; /* the label of db_query_duration_seconds */
    const struct pg_work *work;
    enum lane_index lane;
    bool has_wallet; /* named by the caller */
    bool has_hold;   /* whose wallet may be known */
    enum key_use key;
} KINDS[PAYMENT_OP_KINDS] = {
    [PAYMENT_OP_EVALUATE] = {.name = "eval",
                             .work = &PAYMENT_WORK_EVALUATE,
                             .lane = LANE_EVALUATE,
                             .has_wallet = true},
    [PAYMENT_OP_HOLD] = {.name = "hold",
                         .work = &PAYMENT_WORK_HOLD,
                         .lane = LANE_HOLD,
                         .has_wallet = true,
                         .key = KEY_NEEDED},
    [PAYMENT_OP_CAPTURE] = {.name = "capture",
                            .work = &PAYMENT_WORK_STEP,
                            .lane = LANE_STEP,
                            .has_hold = true,
                            .key = KEY_NEEDED},
    [PAYMENT_OP_VOID] = {.name = "void",
                         .work = &PAYMENT_WORK_STEP,
                         .lane = LANE_STEP,
                         .has_hold = true,
                         .key = KEY_OPTIONAL},
    [PAYMENT_OP_INCREMENT] = {.name = "increment",
                              .work = &PAYMENT_WORK_STEP,
                              .lane = LANE_STEP,
                              .has_hold = true,
                              .key = KEY_NEEDED},
    [PAYMENT_OP_REFUND] = {.name = "refund",
                           .work = &PAYMENT_WORK_STEP,
                           .lane = LANE_STEP,
                           .has_hold = true,
                           .key = KEY_NEEDED},
    [PAYMENT_OP_FIND] = {.name = "find", .work = &PAYMENT_WORK_FIND, .lane = LANE_READ},
    [PAYMENT_OP_FIND_KEY] = {.name = "find_key", .work = &PAYMENT_WORK_FIND_KEY, .lane = LANE_READ},
    [PAYMENT_OP_WALLET] = {.name = "wallet", .work = &PAYMENT_WORK_WALLET, .lane = LANE_REPORT},
    [PAYMENT_OP_TRANSACTIONS] = {.name = "transactions",
                                 .work = &PAYMENT_WORK_TRANSACTIONS,
                                 .lane = LANE_REPORT},
};

static bool claims_key(const struct payment_op *op)
{
    return KINDS[op->kind].key != KEY_NONE && op->has_key;
}

/* ---- the store ---- */

static bool is_among(const struct pg_work *work, const struct pg_work *const *works, uint8_t count)
{
    for (uint8_t i = 0; i < count; i++)
        if (works[i] == work)
            return true;
    return false;
}

static uint8_t works_of_lane(enum lane_index lane, const struct pg_work *works[PAYMENT_OP_KINDS])
{
    uint8_t count = 0;

    for (unsigned kind = 0; kind < PAYMENT_OP_KINDS; kind++)
        if (KINDS[kind].lane == lane && !is_among(KINDS[kind].work, works, count))
            works[count++] = KINDS[kind].work;
    if (lane == LANE_EXPIRE)
        works[count++] = &PAYMENT_WORK_EXPIRE;
    return count;
}

/* Holds and steps before reads, reads before evaluates: who moves money waits least. Reports, which
 * read much, and the release of expired holds take what the others leave. */
static const struct pg_lane_config LANE_CONFIGS[LANES] = {
    [LANE_HOLD] = {.name = "hold", .exclusive = true, .tracks = 2, .weight = 4, .reserved = 1},
    [LANE_STEP] = {.name = "step", .exclusive = true, .tracks = 2, .weight = 4, .reserved = 1},
    [LANE_READ] = {.name = "read", .tracks = 2, .weight = 2, .reserved = 1, .batch_max = 1},
    [LANE_EVALUATE] = {.name = "evaluate", .tracks = 2, .weight = 2, .reserved = 1},
    [LANE_REPORT] = {.name = "report", .tracks = 1, .weight = 1, .batch_max = 1},
    [LANE_EXPIRE] = {.name = "expire", .tracks = 1, .weight = 1, .batch_max = 1},
};

static enum err lane_create(struct payment_store *store, struct pg_pool *pool,
                            enum lane_index index, const struct config *config)
{
    const struct pg_work *works[PAYMENT_OP_KINDS];
    struct pg_lane_config lane = LANE_CONFIGS[index];

    lane.works = works;
    lane.work_count = works_of_lane(index, works);
    lane.share = store->share;
    lane.shards = lane.exclusive ? store->wallets : store->evaluated;
    if (lane.batch_max == 0) /* its members share statements */
        lane.batch_max = (uint8_t)config->lane_batch_max;
    lane.queue_max = config->lane_queue_max;
    lane.shard_max = config->lane_wallet_max;
    lane.queue_wait_max_us = config->queue_wait_max_ms * CLOCK_US_PER_MS;
    lane.lock_wait_max_us = config->lock_timeout_ms * CLOCK_US_PER_MS;
    return pg_lane_create(&store->lanes[index], pool, &lane);
}

/* A wallet's number is no log line's business; its tag lets lines about one wallet be found. */
static void on_poison(void *owner, uint64_t wallet_id, bool poisoned, const char *sqlstate)
{
    uint8_t tag[SECRET_TAG_BYTES];
    char hex[2 * SECRET_TAG_BYTES];
    struct buf text;

    (void)owner;
    secret_tag((struct span){(const char *)&wallet_id, sizeof(wallet_id)}, tag);
    buf_init(&text, hex, sizeof(hex));
    buf_add_hex(&text, tag, sizeof(tag));
    log_audit(poisoned ? "wallet_poisoned" : "wallet_recovered",
              LOG_SPAN("payment.wallet_hmac", buf_span(&text)), LOG_TEXT("sqlstate", sqlstate));
}

static enum err lanes_create(struct payment_store *store, struct pg_pool *pool,
                             const struct config *config, uint32_t op_max)
{
    const struct pg_shards_config shards = {
        .member_max = op_max,
        .poison_hold_us = (uint64_t)config->poison_hold_s * CLOCK_US_PER_S,
        .on_poison = on_poison,
    };
    enum err err = pg_share_create(&store->share, pool);
    if (err == ERR_OK)
        err = pg_shards_create(&store->wallets, pg_pool_reactor(pool), &shards);
    if (err == ERR_OK)
        err = pg_shards_create(&store->evaluated, pg_pool_reactor(pool), &shards);
    for (int lane = 0; err == ERR_OK && lane < LANES; lane++)
        err = lane_create(store, pool, (enum lane_index)lane, config);
    return err;
}

enum err payment_store_create(struct payment_store **store, struct pg_pool *pool,
                              const struct pg_pool_config *database, const struct config *config,
                              uint32_t op_max)
{
    struct payment_store *made = calloc(1, sizeof(*made));

    if (made == NULL)
        return ERR_SYSTEM;
    secret_protect(&made->probe.hash_key, sizeof(made->probe.hash_key));
    memcpy(made->region, config->region, sizeof(made->region));
    enum err err = payment_inflight_create(&made->inflight, op_max) &&
                           payment_hold_wallets_create(&made->hold_wallets)
                       ? ERR_OK
                       : ERR_SYSTEM;
    if (err == ERR_OK)
        err = lanes_create(made, pool, config, op_max);
    if (err == ERR_OK)
        err = payment_probe_start(&made->probe, pool, database, config,
                                  &made->query_time[QUERY_PROBE]);
    if (err != ERR_OK) {
        payment_store_destroy(made);
        return err;
    }
    payment_expiry_start(&made->expiry, pool, made->lanes[LANE_EXPIRE], &made->probe, config,
                         &made->query_time[QUERY_EXPIRE]);
    *store = made;
    return ERR_OK;
}

void payment_store_rest(struct payment_store *store)
{
    payment_expiry_stop(&store->expiry);
}

void payment_store_stop(struct payment_store *store)
{
    payment_expiry_stop(&store->expiry);
    payment_probe_stop(&store->probe);
}

enum pg_reload payment_store_reload(struct payment_store *store, struct buf *why)
{
    struct buf unheard;
    char storage[1];

    buf_init(&unheard, storage, sizeof(storage));
    if (store->probe.connection != NULL) /* the same file, the same finding */
        (void)pg_pool_reload(store->probe.connection, &unheard);
    return pg_pool_reload(store->probe.pool, why);
}

void payment_store_destroy(struct payment_store *store)
{
    if (store == NULL)
        return;
    payment_store_stop(store);
    for (uint32_t i = 0; i < LANES; i++)
        pg_lane_destroy(store->lanes[i]);
    pg_shards_destroy(store->evaluated);
    pg_shards_destroy(store->wallets);
    pg_share_destroy(store->share);
    payment_hold_wallets_destroy(&store->hold_wallets);
    payment_inflight_destroy(&store->inflight);
    secret_wipe(&store->probe.hash_key, sizeof(store->probe.hash_key));
    free(store);
}

const struct pg_statement *payment_store_statements(uint8_t *count)
{
    *count = PAYMENT_SQL_OF_CALLERS;
    return PAYMENT_SQL;
}

/* Tells the caller in its own terms what the lane has noted of the member. One that ended in the
 * line of its second try was queued after it was sent: then the wait is not told. */
static void op_note_how(struct payment_op *op)
{
    const struct pg_member *member = &op->member;

    if (member->sent_us != 0 && member->sent_us >= member->queued_us)
        op->queue_us = (uint32_t)(member->sent_us - member->queued_us);
    if (member->sent_us != 0)
        op->db_us = (uint32_t)(member->answered_us - member->sent_us);
    memcpy(op->sqlstate, member->sqlstate, sizeof(op->sqlstate));
}

/* What an answer tells of a hold's wallet. A key's replay may tell of another hold than was asked
 * for. */
static void note_wallet(struct payment_store *store, const struct payment_op *op)
{
    const struct payment_decision *decision = &op->decision;
    const struct payment_step_decision *step = &op->step_decision;

    if (op->kind == PAYMENT_OP_HOLD && decision->how == PAYMENT_NEW && payment_approved(decision))
        payment_hold_wallets_note(&store->hold_wallets, &decision->txn_id, op->client_id,
                                  decision->command.wallet_id);
    else if (KINDS[op->kind].has_hold && step->how == PAYMENT_STEP_NEW)
        payment_hold_wallets_note(&store->hold_wallets, &step->hold_id, op->client_id,
                                  step->wallet_id);
}

static void op_on_done(struct pg_member *member, enum pg_outcome outcome)
{
    struct payment_op *op = op_of(member);
    struct payment_store *store = op->store;

    payment_inflight_release(&store->inflight, op);
    if (outcome == PG_DONE)
        note_wallet(store, op);
    if (outcome == PG_LOCKED && claims_key(op))
        payment_inflight_note_elsewhere(&store->inflight, op, member->answered_us);
    else if (outcome == PG_LOCKED) /* it has no key: a whole table is locked */
        outcome = PG_TIMED_OUT;
    else if (outcome == PG_ELSEWHERE)
        payment_probe_doubt(&store->probe);
    op_note_how(op);
    if (member->sent_us != 0)
        histogram_record(&store->query_time[op->kind], member->answered_us - member->sent_us);
    op->on_done(op, outcome);
}

/* False: the pair is being worked on, here or in another session. */
static bool claim_key(struct payment_store *store, struct payment_op *op)
{
    const enum payment_pair pair = payment_inflight_pair(&store->inflight, op, clock_mono_us());

    if (pair == PAYMENT_PAIR_BUSY || !payment_inflight_claim(&store->inflight, op))
        return false;
    op->member.alone = pair == PAYMENT_PAIR_ALONE;
    return true;
}

bool payment_store_hash_key(const struct payment_store *store, struct span key,
                            struct secret_mac *hash)
{
    if (!store->probe.has_hash_key)
        return false;
    *hash = secret_mac(&store->probe.hash_key, key);
    return true;
}

/* 0: not known yet. */
static int64_t wallet_of(const struct payment_store *store, const struct payment_op *op)
{
    const struct payment_kind *kind = &KINDS[op->kind];

    if (kind->has_wallet)
        return op->command.wallet_id;
    return kind->has_hold
               ? payment_hold_wallets_find(&store->hold_wallets, &op->step.hold_id, op->client_id)
               : 0;
}

enum err payment_store_submit(struct payment_store *store, struct payment_op *op)
{
    const struct payment_kind *kind = &KINDS[op->kind];

    CHECK(!list_node_linked(&op->key_node));
    CHECK(kind->key != KEY_NEEDED || op->has_key);
    op->store = store;
    op->queue_us = op->db_us = 0;
    op->sqlstate[0] = '\0';
    op->member.work = kind->work;
    op->member.shard = (uint64_t)wallet_of(store, op);
    op->member.due_us = op->due_us;
    op->member.on_done = op_on_done;
    op->member.state = PG_MEMBER_NEW;
    op->member.alone = false;

    enum err err = payment_probe_admit(&store->probe);
    if (err != ERR_OK)
        return err;
    if (claims_key(op) && !claim_key(store, op))
        return ERR_CONFLICT;
    err = pg_lane_submit(store->lanes[kind->lane], &op->member);
    if (err != ERR_OK)
        payment_inflight_release(&store->inflight, op);
    return err;
}

bool payment_store_cancel(struct payment_store *store, struct payment_op *op)
{
    if (!pg_lane_cancel(&op->member))
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
    if (index == QUERY_EXPIRE)
        *name = PAYMENT_WORK_EXPIRE.name;
    else
        *name = index == QUERY_PROBE ? "probe" : KINDS[index].name;
    return &store->query_time[index];
}

const struct pg_shards *payment_store_wallets(const struct payment_store *store)
{
    return store->wallets;
}

const struct pg_shards *payment_store_evaluated_wallets(const struct payment_store *store)
{
    return store->evaluated;
}

const struct payment_expiry *payment_store_expiry(const struct payment_store *store)
{
    return &store->expiry;
}
