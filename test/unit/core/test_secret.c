#include "core/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int start(void **unused)
{
    (void)unused;
    return secret_init() == ERR_OK ? 0 : -1;
}

static bool all_zero(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

static void test_init_twice_keeps_the_tag_key(void **unused)
{
    (void)unused;
    const uint64_t before = secret_tag_u64(SPAN("wal_1"));

    assert_int_equal(secret_init(), ERR_OK);

    assert_true(secret_tag_u64(SPAN("wal_1")) == before);
}

static void test_random_never_repeats_across_refills(void **unused)
{
    enum { DRAWS = 2000, DRAW_BYTES = 16 };
    static uint8_t drawn[DRAWS][DRAW_BYTES];
    (void)unused;

    for (int i = 0; i < DRAWS; i++)
        secret_random(drawn[i], DRAW_BYTES);

    for (int i = 0; i < DRAWS; i++) {
        for (int j = 0; j < i; j++)
            assert_memory_not_equal(drawn[i], drawn[j], DRAW_BYTES);
    }
}

static void test_random_of_odd_and_large_sizes_fills_the_whole_buffer(void **unused)
{
    static const size_t counts[] = {17, 4095, 4096, 4097, 10000};
    static uint8_t bytes[10000 + 1];
    (void)unused;

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        memset(bytes, 0, sizeof bytes);
        secret_random(bytes, counts[i]);
        /* 16 bytes at each end: by chance all zero once in 2^128. */
        assert_false(all_zero(bytes, 16));
        assert_false(all_zero(bytes + counts[i] - 16, 16));
        assert_int_equal(bytes[counts[i]], 0);
    }
}

