#include "http/api/auth_throttle.h"

#include "core/clock.h"
#include "core/list.h"
#include "core/secret.h"
#include "http/api/client_address.h"

#include <assert.h>
#include <stdlib.h>

struct auth_entry {
    struct list_node bucket, age;
    struct ip_address party;
    uint64_t since_us; /* its second's first failure */
    uint32_t failures;
};

struct auth_throttle {
    const struct ip_networks *trusted;
    uint32_t failures_per_s, entries_touched;
    struct list by_age; /* by since_us, the oldest first */
    struct auth_throttle_stats stats;
    struct list buckets[AUTH_ADDRESSES_MAX];
    struct auth_entry entries[AUTH_ADDRESSES_MAX];
};
static_assert((AUTH_ADDRESSES_MAX & (AUTH_ADDRESSES_MAX - 1)) == 0, "a bucket is picked by bits");

/* By a keyed hash: nobody can aim at one bucket. */
static struct list *auth_bucket_of(struct auth_throttle *throttle, const struct ip_address *party)
{
    const struct span bytes = {(const char *)party->bytes, sizeof(party->bytes)};
    return &throttle->buckets[secret_tag_u64(bytes) & (AUTH_ADDRESSES_MAX - 1)];
}

static struct auth_entry *auth_entry_find(const struct list *bucket, const struct ip_address *party)
{
    for (struct list_node *node = list_first(bucket); node != NULL;
         node = list_next(bucket, node)) {
        struct auth_entry *entry = container_of(node, struct auth_entry, bucket);
        if (ip_address_equal(&entry->party, party))
            return entry;
    }
    return NULL;
}

static bool auth_entry_is_over(const struct auth_entry *entry, uint64_t now_us)
{
    return now_us - entry->since_us >= CLOCK_US_PER_S;
}

/* One that is on no list. */
static struct auth_entry *auth_entry_take(struct auth_throttle *throttle, uint64_t now_us)
{
    if (throttle->entries_touched < AUTH_ADDRESSES_MAX)
        return &throttle->entries[throttle->entries_touched++];
    struct auth_entry *oldest =
        container_of(list_pop_front(&throttle->by_age), struct auth_entry, age);
    list_remove(auth_bucket_of(throttle, &oldest->party), &oldest->bucket);
    if (!auth_entry_is_over(oldest, now_us))
        throttle->stats.forgotten_total++;
    return oldest;
}

/* The entry of this address, in a second that is not over. */
static struct auth_entry *auth_entry_get(struct auth_throttle *throttle,
                                         const struct ip_address *party)
{
    const uint64_t now_us = clock_mono_us();
    struct list *bucket = auth_bucket_of(throttle, party);
    struct auth_entry *entry = auth_entry_find(bucket, party);
    if (entry != NULL && !auth_entry_is_over(entry, now_us))
        return entry;
    if (entry != NULL) {
        list_remove(&throttle->by_age, &entry->age);
    } else {
        entry = auth_entry_take(throttle, now_us);
        entry->party = *party;
        list_push_front(bucket, &entry->bucket);
    }
    entry->since_us = now_us;
    entry->failures = 0;
    list_push_back(&throttle->by_age, &entry->age);
    return entry;
}

enum auth_verdict auth_throttle_refuse(struct auth_throttle *throttle, const char *peer,
                                       const struct http_request *request)
{
    const struct ip_address client = client_address_of(throttle->trusted, peer, request);
    const struct ip_address party = ip_address_party(&client);
    const uint32_t failures = ++auth_entry_get(throttle, &party)->failures;
    const uint32_t told_max = throttle->failures_per_s;
    if (told_max == 0 || failures <= told_max) {
        throttle->stats.told_total++;
        return failures <= AUTH_LINES_PER_S_MAX ? AUTH_TOLD : AUTH_TOLD_UNLOGGED;
    }
    throttle->stats.throttled_total++;
    return failures == told_max + 1 ? AUTH_THROTTLED : AUTH_THROTTLED_UNLOGGED;
}

enum err auth_throttle_create(struct auth_throttle **throttle, const struct ip_networks *trusted,
                              uint32_t failures_per_s)
{
    struct auth_throttle *made = calloc(1, sizeof(*made));
    if (made == NULL)
        return ERR_SYSTEM;
    made->trusted = trusted;
    made->failures_per_s = failures_per_s;
    list_init(&made->by_age);
    for (uint32_t i = 0; i < AUTH_ADDRESSES_MAX; i++)
        list_init(&made->buckets[i]);
    *throttle = made;
    return ERR_OK;
}

void auth_throttle_destroy(struct auth_throttle *throttle)
{
    free(throttle);
}

struct auth_throttle_stats auth_throttle_stats(const struct auth_throttle *throttle)
{
    struct auth_throttle_stats stats = throttle->stats;
    stats.addresses = throttle->by_age.count;
    return stats;
}
