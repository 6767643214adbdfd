/* What the server itself refuses, and how. */
#include "server_fixture.h"

static void test_methods_and_paths_that_are_not_served(void **state)
{
    (void)state;
    struct client client = dial();

    ask(&client, "GET /none HTTP/1.1\r\n" HOST "\r\n", "404 Not Found");
    expect(&client, "application/problem+json");
    expect(&client, "}\n");
    ask(&client, "GET /item/ HTTP/1.1\r\n" HOST "\r\n", "404 Not Found");
    ask(&client, "GET /item/a/b HTTP/1.1\r\n" HOST "\r\n", "404 Not Found");
    ask(&client, "GET /%6eow HTTP/1.1\r\n" HOST "\r\n", "404 Not Found");
    ask(&client, "DELETE /now HTTP/1.1\r\n" HOST "\r\n", "405 Method Not Allowed");
    expect(&client, "Allow: GET, HEAD, POST, OPTIONS\r\n");
    ask(&client, "TRACE /now HTTP/1.1\r\n" HOST "X-Secret: echo\r\n\r\n", "405 Method");
    expect(&client, "}\n");
    assert_null(strstr(client.text, "echo"));
    ask(&client, "OPTIONS /item/5 HTTP/1.1\r\n" HOST "\r\n", "204 No Content");
    expect(&client, "Allow: GET, HEAD, OPTIONS\r\n\r\n");
    assert_int_equal(client.len, 0);
    ask(&client, "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "Allow: GET, HEAD, POST, OPTIONS\r\n\r\n");
    ask(&client, "OPTIONS /none HTTP/1.1\r\n" HOST "\r\n", "404 Not Found");
    ask(&client, "GET /now HTTP/1.1\r\n" HOST "Upgrade: h2c\r\nConnection: upgrade\r\n\r\n",
        "GET /now [] ");
    ask(&client, "GET http://a/now HTTP/1.1\r\n" HOST "\r\n", "GET /now [] ");
    ask(&client, "CONNECT a:443 HTTP/1.1\r\n" HOST "\r\n", "405 Method Not Allowed");
    expect_end(&client);

    assert_int_equal(http_server_stats(server)->refused_total[404], 5);
    assert_int_equal(http_server_stats(server)->refused_total[405], 3);
    hang_up(&client);
}

static void expect_refusal(const char *request, const char *status_line)
{
    struct client client = dial();
    ask(&client, request, status_line);
    expect(&client, "Connection: close\r\n");
    expect(&client, "}\n");
    expect_end(&client);
    hang_up(&client);
    wait_for_state(HTTP_CONN_FREE, CONN_MAX);
}

static void test_requests_that_end_the_connection(void **state)
{
    (void)state;
    char text[4096];

    expect_refusal("POST /now HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 411 Length Required");
    expect_refusal("POST /now HTTP/1.1\r\n" HOST "Content-Length: 513\r\n\r\n",
                   "HTTP/1.1 413 Content Too Large");
    snprintf(text, sizeof text, "GET /%0300d HTTP/1.1\r\n", 0);
    expect_refusal(text, "HTTP/1.1 414 URI Too Long");
    expect_refusal("GET /now HTTP/1.1\r\n" HOST "Expect: magic\r\n\r\n",
                   "HTTP/1.1 417 Expectation Failed");
    snprintf(text, sizeof text, "GET /now HTTP/1.1\r\n" HOST "X: %01100d\r\n", 0);
    expect_refusal(text, "HTTP/1.1 431 Request Header Fields Too Large");
    expect_refusal("BREW / HTTP/1.1\r\n", "HTTP/1.1 501 Not Implemented");
    expect_refusal("GET / HTTP/2.0\r\n", "HTTP/1.1 505 HTTP Version Not Supported");
    expect_refusal("\x16\x03\x01", "HTTP/1.1 400 Bad Request");

    assert_int_equal(closed(HTTP_CLOSE_REFUSED), 8);
    assert_string_equal(app.log, "POST /now 411;POST /now 413;GET other 414;GET /now 417;"
                                 "GET other 431;OTHER other 501;GET other 505;OTHER other 400;");
}

static void test_post_without_framing_is_bodyless_where_the_route_allows(void **state)
{
    (void)state;
    struct client client = dial();

    ask(&client, "POST /item/7/void HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK");

    assert_string_equal(app.log, "POST /item/{id}/void 200;");
    hang_up(&client);
}

static void test_refused_body_is_drained_so_that_the_answer_can_be_read(void **state)
{
    (void)state;
    struct client client = dial();
    char part[32 * 1024];
    memset(part, 'b', sizeof part);
    say(&client, "POST /now HTTP/1.1\r\n" HOST "Content-Length: 262144\r\n\r\n");
    wait_for_state(HTTP_CONN_LINGER, 1);
    for (unsigned sent = 0; sent < 8; sent++) {
        assert_int_equal(send(client.fd, part, sizeof part, MSG_NOSIGNAL), sizeof part);
        settle();
    }

    expect(&client, "413 Content Too Large");

    wait_for_state(HTTP_CONN_LINGER, 1);
    advance_ms(LINGER_MS + 100);
    wait_for_state(HTTP_CONN_FREE, CONN_MAX);
    hang_up(&client);
}

#define EXPECTING_3 "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"

static void test_expectation_is_met_before_the_body_is_read(void **state)
{
    (void)state;
    struct client client = dial();

    ask(&client, "POST /now HTTP/1.1\r\n" HOST EXPECTING_3, "HTTP/1.1 100 Continue\r\n\r\n");
    expect_silence(&client);
    assert_int_equal(http_server_count(server, HTTP_CONN_BODY), 1);
    ask(&client, "abc", "POST /now [] abc");
    ask(&client, "POST /none HTTP/1.1\r\n" HOST EXPECTING_3, "HTTP/1.1 404 Not Found");

    expect(&client, "Connection: close\r\n");
    expect_end(&client);
    hang_up(&client);
}

/* Nobody formats: the status and the header lines are the server's own. */
static void test_errors_without_a_formatter_have_no_body(void **state)
{
    (void)state;
    struct http_server_config config = CONFIG;
    config.format_error = NULL;
    config.on_finished = NULL;
    config.exchange_max = 1;
    start_server(&config, &TRANSPORT_TCP, NULL);
    struct client client = dial(), crowded = dial();

    ask(&client, "DELETE /now HTTP/1.1\r\n" HOST "\r\n",
        "HTTP/1.1 405 Method Not Allowed\r\nDate: ");
    expect(&client, " GMT\r\nContent-Length: 0\r\n");
    expect(&client, "Allow: GET, HEAD, POST, OPTIONS\r\n\r\n");
    assert_int_equal(client.len, 0);
    say(&client, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    wait_for_state(HTTP_CONN_HANDLING, 1);
    ask(&crowded, "GET /now HTTP/1.1\r\n" HOST "\r\n",
        "HTTP/1.1 503 Service Unavailable\r\nDate: ");
    expect(&crowded, " GMT\r\nContent-Length: 0\r\nX-Request-Id: ");
    expect(&crowded, "\r\nRetry-After: 1\r\nConnection: close\r\n\r\n");

    expect_end(&crowded);
    answer_later(0);
    hang_up(&client);
    hang_up(&crowded);
}

static void test_lingering_has_its_limit_of_bytes(void **state)
{
    (void)state;
    enum { MORE_THAN_THE_LIMIT = 16 * 1024 * 1024 };
    struct client client = dial();
    char part[32 * 1024];
    memset(part, 'b', sizeof part);
    say(&client, "POST /now HTTP/1.1\r\n" HOST "Content-Length: 99999999\r\n\r\n");
    wait_for_state(HTTP_CONN_LINGER, 1);

    unsigned sent = 0;
    while (http_server_count(server, HTTP_CONN_LINGER) == 1 && sent < MORE_THAN_THE_LIMIT) {
        const ssize_t count = send(client.fd, part, sizeof part, MSG_NOSIGNAL);
        sent += count > 0 ? (unsigned)count : 0;
        turn();
    }

    assert_int_equal(http_server_count(server, HTTP_CONN_FREE), CONN_MAX);
    assert_true(sent > 1024 * 1024);
    assert_int_equal(closed(HTTP_CLOSE_REFUSED), 1);
    hang_up(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_methods_and_paths_that_are_not_served),
        TEST(test_requests_that_end_the_connection),
        TEST(test_post_without_framing_is_bodyless_where_the_route_allows),
        TEST(test_refused_body_is_drained_so_that_the_answer_can_be_read),
        TEST(test_expectation_is_met_before_the_body_is_read),
        TEST(test_errors_without_a_formatter_have_no_body),
        TEST(test_lingering_has_its_limit_of_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
