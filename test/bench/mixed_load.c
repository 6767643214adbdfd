/*
 * mixed_load: several kinds of load at once, in one process, each counted apart: a hot wallet
 * beside quiet ones, finds and voids beside holds, polls of the readiness, at any instances.
 *
 *   API_SECRET_KEY=.. mixed_load SECONDS WARMUP_SECONDS CLASS..       CLASS: see load_class.h
 *
 * A class with a rate is an open loop: latency counts from when a request was due, so that a slow
 * server cannot hide its queue. A class without one is a closed loop: its connections send the next
 * request when they have their answer. Prints one JSON object with a member for each class; answers
 * of requests due in the warm-up are logged, not counted. Ends early when every class has ended.
 */
#include "test/bench/load_class.h"
#include "test/bench/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CLASSES_MAX = 16,
    EVENTS_MAX = 256,
    ARRIVALS_PER_TURN = 64,    /* then answers are looked at, however late we are */
    LATE_NS = 2 * 1000 * 1000, /* a request sent later than that after it was due is counted */
};
static const uint64_t GRACE_NS = UINT64_C(10000000000); /* for the last answers */

/*   FREE --send--> BUSY --answer--> FREE, or in a closed loop --answer--> RESTING --time--> FREE
 *   Each is opened again when the peer closes it; a BUSY one has lost its request. */
enum conn_state { CONN_FREE, CONN_BUSY, CONN_RESTING };

struct conn {
    int fd;
    enum conn_state state;
    struct load_class *class;
    struct conn *next_free;   /* of the class's free connections */
    uint64_t due_ns, wake_ns; /* of its request; of its rest's end */
    char key[CLASS_KEY_MAX];
    struct answer answer;
};

/* What the loop keeps for a class. */
struct lane {
    struct load_class class;
    struct conn *conns, *free;
    uint32_t busy;
    uint64_t next_wake_ns; /* UINT64_MAX: nobody rests */
};

static struct {
    int epoll_fd;
    struct lane lanes[CLASSES_MAX];
    int lane_count;
    const char *api_key;
    uint64_t random, from_ns, until_ns; /* requests due in between are counted */
} all;

/* splitmix64; uniform in (0, 1]. */
static double random_unit(void)
{
    uint64_t z = all.random += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    z ^= z >> 31;
    return ((double)(z >> 11) + 1) * 0x1p-53;
}

static bool counts(uint64_t due_ns)
{
    return due_ns >= all.from_ns && due_ns < all.until_ns;
}

static struct lane *lane_of(const struct conn *conn)
{
    return (struct lane *)(void *)conn->class; /* the class is the lane's first member */
}

static void conn_set_free(struct conn *conn)
{
    struct lane *lane = lane_of(conn);
    conn->state = CONN_FREE;
    conn->next_free = lane->free;
    lane->free = conn;
}

static void conn_rest(struct conn *conn, uint64_t wake_ns)
{
    struct lane *lane = lane_of(conn);
    conn->state = CONN_RESTING;
    conn->wake_ns = wake_ns;
    if (wake_ns < lane->next_wake_ns)
        lane->next_wake_ns = wake_ns;
}

/* Blocks for the length of a connect to this machine. */
static void conn_open(struct conn *conn)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
    conn->fd = answer_connect(conn->class->port, false);
    if (conn->fd == -1 || epoll_ctl(all.epoll_fd, EPOLL_CTL_ADD, conn->fd, &event) == -1)
        options_die("connect");
}

static void conn_send(struct conn *conn, uint64_t due_ns)
{
    char request[CLASS_REQUEST_MAX];
    struct load_class *class = conn->class;
    const size_t len = load_class_next(class, all.api_key, request, conn->key);
    answer_begin(&conn->answer);
    conn->due_ns = due_ns;
    conn->state = CONN_BUSY;
    lane_of(conn)->busy++;
    if (counts(due_ns) && samples_now_ns() > due_ns + LATE_NS)
        class->late++;
    if (counts(due_ns) && class->rate == 0)
        class->offered++;
    /* An error shows as the end of the connection when it is read. */
    const ssize_t sent = send(conn->fd, request, len, MSG_NOSIGNAL);
    if (sent != -1 && sent != (ssize_t)len)
        options_die("short send");
}

