/* What is answered, in which order, in which form and size. */
#include "server_fixture.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

/* ---- answers ---- */

static void test_keep_alive_serves_one_after_the_other(void **state)
{
    (void)state;
    struct client client = dial();

    ask(&client, "GET /now HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK\r\nDate: ");
    expect(&client, " GMT\r\nContent-Type: text/plain\r\nContent-Length: 12\r\nX-Request-Id: ");
    expect(&client, "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
                    "X-Test: yes\r\n\r\nGET /now [] ");
    assert_int_equal(client.len, 0);
    ask(&client, "POST /now HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", "POST /now [] abc");
    ask(&client, "GET /item/7?x HTTP/1.1\r\n" HOST "\r\n", "GET /item/7 [7] ");
    ask(&client, "POST /item/8/void HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n",
        "POST /item/8/void [8] ");

    assert_int_equal(http_server_count(server, HTTP_CONN_IDLE), 1);
    assert_string_equal(app.log, "GET /now 200;POST /now 200;GET /item/{id} 200;"
                                 "POST /item/{id}/void 200;");
    hang_up(&client);
    wait_for_state(HTTP_CONN_FREE, CONN_MAX);
    assert_int_equal(closed(HTTP_CLOSE_PEER), 1);
}

static void test_accepted_sockets_do_not_delay(void **state)
{
    (void)state;
    struct client client = dial();
    ask(&client, "GET /now HTTP/1.1\r\n" HOST "\r\n", "[] ");

    int found = -1;
    for (int fd = 3; fd < 64; fd++) {
        struct sockaddr_in peer = {0}, mine = {0};
        socklen_t peer_len = sizeof peer, mine_len = sizeof mine;
        if (getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0 &&
            getsockname(client.fd, (struct sockaddr *)&mine, &mine_len) == 0 &&
            peer.sin_family == AF_INET && peer.sin_port == mine.sin_port)
            found = fd;
    }
    assert_int_not_equal(found, -1);
    int on = 0;
    socklen_t len = sizeof on;
    assert_int_equal(getsockopt(found, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
    assert_int_not_equal(on, 0);
    hang_up(&client);
}

static void test_pipelined_answers_come_in_order(void **state)
{
    (void)state;
    struct client client = dial();
    char text[8192] = "";
    for (unsigned i = 0; i < 3 * HTTP_REQUESTS_PER_WAKE; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 "GET /item/%u HTTP/1.1\r\n" HOST "\r\n", i);

    say(&client, text);

    for (unsigned i = 0; i < 3 * HTTP_REQUESTS_PER_WAKE; i++) {
        char needle[32];
        snprintf(needle, sizeof needle, "[%u] ", i);
        expect(&client, needle);
    }
    assert_int_equal(client.len, 0);
    assert_int_equal(http_server_count(server, HTTP_CONN_IDLE), 1);
    hang_up(&client);
}

static void test_a_late_answer_holds_back_those_behind_it(void **state)
{
    (void)state;
    struct client client = dial();
    say(&client, "GET /later HTTP/1.1\r\n" HOST "\r\nGET /now HTTP/1.1\r\n" HOST "\r\n"
                 "GET /later HTTP/1.1\r\n" HOST "\r\n");
    wait_for_state(HTTP_CONN_HANDLING, 1);
    say(&client, "GET /item/9 HTTP/1.1\r\n" HOST "\r\n");
    expect_silence(&client);
    assert_loop_rests();
    assert_int_equal(app.later_count, 1);

    answer_later(0);
    assert_int_equal(app.finished, 1); /* no handler runs inside http_respond() */
    expect(&client, "GET /later [] ");
    expect(&client, "GET /now [] ");
    assert_int_equal(app.later_count, 1);
    answer_later(0);

    expect(&client, "GET /later [] ");
    expect(&client, "GET /item/9 [9] ");
    assert_int_equal(client.len, 0);
    hang_up(&client);
}

static void test_bad_request_behind_a_good_one_does_not_eat_its_answer(void **state)
{
    (void)state;
    struct client client = dial();

    say(&client, "GET /now HTTP/1.1\r\n" HOST "\r\nGET /now HTTP/1.1\r\nHost: a b\r\n\r\n");

    expect(&client, "GET /now [] ");
    expect(&client, "HTTP/1.1 400 Bad Request\r\n");
    expect(&client, "Connection: close\r\n\r\n{");
    expect_end(&client);
    hang_up(&client);
    wait_for_state(HTTP_CONN_FREE, CONN_MAX);
    assert_int_equal(closed(HTTP_CLOSE_REFUSED), 1);
    assert_int_equal(http_server_stats(server)->refused_total[400], 1);
    assert_false(app.last_had_request);
    assert_int_equal(app.last_note.error, HTTP_ERROR_MALFORMED);
}

static void test_head_gets_the_fields_only(void **state)
{
    (void)state;
    struct client client = dial();

    ask(&client, "HEAD /now HTTP/1.1\r\n" HOST "\r\n", "Content-Length: 13\r\n");
    expect(&client, "\r\n\r\n");
    assert_int_equal(client.len, 0);
    ask(&client, "HEAD /none HTTP/1.1\r\n" HOST "\r\n", "404 Not Found");
    expect(&client, "\r\n\r\n");
    assert_int_equal(client.len, 0);
    ask(&client, "GET /now HTTP/1.1\r\n" HOST "\r\n", "GET /now [] ");
    hang_up(&client);
}

static void test_versions_and_connection_fields(void **state)
{
    (void)state;
    struct client old = dial(), kept = dial(), asked = dial();

    ask(&old, "GET /now HTTP/1.0\r\n\r\n", "Connection: close\r\n\r\nGET /now [] ");
    expect_end(&old);
    ask(&kept, "GET /now HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "Connection: keep-alive\r\n\r\nGET /now [] ");
    ask(&kept, "GET /now HTTP/1.0\r\n\r\n", "Connection: close\r\n");
    ask(&asked, "GET /now HTTP/1.1\r\n" HOST "Connection: close\r\n\r\nGET /later HTTP/1.1\r\n",
        "Connection: close\r\n\r\nGET /now [] ");
    expect_end(&asked);

    assert_int_equal(app.later_count, 0);
    hang_up(&old);
    hang_up(&kept);
    hang_up(&asked);
    wait_for_state(HTTP_CONN_FREE, CONN_MAX);
    assert_int_equal(closed(HTTP_CLOSE_ASKED), 3);
}

static void test_request_id_is_the_trace_id_when_it_is_valid(void **state)
{
    (void)state;
    static const char *const GOOD[] = {
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later",
    };
    static const char *const BAD[] = {
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-zz",
        "",
    };
    struct client client = dial();
    char text[256];
    for (unsigned i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++) {
        snprintf(text, sizeof text, "GET /now HTTP/1.1\r\n" HOST "traceparent: %s\r\n\r\n",
                 GOOD[i]);
        ask(&client, text, "X-Request-Id: 4bf92f3577b34da6a3ce929d0e0e4736\r\n");
        expect(&client, "[] ");
    }
    for (unsigned i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        snprintf(text, sizeof text, "GET /now HTTP/1.1\r\n" HOST "traceparent: %s\r\n\r\n", BAD[i]);
        ask(&client, text, "X-Request-Id: ");
        assert_int_equal(strspn(client.text, "0123456789abcdef"), HTTP_REQUEST_ID_LEN);
        assert_memory_not_equal(client.text, "4bf92f3577b34da6a3ce929d0e0e4736", 32);
        expect(&client, "[] ");
    }
    hang_up(&client);
}

static void test_request_id_of_the_client_is_echoed(void **state)
{
    (void)state;
    static const char LONGEST[] =
        "!#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`{";
    static const char TRACE[] = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-"
                                "00f067aa0ba902b7-01\r\n";
    char text[512], expected[128];
    struct client client = dial();
    assert_int_equal(strlen(LONGEST), HTTP_REQUEST_ID_MAX);

    snprintf(text, sizeof text, "GET /now HTTP/1.1\r\n" HOST "%sx-request-ID: \t%s \r\n\r\n", TRACE,
             LONGEST);
    snprintf(expected, sizeof expected, "X-Request-Id: %s\r\n", LONGEST);
    ask(&client, text, expected);
    assert_string_equal(app.last_request_id, LONGEST);
    assert_string_equal(app.last_trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
    expect(&client, "[] ");
    ask(&client, "GET /now HTTP/1.1\r\n" HOST "X-Request-Id: 7\r\n\r\n", "X-Request-Id: 7\r\n");
    assert_int_equal(strlen(app.last_trace_id), HTTP_REQUEST_ID_LEN);
    expect(&client, "[] ");
    hang_up(&client);
}

static void test_request_id_that_is_not_one_is_as_if_absent(void **state)
{
    (void)state;
    static const char *const BAD[] = {
        "X-Request-Id: \r\n",
        "X-Request-Id: a b\r\n",
        "X-Request-Id: a\tb\r\n",
        "X-Request-Id: caf\xc3\xa9\r\n",
        "X-Request-Id: a\r\nX-Request-Id: a\r\n",
        ("X-Request-Id: "
         "11111111111111111111111111111111111111111111111111111111111111111\r\n"),
    };
    struct client client = dial();
    char text[256];
    for (unsigned i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        snprintf(text, sizeof text, "GET /now HTTP/1.1\r\n" HOST "%s\r\n", BAD[i]);
        ask(&client, text, "X-Request-Id: ");
        assert_int_equal(strspn(client.text, "0123456789abcdef"), HTTP_REQUEST_ID_LEN);
        assert_int_equal(client.text[HTTP_REQUEST_ID_LEN], '\r');
        assert_memory_equal(client.text, app.last_trace_id, HTTP_REQUEST_ID_LEN);
        expect(&client, "[] ");
    }
    hang_up(&client);
}

/* ---- answers of every size ---- */

static void test_short_writes_lose_nothing(void **state)
{
    (void)state;
    app.large = (size_t)300 * 1024;
    struct client client = dial_narrow();

    say(&client, "GET /now HTTP/1.1\r\n" HOST "\r\nGET /item/5 HTTP/1.1\r\n" HOST "\r\n");
    expect(&client, "Content-Length: 307200\r\n");
    expect(&client, "\r\n\r\nGET /now [] L");
    expect(&client, "LHTTP/1.1 200 OK");
    expect(&client, "\r\n\r\nGET /item/5 [5] L");
    while (client.len < 307200 - 17)
        expect(&client, "");

    assert_int_equal(client.len, 307200 - 17);
    wait_for_state(HTTP_CONN_IDLE, 1);
    hang_up(&client);
}

static void test_large_answers_have_their_limits(void **state)
{
    (void)state;
    struct client client = dial();

    app.large = HTTP_LARGE_ANSWER_BYTES_MAX - 1024;
    ask(&client, "GET /now HTTP/1.1\r\n" HOST "\r\n", "200 OK");
    app.large = HTTP_LARGE_ANSWER_BYTES_MAX;
    ask(&client, "GET /now HTTP/1.1\r\n" HOST "\r\n", "503 Service Unavailable");
    expect(&client, "Retry-After: 1\r\n");
    app.large = 0;
    ask(&client, "GET /now HTTP/1.1\r\n" HOST "\r\n", "GET /now [] ");

    assert_string_equal(app.log, "GET /now 200;GET /now 503;GET /now 200;");
    hang_up(&client);
}

static struct http_page *page_of(char byte, size_t len)
{
    char *bytes = malloc(len);
    assert_non_null(bytes);
    memset(bytes, byte, len);
    struct http_page *page = http_page_create((struct span){bytes, len});
    assert_non_null(page);
    free(bytes);
    return page;
}

/* More of them than there may be copies, none of which reads; its maker lets go meanwhile. */
static void test_one_page_is_sent_to_many(void **state)
{
    (void)state;
    enum { READERS = HTTP_LARGE_ANSWERS_MAX + 2, BYTES = 100 * 1024 };
    struct http_server_config config = CONFIG;
    config.conn_max = config.exchange_max = 2 * READERS;
    start_server(&config, &TRANSPORT_TCP, NULL);
    struct client readers[READERS], other = dial();

    app.page = page_of('p', BYTES);
    for (unsigned i = 0; i < READERS; i++) {
        readers[i] = dial_narrow();
        say(&readers[i], "GET /now HTTP/1.1\r\n" HOST "\r\n");
    }
    wait_for_state(HTTP_CONN_WRITING, READERS);
    assert_true(http_page_is_shared(app.page));
    ask(&other, "GET /now HTTP/1.1\r\n" HOST "\r\n", "Content-Length: 102400\r\n");
    ask(&other, "HEAD /now HTTP/1.1\r\n" HOST "\r\n", "Content-Length: 102400\r\n");
    http_page_release(app.page);
    app.page = page_of('q', BYTES);

    for (unsigned i = 0; i < READERS; i++) {
        expect(&readers[i], "\r\n\r\n");
        while (readers[i].len < BYTES)
            expect(&readers[i], "");
        assert_int_equal(strspn(readers[i].text, "p"), BYTES);
        hang_up(&readers[i]);
    }
    assert_false(http_page_is_shared(app.page));
    http_page_release(app.page);
    hang_up(&other);
}

/* ---- the status line ---- */

static void test_every_status_has_its_reason(void **state)
{
    (void)state;
    static const struct {
        uint16_t status;
        const char *line;
    } cases[] = {
        {200, "HTTP/1.1 200 OK\r\nDate: "},
        {201, "HTTP/1.1 201 Created\r\nDate: "},
        {202, "HTTP/1.1 202 Accepted\r\nDate: "},
        {204, "HTTP/1.1 204 No Content\r\nDate: "},
        {400, "HTTP/1.1 400 Bad Request\r\nDate: "},
        {401, "HTTP/1.1 401 Unauthorized\r\nDate: "},
        {403, "HTTP/1.1 403 Forbidden\r\nDate: "},
        {404, "HTTP/1.1 404 Not Found\r\nDate: "},
        {405, "HTTP/1.1 405 Method Not Allowed\r\nDate: "},
        {406, "HTTP/1.1 406 Not Acceptable\r\nDate: "},
        {408, "HTTP/1.1 408 Request Timeout\r\nDate: "},
        {409, "HTTP/1.1 409 Conflict\r\nDate: "},
        {411, "HTTP/1.1 411 Length Required\r\nDate: "},
        {413, "HTTP/1.1 413 Content Too Large\r\nDate: "},
        {414, "HTTP/1.1 414 URI Too Long\r\nDate: "},
        {415, "HTTP/1.1 415 Unsupported Media Type\r\nDate: "},
        {417, "HTTP/1.1 417 Expectation Failed\r\nDate: "},
        {422, "HTTP/1.1 422 Unprocessable Content\r\nDate: "},
        {429, "HTTP/1.1 429 Too Many Requests\r\nDate: "},
        {431, "HTTP/1.1 431 Request Header Fields Too Large\r\nDate: "},
        {500, "HTTP/1.1 500 Internal Server Error\r\nDate: "},
        {501, "HTTP/1.1 501 Not Implemented\r\nDate: "},
        {503, "HTTP/1.1 503 Service Unavailable\r\nDate: "},
        {504, "HTTP/1.1 504 Gateway Timeout\r\nDate: "},
        {505, "HTTP/1.1 505 HTTP Version Not Supported\r\nDate: "},
        {299, "HTTP/1.1 299 \r\nDate: "},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct client client = dial();
        app.status = cases[i].status;
        ask(&client, "GET /now HTTP/1.1\r\n" HOST "\r\n", cases[i].line);
        expect(&client, "\r\nX-Test: yes\r\n\r\n");
        hang_up(&client);
        wait_for_state(HTTP_CONN_FREE, CONN_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_keep_alive_serves_one_after_the_other),
        TEST(test_accepted_sockets_do_not_delay),
        TEST(test_pipelined_answers_come_in_order),
        TEST(test_a_late_answer_holds_back_those_behind_it),
        TEST(test_bad_request_behind_a_good_one_does_not_eat_its_answer),
        TEST(test_head_gets_the_fields_only),
        TEST(test_versions_and_connection_fields),
        TEST(test_request_id_is_the_trace_id_when_it_is_valid),
        TEST(test_request_id_of_the_client_is_echoed),
        TEST(test_request_id_that_is_not_one_is_as_if_absent),
        TEST(test_short_writes_lose_nothing),
        TEST(test_large_answers_have_their_limits),
        TEST(test_one_page_is_sent_to_many),
        TEST(test_every_status_has_its_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
