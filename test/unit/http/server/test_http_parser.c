#include "http/server/http_parser.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { HEAD_MAX = 512, BODY_MAX = 128, READ_AHEAD = 512, CAP = HEAD_MAX + BODY_MAX + READ_AHEAD };

static const struct http_limits LIMITS = {.header_bytes_max = HEAD_MAX,
                                          .header_count_max = 8,
                                          .uri_bytes_max = 64,
                                          .body_bytes_max = BODY_MAX,
                                          .chunk_overhead_max = 200};

static char buffer[CAP];
static struct http_parser parser;

static void start(void)
{
    http_parser_init(&parser, &LIMITS, buffer, sizeof buffer);
}

/* Feeds all of it in pieces of at most `piece` bytes, as far as it is wanted. */
static enum http_parse feed(struct span input, size_t piece)
{
    enum http_parse result = HTTP_PARSE_MORE;
    while (input.len > 0 && result != HTTP_PARSE_REFUSED && result != HTTP_PARSE_REQUEST) {
        size_t count = input.len < piece ? input.len : piece;
        const size_t room = http_parser_room(&parser).len;
        assert_true(room > 0);
        if (count > room)
            count = room;
        memcpy(buffer + parser.filled, input.ptr, count);
        result = http_parser_feed(&parser, count);
        input.ptr += count;
        input.len -= count;
    }
    return result;
}

static enum http_parse feed_all(const char *text)
{
    start();
    return feed(span_of(text), SIZE_MAX);
}

static void assert_span(struct span actual, const char *expected)
{
    assert_int_equal(actual.len, strlen(expected));
    assert_memory_equal(actual.ptr, expected, actual.len);
}

/* The status that ends it, however it is cut: whole, byte by byte, and at every place in two. */
static void assert_refused_len(struct span input, unsigned status)
{
    for (size_t cut = 0; cut <= input.len; cut++) {
        start();
        enum http_parse result = HTTP_PARSE_MORE;
        if (cut > 0)
            result = feed((struct span){input.ptr, cut}, SIZE_MAX);
        if (result != HTTP_PARSE_REFUSED)
            result = feed((struct span){input.ptr + cut, input.len - cut}, cut == 0 ? 1 : SIZE_MAX);
        if (result != HTTP_PARSE_REFUSED || http_error_kind(parser.refusal.error)->status != status)
            fail_msg("cut at %zu: result %d status %u, not %u: %.*s", cut, (int)result,
                     http_error_kind(parser.refusal.error)->status, status, (int)input.len,
                     input.ptr);
    }
}

static void assert_refused(const char *text, unsigned status)
{
    assert_refused_len(span_of(text), status);
}

#define HOST "Host: a.example\r\n"

static void test_get_gives_its_parts(void **state)
{
    (void)state;

    const enum http_parse result =
        feed_all("GET /api/x?a=1&b=%20 HTTP/1.1\r\n" HOST "X-One:  two \t\r\nEmpty:\r\n\r\n");

    assert_int_equal(result, HTTP_PARSE_REQUEST);
    assert_int_equal(parser.request.method, HTTP_GET);
    assert_span(parser.request.target, "/api/x?a=1&b=%20");
    assert_span(parser.request.path, "/api/x");
    assert_span(parser.request.query, "a=1&b=%20");
    assert_span(parser.request.body, "");
    assert_int_equal(parser.request.header_count, 3);
    assert_span(http_request_header(&parser.request, SPAN("x-oNE"), NULL), "two");
    assert_span(http_request_header(&parser.request, SPAN("empty"), NULL), "");
    assert_null(http_request_header(&parser.request, SPAN("absent"), NULL).ptr);
    assert_true(parser.request.keep_alive);
    assert_false(parser.request.has_body);
}

static void test_header_counts_repetitions(void **state)
{
    (void)state;
    uint32_t count = 0;

    feed_all("GET / HTTP/1.1\r\n" HOST "X-Key: one\r\nx-key: two\r\n\r\n");
    const struct span first = http_request_header(&parser.request, SPAN("X-Key"), &count);

    assert_span(first, "one");
    assert_int_equal(count, 2);
}

static void check_chunked_post(void)
{
    assert_int_equal(parser.request.method, HTTP_POST);
    assert_span(parser.request.path, "/p");
    assert_span(parser.request.body, "hello, world");
    assert_true(parser.request.has_body);
    assert_span(http_request_header(&parser.request, SPAN("X-A"), NULL), "b c");
    assert_null(http_request_header(&parser.request, SPAN("X-Trailer"), NULL).ptr);
}

