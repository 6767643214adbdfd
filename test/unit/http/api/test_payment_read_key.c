#include "http/api/payment_read_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static char key[PAYMENT_KEY_MAX];
static uint8_t key_len;

static bool decodes(struct span segment)
{
    memset(key, '?', sizeof(key));
    return payment_read_key_decode(segment, key, &key_len);
}

static void test_a_key_is_decoded(void **state)
{
    (void)state;
    static const struct {
        const char *segment, *plain;
    } CASES[] = {{"order-1001", "order-1001"},
                 {"a%2Fb%3Fc%23d", "a/b?c#d"},
                 {"100%25", "100%"},
                 {"%22a%22", "\"a\""},
                 {"%21", "!"},
                 {"%7e", "~"}};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        assert_true(decodes(span_of(CASES[i].segment)));
        assert_true(span_equal((struct span){key, key_len}, span_of(CASES[i].plain)));
    }
}

/* The beginning of one that is none is a secret, too. */
static void test_nothing_is_left_of_what_is_no_key(void **state)
{
    (void)state;
    static const char NOTHING[PAYMENT_KEY_MAX];
    static const char *const CASES[] = {"",    "%",     "secret%", "secret%2",  "secret%gg",
                                        "%00", "a%20b", "%7f",     "secret%0a", "secret\xc3\xa9"};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        assert_false(decodes(span_of(CASES[i])));
        assert_memory_equal(key, NOTHING, sizeof(key));
    }
}

static void test_the_longest_key_and_one_more(void **state)
{
    (void)state;
    char text[3 * (PAYMENT_KEY_MAX + 1)];
    for (size_t i = 0; i < sizeof(text); i += 3)
        memcpy(text + i, "%25", 3);

    assert_true(decodes((struct span){text, sizeof(text) - 3}));
    assert_int_equal(key_len, PAYMENT_KEY_MAX);
    assert_false(decodes((struct span){text, sizeof(text)}));
    memset(text, 'x', sizeof(text));
    assert_true(decodes((struct span){text, PAYMENT_KEY_MAX}));
    assert_false(decodes((struct span){text, PAYMENT_KEY_MAX + 1}));
}

static void test_a_path_is_shown_up_to_its_key(void **state)
{
    (void)state;
    static const struct {
        const char *path, *shown;
    } CASES[] = {
        {"/api/payment/simulate/by-key/k", "/api/payment/simulate/by-key/"},
        {"/api/payment/simulate/by-key/by-key/k", "/api/payment/simulate/by-key/"},
        {"/api/payment/simulate/by-key/k/void", "/api/payment/simulate/by-key/"},
        {"/somewhere/by-key/k", "/somewhere/by-key/"},
        {"/api/payment/simulate/by-key/", "/api/payment/simulate/by-key/"},
        {"/api/payment/simulate/by-key", "/api/payment/simulate/by-key"},
        {"/api/payment/simulate/by-keys/k", "/api/payment/simulate/by-keys/k"},
        {"/", "/"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
        assert_true(
            span_equal(payment_read_key_hide(span_of(CASES[i].path)), span_of(CASES[i].shown)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_is_decoded),
        cmocka_unit_test(test_nothing_is_left_of_what_is_no_key),
        cmocka_unit_test(test_the_longest_key_and_one_more),
        cmocka_unit_test(test_a_path_is_shown_up_to_its_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
