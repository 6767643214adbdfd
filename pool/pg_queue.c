/* Part of pg_lane (see pg_lane_private.h): the line of waiting members: joining, expiry, and what
 * becomes of a member that left its track. */
#include "core/log.h"
#include "pool/pg_lane_private.h"

#include <string.h>

/* Admission promises a wait of at most queue_wait_max by an estimate. A member is ended for waiting
 * only at twice that: ending at the limit itself would throw away those who are about to be sent.
 */
enum { EXPIRES_AFTER_WAITS = 2 };

static struct list *line_of(struct pg_lane *lane, uint64_t shard)
{
    return &lane->tracks[lane->config.sharded ? shard % lane->config.tracks : 0].queue;
}

struct list *pg_queue_of_track(struct pg_track *track)
{
    return track->lane->config.sharded ? &track->queue : &track->lane->tracks[0].queue;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t member_expires_us(const struct pg_lane *lane, const struct pg_member *member)
{
    const uint64_t longest_us = (uint64_t)EXPIRES_AFTER_WAITS * lane->config.queue_wait_max_us;
    return earlier(member->due_us, member->queued_us + longest_us);
}

/* One timer for the whole line: it is set to the earliest expiry seen, and a sweep finds the next.
 */
static void expiry_arm(struct pg_lane *lane, uint64_t expires_us)
{
    if (!reactor_timer_is_set(&lane->expiry_timer) || expires_us < lane->expiry_timer.due_us)
        reactor_timer_set(lane->reactor, &lane->expiry_timer, expires_us);
}

void pg_queue_wait(struct pg_lane *lane, struct pg_member *member)
{
    member->lane = lane;
    member->state = PG_MEMBER_WAITING;
    member->verdict = PG_VERDICT_NONE;
    list_push_back(line_of(lane, member->shard), &member->node);
    lane->waiting++;
    expiry_arm(lane, member_expires_us(lane, member));
}

void pg_queue_leave(struct pg_member *member)
{
    struct pg_lane *lane = member->lane;

    CHECK(member->state == PG_MEMBER_WAITING);
    list_remove(line_of(lane, member->shard), &member->node);
    CHECK(lane->waiting > 0);
    lane->waiting--;
}

void pg_queue_leave_unsent(struct pg_member *member, struct list *ending)
{
    pg_queue_leave(member);
    member->state = PG_MEMBER_ENDING;
    list_push_back(ending, &member->node);
}

void pg_member_done(struct pg_member *member, enum pg_outcome outcome)
{
    struct pg_lane *lane = member->lane;

    CHECK(member->state == PG_MEMBER_ENDING || member->state == PG_MEMBER_SENT);
    member->state = PG_MEMBER_DONE;
    member->lane = NULL;
    member->answered_us = reactor_now_us(lane->reactor);
    if (outcome == PG_EXPIRED)
        lane->stats.expired_total++;
    if (outcome == PG_UNKNOWN)
        lane->stats.unknown_total++;
    member->on_done(member, outcome);
}

void pg_queue_end(struct list *ending, enum pg_outcome outcome)
{
    for (struct list_node *node; (node = list_pop_front(ending)) != NULL;)
        pg_member_done(pg_member_of(node), outcome);
}

/* Owners are told after the line is settled, since they may submit again. */
void pg_queue_sweep(struct pg_lane *lane, bool all, enum pg_outcome outcome)
{
    const uint64_t now_us = reactor_now_us(lane->reactor);
    struct list ending;
    uint64_t next_us = UINT64_MAX;

    list_init(&ending);
    for (uint8_t i = 0; i < lane->config.tracks; i++) {
        struct list *queue = &lane->tracks[i].queue;
        struct list_node *next;
        for (struct list_node *node = list_first(queue); node != NULL; node = next) {
            next = list_next(queue, node);
            struct pg_member *member = pg_member_of(node);
            const uint64_t expires_us = member_expires_us(lane, member);
            if (all || expires_us <= now_us)
                pg_queue_leave_unsent(member, &ending);
            else
                next_us = earlier(next_us, expires_us);
        }
    }
    if (next_us == UINT64_MAX)
        reactor_timer_clear(lane->reactor, &lane->expiry_timer);
    else
        reactor_timer_set(lane->reactor, &lane->expiry_timer, next_us);
    pg_queue_end(&ending, outcome);
}

void pg_queue_on_expiry(struct reactor_timer *timer)
{
    pg_queue_sweep(container_of(timer, struct pg_lane, expiry_timer), false, PG_EXPIRED);
}

/* ---- retry of one ---- */

static bool sqlstate_is(const struct pg_member *member, const char *sqlstate)
{
    return memcmp(member->sqlstate, sqlstate, PG_SQLSTATE_LEN) == 0;
}

/* The server did not run it: the plan or the prepared statement was stale on that connection. */
static bool member_was_not_run(const struct pg_member *member)
{
    return sqlstate_is(member, "26000") || sqlstate_is(member, "0A000");
}

static enum pg_outcome outcome_of_error(const struct pg_member *member)
{
    /* statement_timeout and lock_timeout: the transaction is rolled back, nothing moved. */
    if (sqlstate_is(member, "57014") || sqlstate_is(member, "55P03"))
        return PG_TIMED_OUT;
    return PG_FAILED;
}

/* Puts a member that left its track into the retry lane's line. False: it may not, there is no
 * room, or less time is left than the failed attempt took: then an honest answer now is worth more
 * than a second try. */
static bool member_retry(struct pg_member *member, uint8_t tries_max)
{
    struct pg_lane *lane = member->lane;
    struct pg_lane *retry = lane->config.retry != NULL ? lane->config.retry : lane;
    const uint64_t now_us = reactor_now_us(lane->reactor);

    if (member->tries >= tries_max || now_us >= member->due_us)
        return false;
    if (member->due_us - now_us < now_us - member->sent_us)
        return false;
    if (retry->waiting >= retry->config.queue_max || pg_pool_usable(retry->pool) == 0)
        return false;

    member->tries++;
    member->queued_us = now_us;
    lane->stats.retries_total++;
    pg_queue_wait(retry, member);
    reactor_wake(retry->reactor); /* its hook may have run already in this turn */
    return true;
}

/* Every connection may have lost its statements (DISCARD ALL, a schema change), and each failure
 * mends the one it met. */
static uint8_t tries_not_run_max(const struct pg_lane *lane)
{
    return (uint8_t)(pg_pool_size(lane->pool) + 1);
}

static void member_end_error(struct pg_member *member)
{
    const struct pg_lane *lane = member->lane;
    const uint8_t tries_max = member_was_not_run(member)   ? tries_not_run_max(lane)
                              : lane->config.retry != NULL ? 1
                                                           : 0;

    if (!member_retry(member, tries_max))
        pg_member_done(member, outcome_of_error(member));
}

static void member_end_lost(struct pg_member *member)
{
    if (member->work->read_only && member_retry(member, 1))
        return;
    pg_member_done(member, member->work->read_only ? PG_UNAVAILABLE : PG_UNKNOWN);
}

static void member_end_rows(struct pg_member *member)
{
    switch (member->verdict) {
    case PG_VERDICT_DONE:
        pg_member_done(member, PG_DONE);
        return;
    case PG_VERDICT_BUSY:
        /* Its wallet is locked elsewhere and nothing was written: alone it may wait for the lock.
         */
        if (!member_retry(member, tries_not_run_max(member->lane)))
            pg_member_done(member, PG_EXPIRED);
        return;
    case PG_VERDICT_NONE:
        log_error("pg_lane_no_answer", LOG_TEXT("lane", member->lane->config.name),
                  LOG_TEXT("work", member->work->name));
        pg_member_done(member, PG_FAILED);
        return;
    }
    UNREACHABLE();
}

void pg_member_answer(struct pg_member *member, enum pg_answer_kind kind)
{
    switch (kind) {
    case PG_ANSWER_ROWS:
        member_end_rows(member);
        return;
    case PG_ANSWER_ERROR:
        member_end_error(member);
        return;
    case PG_ANSWER_LOST:
        member_end_lost(member);
        return;
    }
    UNREACHABLE();
}
