#include "pool/pg_lane.h"

#include "pool/pg_lane_private.h"

#include <stdlib.h>

const char *pg_outcome_name(enum pg_outcome outcome)
{
    static const char *const NAMES[PG_OUTCOMES] = {
        [PG_DONE] = "done",
        [PG_EXPIRED] = "expired",
        [PG_UNAVAILABLE] = "unavailable",
        [PG_TIMED_OUT] = "timed_out",
        [PG_BUSY] = "busy",
        [PG_LOCKED] = "locked",
        [PG_POISONED] = "poisoned",
        [PG_ELSEWHERE] = "elsewhere",
        [PG_UNKNOWN] = "unknown",
        [PG_FAILED] = "failed",
    };
    CHECK((int)outcome < PG_OUTCOMES);
    return NAMES[outcome];
}

static size_t bytes_of_batch(const struct pg_work *work, uint8_t batch_max)
{
    return (size_t)work->member_bytes_max * batch_max;
}

/* Of the widest batch. */
static size_t storage_bytes_of(const struct pg_lane_config *config)
{
    size_t bytes = 0;

    for (uint8_t i = 0; i < config->work_count; i++) {
        const size_t batch_bytes = bytes_of_batch(config->works[i], config->batch_max);
        bytes = batch_bytes > bytes ? batch_bytes : bytes;
    }
    return bytes;
}

static bool fits_lane(const struct pg_lane *lane, const struct pg_work *work)
{
    return bytes_of_batch(work, lane->config.batch_max) <= lane->storage_bytes;
}

enum err pg_lane_create(struct pg_lane **lane, struct pg_pool *pool,
                        const struct pg_lane_config *config)
{
    CHECK(config->tracks >= 1 && config->tracks <= PG_TRACKS_MAX);
    CHECK(config->batch_max >= 1 && config->batch_max <= PG_BATCH_MAX);
    CHECK(config->weight >= 1);

    const size_t storage_bytes = storage_bytes_of(config);
    struct pg_lane *made = calloc(1, sizeof(*made) + storage_bytes);
    if (made == NULL)
        return ERR_SYSTEM;
    made->storage_bytes = storage_bytes;
    made->config = *config;
    made->config.works = NULL;
    made->config.work_count = 0;
    made->pool = pool;
    made->reactor = pg_pool_reactor(pool);
    made->expiry_timer.on_due = pg_queue_on_expiry;
    list_init(&made->line);
    list_init(&made->in_shards);
    list_init(&made->retrying);
    list_init(&made->ready);
    list_init(&made->ready_alone);
    for (uint8_t i = 0; i < config->tracks; i++)
        pg_track_init(&made->tracks[i], made);
    pg_track_init(&made->retry_track, made);
    pg_share_join(config->share, made);
    *lane = made;
    return ERR_OK;
}

void pg_lane_destroy(struct pg_lane *lane)
{
    if (lane == NULL)
        return;
    pg_share_leave(lane->config.share, lane);
    reactor_timer_clear(lane->reactor, &lane->expiry_timer);
    for (uint8_t i = 0; i < lane->config.tracks; i++)
        reactor_timer_clear(lane->reactor, &lane->tracks[i].due_timer);
    reactor_timer_clear(lane->reactor, &lane->retry_track.due_timer);
    free(lane);
}

/* ---- admission ---- */

/* How long a statement sent at sent_us will take yet. One that already runs longer than usual is
 * expected to run as long again, so a stuck database closes the line within milliseconds. */
static uint64_t left_of_statement_us(const struct pg_lane *lane, uint64_t sent_us)
{
    const uint64_t elapsed_us = reactor_now_us(lane->reactor) - sent_us;
    return elapsed_us < lane->service_ewma_us ? lane->service_ewma_us - elapsed_us : elapsed_us;
}

static uint64_t free_in_us(const struct pg_lane *lane)
{
    uint64_t soonest_us = UINT64_MAX;
    for (uint8_t i = 0; i < lane->config.tracks; i++) {
        const struct pg_track *track = &lane->tracks[i];
        const uint64_t track_us = track->in_flight ? left_of_statement_us(lane, track->sent_us) : 0;
        soonest_us = track_us < soonest_us ? track_us : soonest_us;
    }
    return soonest_us;
}

/* One batch, the wait for a connection's turn included. */
static uint64_t batch_us(const struct pg_lane *lane)
{
    return lane->service_ewma_us + lane->turn_ewma_us;
}

/* Shards take turns, so a newcomer's shard waits for the others' first batch only. */
static uint64_t lane_wait_us(const struct pg_lane *lane)
{
    const uint32_t ahead = lane->config.exclusive ? lane->ready.count : lane->line.count;
    const uint64_t turns = ahead / lane->config.batch_max;
    const uint64_t free_us = free_in_us(lane);
    const uint64_t turn_us = ahead > 0 && free_us == 0 ? lane->turn_ewma_us : 0;
    return free_us + turn_us + turns * batch_us(lane) / lane->config.tracks;
}

static uint64_t shard_wait_us(const struct pg_lane *lane, const struct pg_shard *shard)
{
    const uint32_t sharing = lane->ready.count > 0 ? lane->ready.count : 1;
    uint32_t turn = lane->config.batch_max / sharing;
    uint64_t wait_us = pg_shard_locked_for_us(shard);

    if (turn == 0 || shard->alone)
        turn = 1;
    if (shard->out > 0)
        wait_us += left_of_statement_us(lane, shard->sent_us);
    return wait_us + shard->waiting.count / turn * batch_us(lane);
}