static void test_hash_is_sha256(void **unused)
{
    static const char *const expected[] = {
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"};
    const struct secret_digest digests[] = {secret_hash(span_of(NULL)), secret_hash(SPAN("abc"))};
    (void)unused;

    for (size_t i = 0; i < 2; i++) {
        char text[2 * SECRET_DIGEST_BYTES];
        struct buf buf;
        buf_init(&buf, text, sizeof text);
        buf_add_hex(&buf, digests[i].bytes, SECRET_DIGEST_BYTES);
        assert_true(span_equal(buf_span(&buf), span_of(expected[i])));
    }
}

static void test_digest_equal_sees_every_bit(void **unused)
{
    const struct secret_digest digest = secret_hash(SPAN("key"));
    (void)unused;

    assert_true(secret_digest_equal(&digest, &digest));
    for (size_t bit = 0; bit < sizeof digest.bytes * 8; bit++) {
        struct secret_digest other = digest;
        other.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(secret_digest_equal(&digest, &other));
    }
}

static void test_print_is_stable_and_sees_every_bit(void **unused)
{
    char text[] = "a-secret-that-a-client-presents";
    (void)unused;
    const struct secret_print print = secret_print_of(SPAN("a-secret-that-a-client-presents"));

    for (size_t bit = 0; bit < 8 * (sizeof(text) - 1); bit++) {
        const uint8_t before = (uint8_t)text[bit / 8], after = before ^ (uint8_t)(1 << bit % 8);
        memcpy(&text[bit / 8], &after, 1);
        const struct secret_print other = secret_print_of((struct span){text, sizeof(text) - 1});
        assert_false(secret_print_equal(&print, &other));
        memcpy(&text[bit / 8], &before, 1);
    }

    const struct secret_print again = secret_print_of(span_of(text));
    assert_true(secret_print_equal(&print, &again));
}

static void test_print_equal_sees_every_bit(void **unused)
{
    (void)unused;
    const struct secret_print print = secret_print_of(SPAN("x"));

    for (size_t bit = 0; bit < 8 * (size_t)SECRET_PRINT_BYTES; bit++) {
        struct secret_print other = print;
        other.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(secret_print_equal(&print, &other));
    }
}

static void test_tag_is_stable_and_tells_inputs_apart(void **unused)
{
    uint8_t first[SECRET_TAG_BYTES], again[SECRET_TAG_BYTES], other[SECRET_TAG_BYTES];
    uint64_t number = 0;
    (void)unused;

    secret_tag(SPAN("wal_1"), first);
    secret_tag(SPAN("wal_1"), again);
    secret_tag(SPAN("wal_2"), other);
    memcpy(&number, first, sizeof number);

    assert_memory_equal(first, again, SECRET_TAG_BYTES);
    assert_memory_not_equal(first, other, SECRET_TAG_BYTES);
    assert_true(secret_tag_u64(SPAN("wal_1")) == number);
}

static void assert_mac(const uint8_t key[SECRET_MAC_KEY_BYTES], struct span message,
                       const char *expected_hex)
{
    struct secret_mac_key ready;
    char text[2 * SECRET_MAC_BYTES];
    struct buf hex;
    secret_mac_key_set(&ready, key);
    buf_init(&hex, text, sizeof text);
    for (int again = 0; again < 2; again++) { /* the key stays ready */
        const struct secret_mac mac = secret_mac(&ready, message);
        hex.len = 0;
        buf_add_hex(&hex, mac.bytes, sizeof mac.bytes);
        assert_true(span_equal(buf_span(&hex), span_of(expected_hex)));
    }
}

/* The test vectors of RFC 4231; a key shorter than 32 bytes is the same with zeros behind it. */
static void test_mac_is_hmac_sha256_cut_short(void **unused)
{
    uint8_t jefe[SECRET_MAC_KEY_BYTES] = "Jefe", ones[SECRET_MAC_KEY_BYTES] = {0};
    uint8_t counting[SECRET_MAC_KEY_BYTES] = {0};
    char fifties[50], cds[50];
    (void)unused;
    memset(ones, 0x0b, 20);
    memset(fifties, 0xdd, sizeof fifties);
    memset(cds, 0xcd, sizeof cds);
    for (uint8_t i = 0; i < 25; i++)
        counting[i] = (uint8_t)(i + 1);

    assert_mac(ones, SPAN("Hi There"), "b0344c61d8db38535ca8afceaf0bf12b");
    assert_mac(jefe, SPAN("what do ya want for nothing?"), "5bdcc146bf60754e6a042426089575c7");
    memset(ones, 0xaa, 20);
    assert_mac(ones, (struct span){fifties, sizeof fifties}, "773ea91e36800e46854db8ebd09181a7");
    assert_mac(counting, (struct span){cds, sizeof cds}, "82558a389a443c0ea4cc819899f2083a");
}

static void test_mac_differs_with_key_and_message(void **unused)
{
    struct secret_mac_key one, other;
    (void)unused;
    secret_mac_key_set(&one, (const uint8_t[SECRET_MAC_KEY_BYTES]){1});
    secret_mac_key_set(&other, (const uint8_t[SECRET_MAC_KEY_BYTES]){2});
    const struct secret_mac mac = secret_mac(&one, SPAN("k"));
    const struct secret_mac by_key = secret_mac(&other, SPAN("k"));
    const struct secret_mac by_message = secret_mac(&one, SPAN("kk"));

    assert_memory_not_equal(&mac, &by_key, sizeof mac);
    assert_memory_not_equal(&mac, &by_message, sizeof mac);
}

static void test_wipe_clears_exactly_what_it_was_given(void **unused)
{
    uint8_t bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    (void)unused;

    secret_wipe(bytes, 0);
    assert_int_equal(bytes[0], 1);
    secret_wipe(bytes + 1, 6);

    assert_int_equal(bytes[0], 1);
    assert_true(all_zero(bytes + 1, 6));
    assert_int_equal(bytes[7], 8);
}

static void test_protect_leaves_the_memory_usable(void **unused)
{
    enum { BYTES = 3 * 4096 + 5 };
    uint8_t *bytes = malloc(BYTES);
    (void)unused;
    assert_non_null(bytes);
    memset(bytes, 0x5A, BYTES);

    secret_protect(bytes + 3, BYTES - 3);
    secret_protect(NULL, 0);

    for (size_t i = 0; i < BYTES; i++)
        assert_int_equal(bytes[i], 0x5A);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_init_twice_keeps_the_tag_key),
        cmocka_unit_test(test_random_never_repeats_across_refills),
        cmocka_unit_test(test_random_of_odd_and_large_sizes_fills_the_whole_buffer),
        cmocka_unit_test(test_hash_is_sha256),
        cmocka_unit_test(test_digest_equal_sees_every_bit),
        cmocka_unit_test(test_print_is_stable_and_sees_every_bit),
        cmocka_unit_test(test_print_equal_sees_every_bit),
        cmocka_unit_test(test_tag_is_stable_and_tells_inputs_apart),
        cmocka_unit_test(test_mac_is_hmac_sha256_cut_short),
        cmocka_unit_test(test_mac_differs_with_key_and_message),
        cmocka_unit_test(test_wipe_clears_exactly_what_it_was_given),
        cmocka_unit_test(test_protect_leaves_the_memory_usable),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
