#include "pool/payment_expiry_private.h"

#include "core/clock.h"
#include "core/log.h"
#include "pool/payment_row_private.h"
#include "pool/payment_sql_private.h"

#include <string.h>

enum {
    BATCH_FIRST = 16,
    /* A statement that takes more than its limit by so much is cut, one within so much grows. */
    LONG_PART = 2,
    SHORT_PART = 4,
    PERCENT = 100,
    /* Intervals, at most, between two sweeps that find nothing they could do. */
    PAUSE_INTERVALS_MAX = 16,
};

/* Far behind every other limit: the lane's wait, the statement's time, the connection's. */
static const uint64_t DUE_US = UINT64_C(10) * CLOCK_US_PER_S;

static struct payment_expiry *expiry_of(const struct pg_member *member)
{
    return container_of((struct pg_member *)(uintptr_t)member, struct payment_expiry, member);
}

/* ---- the statement ---- */

static void expire_encode(struct pg_member *const *members, uint32_t count,
                          struct pg_params *params, struct buf *storage)
{
    CHECK(count == 1);
    struct payment_expiry *expiry = expiry_of(members[0]);
    struct pg_array array;

    params->statement = PAYMENT_SQL_EXPIRE_BATCH;
    expiry->asked = expiry->batch;
    pg_array_begin(&array, params, storage, PG_OID_UUID, expiry->asked);
    for (uint32_t i = 0; i < expiry->asked; i++) {
        const struct uuid7 id = uuid7_next(&expiry->ids);
        pg_array_add_bytes(&array, uuid7_span(&id));
    }
    pg_array_end(&array);
    pg_param_int8(params, storage, expiry->at_expires_at);
    pg_param_bytes(params, storage, uuid7_span(&expiry->at_txn_id));
    pg_param_int8(params, storage, expiry->passed_over);
    pg_param_bytes(params, storage, expiry->region);
}

/* The counts, which cannot be more than was asked for. */
static bool decode_counts(const struct pg_rows *rows, uint32_t asked,
                          struct payment_expiry_answer *answer)
{
    return pg_row_int8(rows, 0, 0, &answer->looked) && pg_row_int8(rows, 0, 1, &answer->released) &&
           pg_row_int8(rows, 0, 2, &answer->cleared) && answer->looked >= 0 &&
           answer->looked <= (int64_t)asked && answer->released >= 0 && answer->cleared >= 0 &&
           answer->released + answer->cleared <= answer->looked;
}

static bool decode_answer(const struct pg_rows *rows, uint32_t asked,
                          struct payment_expiry_answer *answer)
{
    *answer = (struct payment_expiry_answer){0};
    if (pg_rows_count(rows) != 1 || !decode_counts(rows, asked, answer))
        return false;
    answer->has_left = pg_row_int8(rows, 0, 6, &answer->left_overdue_us);
    return answer->looked == 0 || (pg_row_int8(rows, 0, 3, &answer->last_expires_at) &&
                                   payment_row_uuid(rows, 0, 4, &answer->last_txn_id) &&
                                   pg_row_int8(rows, 0, 5, &answer->last_overdue_us));
}

static void expire_decode(struct pg_member **members, uint32_t count, const struct pg_rows *rows)
{
    CHECK(count == 1);
    if (members[0] == NULL)
        return;
    struct payment_expiry *expiry = expiry_of(members[0]);
    if (payment_sql_is_elsewhere(rows))
        members[0]->verdict = PG_VERDICT_ELSEWHERE;
    else if (decode_answer(rows, expiry->asked, &expiry->answer))
        members[0]->verdict = PG_VERDICT_DONE;
}

const struct pg_work PAYMENT_WORK_EXPIRE = {
    .name = "expire",
    .member_bytes_max = PG_ARRAY_HEADER_BYTES +
                        PAYMENT_EXPIRY_BATCH_MAX * (PG_ARRAY_ELEMENT_BYTES + UUID7_BYTES) +
                        2 * (int)sizeof(int64_t) + UUID7_BYTES + PAYMENT_SQL_REGION_MAX,
    .encode = expire_encode,
    .decode = expire_decode,
};

/* ---- the sweep ---- */

static void wait_until_us(struct payment_expiry *expiry, enum payment_expiry_state state,
                          uint64_t due_us)
{
    expiry->state = state;
    reactor_timer_set(expiry->reactor, &expiry->timer, due_us);
}

static void rest(struct payment_expiry *expiry, uint64_t pause_us)
{
    wait_until_us(expiry, PAYMENT_EXPIRY_RESTING, reactor_now_us(expiry->reactor) + pause_us);
}

