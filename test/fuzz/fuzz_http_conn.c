/*
 * The whole connection under arbitrary bytes: server, exchange, parser, router, answers.
 *
 * The first byte of an input steers (see `steering`), the rest is what the client sends. The
 * input is served twice: in one piece with answers at once, and in the steered pieces with
 * answers now or later. Checked: every answer is well-formed, in order and told to on_finished;
 * cutting the input differently changes no answer; at the end nothing is left on the server.
 * Violations abort.
 */
#include "core/clock.h"
#include "core/secret.h"
#include "http/server/http_server.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    INPUT_MAX = 8 * 1024,
    ANSWERS_MAX = 1024,
    OUTPUT_MAX = 1024 * 1024,
    TURNS_MAX = 2000,
    TIMEOUT_MS = 1000
};

enum ending { END_HALF_CLOSE, END_CLOSE, END_RESET, END_SILENT };

struct steering {
    uint32_t random; /* where the input is cut */
    bool bytewise, late, forgets;
    enum ending ending;
};

static struct steering steering_of(uint8_t byte)
{
    return (struct steering){.random = byte * 2654435761u + 1,
                             .bytewise = (byte & 0x10) != 0,
                             .late = (byte & 0x01) != 0,
                             .forgets = (byte & 0x08) != 0,
                             .ending = (enum ending)((byte >> 1) & 3)};
}

struct answer {
    enum http_method method;
    unsigned status;
    size_t body_len;
    uint64_t body_hash; /* of handlers' answers only: problems carry a random id */
};

/* One run: what was told about it and what came out of it. */
struct run {
    struct answer answers[ANSWERS_MAX];
    unsigned told, received, dropped;
    size_t output_len;
    char output[OUTPUT_MAX];
};

static struct {
    struct reactor *reactor;
    struct http_server *server;
    uint64_t now_us;
    struct http_exchange *waiting; /* one request of a connection at a time, so one at all */
    bool late, forgets;
    struct run *run;
} fuzz;

static struct run whole, pieces;

static uint64_t hash_of(struct span bytes)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ (unsigned char)bytes.ptr[i]) * 1099511628211u;
    return hash;
}

static void answer(struct http_exchange *exchange)
{
    char storage[256];
    struct buf body;
    const struct http_request *request = http_exchange_request(exchange);
    buf_init(&body, storage, sizeof storage);
    buf_add_text(&body, http_method_name(request->method));
    buf_add_char(&body, ' ');
    buf_add_u64(&body, hash_of(request->target));
    buf_add_char(&body, ' ');
    buf_add_u64(&body, hash_of(request->body));
    buf_add_char(&body, ' ');
    buf_add_u64(&body, request->header_count);
    for (unsigned i = 0; i < request->header_count; i++) {
        buf_add_char(&body, ' ');
        buf_add_u64(&body, request->headers[i].name.len * 1000 + request->headers[i].value.len);
    }
    http_respond(exchange, &(struct http_response){.status = 200,
                                                   .content_type = SPAN("text/plain"),
                                                   .body = buf_span(&body)});
}

static void on_request(void *app, struct http_exchange *exchange)
{
    (void)app;
    CHECK(fuzz.waiting == NULL);
    if (fuzz.late)
        fuzz.waiting = exchange;
    else
        answer(exchange);
}

static bool on_abandon(void *app, struct http_exchange *exchange)
{
    (void)app;
    CHECK(fuzz.waiting == exchange);
    if (fuzz.forgets)
        fuzz.waiting = NULL;
    return fuzz.forgets;
}

static struct span format_error(const struct http_error_report *report, struct buf *body,
                                void *note)
{
    (void)note;
    buf_add_text(body, report->refusal.detail == NULL ? "refused" : report->refusal.detail);
    buf_add_u64(body, hash_of(report->path));
    return SPAN("text/plain");
}

static void on_finished(void *owner, const struct http_finished *finished)
{
    (void)owner;
    struct run *run = fuzz.run;
    if (finished->dropped) {
        run->dropped++;
        return;
    }
    CHECK(run->told < ANSWERS_MAX);
    run->answers[run->told++] =
        (struct answer){.method = finished->method, .status = finished->status};
}

static uint64_t fuzz_clock(void)
{
    return fuzz.now_us;
}

