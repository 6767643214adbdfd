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
static struct reactor *reactor;
static struct ip_networks trusted;
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

static void start_log(struct access_log *log, uint32_t sample)
{
    access_log_init(log, &(struct access_log_config){
                             .reactor = reactor, .trusted = &trusted, .sample = sample});
}

static uint32_t count_of(const char *lines, const char *what)
{
    uint32_t count = 0;
    for (; (lines = strstr(lines, what)) != NULL; lines++)
        count++;
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
    start_log(&log, 3);

    for (int i = 0; i < 6; i++)
        access_log_finished(&log, &finished);

    assert_int_equal(lines_of(logged()), 2);
    start_log(&log, 0);
    access_log_finished(&log, &finished);
    assert_int_equal(lines_of(logged()), 0);
}

static void test_failure_and_slow_are_always_logged(void **state)
{
    (void)state;
    struct access_log log;
    start_log(&log, 0);

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

static void finish_many(struct access_log *log, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        access_log_finished(log, &finished);
        if (i % 50 == 0)
            log_flush();
    }
}

/* As the loop does when time has passed. */
static void pass(uint64_t time_us)
{
    now_us += time_us;
    assert_int_equal(reactor_turn(reactor, 0), ERR_OK);
}

static void test_each_kind_has_its_own_bound(void **state)
{
    (void)state;
    static const struct {
        const char *key_id;
        uint16_t status;
        enum access_log_reason kind;
    } rows[] = {{"current", 503, ACCESS_LOG_CALLER_FAILED},
                {"current", 422, ACCESS_LOG_CALLER},
                {NULL, 503, ACCESS_LOG_STRANGER_FAILED},
                {NULL, 404, ACCESS_LOG_STRANGER}};
    struct access_log log;
    start_log(&log, 0);
    uint64_t total = 0;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const uint32_t most = access_log_lines_per_s_max(rows[i].kind);
        note.key_id = rows[i].key_id;
        finished.status = rows[i].status;
        finish_many(&log, most + 7);
        total += most;
        assert_int_equal(log.lines_total, total);
        assert_int_equal(log.suppressed_total[rows[i].kind], 7);
        (void)logged();
    }
    pass(CLOCK_US_PER_S);
    access_log_finished(&log, &finished);

    assert_int_equal(log.lines_total, total + 1);
    access_log_stop(&log);
}

static void test_what_is_left_out_is_told_once_a_second_by_reason(void **state)
{
    (void)state;
    struct access_log log;
    start_log(&log, 0);
    finished.status = 404;
    finish_many(&log, access_log_lines_per_s_max(ACCESS_LOG_STRANGER) + 7);
    finished.status = 401;
    note.auth = AUTH_THROTTLED_UNLOGGED;
    finish_many(&log, 3);
    (void)logged();

    pass(CLOCK_US_PER_S - 1);
    assert_int_equal(lines_of(logged()), 0);
    pass(1);
    assert_int_equal(lines_of(logged()), 2);
    assert_non_null(strstr(text, "\"body\":\"lines_suppressed\",\"event.category\":\"audit\""));
    assert_non_null(strstr(text, "\"reason\":\"stranger\",\"count\":7}"));
    assert_non_null(strstr(text, "\"reason\":\"address\",\"count\":3}"));
    pass(CLOCK_US_PER_S);
    assert_int_equal(lines_of(logged()), 0);

    access_log_finished(&log, &finished);
    access_log_stop(&log);
    assert_non_null(strstr(logged(), "\"reason\":\"address\",\"count\":1}"));
}

static void test_refused_keys_of_many_leave_the_callers_their_lines(void **state)
{
    (void)state;
    struct access_log log;
    start_log(&log, 0);
    finished.status = 403;
    note.auth = AUTH_TOLD;
    finish_many(&log, 1000);
    (void)logged();

    note.auth = AUTH_NOT_REFUSED;
    note.key_id = "current";
    finished.status = 503;
    finish_many(&log, 30);

    assert_int_equal(count_of(logged(), "\"http.response.status_code\":503"), 30);
    access_log_stop(&log);
}

static void test_line_tells_the_client_behind_a_trusted_proxy(void **state)
{
    (void)state;
    struct access_log log;
    start_log(&log, 1);
    assert_null(ip_networks_parse(SPAN("127.0.0.0/8"), &trusted));
    const struct http_request request = {
        .header_count = 1, .headers = {{SPAN("X-Forwarded-For"), SPAN("203.0.113.7")}}};
    finished.request = &request;

    access_log_finished(&log, &finished);

    assert_non_null(strstr(logged(), "\"network.peer.address\":\"127.0.0.1\""));
    assert_non_null(strstr(text, "\"client.address\":\"203.0.113.7\""));
    trusted.count = 0;
    access_log_finished(&log, &finished);
    assert_non_null(strstr(logged(), "\"client.address\":\"127.0.0.1\""));
}

static void test_payment_fields_hold_tags_not_values(void **state)
{
    (void)state;
    struct access_log log;
    start_log(&log, 1);
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
    start_log(&log, 1);
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
    start_log(&log, 0);
    finished.status = 403;
    note.problem = problem_kind(PROBLEM_API_KEY_INVALID)->slug;
    note.auth = AUTH_TOLD;
    access_log_finished(&log, &finished);
    assert_int_equal(lines_of(logged()), 2);
    assert_non_null(strstr(text, "\"body\":\"auth_failure\",\"event.category\":\"audit\""));

    note.auth = AUTH_THROTTLED;
    access_log_finished(&log, &finished);
    assert_int_equal(count_of(logged(), "\"body\":\"auth_throttled\""), 1);

    note.auth = AUTH_TOLD_UNLOGGED;
    access_log_finished(&log, &finished);
    assert_int_equal(lines_of(logged()), 0);
    assert_int_equal(log.suppressed_total[ACCESS_LOG_ADDRESS], 1);
    access_log_stop(&log);
}

static void test_line_without_request_or_note(void **state)
{
    (void)state;
    struct access_log log;
    start_log(&log, 0);
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
    if (reactor_create(&reactor, 4) != ERR_OK)
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
        cmocka_unit_test_setup(test_each_kind_has_its_own_bound, set_up),
        cmocka_unit_test_setup(test_what_is_left_out_is_told_once_a_second_by_reason, set_up),
        cmocka_unit_test_setup(test_refused_keys_of_many_leave_the_callers_their_lines, set_up),
        cmocka_unit_test_setup(test_line_tells_the_client_behind_a_trusted_proxy, set_up),
        cmocka_unit_test_setup(test_payment_fields_hold_tags_not_values, set_up),
        cmocka_unit_test_setup(test_request_id_of_the_client_cannot_forge_a_field, set_up),
        cmocka_unit_test_setup(test_refused_key_is_also_an_audit_line, set_up),
        cmocka_unit_test_setup(test_line_without_request_or_note, set_up),
    };
    return cmocka_run_group_tests(tests, group_set_up, NULL);
}
