#include "http/api/percent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static char storage[8];
static struct buf out;

static bool decodes(struct span text)
{
    buf_init(&out, storage, sizeof(storage));
    return percent_decode(text, &out);
}

static void test_escapes_are_undone_once(void **state)
{
    (void)state;
    static const struct {
        const char *text, *plain;
    } CASES[] = {{"", ""},         {"abc", "abc"},       {"%61", "a"},
                 {"a%2Fb", "a/b"}, {"%2f", "/"},         {"%2541", "%41"},
                 {"a+b", "a+b"},   {"%25%32%35", "%25"}, {"%C3%a9", "\xc3\xa9"}};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        assert_true(decodes(span_of(CASES[i].text)));
        assert_true(span_equal(buf_span(&out), span_of(CASES[i].plain)));
    }
    assert_true(decodes(SPAN("%00")));
    assert_int_equal(out.len, 1);
}

static void test_broken_escapes_are_refused(void **state)
{
    (void)state;
    static const char *const CASES[] = {"%", "%4", "%4g", "%g4", "a%", "a%2", "%%41", "%-1", "% 1"};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
        assert_false(decodes(span_of(CASES[i])));
}

/* Nothing is read behind the text, whatever stands there. */
static void test_an_escape_ends_with_its_text(void **state)
{
    (void)state;
    assert_false(decodes((struct span){"%41", 2}));
    assert_false(decodes((struct span){"%41", 1}));
}

static void test_more_than_fits_is_refused(void **state)
{
    (void)state;
    assert_true(decodes(SPAN("%41%41%41%41%41%41%41%41")));
    assert_false(decodes(SPAN("%41%41%41%41%41%41%41%41a")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escapes_are_undone_once),
        cmocka_unit_test(test_broken_escapes_are_refused),
        cmocka_unit_test(test_an_escape_ends_with_its_text),
        cmocka_unit_test(test_more_than_fits_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
