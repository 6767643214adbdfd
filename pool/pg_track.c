/* The statements of a lane (pg_lane) in flight: cut, sent, answered. */
#include "pool/pg_lane_private.h"

enum {
    EWMA_SHIFT = 3, /* alpha = 1/8 */
    /* Statements' time before its end in which a locked row is not asked for any more. */
    LAST_ASKED_STATEMENTS = 4,
};

static void measure(uint64_t *ewma_us, uint64_t sample_us)
{
    if (*ewma_us == 0)
        *ewma_us = sample_us;
    else
        *ewma_us = *ewma_us - (*ewma_us >> EWMA_SHIFT) + (sample_us >> EWMA_SHIFT);
}

/* ---- cut ---- */

static bool same_work(const struct pg_track *track, const struct pg_member *member)
{
    return track->count == 0 || member->work == track->members[0]->work;
}

static void take(struct pg_track *track, struct pg_member *member)
{
    struct pg_shard *shard = member->entry;

    if (member->state == PG_MEMBER_WAITING)
        pg_shard_member_out(shard);
    pg_queue_leave(member);
    track->shards[track->count] = shard;
    track->members[track->count++] = member;
}

/* False: its time is over, it is ending. */
static bool is_in_time(const struct pg_member *member)
{
    return reactor_now_us(member->lane->reactor) < member->due_us;
}

/* One whose row was found locked is not asked again shortly before its time is over: nothing has
 * moved, and with the question on its way nobody could say so. */
static bool is_worth_sending(const struct pg_member *member)
{
    const struct pg_lane *lane = member->lane;
    const uint64_t margin_us =
        member->busy_since_us != 0 ? LAST_ASKED_STATEMENTS * lane->service_ewma_us : 0;

    return reactor_now_us(lane->reactor) + margin_us < member->due_us;
}

/* Up to `most` members of one shard, in order of arrival. Those of other lanes are left behind:
 * theirs is the next turn, and a statement is worth more the more it is for. */
static void cut_shard(struct pg_track *track, struct pg_shard *shard, uint32_t most,
                      struct list *expired)
{
    struct pg_lane *lane = track->lane;
    const uint32_t sendable = pg_shard_sendable(shard);
    struct list_node *next;

    most = most < sendable ? most : sendable;
    for (struct list_node *node = list_first(&shard->waiting);
         node != NULL && most > 0 && track->count < lane->config.batch_max; node = next) {
        next = list_next(&shard->waiting, node);
        struct pg_member *member = pg_member_of_shard(node);
        if (member->lane != lane)
            continue;
        if (!same_work(track, member) || (member->alone && track != &lane->retry_track))
            return;
        if (is_worth_sending(member)) {
            take(track, member);
            most--;
        } else {
            pg_queue_leave(member);
            member->entry = NULL;
            member->outcome = pg_queue_outcome_of_waiting(member);
            member->state = PG_MEMBER_ENDING;
            list_push_back(expired, &member->node);
        }
    }
}

/* Every ready shard gets its part, the longest ready first; what room is left goes to those with
 * more. A shard's members are neighbours in the batch. */
static void cut_shards(struct pg_track *track, struct list *expired)
{
    struct pg_lane *lane = track->lane;
    struct list *ready = &lane->ready;
    const uint32_t room = lane->config.batch_max;
    uint32_t spare, shards = ready->count;

    if (shards > room)
        shards = room;
    uint32_t asked = 0, n = 0;
    for (struct list_node *node = list_first(ready); node != NULL && n < shards;
         node = list_next(ready, node), n++) {
        const struct pg_shard *shard = container_of(node, struct pg_shard, node);
        const uint32_t sendable = pg_shard_sendable(shard), part = room / shards;
        asked += sendable < part ? sendable : part;
    }
    spare = room - asked;
    for (n = 0; n < shards && track->count < room; n++) {
        struct pg_shard *shard = container_of(list_first(ready), struct pg_shard, node);
        const uint32_t sendable = pg_shard_sendable(shard), part = room / shards;
        uint32_t most = sendable < part ? sendable : part;
        const uint32_t more = sendable - most < spare ? sendable - most : spare;
        spare -= more;
        cut_shard(track, shard, most + more, expired);
        list_remove(ready, &shard->node);
        shard->on = NULL;
        pg_shard_settle(shard);
    }
}

