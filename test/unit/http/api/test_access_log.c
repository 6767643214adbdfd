#include "core/clock.h"
#include "core/log.h"
#include "http/api/access_log.h"
#include "http/api/access_note.h"
#include "http/api/problem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static uint64_t now_us;
static int read_end = -1;
static char text[LOG_RING_BYTES + 1];
static struct access_note note;
static struct http_finished finished;

static uint64_t fixed_mono_us(void)
{
    return now_us;
}

/* What was logged since the last call. */
static const char *logged(void)
{
    log_flush();
    const ssize_t count = read(read_end, text, sizeof(text) - 1);
    text[count > 0 ? count : 0] = '\0';
    return text;
}

static uint32_t lines_of(const char *lines)
{
    uint32_t count = 0;
    for (; *lines != '\0'; lines++)
        count += *lines == '\n';
    return count;
}

static int set_up(void **state)
{
    (void)state;
    now_us = UINT64_C(1000) * CLOCK_US_PER_S;
    clock_replace(fixed_mono_us, NULL);
    (void)logged();
    note = (struct access_note){0};
    finished = (struct http_finished){.endpoint = "/api/payment/simulate",
                                      .method = HTTP_GET,
                                      .status = 200,
                                      .duration_us = 1500,
                                      .note = &note,
                                      .request_id = "order-1001",
                                      .trace_id = "0123456789abcdef0123456789abcdef",
                                      .peer = "127.0.0.1"};
    return 0;
}

static void test_success_is_sampled(void **state)
{
    (void)state;
    struct access_log log;
    access_log_init(&log, 3);

    for (int i = 0; i < 6; i++)
        access_log_finished(&log, &finished);

    assert_int_equal(lines_of(logged()), 2);
    access_log_init(&log, 0);
    access_log_finished(&log, &finished);
    assert_int_equal(lines_of(logged()), 0);
}

static void test_failure_and_slow_are_always_logged(void **state)
{
    (void)state;
    struct access_log log;
    access_log_init(&log, 0);

    finished.status = 503;
    note.problem = problem_kind(PROBLEM_OVERLOADED)->slug;
    access_log_finished(&log, &finished);
    finished.status = 200;
    note.problem = NULL;
    finished.duration_us = ACCESS_LOG_SLOW_US + 1;
    access_log_finished(&log, &finished);
    finished.duration_us = ACCESS_LOG_SLOW_US;
    access_log_finished(&log, &finished);

    assert_int_equal(lines_of(logged()), 2);
    assert_non_null(strstr(text, "\"error.type\":\"overloaded\""));
    assert_non_null(strstr(text, "\"duration_us\":100001"));
}

static void test_lines_a_second_are_bounded_and_counted(void **state)
{
    (void)state;
    struct access_log log;
    access_log_init(&log, 0);
    finished.status = 404;

    for (int i = 0; i < ACCESS_LOG_LINES_PER_S_MAX + 7; i++) {
        access_log_finished(&log, &finished);
        if (i % 50 == 0)
            log_flush();
    }
    assert_int_equal(log.lines_total, ACCESS_LOG_LINES_PER_S_MAX);
    assert_int_equal(log.suppressed_total, 7);
    now_us += CLOCK_US_PER_S;
    access_log_finished(&log, &finished);

    assert_int_equal(log.lines_total, ACCESS_LOG_LINES_PER_S_MAX + 1);
}

static void test_payment_fields_hold_tags_not_values(void **state)
{
    (void)state;
    struct access_log log;
    access_log_init(&log, 1);
    note = (struct access_note){.key_id = "current",
                                .client_id = 1,
                                .queue_us = 12,
                                .db_us = 345,
                                .budget_ms = 100,
                                .idempotency = "new",
                                .has_payment = true,
                                .effect = "hold",
                                .response_code = "00",
                                .currency = "EUR",
                                .amount_minor = 1250,
                                .wallet_tag = {1, 2, 3, 4, 5, 6, 7, 0xff},
                                .has_key_tag = true,
                                .key_tag = {9, 9, 9, 9, 9, 9, 9, 9}};

    access_log_finished(&log, &finished);

    assert_int_equal(lines_of(logged()), 1);
    assert_non_null(strstr(text, "\"payment.wallet_hmac\":\"01020304050607ff\""));
    assert_non_null(strstr(text, "\"idempotency.key_hmac\":\"0909090909090909\""));
    assert_non_null(strstr(text, "\"payment.amount\":1250"));
    assert_non_null(strstr(text, "\"payment.currency\":\"EUR\""));
    assert_non_null(strstr(text, "\"deadline_ms\":100"));
    assert_non_null(strstr(text, "\"api_key.id\":\"current\""));
}

static void test_request_id_of_the_client_cannot_forge_a_field(void **state)
{
    (void)state;
    struct access_log log;
    access_log_init(&log, 1);
    finished.request_id = "a\",\"body\":\"forged\\";

    access_log_finished(&log, &finished);

    assert_int_equal(lines_of(logged()), 1);
    assert_non_null(strstr(text, "\"trace_id\":\"0123456789abcdef0123456789abcdef\""));
    assert_non_null(strstr(text, "\"request_id\":\"a\\\",\\\"body\\\":\\\"forged\\\\\""));
}

static void test_refused_key_is_also_an_audit_line(void **state)
{
    (void)state;
    struct access_log log;
    access_log_init(&log, 0);
    finished.status = 403;
    note.problem = problem_kind(PROBLEM_API_KEY_INVALID)->slug;

    access_log_finished(&log, &finished);

    assert_int_equal(lines_of(logged()), 2);
    assert_non_null(strstr(text, "auth_failure"));
}

static void test_line_without_request_or_note(void **state)
{
    (void)state;
    struct access_log log;
    access_log_init(&log, 0);
    finished.status = 400;
    finished.endpoint = "other";
    finished.method = HTTP_OTHER;
    finished.note = NULL;
    finished.peer = NULL;

    access_log_finished(&log, &finished);

    assert_int_equal(lines_of(logged()), 1);
}

static int group_set_up(void **state)
{
    (void)state;
    static const struct log_identity identity = {"test", "1", "r", "e"};
    int ends[2];
    if (pipe2(ends, O_NONBLOCK) == -1 || fcntl(ends[1], F_SETPIPE_SZ, LOG_RING_BYTES) == -1)
        return -1;
    read_end = ends[0];
    log_open(ends[1], LOG_INFO, &identity);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_success_is_sampled, set_up),
        cmocka_unit_test_setup(test_failure_and_slow_are_always_logged, set_up),
        cmocka_unit_test_setup(test_lines_a_second_are_bounded_and_counted, set_up),
        cmocka_unit_test_setup(test_payment_fields_hold_tags_not_values, set_up),
        cmocka_unit_test_setup(test_request_id_of_the_client_cannot_forge_a_field, set_up),
        cmocka_unit_test_setup(test_refused_key_is_also_an_audit_line, set_up),
        cmocka_unit_test_setup(test_line_without_request_or_note, set_up),
    };
    return cmocka_run_group_tests(tests, group_set_up, NULL);
}