/* The request is over; `is_whole` false: without an answer. */
static void conn_record(struct conn *conn, bool is_whole)
{
    struct load_class *class = conn->class;
    const uint64_t took_ns = samples_now_ns() - conn->due_ns;
    lane_of(conn)->busy--;
    load_class_log(class, conn->key, is_whole ? &conn->answer : NULL,
                   (int64_t)(conn->due_ns - all.from_ns), took_ns);
    if (!counts(conn->due_ns))
        return;
    if (!is_whole) {
        class->broken++;
        return;
    }
    class->answered++;
    samples_add(&class->by_status[conn->answer.status], took_ns);
}

static void conn_reopen(struct conn *conn)
{
    close(conn->fd);
    conn->class->reopened++;
    conn_open(conn);
}

static void conn_ready(struct conn *conn)
{
    if (conn->state != CONN_BUSY) { /* nothing is asked, so this is its end */
        conn_reopen(conn);
        return;
    }
    const enum answer_state state = answer_read(&conn->answer, conn->fd);
    if (state == ANSWER_MORE)
        return;
    conn_record(conn, state == ANSWER_WHOLE);
    const bool is_good = state == ANSWER_WHOLE && conn->answer.status / 100 == 2;
    if (state != ANSWER_WHOLE || conn->answer.closes)
        conn_reopen(conn);
    const struct load_class *class = conn->class;
    const uint64_t rest_ns = is_good ? class->think_ns : class->think_ns + class->pause_ns;
    if (class->rate == 0 && rest_ns > 0)
        conn_rest(conn, samples_now_ns() + rest_ns);
    else
        conn_set_free(conn);
}

/* Open loop: appends to the ring whatever is due by now. */
static void lane_arrive(struct load_class *class, uint64_t now)
{
    for (int i = 0; i < ARRIVALS_PER_TURN && class->next_ns <= (double)now; i++) {
        const uint64_t due_ns = (uint64_t) class->next_ns;
        class->next_ns += -log(random_unit()) * 1e9 / class->rate;
        if (due_ns >= all.until_ns ||
            (class->once && class->taken + class->due_count >= class->line_count))
            continue;
        class->offered += counts(due_ns);
        if (class->due_count == CLASS_DUE_MAX)
            continue; /* stays unanswered */
        class->due[(class->due_first + class->due_count++) % CLASS_DUE_MAX] = due_ns;
    }
}

/* Closed loop: those whose rest is over are free again. */
static void lane_wake(struct lane *lane, uint64_t now)
{
    if (lane->next_wake_ns > now)
        return;
    lane->next_wake_ns = UINT64_MAX;
    for (uint32_t i = 0; i < lane->class.connections; i++) {
        struct conn *conn = &lane->conns[i];
        if (conn->state != CONN_RESTING)
            continue;
        if (conn->wake_ns <= now)
            conn_set_free(conn);
        else if (conn->wake_ns < lane->next_wake_ns)
            lane->next_wake_ns = conn->wake_ns;
    }
}

static struct conn *lane_take_free(struct lane *lane)
{
    struct conn *conn = lane->free;
    lane->free = conn->next_free;
    return conn;
}

/* Sends what can be sent; returns when this lane next has something to do. */
static uint64_t lane_turn(struct lane *lane, uint64_t now)
{
    struct load_class *class = &lane->class;
    if (class->rate == 0) {
        lane_wake(lane, now);
        while (now < all.until_ns && lane->free != NULL && load_class_has_next(class))
            conn_send(lane_take_free(lane), samples_now_ns());
        return lane->next_wake_ns;
    }
    lane_arrive(class, now);
    while (class->due_count > 0 && lane->free != NULL) {
        const uint64_t due_ns = class->due[class->due_first];
        class->due_first = (class->due_first + 1) % CLASS_DUE_MAX;
        class->due_count--;
        conn_send(lane_take_free(lane), due_ns);
    }
    return (uint64_t) class->next_ns;
}

static bool lane_is_over(const struct lane *lane, uint64_t now)
{
    const bool sends = now < all.until_ns && load_class_has_next(&lane->class);
    return !sends && lane->busy == 0 && lane->class.due_count == 0;
}