static void cut_line(struct pg_track *track, struct list *expired)
{
    struct pg_lane *lane = track->lane;
    struct list_node *next;

    for (struct list_node *node = list_first(&lane->line);
         node != NULL && track->count < lane->config.batch_max; node = next) {
        next = list_next(&lane->line, node);
        struct pg_member *member = pg_member_of(node);
        if (!is_in_time(member))
            pg_queue_leave_unsent(member, expired, PG_EXPIRED);
        else if (same_work(track, member))
            take(track, member);
    }
}

/* One bundle, or one member of a shard that goes alone. */
static void cut_retry(struct pg_track *track, struct list *expired)
{
    struct pg_lane *lane = track->lane;
    struct list_node *node = list_first(&lane->retrying);

    if (node == NULL) {
        struct pg_shard *shard =
            container_of(list_first(&lane->ready_alone), struct pg_shard, node);
        cut_shard(track, shard, 1, expired);
        list_remove(&lane->ready_alone, &shard->node);
        shard->on = NULL;
        pg_shard_settle(shard);
        return;
    }
    const uint32_t bundle = pg_member_of(node)->bundle;
    while ((node = list_first(&lane->retrying)) != NULL && pg_member_of(node)->bundle == bundle) {
        struct pg_member *member = pg_member_of(node);
        if (is_in_time(member))
            take(track, member);
        else
            pg_queue_leave_unsent(member, expired, PG_TIMED_OUT);
    }
}

/* Nothing was sent: everybody back to the head of where they were. */
static void uncut(struct pg_track *track)
{
    struct pg_lane *lane = track->lane;

    while (track->count > 0) {
        struct pg_member *member = track->members[--track->count];
        struct pg_shard *shard = track->shards[track->count];
        if (member->state == PG_MEMBER_RETRYING) {
            list_push_front(&lane->retrying, &member->node);
        } else if (shard == NULL) {
            list_push_front(&lane->line, &member->node);
        } else {
            list_push_front(&lane->in_shards, &member->node);
            list_push_front(&shard->waiting, &member->shard_node);
            pg_shard_member_back(shard);
            pg_shard_go_first(shard);
        }
    }
}

/* ---- send ---- */

static void arm_due(struct pg_track *track)
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

static void mark_sent(struct pg_track *track)
{
    struct pg_lane *lane = track->lane;
    const uint64_t now_us = reactor_now_us(lane->reactor);

    track->in_flight = true;
    track->sent_us = now_us;
    lane->busy_tracks++;
    lane->in_flight += track->count;
    lane->stats.batches_total++;
    lane->stats.members_sent_total += track->count;
    for (uint8_t i = 0; i < track->count; i++) {
        struct pg_member *member = track->members[i];
        const bool folded =
            i > 0 && track->shards[i] != NULL && track->shards[i] == track->shards[i - 1];
        lane->stats.folded_total += folded;
        member->state = PG_MEMBER_SENT;
        member->sent_us = now_us;
        histogram_record(&lane->stats.wait_time, now_us - member->queued_us);
    }
    arm_due(track);
}

static struct pg_track *free_track(struct pg_lane *lane)
{
    for (uint8_t i = 0; i < lane->config.tracks; i++)
        if (!lane->tracks[i].in_flight)
            return &lane->tracks[i];
    return NULL;
}

static bool has_new_work(const struct pg_lane *lane)
{
    return lane->line.count > 0 || lane->ready.count > 0;
}

static bool has_retries(const struct pg_lane *lane)
{
    return lane->retrying.count > 0 || lane->ready_alone.count > 0;
}

bool pg_lane_can_send(const struct pg_lane *lane)
{
    if (has_retries(lane) && !lane->retry_track.in_flight)
        return true;
    return has_new_work(lane) && free_track((struct pg_lane *)(uintptr_t)lane) != NULL;
}

/* The older head goes first, where a lane has both. */
static bool shards_first(const struct pg_lane *lane)
{
    if (lane->ready.count == 0 || lane->line.count == 0)
        return lane->ready.count > 0;
    const struct pg_shard *shard = container_of(list_first(&lane->ready), struct pg_shard, node);
    return pg_member_of_shard(list_first(&shard->waiting))->queued_us <=
           pg_member_of(list_first(&lane->line))->queued_us;
}

static struct pg_track *cut(struct pg_lane *lane, struct list *expired)
{
    struct pg_track *track = has_new_work(lane) ? free_track(lane) : NULL;

    if (has_retries(lane) && !lane->retry_track.in_flight &&
        (track == NULL || !lane->retried_last)) {
        lane->retried_last = true;
        track = &lane->retry_track;
        track->count = 0;
        cut_retry(track, expired);
        return track;
    }
    CHECK(track != NULL); /* or pg_lane_can_send() had said no */
    lane->retried_last = false;
    track->count = 0;
    if (shards_first(lane))
        cut_shards(track, expired);
    else
        cut_line(track, expired);
    return track;
}

