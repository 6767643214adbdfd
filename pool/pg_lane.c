#include "pool/pg_lane.h"

#include "pool/pg_lane_private.h"

#include <stdlib.h>

const char *pg_outcome_name(enum pg_outcome outcome)
{
    static const char *const NAMES[PG_OUTCOMES] = {
        [PG_DONE] = "done",           [PG_EXPIRED] = "expired", [PG_UNAVAILABLE] = "unavailable",
        [PG_TIMED_OUT] = "timed_out", [PG_UNKNOWN] = "unknown", [PG_FAILED] = "failed",
    };
    return NAMES[outcome];
}

static void lane_dispatch(struct pg_lane *lane)
{
    struct list expired;

    if (lane->waiting == 0)
        return;
    list_init(&expired);
    for (uint8_t i = 0; i < lane->config.tracks; i++)
        pg_track_dispatch(&lane->tracks[i], &expired);
    pg_queue_end(&expired, PG_EXPIRED);
}

static void lane_on_turn_end(struct reactor_hook *hook)
{
    lane_dispatch(container_of(hook, struct pg_lane, hook));
}

static void lane_on_pool_change(struct pg_pool_listener *listener)
{
    struct pg_lane *lane = container_of(listener, struct pg_lane, listener);

    if (pg_pool_usable(lane->pool) > 0)
        lane_dispatch(lane);
    else if (lane->waiting > 0)
        pg_queue_sweep(lane, true, PG_UNAVAILABLE);
}

static size_t bytes_of_batch(const struct pg_work *work, uint8_t batch_max)
{
    return (size_t)work->member_bytes_max * batch_max;
}

/* Of the widest batch. 0 is possible: statements without parameters. */
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

/* A member that is retried takes its work along. */
static bool all_fit_retry(const struct pg_lane_config *config)
{
    for (uint8_t i = 0; config->retry != NULL && i < config->work_count; i++)
        if (!fits_lane(config->retry, config->works[i]))
            return false;
    return true;
}

enum err pg_lane_create(struct pg_lane **lane, struct pg_pool *pool,
                        const struct pg_lane_config *config)
{
    CHECK(config->tracks >= 1 && config->tracks <= PG_TRACKS_MAX);
    CHECK(config->batch_max >= 1 && config->batch_max <= PG_BATCH_MAX);
    CHECK(!config->alone || (config->batch_max == 1 && config->retry == NULL));

    if (!all_fit_retry(config))
        return ERR_INVALID;
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
    made->hook.on_turn_end = lane_on_turn_end;
    made->listener.on_change = lane_on_pool_change;
    for (uint8_t i = 0; i < config->tracks; i++)
        pg_track_init(&made->tracks[i], made);
    reactor_hook_add(made->reactor, &made->hook);
    pg_pool_listen(pool, &made->listener);
    *lane = made;
    return ERR_OK;
}

void pg_lane_destroy(struct pg_lane *lane)
{
    if (lane == NULL)
        return;
    pg_pool_unlisten(lane->pool, &lane->listener);
    reactor_hook_remove(lane->reactor, &lane->hook);
    reactor_timer_clear(lane->reactor, &lane->expiry_timer);
    for (uint8_t i = 0; i < lane->config.tracks; i++)
        reactor_timer_clear(lane->reactor, &lane->tracks[i].due_timer);
    free(lane);
}

/* How long until this track can take a batch. A statement that already runs longer than usual is
 * expected to run as long again, so a stuck database closes the line within milliseconds. */
static uint64_t track_free_in_us(const struct pg_track *track, uint64_t now_us)
{
    if (!track->in_flight)
        return 0;
    const uint64_t elapsed_us = now_us - track->sent_us;
    const uint64_t usual_us = track->lane->service_ewma_us;
    return elapsed_us < usual_us ? usual_us - elapsed_us : elapsed_us;
}

uint64_t pg_lane_predicted_wait_us(const struct pg_lane *lane, uint64_t shard)
{
    const uint64_t now_us = reactor_now_us(lane->reactor);
    const uint8_t tracks = lane->config.tracks;

    CHECK(tracks > 0);
    if (lane->config.sharded) {
        const struct pg_track *track = &lane->tracks[shard % tracks];
        return track_free_in_us(track, now_us) +
               track->queue.count / lane->config.batch_max * lane->service_ewma_us;
    }
    uint64_t free_in_us = UINT64_MAX;
    for (uint8_t i = 0; i < tracks; i++) {
        const uint64_t track_us = track_free_in_us(&lane->tracks[i], now_us);
        free_in_us = track_us < free_in_us ? track_us : free_in_us;
    }
    return free_in_us +
           lane->tracks[0].queue.count / lane->config.batch_max * lane->service_ewma_us / tracks;
}

/* Refusal is O(1) and happens here, before anything was spent on the request. A wait of zero is
 * always admitted: a lane that is idle must measure again, whatever its last measurement was. */
static enum err lane_admit(struct pg_lane *lane, const struct pg_member *member)
{
    if (pg_pool_usable(lane->pool) == 0) {
        lane->stats.refused_down_total++;
        return ERR_UNAVAILABLE;
    }
    if (lane->waiting >= lane->config.queue_max) {
        lane->stats.refused_full_total++;
        return ERR_FULL;
    }
    const uint64_t now_us = reactor_now_us(lane->reactor);
    const uint64_t wait_us = pg_lane_predicted_wait_us(lane, member->shard);
    if (member->due_us <= now_us || (wait_us > 0 && wait_us > member->due_us - now_us)) {
        lane->stats.refused_budget_total++;
        return ERR_TIMEOUT;
    }
    if (wait_us > lane->config.queue_wait_max_us) {
        lane->stats.refused_full_total++;
        return ERR_FULL;
    }
    return ERR_OK;
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
    member->queued_us = reactor_now_us(lane->reactor);
    member->sent_us = 0;
    member->tries = 0;
    member->sqlstate[0] = '\0';
    pg_queue_wait(lane, member);
    return ERR_OK;
}

bool pg_lane_cancel(struct pg_member *member)
{
    if (member->state != PG_MEMBER_WAITING)
        return false;
    pg_queue_leave(member);
    member->lane = NULL;
    member->state = PG_MEMBER_NEW;
    return true;
}

uint32_t pg_lane_waiting(const struct pg_lane *lane)
{
    return lane->waiting;
}

uint32_t pg_lane_in_flight(const struct pg_lane *lane)
{
    return lane->in_flight;
}

bool pg_lane_quiet(const struct pg_lane *lane)
{
    for (uint8_t i = 0; i < lane->config.tracks; i++)
        if (lane->tracks[i].in_flight)
            return false;
    return lane->waiting == 0;
}

const struct pg_lane_stats *pg_lane_stats(const struct pg_lane *lane)
{
    return &lane->stats;
}

const char *pg_lane_name(const struct pg_lane *lane)
{
    return lane->config.name;
}
