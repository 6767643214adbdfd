/*
 * open_loop: load that does not wait for answers, as the world's does. Requests are due at the
 * times of a Poisson process; latency counts from that intended time, so a slow server cannot hide
 * its queue by slowing the client (no coordinated omission).
 *
 *   open_loop --port N --rate PER_SECOND --connections N [--seconds 1] [--warmup 0] request options
 *
 * Takes any free one of its keep-alive connections for each request; one that the server closes is
 * opened again. Prints one JSON object: accepted (2xx), refused (503, 504, 429: no decision, and
 * the caller may try again) and other answers apart, of requests due after the warm-up.
 */
#include "test/bench/answer.h"
#include "test/bench/options.h"
#include "test/bench/samples.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 256,
    ARRIVALS_PER_TURN = 64,    /* then answers are looked at, however late we are */
    LATE_NS = 2 * 1000 * 1000, /* a request sent later than that after it was due is counted */
    OPENING_MAX = 256,         /* the accept queue of a server may be no longer than that */
};
static const uint64_t GRACE_NS = UINT64_C(5000000000); /* for the last answers */

/*   CLOSED --open--> OPENING --writable--> FREE <--answer / send--> BUSY
 *   any --closed--> CLOSED */
enum conn_state { CONN_CLOSED, CONN_OPENING, CONN_FREE, CONN_BUSY };

struct conn {
    int fd;
    enum conn_state state;
    uint64_t due_ns;
    struct answer answer;
};

struct load {
    struct options options;
    int epoll_fd;
    struct conn *conns;
    uint32_t *free; /* a stack of indexes: the same few connections at low rates */
    uint32_t free_count, opening, busy;
    uint64_t *due; /* ring of requests that are due and not sent yet */
    size_t due_first, due_count, due_cap;
    double next_ns; /* when the next request is due */
    uint64_t random;
    uint64_t from_ns, until_ns; /* requests due in between are counted */
    struct samples accepted, refused, other;
    uint64_t statuses[STATUS_MAX];
    uint64_t offered, late, broken, reopened;
};

/* splitmix64; uniform in (0, 1]. */
static double load_random(struct load *load)
{
    uint64_t z = load->random += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    z ^= z >> 31;
    return ((double)(z >> 11) + 1) * 0x1p-53;
}

static void conn_open(struct load *load, struct conn *conn)
{
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = conn};
    conn->fd = answer_connect(load->options.port, true);
    if (conn->fd == -1 || epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, conn->fd, &event) == -1)
        options_die("connect");
    conn->state = CONN_OPENING;
    load->opening++;
}

static void conn_set_free(struct load *load, struct conn *conn)
{
    conn->state = CONN_FREE;
    load->free[load->free_count++] = (uint32_t)(conn - load->conns);
}

static void conn_opened(struct load *load, struct conn *conn)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1 || error != 0 ||
        epoll_ctl(load->epoll_fd, EPOLL_CTL_MOD, conn->fd, &event) == -1) {
        errno = error != 0 ? error : errno;
        options_die("connect");
    }
    load->opening--;
    conn_set_free(load, conn);
}

/* Takes a connection out of use; a busy one has lost its request. */
static void conn_close(struct load *load, struct conn *conn)
{
    if (conn->state == CONN_BUSY)
        load->busy--;
    for (uint32_t i = 0; conn->state == CONN_FREE && i < load->free_count; i++) {
        if (load->free[i] != (uint32_t)(conn - load->conns))
            continue;
        load->free[i] = load->free[--load->free_count];
        break;
    }
    close(conn->fd);
    conn->state = CONN_CLOSED;
    conn->fd = -1;
}

static void conn_reopen(struct load *load, struct conn *conn)
{
    conn_close(load, conn);
    load->reopened++;
    conn_open(load, conn);
}

static bool load_counts(const struct load *load, uint64_t due_ns)
{
    return due_ns >= load->from_ns && due_ns < load->until_ns;
}

static void conn_send(struct load *load, struct conn *conn, uint64_t due_ns)
{
    answer_begin(&conn->answer);
    conn->due_ns = due_ns;
    conn->state = CONN_BUSY;
    load->busy++;
    if (load_counts(load, due_ns) && samples_now_ns() > due_ns + LATE_NS)
        load->late++;
    /* An error shows as the end of the connection when it is read. */
    const ssize_t sent =
        send(conn->fd, load->options.request, load->options.request_len, MSG_NOSIGNAL);
    if (sent != -1 && sent != (ssize_t)load->options.request_len)
        options_die("short send");
}

static void load_record(struct load *load, const struct conn *conn)
{
    const uint16_t status = conn->answer.status;
    if (!load_counts(load, conn->due_ns))
        return;
    struct samples *samples = &load->other;
    if (status / 100 == 2)
        samples = &load->accepted;
    else if (status == 503 || status == 504 || status == 429)
        samples = &load->refused;
    samples_add(samples, samples_now_ns() - conn->due_ns);
    load->statuses[status]++;
}

static void conn_ready(struct load *load, struct conn *conn)
{
    if (conn->state == CONN_OPENING) {
        conn_opened(load, conn);
        return;
    }
    if (conn->state == CONN_FREE) { /* nothing is asked, so this is its end */
        conn_reopen(load, conn);
        return;
    }
    const enum answer_state state = answer_read(&conn->answer, conn->fd);
    if (state == ANSWER_MORE)
        return;
    if (state == ANSWER_WHOLE)
        load_record(load, conn);
    else if (load_counts(load, conn->due_ns))
        load->broken++;
    if (state != ANSWER_WHOLE || conn->answer.closes) {
        conn_reopen(load, conn);
        return;
    }
    load->busy--;
    conn_set_free(load, conn);
}

