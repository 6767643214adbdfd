#include "http/api/payment_head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct http_request request;
static char key[PAYMENT_KEY_MAX];
static uint8_t key_len;

static void add(const char *name, const char *value)
{
    request.headers[request.header_count++] = (struct http_header){span_of(name), span_of(value)};
}

static enum payment_key_form key_of(const char *value)
{
    request = (struct http_request){0};
    add("Idempotency-Key", value);
    return payment_head_idempotency_key(&request, key, &key_len);
}

static bool json_with(const char *type)
{
    request = (struct http_request){0};
    add("Content-Type", type);
    return payment_head_is_json(&request);
}

static void test_bare_and_quoted_keys_are_the_same(void **state)
{
    (void)state;

    assert_int_equal(key_of("a-1"), PAYMENT_KEY_VALID);
    assert_true(span_equal((struct span){key, key_len}, SPAN("a-1")));
    assert_int_equal(key_of("\"a-1\""), PAYMENT_KEY_VALID);
    assert_true(span_equal((struct span){key, key_len}, SPAN("a-1")));
    assert_int_equal(key_of("\"a\\\"\\\\b\""), PAYMENT_KEY_VALID);
    assert_true(span_equal((struct span){key, key_len}, SPAN("a\"\\b")));
}

static void test_key_that_is_not_of_its_form(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",        "\"\"", "\"",   "\"a",     "\"a\"b",      "\"a\"b\"", "\"a\\n\"",
        "\"a\\\"", "a b",  "a\tb", "\"a b\"", "caf\xc3\xa9", "a, b",     "\"a\";b=\"c\""};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(key_of(bad[i]), PAYMENT_KEY_INVALID);
}

static void test_key_length_ends_at_its_limit(void **state)
{
    (void)state;
    char text[PAYMENT_KEY_MAX + 4] = {0};
    memset(text, 'k', PAYMENT_KEY_MAX);

    assert_int_equal(key_of(text), PAYMENT_KEY_VALID);
    assert_int_equal(key_len, PAYMENT_KEY_MAX);
    text[PAYMENT_KEY_MAX] = 'k';
    assert_int_equal(key_of(text), PAYMENT_KEY_INVALID);
    text[0] = '"';
    text[PAYMENT_KEY_MAX + 1] = '"';
    assert_int_equal(key_of(text), PAYMENT_KEY_VALID);
    text[PAYMENT_KEY_MAX + 1] = 'k';
    text[PAYMENT_KEY_MAX + 2] = '"';
    assert_int_equal(key_of(text), PAYMENT_KEY_INVALID);
}

static void test_key_absent_or_twice(void **state)
{
    (void)state;
    request = (struct http_request){0};
    assert_int_equal(payment_head_idempotency_key(&request, key, &key_len), PAYMENT_KEY_ABSENT);
    add("Idempotency-Key", "a");
    add("idempotency-key", "a");
    assert_int_equal(payment_head_idempotency_key(&request, key, &key_len), PAYMENT_KEY_INVALID);
}

static void test_key_of_any_visible_characters_is_valid(void **state)
{
    (void)state;
    char digits[40] = "4";
    memset(digits + 1, '1', 15); /* a synthetic number that passes the check */
    for (int byte = '!'; byte <= '~'; byte++) {
        const char one[2] = {(char)byte};
        assert_int_equal(key_of(one), byte == '"' ? PAYMENT_KEY_INVALID : PAYMENT_KEY_VALID);
    }
    assert_int_equal(key_of(digits), PAYMENT_KEY_VALID);
    assert_int_equal(key_of("1795485806496301123"), PAYMENT_KEY_VALID);
    assert_int_equal(key_of("order-20261124-000123"), PAYMENT_KEY_VALID);
}

static void test_content_type_must_be_json(void **state)
{
    (void)state;

    assert_true(json_with("application/json"));
    assert_true(json_with("Application/Json ; charset=UTF-8"));
    assert_true(json_with("application/json;charset=\"utf-8\""));
    assert_true(json_with("application/json;"));
    assert_true(json_with("application/json ; ;charset=utf-8; "));
    assert_false(json_with("application/json; charset=latin1"));
    assert_false(json_with("application/json; charset"));
    assert_false(json_with(";"));
    assert_false(json_with("application/json; x=1"));
    assert_false(json_with("application/jsonp"));
    assert_false(json_with("text/plain"));
    assert_false(json_with(""));
    request = (struct http_request){0};
    assert_false(payment_head_is_json(&request));
}

static void test_content_coding_is_refused(void **state)
{
    (void)state;
    assert_true(json_with("application/json"));
    add("Content-Encoding", "identity");
    assert_true(payment_head_is_json(&request));
    request.headers[1].value = SPAN("");
    assert_true(payment_head_is_json(&request));
    request.headers[1].value = SPAN("gzip");
    assert_false(payment_head_is_json(&request));
}

static bool accepts(const char *value)
{
    request = (struct http_request){0};
    add("Accept", value);
    return payment_head_accepts_json(&request);
}

static void test_client_that_refuses_json_is_not_answered_in_it(void **state)
{
    (void)state;

    assert_true(accepts(""));
    assert_true(accepts("application/problem+json"));
    assert_false(accepts("application/json;q=0, */*"));
    assert_false(accepts("application/json;q=0, application/problem+json"));
    assert_false(accepts("text/html, application/problem+json;q=0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bare_and_quoted_keys_are_the_same),
        cmocka_unit_test(test_key_that_is_not_of_its_form),
        cmocka_unit_test(test_key_length_ends_at_its_limit),
        cmocka_unit_test(test_key_absent_or_twice),
        cmocka_unit_test(test_key_of_any_visible_characters_is_valid),
        cmocka_unit_test(test_content_type_must_be_json),
        cmocka_unit_test(test_content_coding_is_refused),
        cmocka_unit_test(test_client_that_refuses_json_is_not_answered_in_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