void pg_lane_note_sendable(struct pg_lane *lane)
{
    if (!pg_lane_can_send(lane))
        lane->sendable_us = 0;
    else if (lane->sendable_us == 0)
        lane->sendable_us = reactor_now_us(lane->reactor);
}

static void measure_turn(struct pg_lane *lane)
{
    if (lane->sendable_us != 0)
        measure(&lane->turn_ewma_us, reactor_now_us(lane->reactor) - lane->sendable_us);
    lane->sendable_us = 0;
    pg_lane_note_sendable(lane);
}

bool pg_lane_send(struct pg_lane *lane, struct list *expired)
{
    struct pg_params params = {0};
    struct buf storage;

    CHECK(pg_lane_can_send(lane));
    struct pg_track *track = cut(lane, expired);
    if (track->count == 0)
        return false;
    const struct pg_member *first = track->members[0];
    track->alone = track->count == 1 && track == &lane->retry_track;
    buf_init(&storage, lane->storage, lane->storage_bytes);
    first->work->encode(track->members, track->count, &params, &storage);
    CHECK(!storage.overflow);
    if (pg_pool_send(lane->pool, &params, &track->query) != ERR_OK) {
        uncut(track);
        return false;
    }
    mark_sent(track);
    measure_turn(lane);
    return true;
}

/* ---- answer ---- */

static void decode(const struct pg_answer *answer, struct pg_member **members, uint8_t count)
{
    for (uint8_t i = 0; i < count; i++) {
        if (members[i] == NULL)
            continue;
        members[i]->work->decode(members, count, answer->rows);
        return;
    }
}

static void on_answer(struct pg_query *query, const struct pg_answer *answer)
{
    struct pg_track *track = container_of(query, struct pg_track, query);
    struct pg_lane *lane = track->lane;
    struct pg_member **members = track->members;
    const uint8_t count = track->count;
    const uint64_t took_us = reactor_now_us(lane->reactor) - track->sent_us;
    struct list ending;

    CHECK(track->in_flight);
    list_init(&ending);
    track->in_flight = false;
    lane->busy_tracks--;
    reactor_timer_clear(lane->reactor, &track->due_timer);
    histogram_record(&lane->stats.service_time, took_us);
    lane->stats.service_us_total += took_us;
    measure(&lane->service_ewma_us, took_us);
    pg_share_charge(lane, took_us);
    for (uint8_t i = 0; i < count; i++) {
        if (members[i] == NULL)
            lane->stats.late_answers_total++;
        else
            lane->in_flight--;
    }
    if (answer->kind == PG_ANSWER_ROWS) {
        lane->stats.answered_total++;
        pg_shards_note_answered(lane->config.shards);
        decode(answer, members, count);
        pg_settle_rows(track, &ending);
    } else {
        pg_retry_failed(track, answer, took_us, &ending);
    }
    for (uint8_t i = 0; i < count; i++) {
        const bool retrying = members[i] != NULL && members[i]->state == PG_MEMBER_RETRYING;
        if (!retrying)
            pg_shard_member_back(track->shards[i]);
    }
    /* The next batch goes on the wire before this one's answers are formatted: the database works
     * while we write. */
    pg_share_dispatch(lane->config.share);
    pg_queue_end(lane, &ending);
}

/* Answers the members whose time is over; the statement itself goes on and its connection stays
 * busy. */
static void on_due(struct reactor_timer *timer)
{
    struct pg_track *track = container_of(timer, struct pg_track, due_timer);
    struct pg_lane *lane = track->lane;
    const uint64_t now_us = reactor_now_us(lane->reactor);
    struct list ending;

    CHECK(track->in_flight);
    list_init(&ending);
    for (uint8_t i = track->count; i-- > 0;) {
        struct pg_member *member = track->members[i];
        if (member == NULL || member->due_us > now_us)
            continue;
        track->members[i] = NULL;
        lane->in_flight--;
        pg_queue_end_later(member, member->work->read_only ? PG_TIMED_OUT : PG_UNKNOWN, &ending);
    }
    arm_due(track);
    pg_queue_end(lane, &ending);
}

void pg_track_init(struct pg_track *track, struct pg_lane *lane)
{
    track->lane = lane;
    track->query.on_answer = on_answer;
    track->due_timer.on_due = on_due;
}
