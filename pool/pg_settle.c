/* What becomes of members of a lane (pg_lane) whose statement brought rows. */
#include "pool/pg_lane_private.h"

#include "core/log.h"

/* The statement is over and has left this one out. What a write has done stands, though nobody can
 * read it. */
static void end_unread(struct pg_lane *lane, struct pg_member *member, struct list *ending)
{
    log_error("pg_lane_no_answer", LOG_TEXT("lane", lane->config.name),
              LOG_TEXT("work", member->work->name));
    pg_queue_end_later(member, member->work->read_only ? PG_FAILED : PG_UNKNOWN, ending);
}

/* Its row is locked elsewhere and nothing was written: it waits in memory. */
static void wait_for_row(struct pg_lane *lane, struct pg_member *member, struct list *ending)
{
    const uint64_t now_us = reactor_now_us(lane->reactor);

    lane->stats.busy_total++;
    if (member->busy_since_us == 0)
        member->busy_since_us = now_us;
    if (now_us >= member->due_us ||
        now_us - member->busy_since_us >= lane->config.lock_wait_max_us || member->shard == 0)
        pg_queue_end_later(member, PG_BUSY, ending);
    else
        pg_queue_join_again(lane, member);
}

/* Of a shard's members, the last of which is the n-th. One that is done proves nothing where
 * another is BUSY: its answer may have been on record already. */
static enum pg_verdict verdict_of_shard(const struct pg_track *track, uint8_t n)
{
    const struct pg_shard *shard = track->shards[n];
    enum pg_verdict verdict = track->members[n]->verdict;

    for (uint8_t i = n; shard != NULL && i > 0 && track->shards[i - 1] == shard; i--) {
        const struct pg_member *member = track->members[i - 1];
        if (member != NULL && verdict != PG_VERDICT_BUSY && member->verdict != PG_VERDICT_NONE)
            verdict = member->verdict;
    }
    return verdict;
}

/* What the answer tells of the shard of the n-th member and its neighbours before. */
static void note_shard(const struct pg_track *track, uint8_t n)
{
    struct pg_lane *lane = track->lane;
    const struct pg_member *member = track->members[n];
    const enum pg_verdict verdict = verdict_of_shard(track, n);
    struct pg_shard *shard = track->shards[n];

    if (verdict == PG_VERDICT_DONE && shard != NULL)
        pg_shard_succeeded(shard, reactor_now_us(lane->reactor) - track->sent_us);
    if (verdict != PG_VERDICT_BUSY || member->shard == 0)
        return;
    if (shard == NULL)
        shard = pg_shard_get(lane->config.shards, member->shard);
    /* One that is out for others is locked by ourselves; of one that is parked it is no news:
     * others of this answer, which did not know it either, may have told. */
    const bool is_news = shard->out == 0 && shard->parked_until_us <= reactor_now_us(lane->reactor);
    if (shard == member->entry || is_news)
        pg_shard_found_locked(shard, lane->service_ewma_us);
    if (shard->out == 0) /* it may be ready or parked for others: its new pause moves it */
        pg_shard_settle(shard);
}

/* Last to first, so that those whose row was locked keep their order at the head of the line. */
void pg_settle_rows(struct pg_track *track, struct list *ending)
{
    struct pg_lane *lane = track->lane;
    const struct pg_shard *noted = NULL;

    for (uint8_t i = track->count; i-- > 0;) {
        struct pg_member *member = track->members[i];
        if (member == NULL)
            continue;
        if (track->shards[i] == NULL || track->shards[i] != noted)
            note_shard(track, i);
        noted = track->shards[i];
        switch (member->verdict) {
        case PG_VERDICT_DONE:
            pg_queue_end_later(member, PG_DONE, ending);
            break;
        case PG_VERDICT_BUSY:
            wait_for_row(lane, member, ending);
            break;
        case PG_VERDICT_ELSEWHERE:
            pg_queue_end_later(member, PG_ELSEWHERE, ending);
            break;
        case PG_VERDICT_NONE:
            end_unread(lane, member, ending);
            break;
        }
    }
}
