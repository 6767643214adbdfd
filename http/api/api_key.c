#include "http/api/api_key.h"

#include "core/clock.h"

enum { API_KEY_DEFAULT_CLIENT = 1 };

static struct api_key api_key_make(const struct api_keys *before, struct span value,
                                   const char *key_id)
{
    struct api_key key = {
        .print = secret_print_of(value),
        .client_id = API_KEY_DEFAULT_CLIENT,
        .client = "default",
        .key_id = key_id,
    };
    for (uint32_t i = 0; i < before->count; i++) {
        const struct api_key *old = &before->entries[i];
        if (!secret_print_equal(&old->print, &key.print))
            continue;
        key.used_total = old->used_total;
        key.last_used_wall_us = old->last_used_wall_us;
    }
    return key;
}

void api_keys_set(struct api_keys *keys, struct span current, struct span previous)
{
    CHECK(current.len > 0);
    struct api_keys next = {0};
    next.entries[next.count++] = api_key_make(keys, current, "current");
    if (previous.len > 0 && !span_equal(previous, current))
        next.entries[next.count++] = api_key_make(keys, previous, "previous");
    *keys = next;
}

/* Its index; keys->count: not a key of ours. */
static uint32_t api_keys_index(const struct api_keys *keys, struct span presented)
{
    const struct secret_print print = secret_print_of(presented);
    uint32_t found = keys->count;
    /* Every entry is compared, also after a match: the time tells nothing about the keys. */
    for (uint32_t i = 0; i < keys->count; i++)
        if (secret_print_equal(&keys->entries[i].print, &print))
            found = i;
    return found;
}

bool api_keys_know(const struct api_keys *keys, struct span presented)
{
    return api_keys_index(keys, presented) < keys->count;
}

struct api_key *api_keys_find(struct api_keys *keys, struct span presented)
{
    const uint32_t index = api_keys_index(keys, presented);
    if (index == keys->count)
        return NULL;
    struct api_key *found = &keys->entries[index];
    found->used_total++;
    found->last_used_wall_us = clock_wall_us();
    return found;
}
