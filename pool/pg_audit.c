/* What must be true of a lane (pg_lane) between two events; for DCHECK, O(members). */
#include "pool/pg_lane_private.h"

static bool members_are_sound(const struct pg_lane *lane, const struct list *list,
                              enum pg_member_state state, bool in_shards)
{
    uint32_t count = 0;

    for (struct list_node *node = list_first(list); node != NULL; node = list_next(list, node)) {
        const struct pg_member *member = pg_member_of(node);
        const struct pg_shard *entry = member->entry;
        if (member->state != state || member->lane != lane)
            return false;
        if (state == PG_MEMBER_WAITING && (entry != NULL) != in_shards)
            return false;
        if (in_shards && (entry->state == PG_SHARD_QUIET || entry->waiting.count == 0))
            return false;
        if (state == PG_MEMBER_RETRYING && entry != NULL && entry->out == 0)
            return false;
        count++;
    }
    return count == list->count;
}

static bool shards_are_sound(const struct list *ready)
{
    for (struct list_node *node = list_first(ready); node != NULL; node = list_next(ready, node)) {
        const struct pg_shard *shard = container_of(node, struct pg_shard, node);
        if (shard->state != PG_SHARD_READY || shard->on != ready || shard->out > 0 ||
            shard->waiting.count == 0 || pg_lane_ready_list(shard) != ready)
            return false;
    }
    return true;
}

/* Its members that are yet to be answered join *in_flight. */
static bool track_is_sound(const struct pg_track *track, uint32_t *in_flight)
{
    for (uint8_t i = 0; i < track->count; i++) {
        const struct pg_member *member = track->members[i];
        if (track->shards[i] != NULL &&
            (track->shards[i]->state != PG_SHARD_OUT || track->shards[i]->out == 0))
            return false;
        if (member == NULL)
            continue;
        if (member->state != PG_MEMBER_SENT || member->lane != track->lane)
            return false;
        (*in_flight)++;
    }
    return true;
}

bool pg_lane_is_sound(const struct pg_lane *lane)
{
    uint32_t busy_tracks = 0, in_flight = 0;

    for (uint8_t i = 0; i <= lane->config.tracks; i++) {
        const struct pg_track *track =
            i < lane->config.tracks ? &lane->tracks[i] : &lane->retry_track;
        busy_tracks += track->in_flight;
        if (track->in_flight && !track_is_sound(track, &in_flight))
            return false;
    }
    return busy_tracks == lane->busy_tracks && in_flight == lane->in_flight &&
           members_are_sound(lane, &lane->line, PG_MEMBER_WAITING, false) &&
           members_are_sound(lane, &lane->in_shards, PG_MEMBER_WAITING, true) &&
           members_are_sound(lane, &lane->retrying, PG_MEMBER_RETRYING, false) &&
           shards_are_sound(&lane->ready) && shards_are_sound(&lane->ready_alone);
}
