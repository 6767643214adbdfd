/* The end of a server, its counters and its listeners. */
#include "server_fixture.h"

#include <errno.h>

/* ---- the end ---- */

static void test_answers_before_a_drain_end_their_connection(void **state)
{
    (void)state;
    struct client client = dial();
    ask(&client, "GET /now HTTP/1.1\r\n" HOST "\r\n", "X-Test: yes\r\n\r\n");

    http_server_close_after_answers(server);
    ask(&client, "GET /now HTTP/1.1\r\n" HOST "\r\n", "X-Test: yes\r\nConnection: close\r\n\r\n");

    expect_end(&client);
    hang_up(&client);
    wait_for_state(HTTP_CONN_FREE, CONN_MAX);
    assert_int_equal(closed(HTTP_CLOSE_DRAIN), 1);
}

static void test_drain_serves_what_was_promised(void **state)
{
    (void)state;
    struct client idle = dial(), busy = dial(), fresh = dial(), mute = dial();
    ask(&idle, "GET /now HTTP/1.1\r\n" HOST "\r\n", "[] ");
    say(&busy, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    wait_for_state(HTTP_CONN_HANDLING, 1);
    struct client backlog = dial();

    http_server_drain(server);
    expect_end(&idle);
    ask(&backlog, "GET /now HTTP/1.1\r\n" HOST "\r\n", "Connection: close\r\n");
    ask(&fresh, "GET /now HTTP/1.1\r\n" HOST "\r\n", "Connection: close\r\n");
    answer_later(0);
    expect(&busy, "Connection: close\r\n");
    expect_end(&busy);
    hang_up(&busy);
    hang_up(&idle);
    hang_up(&fresh);
    hang_up(&backlog);
    settle();
    assert_false(http_server_quiet(server));
    advance_ms(HTTP_DRAIN_FRESH_MS + 100);

    expect_end(&mute);
    assert_true(http_server_quiet(server));
    hang_up(&mute);
}

static void test_destroy_cuts_what_is_left(void **state)
{
    (void)state;
    struct client client = dial(), head = dial();
    say(&client, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    say(&head, "GET");
    wait_for_state(HTTP_CONN_HANDLING, 1);
    wait_for_state(HTTP_CONN_HEAD, 1);
    app.forgets = true;

    assert_int_equal(teardown(NULL), 0);

    assert_int_equal(app.abandoned, 1);
    collect(&client);
    assert_true(client.ended);
    hang_up(&client);
    hang_up(&head);
    assert_int_equal(setup(NULL), 0);
}

/* ---- counters ---- */

static char seen[1024];

static void see_count(void *owner, const char *endpoint, enum http_method method, unsigned status,
                      uint64_t count)
{
    assert_ptr_equal(owner, seen);
    snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%s %s %u=%u;",
             http_method_name(method), endpoint, status, (unsigned)count);
}

static void see_duration(void *owner, const char *endpoint, enum http_method method,
                         const struct histogram *histogram)
{
    assert_ptr_equal(owner, seen);
    snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%s %s=%u;", http_method_name(method),
             endpoint, (unsigned)histogram->count);
}

static void test_counts_and_durations_by_route(void **state)
{
    (void)state;
    struct client client = dial();
    ask(&client, "GET /now HTTP/1.1\r\n" HOST "\r\n", "[] ");
    ask(&client, "GET /now HTTP/1.1\r\n" HOST "\r\n", "[] ");
    ask(&client, "GET /item/1 HTTP/1.1\r\n" HOST "\r\n", "[1] ");
    ask(&client, "GET /metrics HTTP/1.1\r\n" HOST "\r\n", "[] ");
    ask(&client, "PATCH /now HTTP/1.1\r\n" HOST "\r\n", "405 ");
    ask(&client, "GET /none HTTP/1.1\r\n" HOST "\r\n", "404 ");

    seen[0] = '\0';
    http_server_visit_counts(server, see_count, seen);
    assert_string_equal(seen, "GET /now 200=2;PATCH /now 405=1;GET /item/{id} 200=1;"
                              "GET other 404=1;");
    seen[0] = '\0';
    http_server_visit_durations(server, see_duration, seen);
    assert_string_equal(seen, "GET /now=2;PATCH /now=1;GET /item/{id}=1;GET other=1;");
    hang_up(&client);
}

static void test_listen_says_what_is_wrong(void **state)
{
    (void)state;
    struct http_listener_config config = {.address = "example", .transport = &TRANSPORT_TCP};
    assert_int_equal(http_server_listen(server, &config), ERR_INVALID);
    config.address = "127.0.0.1";
    config.port = http_server_port(server, 0);
    assert_int_equal(http_server_listen(server, &config), ERR_SYSTEM);
    assert_int_equal(errno, EADDRINUSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_answers_before_a_drain_end_their_connection),
        TEST(test_drain_serves_what_was_promised),
        TEST(test_destroy_cuts_what_is_left),
        TEST(test_counts_and_durations_by_route),
        TEST(test_listen_says_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
