/*
 * closed_loop: a few connections, each with one request in flight; exact latencies. At one
 * connection it tells what a request costs when nothing else runs; the same client measures hello
 * and the service.
 *
 *   closed_loop --port N [--connections 1] [--seconds 1] [--warmup 0] request options
 *
 * Prints one JSON object. Any status but 2xx and any lost connection counts as failed.
 */
#include "test/bench/answer.h"
#include "test/bench/options.h"
#include "test/bench/samples.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS_MAX = 64, STUCK_MS = 10000 };

struct conn {
    int fd;
    uint64_t sent_ns;
    struct answer answer;
};

struct run {
    struct options options;
    struct conn *conns;
    int epoll_fd;
    uint64_t from_ns, until_ns; /* requests sent in between are counted */
    struct samples good;
    uint64_t failed;
};

static void conn_send(struct run *run, struct conn *conn)
{
    answer_begin(&conn->answer);
    conn->sent_ns = samples_now_ns();
    const ssize_t sent =
        send(conn->fd, run->options.request, run->options.request_len, MSG_NOSIGNAL);
    if (sent != (ssize_t)run->options.request_len)
        options_die("send");
}

/* False: this connection has done its part. */
static bool conn_ready(struct run *run, struct conn *conn)
{
    const enum answer_state state = answer_read(&conn->answer, conn->fd);
    const uint64_t now = samples_now_ns();
    if (state == ANSWER_MORE)
        return true;
    const bool good = state == ANSWER_WHOLE && conn->answer.status / 100 == 2;
    if (!good)
        run->failed++;
    else if (conn->sent_ns >= run->from_ns)
        samples_add(&run->good, now - conn->sent_ns);
    if (state != ANSWER_WHOLE || conn->answer.closes || now >= run->until_ns)
        return false;
    conn_send(run, conn);
    return true;
}

static void run_open(struct run *run)
{
    run->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    run->conns = calloc(run->options.connections, sizeof(*run->conns));
    if (run->epoll_fd == -1 || run->conns == NULL)
        options_die("start");
    for (uint32_t i = 0; i < run->options.connections; i++) {
        struct conn *conn = &run->conns[i];
        conn->fd = answer_connect(run->options.port, false);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
        if (conn->fd == -1 || epoll_ctl(run->epoll_fd, EPOLL_CTL_ADD, conn->fd, &event) == -1)
            options_die("connect");
    }
}

static void run_load(struct run *run)
{
    uint32_t active = run->options.connections;
    for (uint32_t i = 0; i < active; i++)
        conn_send(run, &run->conns[i]);
    while (active > 0) {
        struct epoll_event events[EVENTS_MAX];
        const int count = epoll_wait(run->epoll_fd, events, EVENTS_MAX, STUCK_MS);
        if (count == -1 && errno == EINTR)
            continue;
        if (count <= 0)
            options_die("no answer");
        for (int i = 0; i < count; i++) {
            struct conn *conn = events[i].data.ptr;
            if (conn_ready(run, conn))
                continue;
            close(conn->fd);
            active--;
        }
    }
}

int main(int argc, char **argv)
{
    static struct run run;
    options_parse(&run.options, argc, argv);
    options_raise_descriptors();
    run_open(&run);
    run.from_ns = samples_now_ns() + (uint64_t)(run.options.warmup_s * 1e9);
    run.until_ns = run.from_ns + (uint64_t)(run.options.seconds * 1e9);
    run_load(&run);
    const double seconds = (double)(samples_now_ns() - run.from_ns) / 1e9;
    printf("{\"connections\":%u,\"seconds\":%.3f,\"failed\":%llu,", run.options.connections,
           seconds, (unsigned long long)run.failed);
    samples_print(&run.good, seconds, stdout);
    puts("}");
    samples_free(&run.good);
    free(run.conns);
    close(run.epoll_fd);
    return 0;
}
