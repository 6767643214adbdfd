/*
 * flood: clients that take more than their share, for the phase `hostile`.
 *
 *   flood --port N --connections N --depth N --seconds S [--from ADDRESS] request options
 *   flood --silent --renew S ..
 *
 * Each connection keeps `depth` requests under way, pipelined. Reading clients send the next one
 * for each answer. Silent ones never read and offer as little room as TCP lets them. With `renew`
 * each gives way to a new one at that age, and one that the server has ended is not opened before.
 * Bounded by `seconds`, and by the loopback. Prints what it got as one JSON object.
 */
#include "test/bench/answer.h"
#include "test/bench/options.h"
#include "test/bench/samples.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 256,
    OPENING_MAX = 256, /* at one time */
    /* As small as they go: with the loopback's segments the peer's socket takes megabytes. */
    SILENT_WINDOW_BYTES = 1024,
    SILENT_SEGMENT_BYTES = 128,
    READ_BYTES = 64 * 1024,
    TURN_MS = 20,
};
static const uint64_t REOPEN_NS = UINT64_C(10000000); /* after the server has ended one */
static const char STATUS_LINE[] = "HTTP/1.1 ";
enum { STATUS_LINE_LEN = sizeof(STATUS_LINE) - 1, TAIL_MAX = STATUS_LINE_LEN + 3 };

/*   CLOSED --open--> OPENING --writable--> ASKING --all is sent--> WAITING --answer--> ASKING
 *   any --closed by the peer, or renewed--> CLOSED */
enum conn_state { CONN_CLOSED, CONN_OPENING, CONN_ASKING, CONN_WAITING };

struct conn {
    int fd;
    enum conn_state state;
    uint64_t since_ns;   /* OPENING and later: opened; CLOSED: may be opened again */
    uint64_t owed_bytes; /* of requests, not sent yet */
    size_t tail_len;     /* the end of what was read, too short to hold a status */
    char tail[TAIL_MAX];
};

static struct {
    struct options options;
    int epoll_fd;
    struct conn *conns;
    uint32_t opening;
    char *requests; /* depth of them */
    uint64_t opened, refused, ended, statuses[STATUS_MAX];
} flood;

static void conn_watch(struct conn *conn, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = conn};
    if (epoll_ctl(flood.epoll_fd, EPOLL_CTL_MOD, conn->fd, &event) == -1)
        options_die("epoll_ctl");
}

static void conn_close(struct conn *conn, uint64_t again_ns)
{
    const struct linger reset = {.l_onoff = 1};
    if (conn->state == CONN_OPENING)
        flood.opening--;
    /* A reset: hundreds of thousands of ports in TIME_WAIT would end the run. */
    (void)setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(conn->fd);
    conn->fd = -1;
    conn->state = CONN_CLOSED;
    conn->since_ns = again_ns;
}

static int connect_from(void)
{
    const struct sockaddr_in target = {.sin_family = AF_INET,
                                       .sin_port = htons(flood.options.port),
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int window = SILENT_WINDOW_BYTES, segment = SILENT_SEGMENT_BYTES;
    struct sockaddr_in source = {.sin_family = AF_INET};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd == -1 || inet_pton(AF_INET, flood.options.from, &source.sin_addr) != 1)
        options_die("socket");
    if (flood.options.silent &&
        (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof(window)) == -1 ||
         setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment)) == -1))
        options_die("setsockopt");
    if (bind(fd, (const struct sockaddr *)&source, sizeof(source)) == -1 ||
        (connect(fd, (const struct sockaddr *)&target, sizeof(target)) == -1 &&
         errno != EINPROGRESS))
        options_die("connect");
    return fd;
}

static void conn_open(struct conn *conn, uint64_t now_ns)
{
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = conn};
    conn->fd = connect_from();
    if (epoll_ctl(flood.epoll_fd, EPOLL_CTL_ADD, conn->fd, &event) == -1)
        options_die("epoll_ctl");
    conn->state = CONN_OPENING;
    conn->since_ns = now_ns;
    conn->owed_bytes = flood.options.request_len * flood.options.depth;
    conn->tail_len = 0;
    flood.opening++;
}

static void conn_ended(struct conn *conn)
{
    const uint64_t renewed_ns = conn->since_ns + (uint64_t)(flood.options.renew_s * 1e9);
    *(conn->state == CONN_OPENING ? &flood.refused : &flood.ended) += 1;
    conn_close(conn, flood.options.renew_s > 0 ? renewed_ns : samples_now_ns() + REOPEN_NS);
}

/* Requests are all alike, so the next byte to send is told by how many are owed. */
static void conn_ask(struct conn *conn)
{
    const size_t len = flood.options.request_len;
    const uint64_t whole = len * flood.options.depth;
    while (conn->owed_bytes > 0) {
        const size_t at = (len - conn->owed_bytes % len) % len;
        const uint64_t most = whole - at < conn->owed_bytes ? whole - at : conn->owed_bytes;
        const ssize_t sent = send(conn->fd, flood.requests + at, most, MSG_NOSIGNAL);
        if (sent == -1 && errno == EAGAIN)
            break;
        if (sent == -1) {
            conn_ended(conn);
            return;
        }
        conn->owed_bytes -= (uint64_t)sent;
    }
    conn->state = conn->owed_bytes > 0 ? CONN_ASKING : CONN_WAITING;
    const uint32_t reads = flood.options.silent ? 0 : EPOLLIN;
    conn_watch(conn, conn->state == CONN_ASKING ? reads | EPOLLOUT : reads);
}

