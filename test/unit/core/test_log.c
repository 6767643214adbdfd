#include "core/clock.h"
#include "core/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define HEAD "{\"timestamp\":\"2026-11-24T02:03:26.496301Z\",\"severity_text\":"
#define IDENTITY                                                                                   \
    ",\"service.name\":\"api\",\"service.version\":\"1.0.0\",\"cloud.region\":\"eu-south-2\","     \
    "\"deployment.environment\":\"test\""

static const struct log_identity identity = {"api", "1.0.0", "eu-south-2", "test"};
static int file = -1;
static char text[2 * LOG_LINE_BYTES_MAX]; /* what was written */
static size_t text_len;

static uint64_t test_wall(void)
{
    return UINT64_C(1795485806496301);
}

static int open_file(void **unused)
{
    (void)unused;
    clock_replace(NULL, test_wall);
    file = memfd_create("log", MFD_CLOEXEC);
    return file == -1 ? -1 : 0;
}

static int start(void **unused)
{
    if (open_file(unused) == -1)
        return -1;
    log_open(file, LOG_INFO, &identity);
    return 0;
}

static int stop(void **unused)
{
    (void)unused;
    clock_replace(NULL, NULL);
    return close(file);
}

static void read_written(void)
{
    log_flush();
    const ssize_t size = pread(file, text, sizeof text, 0);
    assert_true(size >= 0);
    text_len = (size_t)size;
}

static void assert_written(const char *expected)
{
    read_written();
    assert_int_equal(text_len, strlen(expected));
    assert_memory_equal(text, expected, text_len);
}

static void test_lines_before_open_go_to_stderr_at_once(void **unused)
{
    (void)unused;
    const int saved = dup(STDERR_FILENO);
    assert_int_equal(dup2(file, STDERR_FILENO), STDERR_FILENO);

    log_error("config_invalid", LOG_TEXT("setting", "PORT"));

    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    assert_int_equal(close(saved), 0);
    assert_written(HEAD "\"ERROR\",\"severity_number\":17,\"body\":\"config_invalid\","
                        "\"event.category\":\"lifecycle\",\"setting\":\"PORT\"}\n");
}

static void test_line_has_the_whole_format(void **unused)
{
    (void)unused;

    log_access(LOG_INFO, LOG_U64("http.response.status_code", 200), LOG_I64("left", -5),
               LOG_NO_FIELDS, LOG_TEXT("empty", NULL), LOG_TEXT("http.route", "/health"));

    assert_written(HEAD "\"INFO\",\"severity_number\":9,\"body\":\"request\","
                        "\"event.category\":\"access\"" IDENTITY
                        ",\"http.response.status_code\":200,\"left\":-5,\"empty\":\"\","
                        "\"http.route\":\"/health\"}\n");
}

static void test_levels_below_the_least_are_not_written(void **unused)
{
    (void)unused;

    log_open(file, LOG_WARN, &identity);
    log_debug("a", LOG_NO_FIELDS);
    log_info("b", LOG_NO_FIELDS);
    log_warn("c", LOG_NO_FIELDS);
    log_open(file, LOG_DEBUG, &identity);
    log_debug("d", LOG_NO_FIELDS);

    assert_written(HEAD "\"WARN\",\"severity_number\":13,\"body\":\"c\","
                        "\"event.category\":\"lifecycle\"" IDENTITY "}\n" HEAD
                        "\"DEBUG\",\"severity_number\":5,\"body\":\"d\","
                        "\"event.category\":\"lifecycle\"" IDENTITY "}\n");
}

static void test_level_words(void **unused)
{
    static const char *const words[] = {"debug", "info", "warn", "error"};
    enum log_level level = LOG_DEBUG;
    (void)unused;

    for (size_t i = 0; i < 4; i++) {
        assert_true(log_level_parse(span_of(words[i]), &level));
        assert_int_equal(level, i);
        assert_string_equal(log_level_word(level), words[i]);
    }
    assert_false(log_level_parse(SPAN("INFO"), &level));
    assert_false(log_level_parse(SPAN(""), &level));
    assert_int_equal(level, LOG_ERROR);
}

