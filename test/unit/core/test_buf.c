#include "core/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { STORAGE_BYTES = 256 };

struct writer {
    struct buf buf;
    char storage[STORAGE_BYTES];
};

static void writer_start(struct writer *writer, size_t cap)
{
    memset(writer->storage, '#', sizeof writer->storage);
    buf_init(&writer->buf, writer->storage, cap);
}

static void assert_text(const struct writer *writer, const char *expected)
{
    assert_false(writer->buf.overflow);
    assert_int_equal(writer->buf.len, strlen(expected));
    assert_memory_equal(writer->storage, expected, writer->buf.len);
}

static void test_add_fills_exactly_up_to_capacity(void **unused)
{
    struct writer writer;
    (void)unused;

    writer_start(&writer, 5);
    buf_add(&writer.buf, SPAN("abcd"));
    assert_text(&writer, "abcd");

    writer_start(&writer, 5);
    buf_add(&writer.buf, SPAN("abcde"));
    assert_text(&writer, "abcde");

    writer_start(&writer, 5);
    buf_add(&writer.buf, SPAN("abcdef"));
    assert_true(writer.buf.overflow);
    assert_int_equal(writer.buf.len, 0);
    assert_memory_equal(writer.storage, "######", 6);
}

static void test_overflow_is_sticky(void **unused)
{
    struct writer writer;
    (void)unused;
    writer_start(&writer, 4);
    buf_add(&writer.buf, SPAN("abc"));

    buf_add(&writer.buf, SPAN("de"));
    buf_add_char(&writer.buf, 'f');
    buf_add_u64(&writer.buf, 1);
    buf_add_hex(&writer.buf, NULL, 0);
    buf_addf(&writer.buf, "%s", "");
    assert_true(writer.buf.overflow);
    assert_int_equal(writer.buf.len, 3);
}

static void test_addf_needs_one_spare_byte(void **unused)
{
    struct writer writer;
    (void)unused;

    writer_start(&writer, 5);
    buf_addf(&writer.buf, "%d-%s", 12, "x");
    assert_text(&writer, "12-x");

    writer_start(&writer, 4);
    buf_addf(&writer.buf, "%d-%s", 12, "x");
    assert_true(writer.buf.overflow);
    assert_int_equal(writer.buf.len, 0);
    assert_int_equal(writer.storage[4], '#');
}

static void test_nothing_is_written_to_a_buffer_without_room(void **unused)
{
    struct buf buf;
    (void)unused;
    buf_init(&buf, NULL, 0);

    buf_add(&buf, SPAN(""));
    assert_false(buf.overflow);

    buf_add_char(&buf, 'x');
    assert_true(buf.overflow);
}

static void test_u64_matches_printf(void **unused)
{
    struct writer writer;
    (void)unused;
    uint64_t values[2 + 20 * 3] = {0, UINT64_MAX};
    size_t count = 2;
    for (uint64_t power = 1; count < 2 + 20 * 3; power *= 10) {
        values[count++] = power - 1;
        values[count++] = power;
        values[count++] = power + 1;
    }

    for (size_t i = 0; i < count; i++) {
        char expected[32];
        (void)snprintf(expected, sizeof expected, "%llu", (unsigned long long)values[i]);
        writer_start(&writer, STORAGE_BYTES);
        buf_add_u64(&writer.buf, values[i]);
        assert_text(&writer, expected);
    }
}

static void test_i64_reaches_both_ends(void **unused)
{
    struct writer writer;
    (void)unused;
    writer_start(&writer, STORAGE_BYTES);

    buf_add_i64(&writer.buf, INT64_MIN);
    buf_add_char(&writer.buf, ' ');
    buf_add_i64(&writer.buf, INT64_MAX);
    buf_add_char(&writer.buf, ' ');
    buf_add_i64(&writer.buf, -1);
    buf_add_char(&writer.buf, ' ');
    buf_add_i64(&writer.buf, 0);

    assert_text(&writer, "-9223372036854775808 9223372036854775807 -1 0");
}

static void test_milli2_rounds_half_up(void **unused)
{
    static const struct {
        uint64_t thousandths;
        const char *text;
    } cases[] = {{0, "0.00"},      {4, "0.00"},       {5, "0.01"},     {994, "0.99"},
                 {995, "1.00"},    {1000, "1.00"},    {1420, "1.42"},  {1424, "1.42"},
                 {1425, "1.43"},   {9994, "9.99"},    {9995, "10.00"}, {99999, "100.00"},
                 {10050, "10.05"}, {100000, "100.00"}};
    struct writer writer;
    (void)unused;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        writer_start(&writer, STORAGE_BYTES);
        buf_add_milli2(&writer.buf, cases[i].thousandths);
        assert_text(&writer, cases[i].text);
    }
    writer_start(&writer, STORAGE_BYTES);
    buf_add_milli2(&writer.buf, UINT64_MAX);
    assert_text(&writer, "18446744073709551.62");
}

