#include "core/clock.h"
#include "core/log.h"
#include "core/reactor.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { TIMER_MAX = 8 };

/* The kernel's answers as a test wants them; 0 is the kernel's own. */
static int wait_errno, create_errno;
static int64_t wait_us; /* -1: for ever */

int __real_epoll_pwait2(int fd, struct epoll_event *events, int max, const struct timespec *limit,
                        const sigset_t *signals);
int __wrap_epoll_pwait2(int fd, struct epoll_event *events, int max, const struct timespec *limit,
                        const sigset_t *signals);
int __real_epoll_create1(int flags);
int __wrap_epoll_create1(int flags);

int __wrap_epoll_pwait2(int fd, struct epoll_event *events, int max, const struct timespec *limit,
                        const sigset_t *signals)
{
    wait_us = limit == NULL ? -1 : limit->tv_sec * 1000000 + limit->tv_nsec / 1000;
    if (wait_errno == 0)
        return __real_epoll_pwait2(fd, events, max, limit, signals);
    errno = wait_errno;
    wait_errno = 0;
    return -1;
}

int __wrap_epoll_create1(int flags)
{
    if (create_errno == 0)
        return __real_epoll_create1(flags);
    errno = create_errno;
    return -1;
}

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

static void on_io_ready(struct reactor_io *io, uint32_t events)
{
    (void)io;
    assert_int_equal(events, REACTOR_READ);
    trace_add('a');
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

struct traced_hook {
    struct reactor_hook hook;
    struct traced_hook *remove;
    char name;
    bool wake;
};

static void on_turn_end(struct reactor_hook *hook)
{
    struct traced_hook *traced = container_of(hook, struct traced_hook, hook);
    trace_add(traced->name);
    if (traced->remove != NULL)
        reactor_hook_remove(reactor, &traced->remove->hook);
    if (traced->wake)
        reactor_wake(reactor);
    traced->remove = NULL;
    traced->wake = false;
}

static void test_hooks_run_in_order_after_the_descriptors(void **unused)
{
    struct traced_hook one = {.hook.on_turn_end = on_turn_end, .name = '1'};
    struct traced_hook two = {.hook.on_turn_end = on_turn_end, .name = '2'};
    struct reactor_io io = {.fd = eventfd(1, EFD_CLOEXEC), .on_ready = on_io_ready};
    const int fd = io.fd;
    (void)unused;
    reactor_hook_add(reactor, &one.hook);
    reactor_hook_add(reactor, &two.hook);
    assert_int_equal(reactor_add(reactor, &io, REACTOR_READ), ERR_OK);

    turn();

    assert_trace("a12");
    reactor_remove(reactor, &io);
    assert_int_equal(close(fd), 0);
}

static void test_hook_may_remove_itself_and_the_next(void **unused)
{
    struct traced_hook hooks[4];
    (void)unused;
    for (int i = 0; i < 4; i++) {
        hooks[i] = (struct traced_hook){.hook.on_turn_end = on_turn_end, .name = (char)('1' + i)};
        reactor_hook_add(reactor, &hooks[i].hook);
    }
    hooks[0].remove = &hooks[0];
    hooks[1].remove = &hooks[2];

    turn();
    assert_trace("124");
    turn();
    assert_trace("24");
}

static void test_wake_shortens_exactly_one_wait(void **unused)
{
    struct traced_hook hook = {.hook.on_turn_end = on_turn_end, .name = 'h', .wake = true};
    (void)unused;
    reactor_hook_add(reactor, &hook.hook);

    turn();
    assert_int_equal(reactor_turn(reactor, UINT64_MAX), ERR_OK);
    assert_int_equal(wait_us, 0);
    assert_int_equal(reactor_turn(reactor, 1), ERR_OK);
    assert_int_equal(wait_us, 1);

    assert_trace("hhh");
}

static uint64_t now_us, turn_takes_us;

static uint64_t test_mono(void)
{
    return now_us;
}

static void take_time(struct reactor_hook *hook)
{
    (void)hook;
    now_us += turn_takes_us;
}

static void test_slow_turn_is_told_at_level_debug(void **unused)
{
    static const struct log_identity identity = {"api", "1", "r", "e"};
    static const char mark[] = "\"body\":\"reactor_slow_turn\"";
    struct reactor_hook hook = {.on_turn_end = take_time};
    const int file = memfd_create("log", MFD_CLOEXEC);
    char text[LOG_LINE_BYTES_MAX] = "";
    (void)unused;
    clock_replace(test_mono, NULL);
    log_open(file, LOG_DEBUG, &identity);
    reactor_hook_add(reactor, &hook);

    turn_takes_us = 10 * CLOCK_US_PER_MS - 1;
    turn();
    log_flush();
    assert_int_equal(pread(file, text, sizeof text - 1, 0), 0);

    turn_takes_us = 10 * CLOCK_US_PER_MS;
    turn();
    log_flush();
    clock_replace(NULL, NULL);
    assert_true(pread(file, text, sizeof text - 1, 0) > 0);
    assert_non_null(strstr(text, mark));
    assert_non_null(strstr(text, ",\"busy_us\":10000,\"events\":0}\n"));
    assert_int_equal(close(file), 0);
}

static void test_interrupted_wait_is_an_empty_turn(void **unused)
{
    struct traced_hook hook = {.hook.on_turn_end = on_turn_end, .name = 'h'};
    (void)unused;
    reactor_hook_add(reactor, &hook.hook);
    wait_errno = EINTR;

    assert_int_equal(reactor_turn(reactor, UINT64_MAX), ERR_OK);

    assert_trace("h");
}

static void test_failed_wait_ends_the_run(void **unused)
{
    (void)unused;
    wait_errno = EBADF;

    assert_int_equal(reactor_run(reactor), ERR_SYSTEM);
    assert_int_equal(errno, EBADF);
}

static void test_create_fails_without_an_epoll_descriptor(void **unused)
{
    struct reactor *other = NULL;
    (void)unused;
    create_errno = EMFILE;

    const enum err err = reactor_create(&other, TIMER_MAX);
    const int err_errno = errno;
    create_errno = 0;

    assert_int_equal(err, ERR_SYSTEM);
    assert_int_equal(err_errno, EMFILE);
    assert_null(other);
}

static void on_signal(void *owner, int signal_number)
{
    assert_ptr_equal(owner, trace);
    trace_add(signal_number == SIGUSR1 ? '1' : '2');
    if (signal_number == SIGUSR2)
        reactor_stop(reactor);
}

static void test_signals_arrive_as_calls_and_stop_ends_the_run(void **unused)
{
    sigset_t signals;
    (void)unused;
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    sigaddset(&signals, SIGUSR2);

    assert_int_equal(reactor_on_signals(reactor, &signals, on_signal, trace), ERR_OK);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_trace("");
    turn();
    assert_trace("1");
    assert_int_equal(raise(SIGUSR2), 0);
    assert_int_equal(reactor_run(reactor), ERR_OK);
    assert_trace("2");

    assert_int_equal(sigprocmask(SIG_UNBLOCK, &signals, NULL), 0);
}

#define REACTOR_TEST(function) cmocka_unit_test_setup_teardown(function, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        REACTOR_TEST(test_hooks_run_in_order_after_the_descriptors),
        REACTOR_TEST(test_hook_may_remove_itself_and_the_next),
        REACTOR_TEST(test_wake_shortens_exactly_one_wait),
        REACTOR_TEST(test_slow_turn_is_told_at_level_debug),
        REACTOR_TEST(test_interrupted_wait_is_an_empty_turn),
        REACTOR_TEST(test_failed_wait_ends_the_run),
        REACTOR_TEST(test_create_fails_without_an_epoll_descriptor),
        REACTOR_TEST(test_signals_arrive_as_calls_and_stop_ends_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
