/* What becomes of members of a lane (pg_lane) whose statement failed or was lost. */
#include "pool/pg_lane_private.h"

#include <string.h>

/* Whom an error speaks of. */
enum blame {
    BLAME_SESSION, /* the connection, the plan, the server: not what was asked */
    BLAME_LOCK,    /* a row or key of one member is held by another session */
    BLAME_TIME,    /* one member takes longer than all may */
    BLAME_MEMBER,  /* one member's data */
};

static enum blame blame_of(const char *sqlstate)
{
    static const char *const OF_SESSION[] = {"26000", "0A000", "25006", "57P", "40", "53"};

    for (size_t i = 0; i < sizeof(OF_SESSION) / sizeof(OF_SESSION[0]); i++)
        if (strncmp(sqlstate, OF_SESSION[i], strlen(OF_SESSION[i])) == 0)
            return BLAME_SESSION;
    if (strcmp(sqlstate, "55P03") == 0)
        return BLAME_LOCK;
    return strcmp(sqlstate, "57014") == 0 ? BLAME_TIME : BLAME_MEMBER;
}

/* The server did not run it: the plan or the prepared statement was stale on that connection. Every
 * connection may be so (DISCARD ALL, a schema change), and each failure mends the one it met. */
static uint32_t tries_max(const struct pg_lane *lane, const char *sqlstate)
{
    if (strcmp(sqlstate, "26000") == 0 || strcmp(sqlstate, "0A000") == 0)
        return pg_pool_size(lane->pool) + 1;
    return 1;
}

/* With less time left than the failed attempt took an honest answer now is worth more than another
 * try. */
static bool has_time(const struct pg_member *member, uint64_t took_us)
{
    const uint64_t now_us = reactor_now_us(member->lane->reactor);
    return now_us < member->due_us && member->due_us - now_us >= took_us;
}

static void go_again(struct pg_lane *lane, struct pg_member *member, uint32_t bundle)
{
    member->queued_us = reactor_now_us(lane->reactor);
    lane->stats.retries_total++;
    pg_queue_retry(lane, member, bundle);
}

static bool may_retry(const struct pg_lane *lane)
{
    const uint32_t soon = pg_pool_count(lane->pool, PG_CONN_PREPARING);
    return pg_pool_usable(lane->pool) + soon > 0 && pg_lane_waiting(lane) < lane->config.queue_max;
}

/* ---- all together ---- */

/* Those that were not sent again `most` times yet; the others end as `otherwise` says. */
static void again_together(struct pg_track *track, uint64_t took_us, uint32_t most,
                           enum pg_outcome otherwise, struct list *ending)
{
    struct pg_lane *lane = track->lane;
    const uint32_t bundle = ++lane->bundles;
    const bool may = may_retry(lane);

    for (uint32_t i = track->count; i-- > 0;) {
        struct pg_member *member = track->members[i];
        if (member == NULL)
            continue;
        if (may && member->tries < most && has_time(member, took_us)) {
            member->tries++;
            go_again(lane, member, bundle);
        } else {
            pg_queue_end_later(member, otherwise, ending);
        }
    }
}

/* ---- the one at fault ---- */

static struct pg_shard *entry_of(struct pg_lane *lane, const struct pg_member *member)
{
    return member->shard == 0 ? NULL : pg_shard_get(lane->config.shards, member->shard);
}

/* An entry that is not out was only looked up: its facts decide where it is kept. */
static void settle_if_in(struct pg_shard *shard)
{
    if (shard->out == 0)
        pg_shard_settle(shard);
}

static void suspect(struct pg_lane *lane, const struct pg_member *member)
{
    struct pg_shard *shard = entry_of(lane, member);
    if (shard == NULL)
        return;
    pg_shard_suspect(shard);
    settle_if_in(shard);
}

/* The first time it may have been the lock under which a table grows; twice, it is its own key. */
static void failed_by_lock(struct pg_lane *lane, struct pg_member *member, bool again,
                           uint64_t took_us, struct list *ending)
{
    if (!again && may_retry(lane) && has_time(member, took_us))
        go_again(lane, member, ++lane->bundles);
    else
        pg_queue_end_later(member, PG_LOCKED, ending);
}