/* Sleeps until that time or an answer. */
static void wait_for_answers(uint64_t until_ns)
{
    struct epoll_event events[EVENTS_MAX];
    const uint64_t now = samples_now_ns();
    const uint64_t left = until_ns > now ? until_ns - now : 0;
    const struct timespec limit = {.tv_sec = (time_t)(left / 1000000000U),
                                   .tv_nsec = (long)(left % 1000000000U)};
    const int count = epoll_pwait2(all.epoll_fd, events, EVENTS_MAX, &limit, NULL);
    if (count == -1 && errno != EINTR)
        options_die("epoll_pwait2");
    for (int i = 0; i < count; i++)
        conn_ready(events[i].data.ptr);
}

static void lane_open(struct lane *lane)
{
    const uint32_t count = lane->class.connections;
    lane->next_wake_ns = UINT64_MAX;
    lane->conns = calloc(count, sizeof(*lane->conns));
    if (lane->conns == NULL)
        options_die("connections");
    for (uint32_t i = 0; i < count; i++) {
        lane->conns[i].class = &lane->class;
        conn_open(&lane->conns[i]);
    }
}

/* Clients that think do not all begin at once. */
static void lane_begin(struct lane *lane, uint64_t now)
{
    const uint32_t count = lane->class.connections;
    lane->class.next_ns = (double)now;
    for (uint32_t i = 0; i < count; i++)
        conn_rest(&lane->conns[i], now + lane->class.think_ns * i / count);
    if (lane->class.rate > 0)
        lane_wake(lane, UINT64_MAX);
}

static void run(double seconds, double warmup_s)
{
    const uint64_t start = samples_now_ns();
    all.from_ns = start + (uint64_t)(warmup_s * 1e9);
    all.until_ns = all.from_ns + (uint64_t)(seconds * 1e9);
    for (int i = 0; i < all.lane_count; i++)
        lane_begin(&all.lanes[i], start);
    for (uint64_t now; (now = samples_now_ns()) < all.until_ns + GRACE_NS;) {
        uint64_t wake_ns = all.until_ns + GRACE_NS;
        bool is_over = true;
        for (int i = 0; i < all.lane_count; i++) {
            const uint64_t next_ns = lane_turn(&all.lanes[i], now);
            if (next_ns < wake_ns && now < all.until_ns)
                wake_ns = next_ns;
            is_over = is_over && lane_is_over(&all.lanes[i], now);
        }
        if (is_over)
            break;
        if (now < all.until_ns && all.until_ns < wake_ns)
            wake_ns = all.until_ns;
        wait_for_answers(wake_ns);
    }
}

static void print(void)
{
    const uint64_t now = samples_now_ns();
    const uint64_t end_ns = now < all.until_ns ? now : all.until_ns;
    const double seconds = (double)(end_ns - all.from_ns) / 1e9;
    printf("{\"seconds\":%.3f,\"classes\":{", seconds);
    for (int i = 0; i < all.lane_count; i++) {
        printf("%s", i > 0 ? "," : "");
        load_class_print(&all.lanes[i].class, seconds, stdout);
    }
    puts("}}");
}

int main(int argc, char **argv)
{
    all.api_key = getenv("API_SECRET_KEY");
    if (argc < 4 || argc - 3 > CLASSES_MAX || all.api_key == NULL) {
        fprintf(stderr, "usage: API_SECRET_KEY=.. mixed_load SECONDS WARMUP_SECONDS CLASS..\n");
        return 2;
    }
    options_raise_descriptors();
    all.random = samples_now_ns();
    all.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (all.epoll_fd == -1)
        options_die("epoll_create1");
    for (; all.lane_count < argc - 3; all.lane_count++) {
        struct lane *lane = &all.lanes[all.lane_count];
        load_class_parse(&lane->class, argv[3 + all.lane_count]);
        lane_open(lane);
    }
    run(strtod(argv[1], NULL), strtod(argv[2], NULL));
    print();
    for (int i = 0; i < all.lane_count; i++) {
        for (uint32_t j = 0; j < all.lanes[i].class.connections; j++)
            close(all.lanes[i].conns[j].fd);
        free(all.lanes[i].conns);
        load_class_free(&all.lanes[i].class);
    }
    close(all.epoll_fd);
    return 0;
}