static void start_once(void)
{
    static const struct http_route routes[] = {
        {.path = "/",
         .methods = 1u << HTTP_GET | 1u << HTTP_POST,
         .on_request = on_request,
         .on_abandon = on_abandon},
        {.path = "/a/{id}/b",
         .methods = 1u << HTTP_GET | 1u << HTTP_PUT | 1u << HTTP_DELETE,
         .on_request = on_request,
         .on_abandon = on_abandon},
    };
    static const struct http_listener_config listener = {
        .transport = &TRANSPORT_TCP, .routes = routes, .route_count = 2};
    static const struct http_server_config config = {
        .limits = {.header_bytes_max = 1024,
                   .header_count_max = 12,
                   .uri_bytes_max = 200,
                   .body_bytes_max = 256,
                   .chunk_overhead_max = 300},
        .conn_max = 2,
        .exchange_max = 2,
        .head_timeout_ms = TIMEOUT_MS,
        .body_timeout_ms = TIMEOUT_MS,
        .idle_timeout_ms = TIMEOUT_MS,
        .write_timeout_ms = TIMEOUT_MS,
        .linger_timeout_ms = TIMEOUT_MS,
        .format_error = format_error,
        .on_finished = on_finished,
    };
    if (fuzz.server != NULL)
        return;
    fuzz.now_us = CLOCK_US_PER_S;
    clock_replace(fuzz_clock, NULL);
    CHECK(secret_init() == ERR_OK);
    CHECK(reactor_create(&fuzz.reactor, 4) == ERR_OK);
    CHECK(http_server_create(&fuzz.server, fuzz.reactor, &config) == ERR_OK);
    CHECK(http_server_listen(fuzz.server, &listener) == ERR_OK);
}

static void turn(void)
{
    CHECK(reactor_turn(fuzz.reactor, 0) == ERR_OK);
    if (fuzz.waiting != NULL) {
        struct http_exchange *exchange = fuzz.waiting;
        fuzz.waiting = NULL;
        answer(exchange);
    }
}

static void collect(int fd)
{
    struct run *run = fuzz.run;
    for (;;) {
        CHECK(run->output_len < OUTPUT_MAX);
        const ssize_t got =
            recv(fd, run->output + run->output_len, OUTPUT_MAX - run->output_len, 0);
        if (got <= 0)
            return;
        run->output_len += (size_t)got;
    }
}

/* Turns until an answer would have come and everything here is served. */
static void settle(int fd, unsigned turns)
{
    for (unsigned i = 0; i < turns; i++) {
        turn();
        collect(fd);
    }
}

static size_t piece_len(struct steering *steering, size_t left)
{
    steering->random = steering->random * 1664525u + 1013904223u;
    size_t len = steering->bytewise ? 1 : (steering->random >> 24) + 1;
    return len < left ? len : left;
}

static void end(int fd, enum ending ending)
{
    switch (ending) {
    case END_HALF_CLOSE:
        (void)shutdown(fd, SHUT_WR);
        break;
    case END_CLOSE:
        (void)shutdown(fd, SHUT_RDWR);
        break;
    case END_RESET: /* a UNIX socket that is closed with unread bytes resets its peer */
    case END_SILENT:
        break;
    }
}

static void serve(struct run *run, struct span input, struct steering steering, bool in_one_piece)
{
    int pair[2];
    run->told = run->received = run->dropped = 0;
    run->output_len = 0;
    fuzz.run = run;
    fuzz.late = steering.late;
    fuzz.forgets = steering.forgets;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    CHECK(http_server_adopt(fuzz.server, 0, pair[0]) == ERR_OK);
    while (input.len > 0) {
        const size_t len = in_one_piece ? input.len : piece_len(&steering, input.len);
        const ssize_t sent = send(pair[1], input.ptr, len, MSG_NOSIGNAL);
        if (sent == -1)
            break; /* the server has ended the connection */
        input.ptr += sent;
        input.len -= (size_t)sent;
        settle(pair[1], 2);
    }
    if (steering.ending == END_RESET) {
        close(pair[1]);
        for (unsigned i = 0; i < 4; i++)
            turn();
    } else {
        settle(pair[1], 8);
        for (unsigned i = 0; i < ANSWERS_MAX && run->told * HTTP_REQUESTS_PER_WAKE > i; i++)
            settle(pair[1], 1);
        end(pair[1], steering.ending);
        settle(pair[1], 4);
    }
    for (unsigned i = 0; i < 4 && !http_server_quiet(fuzz.server); i++) {
        fuzz.now_us += (uint64_t)2 * TIMEOUT_MS * CLOCK_US_PER_MS;
        if (steering.ending == END_RESET)
            turn();
        else
            settle(pair[1], 2);
    }
    CHECK(http_server_quiet(fuzz.server));
    CHECK(fuzz.waiting == NULL);
    if (steering.ending != END_RESET)
        close(pair[1]);
}

