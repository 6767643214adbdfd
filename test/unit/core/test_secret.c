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
        cmocka_unit_test(test_tag_is_stable_and_tells_inputs_apart),
        cmocka_unit_test(test_wipe_clears_exactly_what_it_was_given),
        cmocka_unit_test(test_protect_leaves_the_memory_usable),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