static void test_hex_is_lower_case(void **unused)
{
    static const uint8_t bytes[] = {0x00, 0x0F, 0xA9, 0xFF};
    struct writer writer;
    (void)unused;
    writer_start(&writer, 8);

    buf_add_hex(&writer.buf, bytes, sizeof bytes);

    assert_text(&writer, "000fa9ff");
}

static void assert_json(struct span input, const char *expected)
{
    struct writer writer;
    writer_start(&writer, STORAGE_BYTES);
    buf_add_json(&writer.buf, input);
    assert_text(&writer, expected);
}

static void test_json_escapes_what_could_end_the_string_or_the_line(void **unused)
{
    (void)unused;

    assert_json(SPAN(""), "\"\"");
    assert_json(SPAN("plain / text"), "\"plain / text\"");
    assert_json(SPAN("a\"b\\c"), "\"a\\\"b\\\\c\"");
    assert_json(SPAN("a\r\nb\tc"), "\"a\\u000d\\u000ab\\u0009c\"");
    assert_json(SPAN("\0\x1f\x7f"), "\"\\u0000\\u001f\\u007f\"");
    assert_json(SPAN("\xC2\x85|\xC2\x9B"), "\"\\u0085|\\u009b\"");
    assert_json(SPAN("\xE2\x80\xA8\xE2\x80\xA9"), "\"\\u2028\\u2029\"");
}

static void test_json_keeps_valid_utf8(void **unused)
{
    (void)unused;

    assert_json(SPAN("\xC3\xB1"), "\"\xC3\xB1\"");
    assert_json(SPAN("\xE2\x82\xAC"), "\"\xE2\x82\xAC\"");
    assert_json(SPAN("\xED\x9F\xBF\xEE\x80\x80"), "\"\xED\x9F\xBF\xEE\x80\x80\"");
    assert_json(SPAN("\xF0\x90\x80\x80\xF4\x8F\xBF\xBF"), "\"\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\"");
}

static void test_json_replaces_each_byte_that_is_not_utf8(void **unused)
{
    (void)unused;

    assert_json(SPAN("\x80"), "\"\\ufffd\"");                       /* a lone continuation */
    assert_json(SPAN("\xC0\xAF"), "\"\\ufffd\\ufffd\"");            /* overlong */
    assert_json(SPAN("\xE0\x9F\xBF"), "\"\\ufffd\\ufffd\\ufffd\""); /* overlong */
    assert_json(SPAN("\xED\xA0\x80"), "\"\\ufffd\\ufffd\\ufffd\""); /* surrogate */
    assert_json(SPAN("\xF4\x90\x80\x80x"), "\"\\ufffd\\ufffd\\ufffd\\ufffdx\"");
    assert_json(SPAN("\xFF\xFE"), "\"\\ufffd\\ufffd\"");
    assert_json(SPAN("\xE2\x82"), "\"\\ufffd\\ufffd\"");       /* cut off */
    assert_json(SPAN("\xE2\x82\""), "\"\\ufffd\\ufffd\\\"\""); /* must not swallow the quote */
}

static void test_json_overflows_at_every_shorter_capacity(void **unused)
{
    static const char expected[] = "\"a\\u000a\\ufffd\xC3\xB1\"";
    const size_t full = sizeof expected - 1;
    struct writer writer;
    (void)unused;

    for (size_t cap = 0; cap <= full; cap++) {
        writer_start(&writer, cap);
        buf_add_json(&writer.buf, SPAN("a\n\xFF\xC3\xB1"));
        assert_int_equal(writer.buf.overflow, cap < full);
        assert_int_equal(writer.storage[cap], '#');
    }
    assert_text(&writer, expected);
}

