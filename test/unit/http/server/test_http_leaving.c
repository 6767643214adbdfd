/* Clients that leave, in every state. */
#include "server_fixture.h"

static void test_half_closed_client_gets_its_answer(void **state)
{
    (void)state;
    struct client now = dial(), later = dial();

    say(&now, "GET /now HTTP/1.1\r\n" HOST "\r\n");
    shutdown(now.fd, SHUT_WR);
    expect(&now, "GET /now [] ");
    expect_end(&now);
    say(&later, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    shutdown(later.fd, SHUT_WR);
    wait_for_state(HTTP_CONN_HANDLING, 1);
    expect_silence(&later);
    assert_loop_rests();
    answer_later(0);

    expect(&later, "GET /later [] ");
    expect_end(&later);
    assert_int_equal(app.abandoned, 0);
    assert_int_equal(closed(HTTP_CLOSE_PEER), 2);
    hang_up(&now);
    hang_up(&later);
}

static void test_end_midway_is_never_answered_with_success(void **state)
{
    (void)state;
    struct client head = dial(), body = dial();

    say(&head, "GET /now HTTP/1.1\r\n" HOST);
    shutdown(head.fd, SHUT_WR);
    expect_end(&head);
    say(&body, "POST /now HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nab");
    shutdown(body.fd, SHUT_WR);
    expect_end(&body);

    assert_int_equal(head.len + body.len, 0);
    assert_int_equal(closed(HTTP_CLOSE_PEER_MIDWAY), 2);
    assert_int_equal(app.finished, 0);
    hang_up(&head);
    hang_up(&body);
}

static void test_reset_while_handling_is_forgotten(void **state)
{
    (void)state;
    app.forgets = true;
    struct client client = dial();
    say(&client, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    wait_for_state(HTTP_CONN_HANDLING, 1);

    hang_up_by_reset(&client);
    wait_for_state(HTTP_CONN_FREE, CONN_MAX);

    assert_int_equal(app.abandoned, 1);
    assert_int_equal(closed(HTTP_CLOSE_RESET), 1);
    assert_string_equal(app.log, "GET /later 499 dropped;");
    assert_int_equal(http_server_stats(server)->answers_dropped_total, 0);
}

static void test_reset_while_handling_becomes_an_orphan(void **state)
{
    (void)state;
    struct client client = dial();
    say(&client, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    wait_for_state(HTTP_CONN_HANDLING, 1);

    hang_up_by_reset(&client);
    wait_for_state(HTTP_CONN_ORPHAN, 1);
    assert_false(http_server_quiet(server));
    answer_later(0);

    assert_int_equal(http_server_count(server, HTTP_CONN_FREE), CONN_MAX);
    assert_true(http_server_quiet(server));
    assert_int_equal(http_server_stats(server)->answers_dropped_total, 1);
    assert_string_equal(app.log, "GET /later 200 dropped;");
}

static void test_resets_elsewhere_leave_nothing(void **state)
{
    (void)state;
    struct client idle = dial(), head = dial(), body = dial();
    ask(&idle, "GET /now HTTP/1.1\r\n" HOST "\r\n", "[] ");
    say(&head, "GET /n");
    say(&body, "POST /now HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\n");
    wait_for_state(HTTP_CONN_BODY, 1);

    hang_up_by_reset(&idle);
    hang_up_by_reset(&head);
    hang_up_by_reset(&body);

    wait_for_state(HTTP_CONN_FREE, CONN_MAX);
    assert_int_equal(closed(HTTP_CLOSE_RESET), 3);
}

static void test_reset_between_two_pipelined_requests(void **state)
{
    (void)state;
    app.forgets = true;
    struct client client = dial();
    say(&client, "GET /later HTTP/1.1\r\n" HOST "\r\nGET /later HTTP/1.1\r\n" HOST "\r\n");
    wait_for_state(HTTP_CONN_HANDLING, 1);

    answer_later(0);
    hang_up_by_reset(&client);
    wait_for_state(HTTP_CONN_FREE, CONN_MAX);

    assert_int_equal(app.abandoned, 1);
    assert_string_equal(app.log, "GET /later 200;GET /later 499 dropped;");
}

static void test_bytes_of_one_client_never_reach_the_next(void **state)
{
    (void)state;
    struct client first = dial(), second = dial();
    say(&first, "GET /later HTTP/1.1\r\n" HOST "\r\nGET /item/first HTTP/1.1\r\n" HOST "\r\n");
    wait_for_state(HTTP_CONN_HANDLING, 1);
    answer_later(0);
    now_us += (uint64_t)(HEAD_MS + 100) * CLOCK_US_PER_MS; /* the loop stood still */
    wait_for_state(HTTP_CONN_LINGER, 1);

    ask(&second, "GET /item/second HTTP/1.1\r\n" HOST "\r\n", "200 OK");
    expect(&second, "\r\n\r\n");

    assert_string_equal(second.text, "GET /item/second [second] ");
    hang_up(&first);
    hang_up(&second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_half_closed_client_gets_its_answer),
        TEST(test_end_midway_is_never_answered_with_success),
        TEST(test_reset_while_handling_is_forgotten),
        TEST(test_reset_while_handling_becomes_an_orphan),
        TEST(test_resets_elsewhere_leave_nothing),
        TEST(test_reset_between_two_pipelined_requests),
        TEST(test_bytes_of_one_client_never_reach_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
