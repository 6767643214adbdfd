#include "core/reactor.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { TIMER_MAX = 8, PAIR_MAX = 100 };

static int control_calls;

int __real_epoll_ctl(int fd, int operation, int target, struct epoll_event *event);
int __wrap_epoll_ctl(int fd, int operation, int target, struct epoll_event *event);

int __wrap_epoll_ctl(int fd, int operation, int target, struct epoll_event *event)
{
    control_calls++;
    return __real_epoll_ctl(fd, operation, target, event);
}

/* A watched end of a socket pair; what its callback does is the test's to say. */
struct pair {
    struct reactor_io io;
    int near, far;
    char name;
    uint32_t seen;
    struct pair *victim; /* what the callback acts on */
    void (*act)(struct pair *pair);
};

static struct reactor *reactor;
static char trace[256]; /* the names of what was called, in order */

static void trace_add(char name)
{
    const size_t len = strlen(trace);
    assert_true(len + 1 < sizeof trace);
    trace[len] = name;
}

static void assert_trace(const char *expected)
{
    assert_string_equal(trace, expected);
    memset(trace, 0, sizeof trace);
}

static void turn(void)
{
    assert_int_equal(reactor_turn(reactor, 0), ERR_OK);
}

static void on_pair_ready(struct reactor_io *io, uint32_t events)
{
    struct pair *pair = container_of(io, struct pair, io);
    pair->seen = events;
    trace_add(pair->name);
    if (pair->act != NULL)
        pair->act(pair);
}

static void pair_open(struct pair *pair, char name)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    *pair = (struct pair){.near = fds[0], .far = fds[1], .name = name};
    pair->io = (struct reactor_io){.fd = fds[0], .on_ready = on_pair_ready};
}

static void pair_watch(struct pair *pair, char name, uint32_t events)
{
    pair_open(pair, name);
    assert_int_equal(reactor_add(reactor, &pair->io, events), ERR_OK);
}

static void pair_feed(struct pair *pair)
{
    assert_int_equal(write(pair->far, "x", 1), 1);
}

static void pair_close(struct pair *pair)
{
    reactor_remove(reactor, &pair->io);
    assert_int_equal(close(pair->near), 0);
    assert_int_equal(close(pair->far), 0);
}

static void act_drain(struct pair *pair)
{
    char byte;
    assert_int_equal(read(pair->near, &byte, 1), 1);
}

static void act_remove_victim(struct pair *pair)
{
    reactor_remove(reactor, &pair->victim->io);
}

static void act_ignore_victim(struct pair *pair)
{
    reactor_watch(reactor, &pair->victim->io, 0);
}

/* Closes the victim and starts a new life in the same slot, under the same descriptor number. */
static void act_reuse_victim(struct pair *pair)
{
    struct pair *victim = pair->victim;
    const int old_near = victim->near;
    pair_close(victim);
    pair_watch(victim, 'N', REACTOR_READ);
    assert_int_equal(victim->near, old_near);
    pair_feed(victim);
    pair->act = NULL;
}

static int start(void **unused)
{
    (void)unused;
    memset(trace, 0, sizeof trace);
    return reactor_create(&reactor, TIMER_MAX) == ERR_OK ? 0 : -1;
}

static int stop(void **unused)
{
    (void)unused;
    reactor_destroy(reactor);
    return 0;
}

static void test_readiness_is_level_triggered(void **unused)
{
    struct pair pair;
    (void)unused;
    pair_watch(&pair, 'a', REACTOR_READ);

    turn();
    assert_trace("");
    pair_feed(&pair);
    assert_trace("");
    turn();
    turn();
    assert_trace("aa");
    assert_int_equal(pair.seen, REACTOR_READ);
    pair.act = act_drain;
    turn();
    turn();
    assert_trace("a");

    pair_close(&pair);
}

