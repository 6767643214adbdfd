/* Requests of a route that is paced: one begins every HTTP_PACE_US, others are not held up. */
#include "server_fixture.h"

#define SCRAPE "GET /metrics HTTP/1.1\r\n" HOST "\r\n"

static void next_pace(void)
{
    now_us += HTTP_PACE_US;
    settle();
}

/* Enough exchanges for who waits and who does not. */
static void start_roomy_server(void)
{
    struct http_server_config config = CONFIG;
    config.exchange_max = CONN_MAX;
    start_server(&config, &TRANSPORT_TCP, NULL);
}

static void test_they_begin_one_after_the_other_and_hold_up_nobody(void **state)
{
    (void)state;
    start_roomy_server();
    struct client first = dial(), second = dial(), third = dial(), other = dial();

    ask(&first, SCRAPE, "GET /metrics [] ");
    say(&second, SCRAPE);
    wait_for_state(HTTP_CONN_HEAD, 1);
    say(&third, SCRAPE);
    wait_for_state(HTTP_CONN_HEAD, 2);
    ask(&other, "GET /now HTTP/1.1\r\n" HOST "\r\n", "GET /now [] ");
    expect_silence(&second);

    next_pace();
    expect(&second, "GET /metrics [] ");
    expect_silence(&third);
    next_pace();
    expect(&third, "GET /metrics [] ");
    wait_for_state(HTTP_CONN_IDLE, 4);
    hang_up(&first);
    hang_up(&second);
    hang_up(&third);
    hang_up(&other);
}

static void test_a_pipeline_of_them_is_answered_in_order(void **state)
{
    (void)state;
    struct client client = dial();

    say(&client, SCRAPE SCRAPE "GET /now HTTP/1.1\r\n" HOST "\r\n" SCRAPE);
    expect(&client, "GET /metrics [] ");
    expect_silence(&client);
    next_pace();
    expect(&client, "GET /metrics [] ");
    expect(&client, "GET /now [] ");
    expect_silence(&client);
    next_pace();
    expect(&client, "GET /metrics [] ");
    wait_for_state(HTTP_CONN_IDLE, 1);
    assert_string_equal(app.log, "GET /metrics 200;GET /metrics 200;GET /now 200;"
                                 "GET /metrics 200;");
    hang_up(&client);
}

static void test_a_client_that_leaves_gives_its_place_away(void **state)
{
    (void)state;
    struct client first = dial(), leaver = dial(), last = dial();

    ask(&first, SCRAPE, "GET /metrics [] ");
    say(&leaver, SCRAPE);
    wait_for_state(HTTP_CONN_HEAD, 1);
    say(&last, SCRAPE);
    wait_for_state(HTTP_CONN_HEAD, 2);
    hang_up_by_reset(&leaver);
    wait_for_state(HTTP_CONN_HEAD, 1);

    next_pace();
    expect(&last, "GET /metrics [] ");
    assert_int_equal(closed(HTTP_CLOSE_RESET), 1);
    assert_string_equal(app.log, "GET /metrics 200;GET /metrics 499 dropped;GET /metrics 200;");
    hang_up(&first);
    hang_up(&last);
}

static void test_a_server_ends_while_they_wait(void **state)
{
    (void)state;
    struct client first = dial(), second = dial();

    ask(&first, SCRAPE, "GET /metrics [] ");
    say(&second, SCRAPE);
    wait_for_state(HTTP_CONN_HEAD, 1);
    stop_server();

    now_us += HTTP_PACE_US;
    settle();
    expect_end(&second);
    hang_up(&first);
    hang_up(&second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_they_begin_one_after_the_other_and_hold_up_nobody),
        TEST(test_a_pipeline_of_them_is_answered_in_order),
        TEST(test_a_client_that_leaves_gives_its_place_away),
        TEST(test_a_server_ends_while_they_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