static void check_length_post(void)
{
    assert_span(parser.request.body, "12345");
    assert_span(parser.request.query, "q");
    assert_true(parser.request.keep_alive);
}

static void check_absolute_get(void)
{
    assert_span(parser.request.path, "/x");
    assert_int_equal(parser.request.version_minor, 0);
    assert_false(parser.request.keep_alive);
}

static const struct {
    const char *text;
    void (*check)(void);
} GOOD[] = {
    {"\r\n\r\nPOST /p HTTP/1.1\r\n" HOST "X-A: b c\r\nTransfer-Encoding: Chunked\r\n\r\n"
     "5;ext=\"q\"\r\nhello\r\n7\r\n, world\r\n0\r\nX-Trailer: t\r\nHost: other\r\n\r\n",
     check_chunked_post},
    {"PUT /p?q HTTP/1.1\r\n" HOST
     "Content-Length: 005\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"
     "12345",
     check_length_post},
    {"GET http://u.example:80/x HTTP/1.0\r\nA: \xc3\xa9\r\n\r\n", check_absolute_get},
};

static void test_every_split_in_two_is_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++) {
        const struct span input = span_of(GOOD[i].text);
        for (size_t cut = 1; cut < input.len; cut++) {
            start();

            const enum http_parse first = feed((struct span){input.ptr, cut}, SIZE_MAX);
            const enum http_parse second =
                feed((struct span){input.ptr + cut, input.len - cut}, SIZE_MAX);

            assert_int_equal(first, HTTP_PARSE_MORE);
            assert_int_equal(second, HTTP_PARSE_REQUEST);
            GOOD[i].check();
        }
    }
}

static void test_byte_by_byte_is_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++) {
        start();

        const enum http_parse result = feed(span_of(GOOD[i].text), 1);

        assert_int_equal(result, HTTP_PARSE_REQUEST);
        GOOD[i].check();
    }
}

static void test_pipelined_requests_come_one_by_one(void **state)
{
    (void)state;
    const char *text = "GET /1 HTTP/1.1\r\n" HOST "\r\n"
                       "POST /2 HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                       "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
                       "\r\nGET /3 HTTP/1.1\r\n" HOST "\r\nGET /4";

    assert_int_equal(feed_all(text), HTTP_PARSE_REQUEST);
    assert_span(parser.request.path, "/1");
    http_parser_next(&parser);
    assert_int_equal(http_parser_feed(&parser, 0), HTTP_PARSE_REQUEST);
    assert_span(parser.request.path, "/2");
    assert_span(parser.request.body, "abc");
    http_parser_next(&parser);
    assert_int_equal(http_parser_feed(&parser, 0), HTTP_PARSE_REQUEST);
    assert_span(parser.request.path, "/3");
    http_parser_next(&parser);
    assert_int_equal(http_parser_feed(&parser, 0), HTTP_PARSE_MORE);
    assert_true(http_parser_started(&parser));
    assert_true(http_parser_in_head(&parser));
}

static void test_empty_lines_start_nothing_and_keep_no_memory(void **state)
{
    (void)state;
    start();
    for (unsigned i = 0; i < 4 * CAP; i++)
        assert_int_equal(feed(SPAN("\r\n"), 1), HTTP_PARSE_MORE);
    assert_false(http_parser_started(&parser));
    assert_int_equal(http_parser_room(&parser).len, CAP);

    assert_int_equal(feed(SPAN("G"), 1), HTTP_PARSE_MORE);

    assert_true(http_parser_started(&parser));
}

static void test_started_and_in_head_follow_the_phases(void **state)
{
    (void)state;
    feed_all("POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\na");
    assert_true(http_parser_started(&parser));
    assert_false(http_parser_in_head(&parser));
    assert_int_equal(feed(SPAN("bc"), 1), HTTP_PARSE_REQUEST);
}

static void test_expectation_is_told_once_before_the_body(void **state)
{
    (void)state;
    const char *head =
        "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nExpect: 100-Continue\r\n\r\n";

    assert_int_equal(feed_all(head), HTTP_PARSE_HEADERS);
    assert_span(parser.request.path, "/");
    assert_int_equal(http_parser_feed(&parser, 0), HTTP_PARSE_MORE);
    assert_int_equal(feed(SPAN("abc"), 1), HTTP_PARSE_REQUEST);

    start();
    char text[256];
    snprintf(text, sizeof text, "%sa", head);
    assert_int_equal(feed(span_of(text), SIZE_MAX), HTTP_PARSE_MORE);

    assert_int_equal(
        feed_all("POST / HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"),
        HTTP_PARSE_MORE);
    assert_int_equal(feed_all("GET / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n\r\n"),
                     HTTP_PARSE_REQUEST);
}

