/* A lane's line (pg_lane): who waits, for how long, and who goes again. */
#include "pool/pg_lane_private.h"

/* Admission promises a wait of at most queue_wait_max by an estimate. A member is ended for waiting
 * only at twice that: ending at the limit itself would throw away those who are about to be
 * sent. */
enum { EXPIRES_AFTER_WAITS = 2 };

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t member_expires_us(const struct pg_member *member)
{
    const struct pg_lane_config *config = &member->lane->config;

    if (member->busy_since_us != 0)
        return earlier(member->due_us, member->busy_since_us + config->lock_wait_max_us);
    return earlier(member->due_us,
                   member->queued_us + (uint64_t)EXPIRES_AFTER_WAITS * config->queue_wait_max_us);
}

/* One timer for the whole line: it is set to the earliest expiry seen, and a sweep finds the
 * next. */
static void expiry_arm(struct pg_lane *lane, uint64_t expires_us)
{
    if (!reactor_timer_is_set(&lane->expiry_timer) || expires_us < lane->expiry_timer.due_us)
        reactor_timer_set(lane->reactor, &lane->expiry_timer, expires_us);
}

/* Which shard's line a new member joins; NULL: the lane's own. */
static struct pg_shard *shard_for(struct pg_lane *lane, const struct pg_member *member)
{
    if (member->shard == 0)
        return NULL;
    if (lane->config.exclusive)
        return pg_shard_get(lane->config.shards, member->shard);
    if (!pg_shards_has_suspects(lane->config.shards))
        return NULL;
    struct pg_shard *shard = pg_shard_find(lane->config.shards, member->shard);
    return shard != NULL && shard->alone ? shard : NULL;
}

static void wait_in(struct pg_lane *lane, struct pg_member *member, struct pg_shard *shard,
                    bool first)
{
    member->state = PG_MEMBER_WAITING;
    member->verdict = PG_VERDICT_NONE;
    member->entry = shard;
    if (shard == NULL) {
        list_push_back(&lane->line, &member->node);
    } else {
        list_push_back(&lane->in_shards, &member->node);
        if (first)
            list_push_front(&shard->waiting, &member->shard_node);
        else
            list_push_back(&shard->waiting, &member->shard_node);
        pg_shard_settle(shard);
    }
    expiry_arm(lane, member_expires_us(member));
}

/* It shares no statement and has no shard's line to wait in: a bundle of its own behind what goes
 * again. */
static void join_bundles(struct pg_lane *lane, struct pg_member *member)
{
    member->state = PG_MEMBER_RETRYING;
    member->verdict = PG_VERDICT_NONE;
    member->bundle = ++lane->bundles;
    list_push_back(&lane->retrying, &member->node);
    expiry_arm(lane, member->due_us);
}

void pg_queue_join(struct pg_lane *lane, struct pg_member *member)
{
    struct pg_shard *shard = shard_for(lane, member);

    if (member->alone && shard == NULL)
        join_bundles(lane, member);
    else
        wait_in(lane, member, shard, false);
}

void pg_queue_join_again(struct pg_lane *lane, struct pg_member *member)
{
    struct pg_shard *shard = pg_shard_get(lane->config.shards, member->shard);
    CHECK(shard != NULL); /* the book holds more entries than there are members */
    wait_in(lane, member, shard, true);
}

void pg_queue_leave(struct pg_member *member)
{
    struct pg_lane *lane = member->lane;

    if (member->state == PG_MEMBER_RETRYING) {
        list_remove(&lane->retrying, &member->node);
        return;
    }
    CHECK(member->state == PG_MEMBER_WAITING);
    if (member->entry == NULL) {
        list_remove(&lane->line, &member->node);
        return;
    }
    list_remove(&lane->in_shards, &member->node);
    list_remove(&member->entry->waiting, &member->shard_node);
}

void pg_queue_retry(struct pg_lane *lane, struct pg_member *member, uint32_t bundle)
{
    member->state = PG_MEMBER_RETRYING;
    member->verdict = PG_VERDICT_NONE;
    member->bundle = bundle;
    list_push_front(&lane->retrying, &member->node);
    expiry_arm(lane, member->due_us);
}

void pg_queue_rejoin(struct pg_shard *shard)
{
    struct list_node *next;

    for (struct list_node *node = list_first(&shard->waiting); node != NULL; node = next) {
        next = list_next(&shard->waiting, node);
        struct pg_member *member = pg_member_of_shard(node);
        if (member->lane->config.exclusive)
            continue;
        pg_queue_leave(member);
        member->entry = NULL;
        list_push_back(&member->lane->line, &member->node);
    }
}