static void test_watch_changes_the_interest(void **unused)
{
    struct pair pair;
    (void)unused;
    pair_watch(&pair, 'a', REACTOR_READ);
    pair_feed(&pair);

    reactor_watch(reactor, &pair.io, REACTOR_WRITE);
    turn();
    assert_int_equal(pair.seen, REACTOR_WRITE);
    reactor_watch(reactor, &pair.io, REACTOR_READ | REACTOR_WRITE);
    turn();
    assert_int_equal(pair.seen, REACTOR_READ | REACTOR_WRITE);
    reactor_watch(reactor, &pair.io, 0);
    turn();
    assert_trace("aa");

    pair_close(&pair);
}

static void test_unchanged_interest_costs_no_system_call(void **unused)
{
    struct pair pair;
    (void)unused;
    pair_watch(&pair, 'a', REACTOR_READ);
    control_calls = 0;

    reactor_watch(reactor, &pair.io, REACTOR_READ);
    assert_int_equal(control_calls, 0);
    reactor_watch(reactor, &pair.io, REACTOR_READ | REACTOR_WRITE);
    assert_int_equal(control_calls, 1);

    pair_close(&pair);
}

static void test_peer_end_and_failure_are_reported(void **unused)
{
    struct pair half, gone;
    (void)unused;
    pair_watch(&half, 'h', REACTOR_READ | REACTOR_PEER_END);
    pair_watch(&gone, 'g', 0);

    assert_int_equal(shutdown(half.far, SHUT_WR), 0);
    assert_int_equal(shutdown(gone.far, SHUT_RDWR), 0);
    turn();

    assert_int_equal(half.seen, REACTOR_READ | REACTOR_PEER_END);
    assert_true((gone.seen & REACTOR_FAILED) != 0);
    pair_close(&half);
    pair_close(&gone);
}

static void test_urgent_descriptors_are_served_first(void **unused)
{
    struct pair clients[3], database;
    (void)unused;
    for (int i = 0; i < 3; i++) {
        pair_watch(&clients[i], (char)('a' + i), REACTOR_READ);
        pair_feed(&clients[i]);
    }
    pair_open(&database, 'D');
    database.io.urgent = true;
    assert_int_equal(reactor_add(reactor, &database.io, REACTOR_READ), ERR_OK);
    pair_feed(&database);

    turn();

    assert_trace("Dabc");
    for (int i = 0; i < 3; i++)
        pair_close(&clients[i]);
    pair_close(&database);
}

static void test_removed_descriptor_gets_nothing_of_the_fetched_batch(void **unused)
{
    struct pair a, b;
    (void)unused;
    pair_watch(&a, 'a', REACTOR_READ);
    pair_watch(&b, 'b', REACTOR_READ);
    pair_feed(&a);
    pair_feed(&b);
    a.victim = &b;
    a.act = act_remove_victim;

    turn();

    assert_trace("a");
    assert_int_equal(b.io.fd, -1);
    pair_close(&a);
    pair_close(&b);
}

static void test_reused_slot_gets_no_event_of_its_former_life(void **unused)
{
    struct pair a, b;
    (void)unused;
    pair_watch(&a, 'a', REACTOR_READ);
    pair_watch(&b, 'b', REACTOR_READ);
    pair_feed(&a);
    pair_feed(&b);
    a.victim = &b;
    a.act = act_reuse_victim;

    turn();
    assert_trace("a");
    turn();
    assert_int_equal(strlen(trace), 2);
    assert_non_null(strchr(trace, 'N'));

    pair_close(&a);
    pair_close(&b);
}

static void test_lost_interest_holds_for_fetched_events(void **unused)
{
    struct pair a, b;
    (void)unused;
    pair_watch(&a, 'a', REACTOR_READ);
    pair_watch(&b, 'b', REACTOR_READ);
    pair_feed(&a);
    pair_feed(&b);
    a.victim = &b;
    a.act = act_ignore_victim;

    turn();

    assert_trace("a");
    pair_close(&a);
    pair_close(&b);
}