static void test_connection_fields_decide_keep_alive(void **state)
{
    (void)state;
    const struct {
        const char *text;
        bool keep_alive;
    } cases[] = {
        {"GET / HTTP/1.1\r\n" HOST "\r\n", true},
        {"GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\n" HOST "Connection: close\t\r\n\r\n", false},
        {"GET / HTTP/1.1\r\n" HOST "Connection: x, CLOSE\r\n\r\n", false},
        {"GET / HTTP/1.0\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false},
        {"CONNECT a.example:443 HTTP/1.1\r\n" HOST "\r\n", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(feed_all(cases[i].text), HTTP_PARSE_REQUEST);
        assert_int_equal(parser.request.keep_alive, cases[i].keep_alive);
    }
}

static void test_targets_of_every_form(void **state)
{
    (void)state;
    assert_int_equal(feed_all("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), HTTP_PARSE_REQUEST);
    assert_span(parser.request.path, "*");
    assert_int_equal(feed_all("GET http://a.example HTTP/1.1\r\n" HOST "\r\n"), HTTP_PARSE_REQUEST);
    assert_span(parser.request.path, "/");
    assert_int_equal(feed_all("GET HTTPS://[::1]:8/?q HTTP/1.1\r\n" HOST "\r\n"),
                     HTTP_PARSE_REQUEST);
    assert_span(parser.request.path, "/");
    assert_span(parser.request.query, "q");
    assert_int_equal(feed_all("GET /a%00%2e/../b HTTP/1.1\r\n" HOST "\r\n"), HTTP_PARSE_REQUEST);
    assert_span(parser.request.path, "/a%00%2e/../b");
    assert_refused("GET * HTTP/1.1\r\n" HOST "\r\n", 400);
    assert_refused("GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n", 400);
    assert_refused("GET http://u@a/ HTTP/1.1\r\n" HOST "\r\n", 400);
    assert_refused("GET http:///a HTTP/1.1\r\n" HOST "\r\n", 400);
    assert_refused("GET /a#b HTTP/1.1\r\n" HOST "\r\n", 400);
    assert_refused("GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n", 400);
    assert_refused("GET x HTTP/1.1\r\n" HOST "\r\n", 400);
}

static void test_host_must_be_one_and_valid(void **state)
{
    (void)state;
    const char *good[] = {"Host: a", "Host: a.b-c_d~1:8080", "Host: [::1]:80", "Host: 127.0.0.1:"};
    const char *bad[] = {"X: y",
                         "Host: a\r\nHost: a",
                         "Host:",
                         "Host: a b",
                         "Host: a,b",
                         "Host: a/b",
                         "Host: u@a",
                         "Host: a:8x",
                         "Host: a:99999",
                         "Host: [::1",
                         "Host: [zz]",
                         "Host: :80",
                         "Host: a\r\nhost: b",
                         "Host: a%00",
                         "Host: []"};
    char text[128];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\n%s\r\n\r\n", good[i]);
        assert_int_equal(feed_all(text), HTTP_PARSE_REQUEST);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\n%s\r\n\r\n", bad[i]);
        assert_refused(text, 400);
    }
    assert_int_equal(feed_all("GET / HTTP/1.0\r\n\r\n"), HTTP_PARSE_REQUEST);
    assert_refused("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400);
}

static void test_ambiguous_framing_is_refused(void **state)
{
    (void)state;
    const char *fields[] = {
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked\x0b",
        "Transfer-Encoding: \xa0\x63hunked",
        "Transfer-Encoding: chunked\xff",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        "Transfer\\Encoding : chunked",
        "Transfer-Encoding:",
        "Transfer-Encoding:\r\nContent-Length: 3",
        "Content-Length: 3\r\nTransfer-Encoding:",
        "Content-Length: 3\r\nContent-Length: 3",
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: 3, 3",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Content-Length: 1_0",
        "Content-Length: 5.0",
        "Content-Length: 5e0",
        "Content-Length: 4 2",
        "Content-Length:",
        "Content-Length: 18446744073709551616",
        "Content-Length: 18446744073709551619",
        "Content-Length: 99999999999999999999999",
        "X: y\r\n folded: z",
        ": nameless",
        "Na me: v",
        "Name : v",
        "Na\x01me: v",
        "Name: v\x01",
        "Name: v\x7f",
        "no colon",
    };
    char text[256];
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        snprintf(text, sizeof text, "POST / HTTP/1.1\r\n" HOST "%s\r\n\r\n", fields[i]);
        assert_refused(text, 400);
    }
}

static void test_large_lengths_never_wrap(void **state)
{
    (void)state;
    const char *lengths[] = {
        "129",        "2147483648",          "4294967296",          "4294967299",
        "2147483651", "9223372036854775808", "18446744073709551615"};
    char text[256];
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        snprintf(text, sizeof text, "POST / HTTP/1.1\r\n" HOST "Content-Length: %s\r\n\r\n",
                 lengths[i]);
        assert_refused(text, 413);
    }
}

static void test_line_ends_must_be_crlf(void **state)
{
    (void)state;
    assert_refused("GET / HTTP/1.1\nHost: a\n\n", 400);
    assert_refused("GET / HTTP/1.1\r\nHost: a\n\r\n", 400);
    assert_refused("GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", 400);
    assert_refused("GET / HTTP/1.1\r\nHost: a\r\n\rX", 400);
    assert_refused("GET / HTTP/1.1\rHost: a\r\n\r\n", 400);
}

static void test_nul_is_refused_everywhere(void **state)
{
    (void)state;
    const char text[] = "GET /a HTTP/1.1\r\nHost: a\r\nName: v\r\n\r\n";
    const char *places[] = {"ET", "a HTTP", "TTP/", "ost", "a\r\nName", "ame", "v"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char bad[sizeof text];
        memcpy(bad, text, sizeof text);
        bad[strstr(text, places[i]) - text] = '\0';
        start();
        assert_int_equal(feed((struct span){bad, sizeof text - 1}, SIZE_MAX), HTTP_PARSE_REFUSED);
        /* In the version's place any error is fine; elsewhere it is 400. */
        assert_int_equal(http_error_kind(parser.refusal.error)->status, 400);
    }
}

static void test_bad_chunks_are_refused(void **state)
{
    (void)state;
    const char *bodies[] = {
        "-1\r\n",
        "+1\r\n",
        "0x1\r\n",
        "1_0\r\n",
        " 1\r\n",
        "1 \r\na\r\n",
        "g\r\n",
        "\r\n",
        "1\r\nab",
        "1\r\na\n",
        "2\r\na\r\n0\r\n\r\n",
        "1\na\r\n",
        "1;x\ny\r\n",
        "1;x\ry\r\n",
        "1;\x01\r\n",
        "1\r\na0\r\n\r\n",
        "10000000000000000\r\n",
        "fffffffffffffffff\r\n",
        "0\r\nbad trailer\r\n\r\n",
        "0\r\nX : y\r\n\r\n",
        "0\r\n\rX",
        "1;a=\"x\ny\"\r\n",
    };
    char text[256];
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        snprintf(text, sizeof text,
                 "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n%s", bodies[i]);
        assert_refused(text, 400);
    }
    assert_refused("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n100000000\r\n",
                   413);
    assert_refused("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                   "ffffffffffffffff\r\n",
                   413);
    assert_refused("POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", 400);
}

static void test_versions_and_protocols(void **state)
{
    (void)state;
    assert_refused("GET / HTTP/2.0\r\n" HOST "\r\n", 505);
    assert_refused("GET / HTTP/0.9\r\n" HOST "\r\n", 505);
    assert_refused("GET / HTTP/1.2\r\n" HOST "\r\n", 505);
    assert_refused("GET / HTTP/9.9\r\n" HOST "\r\n", 505);
    assert_refused("GET /\r\n", 400);
    assert_refused("GET / RTSP/1.0\r\n" HOST "\r\n", 400);
    assert_refused("GET / ICE/1.0\r\n" HOST "\r\n", 400);
    assert_refused("GET / http/1.1\r\n" HOST "\r\n", 400);
    assert_refused("GET  / HTTP/1.1\r\n" HOST "\r\n", 400);
    assert_refused("GET /  HTTP/1.1\r\n" HOST "\r\n", 400);
    assert_refused("GET / HTTP/1.1 \r\n" HOST "\r\n", 400);
    assert_refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
    assert_refused("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", 400);
    assert_refused_len(SPAN("\x16\x03\x01\x02\x00\x01"), 400);
}

static void test_unknown_methods_are_not_implemented(void **state)
{
    (void)state;
    assert_refused("BREW /pot HTTP/1.1\r\n", 501);
    assert_refused("SOURCE / HTTP/1.1\r\n", 501);
    assert_refused("M-SEARCH * HTTP/1.1\r\n", 501);
    assert_refused("get / HTTP/1.1\r\n", 501);
    assert_refused("GETX / HTTP/1.0\r\n", 501);
    assert_refused("BREW / HTTP/3.0\r\n", 505);
    assert_refused("BREW\r\n", 400);
    assert_refused("BREW /\r\n", 400);
    assert_refused("BREW HTTP/1.1\r\n", 400);
    assert_refused("BREW / HTTP/1.1\n", 400);
    assert_refused("B(EW / HTTP/1.1\r\n", 400);
    assert_refused("GET\t/ HTTP/1.1\r\n", 400);
    assert_refused("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\n", 400); /* 33 bytes */
}

static void test_expectations(void **state)
{
    (void)state;
    assert_refused("POST / HTTP/1.1\r\n" HOST "Expect: 200-ok\r\nContent-Length: 3\r\n\r\n", 417);
    assert_refused("GET / HTTP/1.1\r\n" HOST "Expect:\r\n\r\n", 417);
}

/* A text of `prefix`, then 'a' as often as needed, then `suffix`, `size` bytes long. */
static struct span padded(const char *prefix, const char *suffix, size_t size)
{
    static char storage[2 * CAP];
    struct buf text;
    buf_init(&text, storage, sizeof storage);
    buf_add_text(&text, prefix);
    while (text.len + strlen(suffix) < size)
        buf_add_char(&text, 'a');
    buf_add_text(&text, suffix);
    assert_int_equal(text.len, size);
    return buf_span(&text);
}

static void assert_accepted(struct span input)
{
    for (unsigned whole = 0; whole < 2; whole++) {
        start();
        assert_int_equal(feed(input, whole ? SIZE_MAX : 1), HTTP_PARSE_REQUEST);
    }
}

static void test_header_bytes_at_the_limit(void **state)
{
    (void)state;
    const char *prefix = "GET / HTTP/1.1\r\n" HOST "X: ";
    assert_accepted(padded(prefix, "\r\n\r\n", HEAD_MAX - 1));
    assert_accepted(padded(prefix, "\r\n\r\n", HEAD_MAX));
    assert_refused_len(padded(prefix, "\r\n\r\n", HEAD_MAX + 1), 431);
    assert_refused_len(padded("BREW /", " HTTP/1.1\r\n", HEAD_MAX + 1), 431);
    assert_refused_len(padded("BREW /", " HTTP/1.1\r\n", HEAD_MAX), 501);
}

static void test_uri_bytes_at_the_limit(void **state)
{
    (void)state;
    const char *suffix = " HTTP/1.1\r\n" HOST "\r\n";
    const size_t around = strlen("GET ") + strlen(suffix);
    assert_accepted(padded("GET /", suffix, around + 63));
    assert_accepted(padded("GET /", suffix, around + 64));
    assert_refused_len(padded("GET /", suffix, around + 65), 414);
}

static void test_header_count_at_the_limit(void **state)
{
    (void)state;
    const char *seven = HOST "1:\r\n2:\r\n3:\r\n4:\r\n5:\r\n6:\r\n";
    char text[256];
    snprintf(text, sizeof text, "GET / HTTP/1.1\r\n%s\r\n", seven);
    assert_accepted(span_of(text));
    snprintf(text, sizeof text, "GET / HTTP/1.1\r\n%s8:\r\n\r\n", seven);
    assert_accepted(span_of(text));
    snprintf(text, sizeof text, "GET / HTTP/1.1\r\n%s8:\r\n9:\r\n\r\n", seven);
    assert_refused(text, 431);
}

static void test_body_bytes_at_the_limit(void **state)
{
    (void)state;
    for (unsigned len = BODY_MAX - 1; len <= BODY_MAX; len++) {
        char prefix[128];
        snprintf(prefix, sizeof prefix, "POST / HTTP/1.1\r\n" HOST "Content-Length: %u\r\n\r\n",
                 len);
        assert_accepted(padded(prefix, "", strlen(prefix) + len));
        assert_int_equal(parser.request.body.len, len);
        snprintf(prefix, sizeof prefix,
                 "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n%x\r\n", len);
        assert_accepted(padded(prefix, "\r\n0\r\n\r\n", strlen(prefix) + len + 7));
        assert_int_equal(parser.request.body.len, len);
    }
    assert_refused("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n81\r\n", 413);
    char text[512];
    snprintf(text, sizeof text,
             "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n80\r\n");
    assert_refused(text, 413);
}

static void test_chunk_overhead_at_the_limit(void **state)
{
    (void)state;
    const char *prefix =
        "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX: ";
    const size_t head = (size_t)(strstr(prefix, "\r\n\r\n") + 4 - prefix);
    assert_accepted(padded(prefix, "\r\n\r\n", head + 1 + 199));
    assert_accepted(padded(prefix, "\r\n\r\n", head + 1 + 200));
    assert_refused_len(padded(prefix, "\r\n\r\n", head + 1 + 201), 413);
}

static void test_tiny_chunks_fit_however_many(void **state)
{
    (void)state;
    start();
    assert_int_equal(
        feed(SPAN("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"), SIZE_MAX),
        HTTP_PARSE_MORE);
    for (unsigned i = 0; i < 32; i++)
        assert_int_equal(feed(SPAN("1\r\nx\r\n"), SIZE_MAX), HTTP_PARSE_MORE);
    assert_int_equal(feed(SPAN("0\r\n\r\nGET"), SIZE_MAX), HTTP_PARSE_REQUEST);
    assert_span(parser.request.body, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    http_parser_next(&parser);
    assert_int_equal(http_parser_feed(&parser, 0), HTTP_PARSE_MORE);
    assert_int_equal(feed(SPAN(" /n HTTP/1.1\r\n" HOST "\r\n"), SIZE_MAX), HTTP_PARSE_REQUEST);
    assert_span(parser.request.path, "/n");
}

static void test_an_error_behind_a_request_waits_for_its_turn(void **state)
{
    (void)state;
    assert_int_equal(feed_all("GET / HTTP/1.1\r\n" HOST "\r\n\x01garbage"), HTTP_PARSE_REQUEST);
    http_parser_next(&parser);
    assert_int_equal(http_parser_feed(&parser, 0), HTTP_PARSE_REFUSED);
    assert_int_equal(http_error_kind(parser.refusal.error)->status, 400);
}

static void test_bytes_behind_a_close_do_not_spoil_the_request(void **state)
{
    (void)state;
    assert_int_equal(feed_all("GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\nGET / HTTP/1.1"),
                     HTTP_PARSE_REQUEST);
    assert_false(parser.request.keep_alive);
}

static void test_method_names(void **state)
{
    (void)state;
    assert_string_equal(http_method_name(HTTP_GET), "GET");
    assert_string_equal(http_method_name(HTTP_CONNECT), "CONNECT");
    assert_string_equal(http_method_name(HTTP_OTHER), "OTHER");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get_gives_its_parts),
        cmocka_unit_test(test_header_counts_repetitions),
        cmocka_unit_test(test_every_split_in_two_is_the_same),
        cmocka_unit_test(test_byte_by_byte_is_the_same),
        cmocka_unit_test(test_pipelined_requests_come_one_by_one),
        cmocka_unit_test(test_empty_lines_start_nothing_and_keep_no_memory),
        cmocka_unit_test(test_started_and_in_head_follow_the_phases),
        cmocka_unit_test(test_expectation_is_told_once_before_the_body),
        cmocka_unit_test(test_connection_fields_decide_keep_alive),
        cmocka_unit_test(test_targets_of_every_form),
        cmocka_unit_test(test_host_must_be_one_and_valid),
        cmocka_unit_test(test_ambiguous_framing_is_refused),
        cmocka_unit_test(test_large_lengths_never_wrap),
        cmocka_unit_test(test_line_ends_must_be_crlf),
        cmocka_unit_test(test_nul_is_refused_everywhere),
        cmocka_unit_test(test_bad_chunks_are_refused),
        cmocka_unit_test(test_versions_and_protocols),
        cmocka_unit_test(test_unknown_methods_are_not_implemented),
        cmocka_unit_test(test_expectations),
        cmocka_unit_test(test_header_bytes_at_the_limit),
        cmocka_unit_test(test_uri_bytes_at_the_limit),
        cmocka_unit_test(test_header_count_at_the_limit),
        cmocka_unit_test(test_body_bytes_at_the_limit),
        cmocka_unit_test(test_chunk_overhead_at_the_limit),
        cmocka_unit_test(test_tiny_chunks_fit_however_many),
        cmocka_unit_test(test_an_error_behind_a_request_waits_for_its_turn),
        cmocka_unit_test(test_bytes_behind_a_close_do_not_spoil_the_request),
        cmocka_unit_test(test_method_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