/* Its next turn: the time used so far is then no more than the share of all connections' time. */
static void pace(struct payment_expiry *expiry)
{
    const uint64_t share = (uint64_t)expiry->share_percent * pg_pool_usable(expiry->pool);
    const struct pg_member *member = &expiry->member;
    const uint64_t took_us = member->answered_us - member->sent_us;

    wait_until_us(expiry, PAYMENT_EXPIRY_PACING,
                  member->sent_us + took_us * PERCENT / (share > 0 ? share : 1));
}

static void sweep_from_the_start(struct payment_expiry *expiry)
{
    expiry->at_expires_at = INT64_MIN; /* -infinity */
    expiry->at_txn_id = (struct uuid7){0};
    expiry->passed_over = 0;
    expiry->is_sweeping = false;
    expiry->sweep = (struct payment_expiry_sweep){0};
}

static void sweep_tell(const struct payment_expiry_sweep *sweep)
{
    if (sweep->released + sweep->cleared > 0)
        log_info("holds_expired", LOG_U64("released", sweep->released),
                 LOG_U64("cleared", sweep->cleared), LOG_U64("left", sweep->left));
}

/* Looking again and again at what is not to be had would be for nothing: the pause grows. */
static uint64_t pause_after(const struct payment_expiry *expiry)
{
    const struct payment_expiry_sweep *sweep = &expiry->sweep;
    const uint64_t longest_us = expiry->interval_us * PAUSE_INTERVALS_MAX;

    if (sweep->left == 0 || sweep->released + sweep->cleared > 0)
        return expiry->interval_us;
    return expiry->pause_us < longest_us / 2 ? expiry->pause_us * 2 : longest_us;
}

static void sweep_is_over(struct payment_expiry *expiry)
{
    sweep_tell(&expiry->sweep);
    expiry->pause_us = pause_after(expiry);
    expiry->stats.left = expiry->sweep.left;
    expiry->last_sweep = expiry->sweep;
    sweep_from_the_start(expiry);
    rest(expiry, expiry->pause_us);
}

static void sweep_count(struct payment_expiry *expiry)
{
    const struct payment_expiry_answer *answer = &expiry->answer;
    const uint64_t left = (uint64_t)(answer->looked - answer->released - answer->cleared);
    const int64_t now_us = (int64_t)expiry->member.answered_us;
    struct payment_expiry_sweep *sweep = &expiry->sweep;

    sweep->released += (uint64_t)answer->released;
    sweep->cleared += (uint64_t)answer->cleared;
    sweep->left += left;
    expiry->stats.released_total += (uint64_t)answer->released;
    expiry->stats.cleared_total += (uint64_t)answer->cleared;
    expiry->stats.left_total += left;
    if (answer->has_left && !sweep->has_left) { /* the first is the oldest */
        sweep->has_left = true;
        sweep->left_since_us = now_us - answer->left_overdue_us;
    }
}

/* So that no wallet is kept for long: a statement that takes its time looks at fewer holds. */
static void fit_batch(struct payment_expiry *expiry, uint64_t took_us)
{
    if (took_us > expiry->statement_timeout_us / LONG_PART)
        expiry->batch = expiry->batch > 1 ? expiry->batch / 2 : 1;
    else if (took_us < expiry->statement_timeout_us / SHORT_PART)
        expiry->batch = expiry->batch < PAYMENT_EXPIRY_BATCH_MAX / 2 ? expiry->batch * 2
                                                                     : PAYMENT_EXPIRY_BATCH_MAX;
}

static void on_answered(struct payment_expiry *expiry)
{
    const struct payment_expiry_answer *answer = &expiry->answer;
    const struct pg_member *member = &expiry->member;

    sweep_count(expiry);
    fit_batch(expiry, member->answered_us - member->sent_us);
    if (expiry->state == PAYMENT_EXPIRY_STOPPED) {
        sweep_tell(&expiry->sweep);
    } else if (answer->looked < (int64_t)expiry->asked) {
        sweep_is_over(expiry);
    } else {
        expiry->at_expires_at = answer->last_expires_at;
        expiry->at_txn_id = answer->last_txn_id;
        expiry->at_since_us = (int64_t)member->answered_us - answer->last_overdue_us;
        expiry->passed_over = 0;
        expiry->is_sweeping = true;
        pace(expiry);
    }
}

/* Nothing moved. One of these holds may be at fault, so it is looked for by halves, and passed over
 * once it is alone. */