static void test_hex_values_of_every_byte(void **unused)
{
    static const char lower[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";
    (void)unused;

    for (int byte = 1; byte < 256; byte++) {
        const char digit = (char)byte;
        const char *found = strchr(lower, digit);
        int expected = found != NULL ? (int)(found - lower) : -1;
        found = strchr(upper, digit);
        expected = found != NULL ? (int)(found - upper) : expected;
        assert_int_equal(hex_value(digit), expected);
    }
    assert_int_equal(hex_value('\0'), -1);
}

static void test_span_comparisons(void **unused)
{
    const struct span none = span_of(NULL);
    (void)unused;

    assert_true(span_equal(none, SPAN("")));
    assert_true(span_equal(SPAN("abc"), span_of("abc")));
    assert_false(span_equal(SPAN("abc"), SPAN("abC")));
    assert_false(span_equal(SPAN("abc"), SPAN("ab")));
    assert_true(span_equal_nocase(SPAN("X-Api-KEY"), SPAN("x-aPI-key")));
    assert_false(span_equal_nocase(SPAN("@"), SPAN("`")));
    assert_false(span_equal_nocase(SPAN("\xC3\x91"), SPAN("\xC3\xB1")));
    assert_true(span_starts_with(SPAN("/api/x"), SPAN("/api/")));
    assert_true(span_starts_with(SPAN("x"), none));
    assert_false(span_starts_with(SPAN("/ap"), SPAN("/api")));
}

static void test_trim_strips_space_and_tab_only(void **unused)
{
    (void)unused;

    assert_true(span_equal(span_trim(SPAN(" \t a b\t ")), SPAN("a b")));
    assert_true(span_equal(span_trim(SPAN("\va\r")), SPAN("\va\r")));
    assert_int_equal(span_trim(SPAN(" \t ")).len, 0);
}

static void test_parse_u64_takes_digits_up_to_the_limit(void **unused)
{
    uint64_t value = 77;
    (void)unused;

    assert_true(span_parse_u64(SPAN("0"), 0, &value));
    assert_int_equal(value, 0);
    assert_true(span_parse_u64(SPAN("999"), 1000, &value));
    assert_int_equal(value, 999);
    assert_true(span_parse_u64(SPAN("1000"), 1000, &value));
    assert_int_equal(value, 1000);
    assert_true(span_parse_u64(SPAN("18446744073709551615"), UINT64_MAX, &value));
    assert_true(value == UINT64_MAX);
}

static void test_parse_u64_refuses_and_leaves_the_value(void **unused)
{
    static const char *const bad[] = {"", "+1", "-1", " 1", "1 ", "0x1", "1001", "1e3", "99999"};
    uint64_t value = 77;
    (void)unused;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(span_parse_u64(span_of(bad[i]), 1000, &value));
    assert_false(span_parse_u64(SPAN("1"), 0, &value));
    assert_false(span_parse_u64(SPAN("18446744073709551616"), UINT64_MAX, &value));
    assert_false(span_parse_u64(SPAN("99999999999999999999999"), UINT64_MAX, &value));
    assert_int_equal(value, 77);
}

static void test_cut_walks_every_part(void **unused)
{
    static const char *const parts[] = {"", "a", "", "bc", ""};
    struct span rest = SPAN(",a,,bc,");
    size_t count = 0;
    (void)unused;

    while (rest.ptr != NULL) {
        const struct span part = span_cut(&rest, ',');
        assert_true(count < sizeof parts / sizeof parts[0]);
        assert_true(span_equal(part, span_of(parts[count])));
        count++;
    }

    assert_int_equal(count, sizeof parts / sizeof parts[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add_fills_exactly_up_to_capacity),
        cmocka_unit_test(test_overflow_is_sticky),
        cmocka_unit_test(test_addf_needs_one_spare_byte),
        cmocka_unit_test(test_nothing_is_written_to_a_buffer_without_room),
        cmocka_unit_test(test_u64_matches_printf),
        cmocka_unit_test(test_i64_reaches_both_ends),
        cmocka_unit_test(test_milli2_rounds_half_up),
        cmocka_unit_test(test_hex_is_lower_case),
        cmocka_unit_test(test_json_escapes_what_could_end_the_string_or_the_line),
        cmocka_unit_test(test_json_keeps_valid_utf8),
        cmocka_unit_test(test_json_replaces_each_byte_that_is_not_utf8),
        cmocka_unit_test(test_json_overflows_at_every_shorter_capacity),
        cmocka_unit_test(test_hex_values_of_every_byte),
        cmocka_unit_test(test_span_comparisons),
        cmocka_unit_test(test_trim_strips_space_and_tab_only),
        cmocka_unit_test(test_parse_u64_takes_digits_up_to_the_limit),
        cmocka_unit_test(test_parse_u64_refuses_and_leaves_the_value),
        cmocka_unit_test(test_cut_walks_every_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