/* The value of a field in a head; empty when absent. */
static struct span field(struct span head, const char *name)
{
    const size_t len = strlen(name);
    for (struct span line; head.ptr != NULL;) {
        line = span_cut(&head, '\n');
        if (line.len > len && strncasecmp(line.ptr, name, len) == 0 && line.ptr[len] == ':')
            return span_trim((struct span){line.ptr + len + 1, line.len - len - 2});
    }
    return SPAN("");
}

/* Cuts one answer off *rest and compares it with what on_finished was told. */
static void read_answer(struct run *run, struct span *rest)
{
    const char *end_of_head = memmem(rest->ptr, rest->len, "\r\n\r\n", 4);
    CHECK(end_of_head != NULL);
    const struct span head = {rest->ptr, (size_t)(end_of_head - rest->ptr) + 4};
    CHECK(span_starts_with(head, SPAN("HTTP/1.1 ")));
    rest->ptr += head.len;
    rest->len -= head.len;
    uint64_t status = 0, len = 0;
    CHECK(span_parse_u64((struct span){head.ptr + 9, 3}, 599, &status));
    if (status == 100)
        return;
    CHECK(run->received < run->told);
    struct answer *told = &run->answers[run->received++];
    CHECK(status == told->status);
    CHECK(field(head, "Date").len == CLOCK_HTTP_DATE_LEN);
    CHECK(field(head, "X-Request-Id").len >= 1);
    CHECK(field(head, "X-Request-Id").len <= HTTP_REQUEST_ID_MAX);
    if (status != 204)
        CHECK(span_parse_u64(field(head, "Content-Length"), OUTPUT_MAX, &len));
    if (told->method == HTTP_HEAD)
        len = 0;
    CHECK(len <= rest->len);
    if (status == 200) {
        told->body_len = len;
        told->body_hash = hash_of((struct span){rest->ptr, len});
    }
    rest->ptr += len;
    rest->len -= len;
    const bool last = span_equal(field(head, "Connection"), SPAN("close"));
    CHECK(!last || rest->len == 0);
}

static void read_answers(struct run *run)
{
    struct span rest = {run->output, run->output_len};
    while (rest.len > 0)
        read_answer(run, &rest);
    CHECK(run->received == run->told);
}

/* Of two faults in one request the cut may decide which is met first; both refuse it. */
static bool same_answer(const struct answer *a, const struct answer *b, bool last)
{
    if (last && a->status >= 400 && b->status >= 400)
        return a->method == b->method;
    return a->method == b->method && a->status == b->status && a->body_len == b->body_len &&
           a->body_hash == b->body_hash;
}

static bool asks_to_continue(struct span input)
{
    for (size_t i = 0; i + 6 <= input.len; i++)
        if (strncasecmp(input.ptr + i, "expect", 6) == 0)
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > INPUT_MAX)
        return 0;
    start_once();
    const struct steering steering = steering_of(data[0]);
    const struct span input = {(const char *)data + 1, size - 1};

    serve(&pieces, input, steering, false);
    if (steering.ending != END_HALF_CLOSE && steering.ending != END_SILENT)
        return 0; /* what the client did not stay for may be cut anywhere */
    read_answers(&pieces);
    serve(&whole, input, (struct steering){.ending = steering.ending}, true);
    read_answers(&whole);

    /* A client that waits for "100 Continue" may be refused without its body being read. */
    if (!asks_to_continue(input)) {
        CHECK(whole.told == pieces.told);
        for (unsigned i = 0; i < whole.told; i++)
            CHECK(same_answer(&whole.answers[i], &pieces.answers[i], i + 1 == whole.told));
    }
    return 0;
}