static void test_more_ready_than_one_batch_are_all_served(void **unused)
{
    static struct pair pairs[PAIR_MAX];
    (void)unused;
    for (int i = 0; i < PAIR_MAX; i++) {
        pair_watch(&pairs[i], 'p', REACTOR_READ);
        pairs[i].act = act_drain;
        pair_feed(&pairs[i]);
    }

    turn();
    const size_t first_batch = strlen(trace);
    turn();

    assert_int_equal(first_batch, 64);
    assert_int_equal(strlen(trace), PAIR_MAX);
    for (int i = 0; i < PAIR_MAX; i++)
        pair_close(&pairs[i]);
}

static void test_readd_follows_a_socket_swapped_under_its_number(void **unused)
{
    struct pair old, fresh;
    (void)unused;
    pair_watch(&old, 'o', REACTOR_READ);
    pair_open(&fresh, 'f');
    assert_int_equal(dup2(fresh.near, old.near), old.near);
    pair_feed(&fresh);
    turn();
    assert_trace("");

    assert_int_equal(reactor_readd(reactor, &old.io, REACTOR_READ), ERR_OK);
    turn();

    assert_trace("o");
    assert_int_equal(close(fresh.near), 0);
    assert_int_equal(close(fresh.far), 0);
    pair_close(&old);
}

static void test_readd_of_a_known_socket_sets_the_interest(void **unused)
{
    struct pair pair;
    (void)unused;
    pair_watch(&pair, 'a', REACTOR_READ);

    assert_int_equal(reactor_readd(reactor, &pair.io, REACTOR_WRITE), ERR_OK);
    turn();

    assert_int_equal(pair.seen, REACTOR_WRITE);
    pair_close(&pair);
}

static void test_remove_tolerates_a_descriptor_already_closed(void **unused)
{
    struct pair pair;
    (void)unused;
    pair_watch(&pair, 'a', REACTOR_READ);
    assert_int_equal(close(pair.near), 0);

    reactor_remove(reactor, &pair.io);
    reactor_remove(reactor, &pair.io);

    assert_int_equal(pair.io.fd, -1);
    assert_int_equal(close(pair.far), 0);
}

static void test_add_of_a_bad_descriptor_is_an_error(void **unused)
{
    struct pair pair;
    (void)unused;
    pair_open(&pair, 'a');
    assert_int_equal(close(pair.near), 0);

    assert_int_equal(reactor_add(reactor, &pair.io, REACTOR_READ), ERR_SYSTEM);
    assert_int_equal(errno, EBADF);
    assert_int_equal(reactor_readd(reactor, &pair.io, REACTOR_READ), ERR_SYSTEM);

    assert_int_equal(close(pair.far), 0);
}

#define REACTOR_TEST(function) cmocka_unit_test_setup_teardown(function, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        REACTOR_TEST(test_readiness_is_level_triggered),
        REACTOR_TEST(test_watch_changes_the_interest),
        REACTOR_TEST(test_unchanged_interest_costs_no_system_call),
        REACTOR_TEST(test_peer_end_and_failure_are_reported),
        REACTOR_TEST(test_urgent_descriptors_are_served_first),
        REACTOR_TEST(test_removed_descriptor_gets_nothing_of_the_fetched_batch),
        REACTOR_TEST(test_reused_slot_gets_no_event_of_its_former_life),
        REACTOR_TEST(test_lost_interest_holds_for_fetched_events),
        REACTOR_TEST(test_more_ready_than_one_batch_are_all_served),
        REACTOR_TEST(test_readd_follows_a_socket_swapped_under_its_number),
        REACTOR_TEST(test_readd_of_a_known_socket_sets_the_interest),
        REACTOR_TEST(test_remove_tolerates_a_descriptor_already_closed),
        REACTOR_TEST(test_add_of_a_bad_descriptor_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
