/* Part of pg_lane (see pg_lane_private.h): a track and its statement in flight: cut, sent,
 * answered, overdue. */
#include "pool/pg_lane_private.h"

#include <string.h>

enum { EWMA_SHIFT = 3 }; /* alpha = 1/8 */

static void track_clear_member(struct pg_track *track, const struct pg_member *member)
{
    CHECK(member->batch_index < track->count);
    CHECK(track->members[member->batch_index] == member);
    track->members[member->batch_index] = NULL;
    CHECK(track->lane->in_flight > 0);
    track->lane->in_flight--;
}

static bool fits_batch(const struct pg_track *track, const struct pg_member *member)
{
    if (track->count == 0)
        return true;
    if (member->work != track->members[0]->work)
        return false;
    if (member->work->compatible == NULL)
        return true;
    for (uint8_t i = 0; i < track->count; i++)
        if (!member->work->compatible(track->members[i], member))
            return false;
    return true;
}

/* Moves what fits from the line into the track. Members past their deadline go to *expired; those
 * that may not share this batch keep their place. */
static void track_cut(struct pg_track *track, struct list *expired)
{
    struct pg_lane *lane = track->lane;
    struct list *queue = pg_queue_of_track(track);
    const uint64_t now_us = reactor_now_us(lane->reactor);
    struct list_node *next;

    track->count = 0;
    for (struct list_node *node = list_first(queue);
         node != NULL && track->count < lane->config.batch_max; node = next) {
        next = list_next(queue, node);
        struct pg_member *member = pg_member_of(node);
        if (now_us >= member->due_us) {
            pg_queue_leave_unsent(member, expired);
        } else if (fits_batch(track, member)) {
            pg_queue_leave(member);
            member->batch_index = track->count;
            track->members[track->count++] = member;
        }
    }
}

static void track_uncut(struct pg_track *track)
{
    struct list *queue = pg_queue_of_track(track);

    while (track->count > 0) {
        struct pg_member *member = track->members[--track->count];
        list_push_front(queue, &member->node);
        track->lane->waiting++;
    }
}

static void track_arm_due(struct pg_track *track)
{
    uint64_t due_us = UINT64_MAX;

    for (uint8_t i = 0; i < track->count; i++)
        if (track->members[i] != NULL && track->members[i]->due_us < due_us)
            due_us = track->members[i]->due_us;
    if (due_us == UINT64_MAX)
        reactor_timer_clear(track->lane->reactor, &track->due_timer);
    else
        reactor_timer_set(track->lane->reactor, &track->due_timer, due_us);
}

static void track_mark_sent(struct pg_track *track)
{
    struct pg_lane *lane = track->lane;
    const uint64_t now_us = reactor_now_us(lane->reactor);

    track->in_flight = true;
    track->sent_us = now_us;
    lane->in_flight += track->count;
    lane->stats.batches_total++;
    lane->stats.members_sent_total += track->count;
    for (uint8_t i = 0; i < track->count; i++) {
        struct pg_member *member = track->members[i];
        member->state = PG_MEMBER_SENT;
        member->sent_us = now_us;
        histogram_record(&lane->stats.wait_time, now_us - member->queued_us);
    }
    track_arm_due(track);
}

void pg_track_dispatch(struct pg_track *track, struct list *expired)
{
    struct pg_lane *lane = track->lane;
    struct pg_params params = {0};
    struct buf storage;

    if (track->in_flight || list_first(pg_queue_of_track(track)) == NULL ||
        pg_pool_count(lane->pool, PG_CONN_IDLE) == 0)
        return;
    track_cut(track, expired);
    if (track->count == 0)
        return;

    buf_init(&storage, lane->storage, lane->storage_bytes);
    track->members[0]->work->encode(track->members, track->count, &params, &storage,
                                    lane->config.alone);
    CHECK(!storage.overflow);
    if (pg_pool_send(lane->pool, &params, &track->query) == ERR_OK)
        track_mark_sent(track);
    else
        track_uncut(track); /* the listener tells when to try again, or that the pool is down */
}

static void lane_measure(struct pg_lane *lane, uint64_t service_us)
{
    histogram_record(&lane->stats.service_time, service_us);
    if (lane->service_ewma_us == 0)
        lane->service_ewma_us = service_us;
    else
        lane->service_ewma_us = lane->service_ewma_us - (lane->service_ewma_us >> EWMA_SHIFT) +
                                (service_us >> EWMA_SHIFT);
}

static void end_members(struct pg_lane *lane, struct pg_member **members, uint8_t count,
                        const struct pg_answer *answer)
{
    for (uint8_t i = 0; i < count; i++) {
        struct pg_member *member = members[i];
        if (member == NULL) {
            lane->stats.late_answers_total++;
            continue;
        }
        memcpy(member->sqlstate, answer->sqlstate, sizeof(member->sqlstate));
        pg_member_answer(member, answer->kind);
    }
}

static void track_on_answer(struct pg_query *query, const struct pg_answer *answer)
{
    struct pg_track *track = container_of(query, struct pg_track, query);
    struct pg_lane *lane = track->lane;
    struct pg_member *members[PG_BATCH_MAX];
    const uint8_t count = track->count;
    struct list expired;

    CHECK(track->in_flight);
    memcpy(members, track->members, sizeof(members[0]) * count);
    for (uint8_t i = 0; i < count; i++)
        if (members[i] != NULL)
            track_clear_member(track, members[i]);
    track->in_flight = false;
    track->count = 0;
    reactor_timer_clear(lane->reactor, &track->due_timer);
    lane_measure(lane, reactor_now_us(lane->reactor) - track->sent_us);

    /* The next batch goes on the wire before this one's answers are formatted: the database works
     * while we write. */
    list_init(&expired);
    pg_track_dispatch(track, &expired);

    if (answer->kind == PG_ANSWER_ROWS) {
        const struct pg_work *work = NULL;
        for (uint8_t i = 0; i < count && work == NULL; i++)
            work = members[i] != NULL ? members[i]->work : NULL;
        if (work != NULL)
            work->decode(members, count, answer->rows);
    }
    end_members(lane, members, count, answer);
    pg_queue_end(&expired, PG_EXPIRED);
}

/* Answers the members whose time is over; the statement itself goes on and its connection stays
 * busy. */
static void track_on_due(struct reactor_timer *timer)
{
    struct pg_track *track = container_of(timer, struct pg_track, due_timer);
    struct pg_lane *lane = track->lane;
    const uint64_t now_us = reactor_now_us(lane->reactor);
    struct list ended;

    CHECK(track->in_flight);
    list_init(&ended);
    for (uint8_t i = 0; i < track->count; i++) {
        struct pg_member *member = track->members[i];
        if (member == NULL || member->due_us > now_us)
            continue;
        track_clear_member(track, member);
        list_push_back(&ended, &member->node);
    }
    track_arm_due(track);

    for (struct list_node *node; (node = list_pop_front(&ended)) != NULL;) {
        struct pg_member *member = pg_member_of(node);
        pg_member_done(member, member->work->read_only ? PG_TIMED_OUT : PG_UNKNOWN);
    }
}

void pg_track_init(struct pg_track *track, struct pg_lane *lane)
{
    track->lane = lane;
    track->query.on_answer = track_on_answer;
    track->due_timer.on_due = track_on_due;
    list_init(&track->queue);
}
