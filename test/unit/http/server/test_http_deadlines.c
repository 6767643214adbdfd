/* Clients that are slow: in the head, in the body, in reading, in between. */
#include "server_fixture.h"

static void test_silent_and_idle_connections_end_silently(void **state)
{
    (void)state;
    struct client silent = dial(), idle = dial();
    ask(&idle, "GET /now HTTP/1.1\r\n" HOST "\r\n", "[] ");
    say(&silent, "\r\n");
    settle();

    advance_ms(IDLE_MS - 200);
    expect_silence(&silent);
    say(&silent, "\r\n"); /* does not count as progress */
    settle();
    advance_ms(400);

    expect_end(&silent);
    expect_end(&idle);
    assert_int_equal(silent.len + idle.len, 0);
    assert_int_equal(closed(HTTP_CLOSE_IDLE_TIMEOUT), 2);
    hang_up(&silent);
    hang_up(&idle);
}

static void test_slow_head_is_ended_whatever_its_progress(void **state)
{
    (void)state;
    struct client client = dial();
    say(&client, "GET /now HTTP/1.1\r\n");
    wait_for_state(HTTP_CONN_HEAD, 1);
    for (unsigned i = 0; i < 4; i++) {
        advance_ms(1200);
        say(&client, "X: y\r\n");
        expect_silence(&client);
    }

    advance_ms(300);

    expect(&client, "408 Request Timeout");
    expect_end(&client);
    hang_up(&client);
    wait_for_state(HTTP_CONN_FREE, CONN_MAX);
    assert_int_equal(closed(HTTP_CLOSE_HEAD_TIMEOUT), 1);
    assert_string_equal(app.log, "GET other 408;");
}

static void test_slow_body_is_ended_whatever_its_progress(void **state)
{
    (void)state;
    struct client client = dial();
    say(&client, "POST /now HTTP/1.1\r\n" HOST "Content-Length: 100\r\n\r\n");
    wait_for_state(HTTP_CONN_BODY, 1);
    for (unsigned i = 0; i < 5; i++) {
        advance_ms(1100);
        say(&client, "b");
        expect_silence(&client);
    }

    advance_ms(600);

    expect(&client, "408 Request Timeout");
    expect_end(&client);
    hang_up(&client);
    wait_for_state(HTTP_CONN_FREE, CONN_MAX);
    assert_int_equal(closed(HTTP_CLOSE_BODY_TIMEOUT), 1);
}

static void test_client_that_does_not_read_is_ended(void **state)
{
    (void)state;
    app.large = (size_t)400 * 1024;
    struct client client = dial_narrow();
    say(&client, "GET /now HTTP/1.1\r\n" HOST "\r\nGET /now HTTP/1.1\r\n" HOST "\r\n");
    wait_for_state(HTTP_CONN_WRITING, 1);
    assert_int_equal(app.finished, 0);

    advance_ms(WRITE_MS - 200);
    assert_int_equal(http_server_count(server, HTTP_CONN_WRITING), 1);
    advance_ms(400);

    wait_for_state(HTTP_CONN_FREE, CONN_MAX);
    assert_int_equal(closed(HTTP_CLOSE_WRITE_TIMEOUT), 1);
    assert_int_equal(http_server_stats(server)->answers_dropped_total, 1);
    assert_string_equal(app.log, "GET /now 200 dropped;");
    hang_up(&client);
}

/* However long it takes to arrive; a request that has to wait for its turn has arrived. */
static void test_time_of_a_request_begins_with_its_last_byte(void **state)
{
    (void)state;
    struct client client = dial();
    say(&client, "POST /later HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n");
    wait_for_state(HTTP_CONN_BODY, 1);
    advance_ms(BODY_MS / 2);
    say(&client, "a");
    settle();
    advance_ms(BODY_MS / 4);
    const uint64_t complete_us = now_us;
    say(&client, "bGET /now HTTP/1.1\r\n" HOST "\r\n");
    wait_for_state(HTTP_CONN_HANDLING, 1);
    now_us += 70;

    assert_int_equal(http_exchange_received_us(app.later[0]), complete_us);
    answer_later(0);

    assert_int_equal(app.last_duration_us, 70);
    expect(&client, "GET /now [] ");
    assert_int_equal(app.last_duration_us, 0);
    hang_up(&client);
}

static void test_time_of_a_request_that_waits_for_its_turn_goes_on(void **state)
{
    (void)state;
    enum { SLOW_US = 3000 };
    struct client first = dial(), second = dial();
    wait_for_state(HTTP_CONN_IDLE, 2);
    say(&first, "GET /now HTTP/1.1\r\n" HOST "\r\n");
    say(&second, "GET /now HTTP/1.1\r\n" HOST "\r\n");
    app.takes_us = SLOW_US;

    turn();

    assert_int_equal(app.finished, 2);
    assert_int_equal(app.last_duration_us, 2 * SLOW_US);
    hang_up(&first);
    hang_up(&second);
}

static void test_duration_of_what_never_was_complete(void **state)
{
    (void)state;
    struct client client = dial();
    say(&client, "GET /now HTTP/1.1\r\n");
    wait_for_state(HTTP_CONN_HEAD, 1);

    advance_ms(HEAD_MS + 100);

    expect(&client, "408 Request Timeout");
    assert_true(app.last_duration_us >= (uint64_t)HEAD_MS * CLOCK_US_PER_MS);
    hang_up(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_silent_and_idle_connections_end_silently),
        TEST(test_slow_head_is_ended_whatever_its_progress),
        TEST(test_slow_body_is_ended_whatever_its_progress),
        TEST(test_client_that_does_not_read_is_ended),
        TEST(test_time_of_a_request_begins_with_its_last_byte),
        TEST(test_time_of_a_request_that_waits_for_its_turn_goes_on),
        TEST(test_duration_of_what_never_was_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
