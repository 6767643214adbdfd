#include "core/secret.h"
#include "http/api/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct json_value *read_good(const char *text)
{
    const struct json_value *root = NULL;
    struct json_fault fault;
    assert_int_equal(json_read(span_of(text), &root, &fault), ERR_OK);
    assert_non_null(root);
    return root;
}

static struct json_fault fault;

static const char *read_bad(struct span text)
{
    const struct json_value *root = NULL;
    fault = (struct json_fault){NULL, SIZE_MAX};
    assert_int_equal(json_read(text, &root, &fault), ERR_INVALID);
    assert_null(root);
    assert_non_null(fault.why);
    assert_true(fault.offset <= text.len);
    return fault.why;
}

static void test_read_gives_members_by_type(void **state)
{
    (void)state;
    const struct json_value *root = read_good(
        "{\"text\":\"a\\u00e9\",\"number\":-12,\"object\":{},\"real\":1.0,\"null\":null}");

    assert_int_equal(json_type_of(json_member(root, "text")), JSON_STRING_TYPE);
    assert_true(span_equal(json_string_of(json_member(root, "text")), SPAN("a\xc3\xa9")));
    assert_int_equal(json_integer_of(json_member(root, "number")), -12);
    assert_int_equal(json_type_of(json_member(root, "object")), JSON_OBJECT_TYPE);
    assert_int_equal(json_type_of(json_member(root, "real")), JSON_REAL_TYPE);
    assert_int_equal(json_type_of(json_member(root, "null")), JSON_NULL_TYPE);
    assert_int_equal(json_type_of(json_member(root, "absent")), JSON_ABSENT);
}

static void test_exponent_is_not_an_integer(void **state)
{
    (void)state;
    const struct json_value *root = read_good("{\"a\":1e2}");

    assert_int_equal(json_type_of(json_member(root, "a")), JSON_REAL_TYPE);
}

static void test_duplicate_member_is_refused(void **state)
{
    (void)state;

    assert_string_equal(read_bad(SPAN("{\"a\":1,\"a\":1}")),
                        "a member name occurs twice in one object");
    read_bad(SPAN("{\"a\":{\"b\":1,\"\\u0062\":1}}"));
}

static void test_what_is_not_an_object_is_refused(void **state)
{
    (void)state;

    read_bad(SPAN(""));
    read_bad(SPAN("[]"));
    read_bad(SPAN("1"));
    read_bad(SPAN("null"));
    read_bad(SPAN("{} {}"));
    read_bad(SPAN("{"));
    read_bad(SPAN("{'a':1}"));
    read_bad(SPAN("\xef\xbb\xbf{}"));
}

static void test_bad_text_is_refused(void **state)
{
    (void)state;

    assert_string_equal(read_bad(SPAN("{\"a\":\"\xff\"}")), "the text is not valid UTF-8");
    read_bad(SPAN("{\"a\":\"\\ud800\"}"));
    assert_string_equal(read_bad(SPAN("{\"a\":\"\\u0000\"}")), "a string holds a NUL character");
    assert_string_equal(read_bad(SPAN("{\"a\":1\0}")), "the text holds a NUL byte");
    assert_string_equal(read_bad(SPAN("{\"a\":99999999999999999999}")), "a number is out of range");
}

static void test_depth_ends_at_its_limit(void **state)
{
    (void)state;
    char text[256];
    struct buf at_limit;
    buf_init(&at_limit, text, sizeof(text));
    for (int i = 0; i < JSON_DEPTH_MAX - 1; i++)
        buf_add_text(&at_limit, "{\"a\":");
    buf_add_text(&at_limit, "{}");
    for (int i = 0; i < JSON_DEPTH_MAX - 1; i++)
        buf_add_char(&at_limit, '}');
    char deeper[300];
    struct buf over;
    buf_init(&over, deeper, sizeof(deeper));
    buf_add_text(&over, "{\"a\":");
    buf_add(&over, buf_span(&at_limit));
    buf_add_char(&over, '}');
    const struct json_value *root = NULL;

    assert_int_equal(json_read(buf_span(&at_limit), &root, &fault), ERR_OK);
    assert_string_equal(read_bad(buf_span(&over)), "the text is nested too deeply");
}

static void test_offset_is_where_the_mistake_was_found(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t offset;
    } cases[] = {{"", 0},
                 {"{", 1},
                 {"{\"a\":1,}", 8},
                 {"{'a':1}", 2},
                 {"{} x", 4},
                 {"{\"a\" 1}", 6},
                 {"{\"a\":tru}", 8},
                 {"[]", 0},
                 {"{\"a\":1,\"a\":1}", 10}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        read_bad(span_of(cases[i].text));
        assert_int_equal(fault.offset, cases[i].offset);
    }
    read_bad((struct span){"{\"a\":1\0}", 8});
    assert_int_equal(fault.offset, 6);
    read_bad(SPAN("[[[[[[[[[[[["));
    assert_int_equal(fault.offset, JSON_DEPTH_MAX);
}

static void test_brackets_in_strings_are_not_depth(void **state)
{
    (void)state;

    read_good("{\"a\":\"[[[[[[[[[[[[\\\"{{{{{{{{{{{{{{{{\"}");
}

static void test_too_many_values_are_refused_and_the_next_text_is_read(void **state)
{
    (void)state;
    static char text[256 * 1024];
    struct buf many;
    buf_init(&many, text, sizeof(text));
    buf_add_text(&many, "{\"a\":[{}");
    while (many.len < sizeof(text) / 4)
        buf_add_text(&many, ",{}");
    buf_add_text(&many, "]}");

    assert_string_equal(read_bad(buf_span(&many)), "the text has too many values");
    for (int i = 0; i < 10000; i++)
        read_good("{\"a\":[1,2,{\"b\":\"c\"}]}");
}

static void test_only_members_finds_a_stranger(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", NULL};

    assert_true(json_only_members(read_good("{}"), names));
    assert_true(json_only_members(read_good("{\"b\":1}"), names));
    assert_false(json_only_members(read_good("{\"b\":1,\"c\":1}"), names));
    assert_false(json_only_members(read_good("{\"\":1}"), names));
}

static int set_up(void **state)
{
    (void)state;
    if (secret_init() != ERR_OK)
        return -1;
    json_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_gives_members_by_type),
        cmocka_unit_test(test_exponent_is_not_an_integer),
        cmocka_unit_test(test_duplicate_member_is_refused),
        cmocka_unit_test(test_what_is_not_an_object_is_refused),
        cmocka_unit_test(test_bad_text_is_refused),
        cmocka_unit_test(test_depth_ends_at_its_limit),
        cmocka_unit_test(test_offset_is_where_the_mistake_was_found),
        cmocka_unit_test(test_brackets_in_strings_are_not_depth),
        cmocka_unit_test(test_too_many_values_are_refused_and_the_next_text_is_read),
        cmocka_unit_test(test_only_members_finds_a_stranger),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