static void test_input_cannot_forge_a_line_or_a_member(void **unused)
{
    (void)unused;

    log_audit("auth_failed", LOG_TEXT("client.id", "x\"}\n{\"forged\":\"\\\x1b[2J\xff"));

    assert_written(HEAD "\"INFO\",\"severity_number\":9,\"body\":\"auth_failed\","
                        "\"event.category\":\"audit\"" IDENTITY
                        ",\"client.id\":\"x\\\"}\\u000a{\\\"forged\\\":\\\"\\\\\\u001b[2J"
                        "\\ufffd\"}\n");
}

/* The value of member "v" of the only line. */
static struct span value_written(void)
{
    static const char mark[] = "\"v\":\"";
    read_written();
    const char *found = memmem(text, text_len, mark, sizeof mark - 1);
    assert_non_null(found);
    struct span rest = {found + sizeof mark - 1, 0};
    rest.len = text_len - (size_t)(rest.ptr - text);
    return span_cut(&rest, '"');
}

static void test_value_is_cut_at_its_limit(void **unused)
{
    char value[LOG_VALUE_BYTES_MAX + 1];
    (void)unused;
    memset(value, 'v', sizeof value);

    log_info("x", LOG_SPAN("v", ((struct span){value, sizeof value})));

    assert_int_equal(value_written().len, LOG_VALUE_BYTES_MAX);
}

static void test_value_is_not_cut_inside_a_character(void **unused)
{
    static const unsigned char euro[3] = {0xE2, 0x82, 0xAC};
    char value[LOG_VALUE_BYTES_MAX + 4];
    (void)unused;
    memset(value, 'v', sizeof value);
    memcpy(value + LOG_VALUE_BYTES_MAX - 2, euro, sizeof euro);

    log_info("x", LOG_SPAN("v", ((struct span){value, sizeof value})));

    const struct span written = value_written();
    assert_int_equal(written.len, LOG_VALUE_BYTES_MAX - 2);
    assert_null(memchr(written.ptr, '\\', written.len));
}

static void test_field_that_does_not_fit_is_left_out_and_said(void **unused)
{
    static const char end[] = ",\"small\":1,\"log.truncated\":true}\n";
    char value[LOG_VALUE_BYTES_MAX];
    (void)unused;
    memset(value, '\n', sizeof value);

    log_info("x", LOG_SPAN("big", ((struct span){value, sizeof value})), LOG_U64("small", 1));
    read_written();

    assert_null(memmem(text, text_len, "big", 3));
    assert_true(text_len > sizeof end);
    assert_memory_equal(text + text_len - (sizeof end - 1), end, sizeof end - 1);
}

static void test_oversized_identity_leaves_lines_whole(void **unused)
{
    char region[2000];
    (void)unused;
    memset(region, 'r', sizeof region);
    region[sizeof region - 1] = '\0';
    const struct log_identity wild = {"api", "1.0.0", region, "test"};

    log_open(file, LOG_INFO, &wild);
    log_info("x", LOG_U64("n", 1));

    assert_written(HEAD "\"INFO\",\"severity_number\":9,\"body\":\"x\","
                        "\"event.category\":\"lifecycle\",\"service.name\":\"api\","
                        "\"service.version\":\"1.0.0\",\"deployment.environment\":\"test\","
                        "\"n\":1}\n");
}

#define LOG_TEST(function) cmocka_unit_test_setup_teardown(function, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lines_before_open_go_to_stderr_at_once, open_file,
                                        stop),
        LOG_TEST(test_line_has_the_whole_format),
        LOG_TEST(test_levels_below_the_least_are_not_written),
        LOG_TEST(test_level_words),
        LOG_TEST(test_input_cannot_forge_a_line_or_a_member),
        LOG_TEST(test_value_is_cut_at_its_limit),
        LOG_TEST(test_value_is_not_cut_inside_a_character),
        LOG_TEST(test_field_that_does_not_fit_is_left_out_and_said),
        LOG_TEST(test_oversized_identity_leaves_lines_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