/* Appends to the ring whatever is due by now. */
static void load_arrive(struct load *load, uint64_t now)
{
    for (int i = 0; i < ARRIVALS_PER_TURN && load->next_ns <= (double)now; i++) {
        const uint64_t due_ns = (uint64_t)load->next_ns;
        load->next_ns += -log(load_random(load)) * 1e9 / load->options.rate;
        if (due_ns >= load->until_ns)
            continue;
        load->offered += load_counts(load, due_ns);
        if (load->due_count == load->due_cap)
            continue; /* stays unanswered */
        load->due[(load->due_first + load->due_count++) % load->due_cap] = due_ns;
    }
}

static void load_send(struct load *load)
{
    while (load->due_count > 0 && load->free_count > 0) {
        struct conn *conn = &load->conns[load->free[--load->free_count]];
        const uint64_t due_ns = load->due[load->due_first];
        load->due_first = (load->due_first + 1) % load->due_cap;
        load->due_count--;
        conn_send(load, conn, due_ns);
    }
}

/* Sleeps until the next arrival or answer. */
static void load_wait(struct load *load, uint64_t until_ns)
{
    struct epoll_event events[EVENTS_MAX];
    const uint64_t now = samples_now_ns();
    const uint64_t left = until_ns > now ? until_ns - now : 0;
    const struct timespec limit = {.tv_sec = (time_t)(left / 1000000000U),
                                   .tv_nsec = (long)(left % 1000000000U)};
    const int count = epoll_pwait2(load->epoll_fd, events, EVENTS_MAX, &limit, NULL);
    if (count == -1 && errno != EINTR)
        options_die("epoll_pwait2");
    for (int i = 0; i < count; i++)
        conn_ready(load, events[i].data.ptr);
}

static void load_open(struct load *load)
{
    const uint32_t count = load->options.connections;
    load->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    load->conns = calloc(count, sizeof(*load->conns));
    load->free = calloc(count, sizeof(*load->free));
    /* All that can be due: a tenth more than expected, and room for small runs. */
    load->due_cap =
        (size_t)((load->options.seconds + load->options.warmup_s) * load->options.rate * 1.1) +
        4096;
    load->due = calloc(load->due_cap, sizeof(*load->due));
    if (load->epoll_fd == -1 || load->conns == NULL || load->free == NULL || load->due == NULL)
        options_die("start");
    for (uint32_t i = 0; i < count; i++) {
        conn_open(load, &load->conns[i]);
        while (load->opening >= OPENING_MAX)
            load_wait(load, samples_now_ns() + GRACE_NS);
    }
    while (load->opening > 0)
        load_wait(load, samples_now_ns() + GRACE_NS);
}

static void load_run(struct load *load)
{
    load->random = load->options.seed;
    load->from_ns = samples_now_ns() + (uint64_t)(load->options.warmup_s * 1e9);
    load->until_ns = load->from_ns + (uint64_t)(load->options.seconds * 1e9);
    load->next_ns = (double)samples_now_ns();
    for (uint64_t now; (now = samples_now_ns()) < load->until_ns + GRACE_NS;) {
        load_arrive(load, now);
        load_send(load);
        const bool is_over = now >= load->until_ns;
        if (is_over && load->busy == 0 && load->due_count == 0)
            break;
        load_wait(load, is_over ? load->until_ns + GRACE_NS : (uint64_t)load->next_ns);
    }
}

static void load_print_samples(const char *name, struct samples *samples, double seconds)
{
    printf(",\"%s\":{", name);
    samples_print(samples, seconds, stdout);
    printf("}");
}

static void load_print(struct load *load)
{
    const double seconds = load->options.seconds;
    const uint64_t answered =
        load->accepted.count + load->refused.count + load->other.count + load->broken;
    printf("{\"rate\":%.1f,\"connections\":%u,\"seconds\":%.3f,\"offered\":%llu,\"broken\":%llu,"
           "\"unanswered\":%llu,\"late_sends\":%llu,\"reopened\":%llu,\"statuses\":{",
           load->options.rate, load->options.connections, seconds,
           (unsigned long long)load->offered, (unsigned long long)load->broken,
           (unsigned long long)(load->offered - answered), (unsigned long long)load->late,
           (unsigned long long)load->reopened);
    const char *comma = "";
    for (unsigned status = 0; status < STATUS_MAX; status++) {
        if (load->statuses[status] == 0)
            continue;
        printf("%s\"%u\":%llu", comma, status, (unsigned long long)load->statuses[status]);
        comma = ",";
    }
    printf("}");
    load_print_samples("accepted", &load->accepted, seconds);
    load_print_samples("refused", &load->refused, seconds);
    load_print_samples("other", &load->other, seconds);
    puts("}");
}

static void load_destroy(struct load *load)
{
    for (uint32_t i = 0; i < load->options.connections; i++)
        close(load->conns[i].fd);
    samples_free(&load->accepted);
    samples_free(&load->refused);
    samples_free(&load->other);
    free(load->conns);
    free(load->free);
    free(load->due);
    close(load->epoll_fd);
}

int main(int argc, char **argv)
{
    static struct load load;
    options_parse(&load.options, argc, argv);
    options_raise_descriptors();
    load_open(&load);
    load_run(&load);
    load_print(&load);
    load_destroy(&load);
    return 0;
}