static const struct pg_shard *known_shard(const struct pg_lane *lane, uint64_t key)
{
    if (key == 0 || (!lane->config.exclusive && !pg_shards_has_suspects(lane->config.shards)))
        return NULL;
    return pg_shard_find(lane->config.shards, key);
}

static bool has_own_line(const struct pg_lane *lane, const struct pg_shard *shard)
{
    return shard != NULL && (lane->config.exclusive || shard->alone);
}

uint64_t pg_lane_predicted_wait_us(const struct pg_lane *lane, uint64_t shard)
{
    const struct pg_shard *known = known_shard(lane, shard);
    const uint64_t wait_us = lane_wait_us(lane);
    const uint64_t own_us = has_own_line(lane, known) ? shard_wait_us(lane, known) : 0;
    return own_us > wait_us ? own_us : wait_us;
}

/* A shard may hold as much of the line as it leaves free, and never more than shard_max: however
 * many are hot, there is room for the others (dynamic thresholds, Choudhury and Hahne 1998). */
static bool shard_is_full(const struct pg_lane *lane, const struct pg_shard *shard)
{
    const uint32_t waiting = shard->waiting.count;
    return waiting >= lane->config.shard_max ||
           (waiting > 0 && waiting >= lane->config.queue_max - pg_lane_waiting(lane));
}

/* What a wait of that length comes to. */
static enum err judge_wait(const struct pg_lane *lane, const struct pg_member *member,
                           uint64_t wait_us)
{
    const uint64_t now_us = reactor_now_us(lane->reactor);

    if (member->due_us <= now_us || (wait_us > 0 && wait_us > member->due_us - now_us))
        return ERR_TIMEOUT;
    return wait_us > lane->config.queue_wait_max_us ? ERR_FULL : ERR_OK;
}

static enum err admit_wait(struct pg_lane *lane, const struct pg_member *member,
                           const struct pg_shard *shard)
{
    const uint64_t wait_us = pg_lane_predicted_wait_us(lane, member->shard);
    const uint64_t locked_us = has_own_line(lane, shard) ? pg_shard_locked_for_us(shard) : 0;
    const enum err err = judge_wait(lane, member, wait_us);

    if (err == ERR_OK)
        return ERR_OK;
    if (err == ERR_TIMEOUT)
        lane->stats.refused_budget_total++;
    else if (has_own_line(lane, shard))
        lane->stats.refused_shard_total++;
    else
        lane->stats.refused_full_total++;
    /* It is the lock that makes it too long: true for the caller, whose wallet it is. */
    const bool but_for_the_lock = locked_us > 0 && locked_us <= wait_us &&
                                  judge_wait(lane, member, wait_us - locked_us) == ERR_OK;
    return but_for_the_lock ? ERR_BUSY : err;
}

/* Refusal is O(1) and happens here, before anything was spent on the request. A wait of zero is
 * always admitted: a lane that is idle must measure again, whatever its last measurement was. */
static enum err lane_admit(struct pg_lane *lane, const struct pg_member *member)
{
    struct pg_lane_stats *stats = &lane->stats;
    const struct pg_shard *shard = known_shard(lane, member->shard);

    if (pg_pool_usable(lane->pool) == 0) {
        stats->refused_down_total++;
        return ERR_UNAVAILABLE;
    }
    if (shard != NULL && pg_shard_refuses(shard)) {
        stats->refused_poisoned_total++;
        return ERR_POISONED;
    }
    if (pg_lane_waiting(lane) >= lane->config.queue_max) {
        stats->refused_full_total++;
        return ERR_FULL;
    }
    if (has_own_line(lane, shard) && shard_is_full(lane, shard)) {
        stats->refused_shard_total++;
        return ERR_FULL;
    }
    return admit_wait(lane, member, shard);
}

enum err pg_lane_submit(struct pg_lane *lane, struct pg_member *member)
{
    CHECK(member->state == PG_MEMBER_NEW || member->state == PG_MEMBER_DONE);
    CHECK(member->work != NULL && member->on_done != NULL);
    CHECK(fits_lane(lane, member->work));

    const enum err err = lane_admit(lane, member);
    if (err != ERR_OK)
        return err;
    lane->stats.accepted_total++;
    member->lane = lane;
    member->entry = NULL;
    member->queued_us = reactor_now_us(lane->reactor);
    member->sent_us = 0;
    member->busy_since_us = 0;
    member->tries = 0;
    member->failed_alone = false;
    member->sqlstate[0] = '\0';
    pg_queue_join(lane, member);
    return ERR_OK;
}

bool pg_lane_cancel(struct pg_member *member)
{
    struct pg_shard *shard = member->entry;

    if (member->state != PG_MEMBER_WAITING && member->state != PG_MEMBER_RETRYING)
        return false;
    const bool was_out = member->state == PG_MEMBER_RETRYING;
    pg_queue_leave(member);
    member->state = PG_MEMBER_NEW;
    member->entry = NULL;
    if (shard != NULL && was_out)
        pg_shard_member_back(shard);
    else if (shard != NULL)
        pg_shard_settle(shard);
    return true;
}

/* ---- figures ---- */

uint32_t pg_lane_waiting(const struct pg_lane *lane)
{
    return lane->line.count + lane->in_shards.count + lane->retrying.count;
}

uint32_t pg_lane_in_flight(const struct pg_lane *lane)
{
    return lane->in_flight;
}

bool pg_lane_quiet(const struct pg_lane *lane)
{
    return lane->busy_tracks == 0 && pg_lane_waiting(lane) == 0;
}

const struct pg_lane_stats *pg_lane_stats(const struct pg_lane *lane)
{
    return &lane->stats;
}

const char *pg_lane_name(const struct pg_lane *lane)
{
    return lane->config.name;
}