static void on_failed(struct payment_expiry *expiry)
{
    expiry->stats.failed_total++;
    if (expiry->asked > 1) {
        expiry->batch = expiry->asked / 2;
    } else {
        if (!expiry->sweep.has_failed)
            log_warn("expiry_failed", LOG_TEXT("sqlstate", expiry->member.sqlstate));
        expiry->sweep.has_failed = true;
        expiry->passed_over++;
        expiry->sweep.left++;
        expiry->stats.left_total++;
    }
    if (expiry->state != PAYMENT_EXPIRY_STOPPED)
        pace(expiry);
}

/* Not asked, or asked and lost: whatever was done is found done the next time. */
static void on_unanswered(struct payment_expiry *expiry)
{
    if (expiry->state != PAYMENT_EXPIRY_STOPPED)
        rest(expiry, expiry->interval_us);
}

static void expiry_on_done(struct pg_member *member, enum pg_outcome outcome)
{
    struct payment_expiry *expiry = expiry_of(member);

    if (member->sent_us != 0)
        histogram_record(expiry->query_time, member->answered_us - member->sent_us);
    switch (outcome) {
    case PG_DONE:
        on_answered(expiry);
        return;
    case PG_TIMED_OUT:
    case PG_LOCKED:
    case PG_FAILED:
        on_failed(expiry);
        return;
    case PG_ELSEWHERE:
        payment_probe_doubt(expiry->probe);
        break;
    case PG_UNKNOWN:
        expiry->stats.failed_total++;
        break;
    case PG_EXPIRED:
    case PG_UNAVAILABLE:
    case PG_BUSY:
    case PG_POISONED:
        break;
    }
    on_unanswered(expiry);
}

static void expiry_on_due(struct reactor_timer *timer)
{
    struct payment_expiry *expiry = container_of(timer, struct payment_expiry, timer);
    struct pg_member *member = &expiry->member;

    member->due_us = reactor_now_us(expiry->reactor) + DUE_US;
    if (payment_probe_admit(expiry->probe) == ERR_OK &&
        pg_lane_submit(expiry->lane, member) == ERR_OK)
        expiry->state = PAYMENT_EXPIRY_ASKING;
    else
        rest(expiry, expiry->interval_us);
}

/* ---- its life ---- */

void payment_expiry_start(struct payment_expiry *expiry, struct pg_pool *pool, struct pg_lane *lane,
                          struct payment_probe *probe, const struct config *config,
                          struct histogram *query_time)
{
    *expiry = (struct payment_expiry){
        .pool = pool,
        .lane = lane,
        .probe = probe,
        .reactor = pg_pool_reactor(pool),
        .query_time = query_time,
        .region = span_of(config->region),
        .share_percent = config->expiry_share_percent,
        .interval_us = (uint64_t)config->expiry_interval_ms * CLOCK_US_PER_MS,
        .statement_timeout_us = (uint64_t)config->statement_timeout_ms * CLOCK_US_PER_MS,
        .timer = {.on_due = expiry_on_due},
        .member = {.work = &PAYMENT_WORK_EXPIRE, .on_done = expiry_on_done},
        .batch = BATCH_FIRST,
    };
    expiry->pause_us = expiry->interval_us;
    sweep_from_the_start(expiry);
    if (expiry->share_percent > 0)
        rest(expiry, expiry->interval_us);
}

void payment_expiry_stop(struct payment_expiry *expiry)
{
    const enum payment_expiry_state state = expiry->state;

    if (state == PAYMENT_EXPIRY_STOPPED)
        return;
    expiry->state = PAYMENT_EXPIRY_STOPPED;
    reactor_timer_clear(expiry->reactor, &expiry->timer);
    if (state != PAYMENT_EXPIRY_ASKING || pg_lane_cancel(&expiry->member))
        sweep_tell(&expiry->sweep);
}

struct payment_expiry_stats payment_expiry_stats(const struct payment_expiry *expiry)
{
    const struct payment_expiry_sweep *sweep =
        expiry->is_sweeping ? &expiry->sweep : &expiry->last_sweep;
    const int64_t now_us = (int64_t)reactor_now_us(expiry->reactor);
    struct payment_expiry_stats stats = expiry->stats;
    int64_t since_us = sweep->has_left ? sweep->left_since_us : now_us;

    if (expiry->is_sweeping && expiry->at_since_us < since_us)
        since_us = expiry->at_since_us;
    if (since_us < now_us)
        stats.overdue_us = (uint64_t)(now_us - since_us);
    return stats;
}
