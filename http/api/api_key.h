/*
 * api_key: who calls. Holds prints of the active keys (core/secret.h), never the keys.
 *
 * Every check compares against every entry in constant time; absent, wrong length and wrong value
 * take the same path. Two keys (current and previous) belong to one client, so rotation keeps the
 * scope of idempotency.
 */
#ifndef HTTP_API_API_KEY_H
#define HTTP_API_API_KEY_H

#include "core/buf.h"
#include "core/secret.h"

#include <stdbool.h>
#include <stdint.h>

enum { API_KEYS_MAX = 8 };

struct api_key {
    struct secret_print print;
    int32_t client_id;
    const char *client, *key_id; /* "default", "current" | "previous" */
    uint64_t used_total;
    uint64_t last_used_wall_us;
};

struct api_keys {
    struct api_key entries[API_KEYS_MAX];
    uint32_t count;
};

/* Replaces the keys (start and SIGHUP). previous may be empty. Counters of an unchanged key are
 * kept. */
void api_keys_set(struct api_keys *keys, struct span current, struct span previous);
/* A key of ours; the use is not counted. */
bool api_keys_know(const struct api_keys *keys, struct span presented);
/* NULL: not a key of ours. Counts the use. */
struct api_key *api_keys_find(struct api_keys *keys, struct span presented);

#endif
