#include "core/secret.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static_assert(SECRET_DIGEST_BYTES == crypto_hash_sha256_BYTES, "SHA-256");
static_assert(SECRET_TAG_BYTES == crypto_shorthash_BYTES, "SipHash-2-4");
static_assert(SECRET_PRINT_BYTES == crypto_shorthash_siphashx24_BYTES, "SipHash-2-4-128");
static_assert(SECRET_MAC_BYTES <= crypto_auth_hmacsha256_BYTES, "HMAC-SHA-256");
static_assert(SECRET_MAC_KEY_BYTES == crypto_auth_hmacsha256_KEYBYTES, "HMAC-SHA-256");
static_assert(SECRET_MAC_STATE_BYTES == sizeof(crypto_auth_hmacsha256_state), "copied as bytes");

enum { RANDOM_POOL_BYTES = 4096 };

/* Randomness fetched but not yet handed out, and the keys of tags and prints: facts of the process,
 * like the entropy they come from. */
static struct {
    bool ready;
    size_t random_used;
    uint8_t random[RANDOM_POOL_BYTES];
    uint8_t tag_key[crypto_shorthash_KEYBYTES];
    uint8_t print_key[crypto_shorthash_siphashx24_KEYBYTES];
} process = {.random_used = RANDOM_POOL_BYTES};

enum err secret_init(void)
{
    if (sodium_init() == -1)
        return ERR_UNAVAILABLE;
    if (process.ready)
        return ERR_OK;
    secret_protect(&process, sizeof process);
    crypto_shorthash_keygen(process.tag_key);
    randombytes_buf(process.print_key, sizeof process.print_key);
    process.ready = true;
    return ERR_OK;
}

void secret_random(void *out, size_t count)
{
    CHECK(process.ready);
    if (count > RANDOM_POOL_BYTES) {
        randombytes_buf(out, count);
        return;
    }
    if (count > RANDOM_POOL_BYTES - process.random_used) {
        randombytes_buf(process.random, RANDOM_POOL_BYTES);
        process.random_used = 0;
    }
    /* What was handed out is erased, so that a later look into memory reveals no earlier value. */
    memcpy(out, process.random + process.random_used, count);
    sodium_memzero(process.random + process.random_used, count);
    process.random_used += count;
}

struct secret_digest secret_hash(struct span bytes)
{
    struct secret_digest digest;
    (void)crypto_hash_sha256(digest.bytes, (const unsigned char *)bytes.ptr, bytes.len);
    return digest;
}

bool secret_digest_equal(const struct secret_digest *a, const struct secret_digest *b)
{
    return sodium_memcmp(a->bytes, b->bytes, SECRET_DIGEST_BYTES) == 0;
}

struct secret_print secret_print_of(struct span presented)
{
    CHECK(process.ready);
    struct secret_print print;
    (void)crypto_shorthash_siphashx24(print.bytes, (const unsigned char *)presented.ptr,
                                      presented.len, process.print_key);
    return print;
}

bool secret_print_equal(const struct secret_print *a, const struct secret_print *b)
{
    return sodium_memcmp(a->bytes, b->bytes, SECRET_PRINT_BYTES) == 0;
}

void secret_tag(struct span bytes, uint8_t out[SECRET_TAG_BYTES])
{
    CHECK(process.ready);
    (void)crypto_shorthash(out, (const unsigned char *)bytes.ptr, bytes.len, process.tag_key);
}

uint64_t secret_tag_u64(struct span bytes)
{
    uint8_t tag[SECRET_TAG_BYTES];
    secret_tag(bytes, tag);
    uint64_t number = 0;
    memcpy(&number, tag, sizeof number);
    return number;
}

void secret_mac_key_set(struct secret_mac_key *key, const uint8_t bytes[SECRET_MAC_KEY_BYTES])
{
    crypto_auth_hmacsha256_state state;
    (void)crypto_auth_hmacsha256_init(&state, bytes, SECRET_MAC_KEY_BYTES);
    memcpy(key->state, &state, sizeof state);
    sodium_memzero(&state, sizeof state);
}

struct secret_mac secret_mac(const struct secret_mac_key *key, struct span message)
{
    crypto_auth_hmacsha256_state state;
    unsigned char whole[crypto_auth_hmacsha256_BYTES];
    struct secret_mac mac;
    memcpy(&state, key->state, sizeof state);
    (void)crypto_auth_hmacsha256_update(&state, (const unsigned char *)message.ptr, message.len);
    (void)crypto_auth_hmacsha256_final(&state, whole);
    memcpy(mac.bytes, whole, sizeof mac.bytes);
    sodium_memzero(&state, sizeof state);
    return mac;
}

void secret_wipe(void *bytes, size_t count)
{
    if (count > 0)
        sodium_memzero(bytes, count);
}

void secret_protect(void *bytes, size_t count)
{
    const long page = sysconf(_SC_PAGESIZE);
    if (count == 0 || page <= 0)
        return;
    /* madvise wants whole pages; neighbours on the same pages are protected with them. */
    const uintptr_t mask = (uintptr_t)page - 1;
    const size_t before = (uintptr_t)bytes & mask;
    (void)madvise((char *)bytes - before, before + count, MADV_DONTDUMP);
    (void)sodium_mlock(bytes, count);
}
