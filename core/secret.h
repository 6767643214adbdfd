/*
 * secret: randomness, hashes, constant-time compare, wiping. The only door to <sodium.h>.
 */
#ifndef CORE_SECRET_H
#define CORE_SECRET_H

#include "core/buf.h"
#include "core/check.h"
#include "core/err.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SECRET_DIGEST_BYTES = 32,
    SECRET_TAG_BYTES = 8,
    SECRET_PRINT_BYTES = 16,
    SECRET_MAC_BYTES = 16,
    SECRET_MAC_KEY_BYTES = 32,
    SECRET_MAC_STATE_BYTES = 208
};

/* SHA-256. */
struct secret_digest {
    uint8_t bytes[SECRET_DIGEST_BYTES];
};

/* How a secret that clients present is kept: SipHash-2-4 with 128 bits under a random key of the
 * process. Without that key nobody can prepare two texts that agree. Every request asks for it,
 * with its class and with its turn, and SHA-256 twice was half of all our own instructions. */
struct secret_print {
    uint8_t bytes[SECRET_PRINT_BYTES];
};

/* A message's keyed hash, HMAC-SHA-256 cut to 16 bytes: of the same key and message it is the same
 * in every process and in the database, and tells nothing of the message without the key. */
struct secret_mac {
    uint8_t bytes[SECRET_MAC_BYTES];
};
/* Its key, made ready for many messages. Holds a secret: secret_wipe() when done. */
struct secret_mac_key {
    alignas(16) uint8_t state[SECRET_MAC_STATE_BYTES];
};

/* Before anything else here; a second call does nothing. ERR_UNAVAILABLE: there is no source of
 * randomness, and nothing here may be used. */
MUST_USE enum err secret_init(void);
/* Fills out with unpredictable bytes, from a buffer refilled in bulk so that one request costs no
 * system call. */
void secret_random(void *out, size_t count);
/* SHA-256 of one span. */
struct secret_digest secret_hash(struct span bytes);
/* In constant time: how long it takes tells nothing about where they differ. */
bool secret_digest_equal(const struct secret_digest *a, const struct secret_digest *b);
/* Of this process alone: never stored, never sent. */
struct secret_print secret_print_of(struct span presented);
/* In constant time. */
bool secret_print_equal(const struct secret_print *a, const struct secret_print *b);
/* A keyed 8-byte tag (SipHash-2-4) for log fields that must correlate but not reveal. The key is
 * random per process. */
void secret_tag(struct span bytes, uint8_t out[SECRET_TAG_BYTES]);
/* The same keyed hash as a number, for hash tables that a client must not be able to collide. */
uint64_t secret_tag_u64(struct span bytes);
/* Makes the key ready. */
void secret_mac_key_set(struct secret_mac_key *key, const uint8_t bytes[SECRET_MAC_KEY_BYTES]);
/* The keyed hash of one span. */
struct secret_mac secret_mac(const struct secret_mac_key *key, struct span message);
/* Overwrites with zeros; the compiler cannot leave it out. */
void secret_wipe(void *bytes, size_t count);
/* Keeps the memory out of core dumps and, where allowed, out of swap. Best effort, never fails. */
void secret_protect(void *bytes, size_t count);

#endif