/* Counts the status lines of what was read behind the tail of what was read before. */
static uint64_t count_answers(struct conn *conn, char *text, size_t len)
{
    uint64_t answers = 0;
    const char *at = text, *end = text + len;
    for (;;) {
        const char *found = memmem(at, (size_t)(end - at), STATUS_LINE, STATUS_LINE_LEN);
        if (found == NULL || end - found < TAIL_MAX)
            break;
        at = found + TAIL_MAX;
        const unsigned long status = strtoul(found + STATUS_LINE_LEN, NULL, 10);
        if (status < STATUS_MAX)
            flood.statuses[status]++;
        answers++;
    }
    const size_t rest = (size_t)(end - at);
    conn->tail_len = rest < TAIL_MAX ? rest : TAIL_MAX - 1;
    memcpy(conn->tail, end - conn->tail_len, conn->tail_len);
    return answers;
}

static void conn_read(struct conn *conn)
{
    static char text[TAIL_MAX + READ_BYTES + 1];
    memcpy(text, conn->tail, conn->tail_len);
    const ssize_t got = recv(conn->fd, text + conn->tail_len, READ_BYTES, 0);
    if (got == -1 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        conn_ended(conn);
        return;
    }
    const size_t len = conn->tail_len + (size_t)got;
    text[len] = '\0';
    conn->owed_bytes += count_answers(conn, text, len) * flood.options.request_len;
    if (conn->owed_bytes > 0)
        conn_ask(conn);
}

static void conn_ready(struct conn *conn, uint32_t events)
{
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
        conn_ended(conn);
        return;
    }
    if (conn->state == CONN_OPENING) {
        flood.opening--;
        flood.opened++;
        conn->state = CONN_ASKING;
    }
    if ((events & EPOLLIN) != 0)
        conn_read(conn);
    if ((events & EPOLLOUT) != 0 && conn->state == CONN_ASKING)
        conn_ask(conn);
}

/* Opens what is closed, and puts new silent ones in the place of old. */
static void renew(uint64_t now_ns)
{
    const uint64_t age_ns = (uint64_t)(flood.options.renew_s * 1e9);
    for (uint32_t i = 0; i < flood.options.connections; i++) {
        struct conn *conn = &flood.conns[i];
        if (conn->state != CONN_CLOSED && age_ns > 0 && now_ns - conn->since_ns >= age_ns)
            conn_close(conn, now_ns);
        if (conn->state == CONN_CLOSED && conn->since_ns <= now_ns && flood.opening < OPENING_MAX)
            conn_open(conn, now_ns);
    }
}

static void run(void)
{
    struct epoll_event events[EVENTS_MAX];
    const uint64_t end_ns = samples_now_ns() + (uint64_t)(flood.options.seconds * 1e9);
    uint64_t renewed_ns = 0;
    for (uint64_t now; (now = samples_now_ns()) < end_ns;) {
        if (now - renewed_ns >= TURN_MS * UINT64_C(1000000) || flood.opening >= OPENING_MAX / 2) {
            renew(now);
            renewed_ns = now;
        }
        const int count = epoll_wait(flood.epoll_fd, events, EVENTS_MAX, TURN_MS);
        if (count == -1 && errno != EINTR)
            options_die("epoll_wait");
        for (int i = 0; i < count; i++)
            conn_ready(events[i].data.ptr, events[i].events);
    }
}

static void start(void)
{
    const struct options *options = &flood.options;
    flood.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    flood.conns = calloc(options->connections, sizeof(*flood.conns));
    flood.requests = malloc(options->request_len * options->depth);
    if (flood.epoll_fd == -1 || flood.conns == NULL || flood.requests == NULL)
        options_die("start");
    for (uint32_t i = 0; i < options->depth; i++)
        memcpy(flood.requests + i * options->request_len, options->request, options->request_len);
    for (uint32_t i = 0; i < options->connections; i++)
        flood.conns[i].fd = -1;
}

static void print(void)
{
    const char *comma = "";
    printf("{\"opened\":%llu,\"refused\":%llu,\"ended\":%llu,\"statuses\":{",
           (unsigned long long)flood.opened, (unsigned long long)flood.refused,
           (unsigned long long)flood.ended);
    for (unsigned status = 0; status < STATUS_MAX; status++) {
        if (flood.statuses[status] == 0)
            continue;
        printf("%s\"%u\":%llu", comma, status, (unsigned long long)flood.statuses[status]);
        comma = ",";
    }
    puts("}}");
}

int main(int argc, char **argv)
{
    options_parse(&flood.options, argc, argv);
    options_raise_descriptors();
    start();
    run();
    print();
    for (uint32_t i = 0; i < flood.options.connections; i++) {
        if (flood.conns[i].state != CONN_CLOSED)
            conn_close(&flood.conns[i], 0);
    }
    free(flood.conns);
    free(flood.requests);
    close(flood.epoll_fd);
    return 0;
}