void pg_shard_member_out(struct pg_shard *shard)
{
    if (shard == NULL)
        return;
    if (shard->out++ == 0)
        shard->sent_us = pg_shards_now_us(shard->book);
}

void pg_shard_member_back(struct pg_shard *shard)
{
    if (shard == NULL)
        return;
    CHECK(shard->out > 0);
    if (--shard->out == 0)
        pg_shard_settle(shard);
}

struct list *pg_lane_ready_list(const struct pg_shard *shard)
{
    const struct pg_member *first = pg_member_of_shard(list_first(&shard->waiting));
    struct pg_lane *lane = first->lane;
    return shard->alone || first->alone ? &lane->ready_alone : &lane->ready;
}

void pg_queue_leave_unsent(struct pg_member *member, struct list *ending, enum pg_outcome outcome)
{
    struct pg_shard *shard = member->entry;
    const bool was_out = member->state == PG_MEMBER_RETRYING;

    pg_queue_leave(member);
    member->entry = NULL;
    member->state = PG_MEMBER_ENDING;
    member->outcome = outcome;
    list_push_back(ending, &member->node);
    if (shard != NULL && was_out)
        pg_shard_member_back(shard);
    else if (shard != NULL)
        pg_shard_settle(shard);
}

void pg_queue_end_later(struct pg_member *member, enum pg_outcome outcome, struct list *ending)
{
    member->state = PG_MEMBER_ENDING;
    member->outcome = outcome;
    list_push_front(ending, &member->node);
}

void pg_queue_end(struct pg_lane *lane, struct list *ending)
{
    for (struct list_node *node; (node = list_pop_front(ending)) != NULL;) {
        struct pg_member *member = pg_member_of(node);
        CHECK(member->state == PG_MEMBER_ENDING);
        member->state = PG_MEMBER_DONE;
        member->answered_us = reactor_now_us(lane->reactor);
        lane->stats.expired_total += member->outcome == PG_EXPIRED;
        lane->stats.unknown_total += member->outcome == PG_UNKNOWN;
        member->on_done(member, member->outcome);
    }
}

enum pg_outcome pg_queue_outcome_of_waiting(const struct pg_member *member)
{
    if (member->state == PG_MEMBER_RETRYING)
        return PG_TIMED_OUT;
    if (member->busy_since_us != 0)
        return PG_BUSY;
    return member->entry != NULL && pg_shard_locked_for_us(member->entry) > 0 ? PG_BUSY
                                                                              : PG_EXPIRED;
}

static uint64_t sweep_list(struct list *list, bool all, enum pg_outcome outcome, uint64_t now_us,
                           struct list *ending)
{
    uint64_t next_us = UINT64_MAX;
    struct list_node *next;

    for (struct list_node *node = list_first(list); node != NULL; node = next) {
        next = list_next(list, node);
        struct pg_member *member = pg_member_of(node);
        const uint64_t expires_us =
            member->state == PG_MEMBER_RETRYING ? member->due_us : member_expires_us(member);
        if (all)
            pg_queue_leave_unsent(member, ending, outcome);
        else if (expires_us <= now_us)
            pg_queue_leave_unsent(member, ending, pg_queue_outcome_of_waiting(member));
        else
            next_us = earlier(next_us, expires_us);
    }
    return next_us;
}

/* Owners are told after the line is settled, since they may submit again. */
void pg_queue_sweep(struct pg_lane *lane, bool all, enum pg_outcome outcome)
{
    const uint64_t now_us = reactor_now_us(lane->reactor);
    struct list ending;

    list_init(&ending);
    uint64_t next_us = sweep_list(&lane->line, all, outcome, now_us, &ending);
    next_us = earlier(next_us, sweep_list(&lane->in_shards, all, outcome, now_us, &ending));
    next_us = earlier(next_us, sweep_list(&lane->retrying, all, outcome, now_us, &ending));
    if (next_us == UINT64_MAX)
        reactor_timer_clear(lane->reactor, &lane->expiry_timer);
    else
        reactor_timer_set(lane->reactor, &lane->expiry_timer, next_us);
    pg_queue_end(lane, &ending);
}

void pg_queue_on_expiry(struct reactor_timer *timer)
{
    pg_queue_sweep(container_of(timer, struct pg_lane, expiry_timer), false, PG_EXPIRED);
}