/* Who waits for a shard that is refused from now on need not find out one by one. */
static void end_waiting(struct pg_shard *shard, struct list *ending)
{
    struct list_node *node;

    while ((node = list_first(&shard->waiting)) != NULL)
        pg_queue_leave_unsent(pg_member_of_shard(node), ending, PG_POISONED);
}

static void failed_alone(struct pg_lane *lane, struct pg_member *member, enum blame blame,
                         uint64_t took_us, struct list *ending)
{
    struct pg_shard *shard = entry_of(lane, member);
    if (shard != NULL) {
        pg_shard_failed_alone(shard, member->sqlstate);
        if (pg_shard_refuses(shard))
            end_waiting(shard, ending);
        settle_if_in(shard);
    }
    if (blame == BLAME_TIME)
        pg_queue_end_later(member, PG_TIMED_OUT, ending);
    else if (may_retry(lane) && has_time(member, took_us) && !member->failed_alone) {
        member->failed_alone = true;
        go_again(lane, member, ++lane->bundles);
    } else
        pg_queue_end_later(member, PG_FAILED, ending);
}

static uint32_t count_here(struct pg_member **members, uint32_t count)
{
    uint32_t here = 0;
    for (uint32_t i = 0; i < count; i++)
        here += members[i] != NULL;
    return here;
}

/* Both halves go again, the first one first. A timeout has used up most members' time; then all of
 * them are suspects, and the next time each goes alone. */
static void halve(struct pg_lane *lane, struct pg_member **members, uint32_t count,
                  enum blame blame, uint64_t took_us, struct list *ending)
{
    const uint32_t here = count_here(members, count);
    const uint32_t first = ++lane->bundles, second = ++lane->bundles;
    const bool may = may_retry(lane);
    uint32_t seen = 0;

    lane->stats.halvings_total++;
    for (uint32_t i = count; i-- > 0;) {
        struct pg_member *member = members[i];
        if (member == NULL)
            continue;
        if (may && has_time(member, took_us)) {
            go_again(lane, member, seen++ < here / 2 ? second : first);
            continue;
        }
        if (blame == BLAME_TIME)
            suspect(lane, member);
        pg_queue_end_later(member, blame == BLAME_MEMBER ? PG_FAILED : PG_TIMED_OUT, ending);
    }
}

static void failed_by_error(struct pg_track *track, const struct pg_answer *answer,
                            uint64_t took_us, struct list *ending)
{
    struct pg_lane *lane = track->lane;
    struct pg_member **members = track->members;
    const uint32_t count = track->count;
    const enum blame blame = blame_of(answer->sqlstate);

    if (blame == BLAME_SESSION) {
        again_together(track, took_us, tries_max(lane, answer->sqlstate), PG_FAILED, ending);
    } else if (count > 1) {
        halve(lane, members, count, blame, took_us, ending);
    } else if (members[0] != NULL && blame == BLAME_LOCK) {
        failed_by_lock(lane, members[0], track->alone, took_us, ending);
    } else if (members[0] != NULL) {
        failed_alone(lane, members[0], blame, took_us, ending);
    }
}

void pg_retry_failed(struct pg_track *track, const struct pg_answer *answer, uint64_t took_us,
                     struct list *ending)
{
    struct pg_member **members = track->members;
    const uint32_t count = track->count;
    bool read_only = false;

    for (uint32_t i = 0; i < count; i++) {
        if (members[i] == NULL)
            continue;
        memcpy(members[i]->sqlstate, answer->sqlstate, sizeof(members[i]->sqlstate));
        read_only = members[i]->work->read_only;
    }
    if (answer->kind == PG_ANSWER_ERROR)
        failed_by_error(track, answer, took_us, ending);
    else if (read_only)
        again_together(track, took_us, 1, PG_UNAVAILABLE, ending);
    else
        again_together(track, took_us, 0, PG_UNKNOWN, ending);
}
