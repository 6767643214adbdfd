#include "core/clock.h"
#include "core/reactor.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { TIMER_MAX = 64, START_US = 1000 * 1000 };

static int64_t wait_us; /* -1: for ever */
static int wait_calls, wait_errno;
static bool wait_is_real;

int __real_epoll_pwait2(int fd, struct epoll_event *events, int max, const struct timespec *limit,
                        const sigset_t *signals);
int __wrap_epoll_pwait2(int fd, struct epoll_event *events, int max, const struct timespec *limit,
                        const sigset_t *signals);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout_ms);
_Noreturn void __wrap_check_failed(const char *expr, const char *file, int line);

/* Notes how long the loop meant to sleep; the test's clock says what time it is. */
int __wrap_epoll_pwait2(int fd, struct epoll_event *events, int max, const struct timespec *limit,
                        const sigset_t *signals)
{
    static const struct timespec NOW = {0};
    wait_us = limit == NULL ? -1 : limit->tv_sec * 1000000 + limit->tv_nsec / 1000;
    wait_calls++;
    if (wait_errno == 0)
        return __real_epoll_pwait2(fd, events, max, wait_is_real ? limit : &NOW, signals);
    errno = wait_errno;
    return -1;
}

/* What is left on an old kernel. */
int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout_ms)
{
    (void)fd, (void)events, (void)max;
    wait_us = timeout_ms == -1 ? -1 : (int64_t)timeout_ms * 1000;
    return 0;
}

_Noreturn void __wrap_check_failed(const char *expr, const char *file, int line)
{
    mock_assert(0, expr, file, line);
    abort();
}

static struct reactor *reactor;
static uint64_t now_us;

static uint64_t test_mono(void)
{
    return now_us;
}

struct timer {
    struct reactor_timer timer;
    int id;
    void (*act)(struct timer *timer);
    struct timer *victim;
};

static int fired[16 * TIMER_MAX];
static size_t fired_count;

static void on_due(struct reactor_timer *timer)
{
    struct timer *owner = container_of(timer, struct timer, timer);
    assert_false(reactor_timer_is_set(timer));
    assert_true(fired_count < sizeof fired / sizeof fired[0]);
    fired[fired_count++] = owner->id;
    if (owner->act != NULL)
        owner->act(owner);
}

static void assert_fired(const int *ids, size_t count)
{
    assert_int_equal(fired_count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(fired[i], ids[i]);
    fired_count = 0;
}

static void turn_at(uint64_t time_us)
{
    now_us = time_us;
    assert_int_equal(reactor_turn(reactor, 0), ERR_OK);
}

static void timers_init(struct timer *timers, int count)
{
    for (int i = 0; i < count; i++)
        timers[i] = (struct timer){.timer.on_due = on_due, .id = i};
}

static void set(struct timer *timer, uint64_t due_us)
{
    reactor_timer_set(reactor, &timer->timer, due_us);
}

static void act_set_self_to_the_past(struct timer *timer)
{
    set(timer, 1);
}

static void act_clear_victim(struct timer *timer)
{
    reactor_timer_clear(reactor, &timer->victim->timer);
}

static void act_postpone_victim(struct timer *timer)
{
    set(timer->victim, now_us + 500);
}

static int start(void **unused)
{
    (void)unused;
    now_us = START_US;
    fired_count = 0;
    wait_is_real = false;
    clock_replace(test_mono, NULL);
    return reactor_create(&reactor, TIMER_MAX) == ERR_OK ? 0 : -1;
}

static int stop(void **unused)
{
    (void)unused;
    reactor_destroy(reactor);
    clock_replace(NULL, NULL);
    return 0;
}

static void test_timer_fires_once_when_due_and_not_before(void **unused)
{
    struct timer timer;
    (void)unused;
    timers_init(&timer, 1);
    set(&timer, START_US + 100);
    assert_true(reactor_timer_is_set(&timer.timer));

    turn_at(START_US + 99);
    assert_fired(NULL, 0);
    turn_at(START_US + 100);
    assert_fired((const int[]){0}, 1);
    turn_at(START_US + 101);
    assert_fired(NULL, 0);
}

static void test_timers_fire_by_due_time_and_ties_first_set_first(void **unused)
{
    struct timer timers[6];
    (void)unused;
    timers_init(timers, 6);
    set(&timers[0], START_US + 30);
    set(&timers[1], START_US + 20);
    set(&timers[2], START_US + 10);
    set(&timers[3], START_US + 20);
    set(&timers[4], START_US + 10);
    set(&timers[5], START_US + 20);
    set(&timers[1], START_US + 20); /* set again: now behind its equals */

    turn_at(START_US + 30);

    assert_fired((const int[]){2, 4, 3, 5, 1, 0}, 6);
}

static void test_timer_can_be_moved_both_ways(void **unused)
{
    struct timer timers[3];
    (void)unused;
    timers_init(timers, 3);
    for (int i = 0; i < 3; i++)
        set(&timers[i], START_US + 100);

    set(&timers[2], START_US + 50);
    set(&timers[0], START_US + 200);

    turn_at(START_US + 50);
    assert_fired((const int[]){2}, 1);
    turn_at(START_US + 199);
    assert_fired((const int[]){1}, 1);
    turn_at(START_US + 200);
    assert_fired((const int[]){0}, 1);
}

static void test_cleared_timer_never_fires(void **unused)
{
    struct timer timers[2];
    (void)unused;
    timers_init(timers, 2);
    set(&timers[0], START_US);

    reactor_timer_clear(reactor, &timers[0].timer);
    reactor_timer_clear(reactor, &timers[0].timer);
    reactor_timer_clear(reactor, &timers[1].timer);
    turn_at(START_US + 1);

    assert_false(reactor_timer_is_set(&timers[0].timer));
    assert_fired(NULL, 0);
}

static void test_due_timer_cleared_by_an_earlier_one_does_not_fire(void **unused)
{
    struct timer timers[3];
    (void)unused;
    timers_init(timers, 3);
    for (int i = 0; i < 3; i++)
        set(&timers[i], START_US);
    timers[0].act = act_clear_victim;
    timers[0].victim = &timers[1];

    turn_at(START_US);

    assert_fired((const int[]){0, 2}, 2);
}

static void test_due_timer_moved_by_an_earlier_one_fires_later(void **unused)
{
    struct timer timers[2];
    (void)unused;
    timers_init(timers, 2);
    set(&timers[0], START_US);
    set(&timers[1], START_US);
    timers[0].act = act_postpone_victim;
    timers[0].victim = &timers[1];

    turn_at(START_US);
    assert_fired((const int[]){0}, 1);
    turn_at(START_US + 499);
    assert_fired(NULL, 0);
    turn_at(START_US + 500);
    assert_fired((const int[]){1}, 1);
}

static int io_calls;

static void on_io_ready(struct reactor_io *io, uint32_t events)
{
    (void)io;
    assert_int_equal(events, REACTOR_READ);
    io_calls++;
}

static void test_timer_set_to_the_past_by_its_callback_starves_nobody(void **unused)
{
    struct timer timers[2];
    struct reactor_io io = {.fd = eventfd(1, EFD_CLOEXEC), .on_ready = on_io_ready};
    const int fd = io.fd;
    (void)unused;
    timers_init(timers, 2);
    timers[0].act = act_set_self_to_the_past;
    set(&timers[0], START_US);
    set(&timers[1], START_US);
    assert_int_equal(reactor_add(reactor, &io, REACTOR_READ), ERR_OK);
    io_calls = 0;

    turn_at(START_US);
    assert_fired((const int[]){0, 1}, 2);
    assert_int_equal(io_calls, 1);
    turn_at(START_US);
    assert_fired((const int[]){0}, 1);
    assert_int_equal(io_calls, 2);

    reactor_remove(reactor, &io);
    assert_int_equal(close(fd), 0);
}

static void test_one_timer_more_than_the_limit_is_our_own_error(void **unused)
{
    static struct timer timers[TIMER_MAX + 1];
    (void)unused;
    timers_init(timers, TIMER_MAX + 1);
    for (int i = 0; i < TIMER_MAX; i++)
        set(&timers[i], START_US + 1);

    set(&timers[0], START_US + 2); /* moving needs no room */
    expect_assert_failure(reactor_timer_set(reactor, &timers[TIMER_MAX].timer, START_US));
    reactor_timer_clear(reactor, &timers[0].timer);
    set(&timers[TIMER_MAX], START_US);

    turn_at(START_US);
    assert_fired((const int[]){TIMER_MAX}, 1);
}

static void assert_waits(uint64_t due_us, uint64_t most_us, int64_t expected_us)
{
    struct timer timer;
    timers_init(&timer, 1);

    if (due_us != 0)
        set(&timer, due_us);
    assert_int_equal(reactor_turn(reactor, most_us), ERR_OK);
    assert_int_equal(wait_us, expected_us);
    reactor_timer_clear(reactor, &timer.timer);
}

static void test_loop_waits_for_the_first_timer(void **unused)
{
    (void)unused;
    assert_waits(START_US - 1, UINT64_MAX, 0);
    assert_waits(START_US, UINT64_MAX, 0);
    assert_waits(START_US + 1, UINT64_MAX, 1);
    assert_waits(START_US + 1001, UINT64_MAX, 1001);
    assert_waits(START_US + INT64_MAX / 2, UINT64_MAX, INT64_MAX / 2);
    assert_waits(0, UINT64_MAX, -1);
    assert_waits(START_US + 9000, 2500, 2500);
}

/* A loop that woke up early would spin until the timer is due. */
static void test_an_old_kernel_waits_whole_milliseconds(void **unused)
{
    (void)unused;
    const int calls = wait_calls;
    wait_errno = ENOSYS;
    assert_waits(START_US - 1, UINT64_MAX, 0);
    assert_waits(START_US + 1, UINT64_MAX, 1000);
    assert_waits(START_US + 1000, UINT64_MAX, 1000);
    assert_waits(START_US + 1001, UINT64_MAX, 2000);
    assert_waits(UINT64_MAX - 1, UINT64_MAX, (int64_t)INT_MAX * 1000);
    assert_waits(0, UINT64_MAX, -1);
    assert_int_equal(wait_calls, calls + 1); /* asked once */
    wait_errno = 0;
}

static void act_stop(struct timer *timer)
{
    (void)timer;
    reactor_stop(reactor);
}

static void test_loop_sleeps_through_to_a_real_timer_without_spinning(void **unused)
{
    struct timer timer;
    (void)unused;
    timers_init(&timer, 1);
    timer.act = act_stop;
    wait_is_real = true;
    clock_replace(NULL, NULL);
    const uint64_t due_us = clock_mono_us() + 2500;
    set(&timer, due_us);
    wait_calls = 0;

    assert_int_equal(reactor_run(reactor), ERR_OK);

    assert_true(clock_mono_us() >= due_us);
    assert_fired((const int[]){0}, 1);
    assert_true(wait_calls <= 2);
}

static void act_work_for_seven(struct timer *timer)
{
    const uint64_t turn_us = reactor_now_us(reactor);
    (void)timer;
    now_us += 7;
    assert_true(reactor_now_us(reactor) == turn_us);
}

static void test_stats_count_turns_and_busy_time(void **unused)
{
    struct timer timer;
    (void)unused;
    timers_init(&timer, 1);
    timer.act = act_work_for_seven;
    set(&timer, START_US);

    turn_at(START_US);
    assert_true(reactor_now_us(reactor) == START_US + 7);
    turn_at(START_US + 1000);
    const struct reactor_stats first = reactor_take_stats(reactor);
    const struct reactor_stats second = reactor_take_stats(reactor);

    assert_int_equal(first.turns, 2);
    assert_int_equal(first.busy_us_total, 7);
    assert_int_equal(first.busy_us_max, 7);
    assert_int_equal(second.busy_us_total, 7);
    assert_int_equal(second.busy_us_max, 0);
}

/* Random sets, moves and clears against the plainest possible model. */
static void test_heap_agrees_with_a_sorted_model(void **unused)
{
    static struct timer timers[TIMER_MAX];
    bool is_set[TIMER_MAX] = {false};
    uint32_t seed = 12345;
    (void)unused;
    timers_init(timers, TIMER_MAX);

    for (int round = 0; round < 20000; round++) {
        seed = seed * 1664525 + 1013904223;
        const uint32_t which = (seed >> 8) % TIMER_MAX;
        if ((seed >> 16) % 4 == 0) {
            reactor_timer_clear(reactor, &timers[which].timer);
            is_set[which] = false;
        } else {
            set(&timers[which], now_us + 1 + (seed >> 20) % 50);
            is_set[which] = true;
        }
        if (round % 5 != 0)
            continue;
        turn_at(now_us + 3);
        for (size_t i = 0; i < fired_count; i++) {
            const struct reactor_timer *timer = &timers[fired[i]].timer;
            assert_true(is_set[fired[i]]);
            assert_true(timer->due_us <= now_us);
            is_set[fired[i]] = false;
            if (i == 0)
                continue;
            const struct reactor_timer *previous = &timers[fired[i - 1]].timer;
            assert_true(previous->due_us < timer->due_us ||
                        (previous->due_us == timer->due_us && previous->order < timer->order));
        }
        fired_count = 0;
        for (int i = 0; i < TIMER_MAX; i++)
            assert_true(is_set[i] == (reactor_timer_is_set(&timers[i].timer) &&
                                      timers[i].timer.due_us > now_us));
    }
}

#ifdef CHECK_EXPENSIVE
/* An owner that writes into a set timer. The loop it breaks is in the middle of a turn for good, so
 * it cannot be destroyed; the pointer keeps it from counting as a leak. */
static void test_timer_changed_behind_the_heap_is_our_own_error(void **unused)
{
    static struct reactor *broken;
    struct timer timers[3];
    (void)unused;
    timers_init(timers, 3);
    assert_int_equal(reactor_create(&broken, TIMER_MAX), ERR_OK);
    for (int i = 0; i < 3; i++)
        reactor_timer_set(broken, &timers[i].timer, START_US + 100 + (uint64_t)i);

    timers[2].timer.due_us = START_US + 50;

    expect_assert_failure(assert_int_equal(reactor_turn(broken, 0), ERR_OK));
    assert_fired(NULL, 0);
}
#endif

#define TIMER_TEST(function) cmocka_unit_test_setup_teardown(function, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TIMER_TEST(test_timer_fires_once_when_due_and_not_before),
        TIMER_TEST(test_timers_fire_by_due_time_and_ties_first_set_first),
        TIMER_TEST(test_timer_can_be_moved_both_ways),
        TIMER_TEST(test_cleared_timer_never_fires),
        TIMER_TEST(test_due_timer_cleared_by_an_earlier_one_does_not_fire),
        TIMER_TEST(test_due_timer_moved_by_an_earlier_one_fires_later),
        TIMER_TEST(test_timer_set_to_the_past_by_its_callback_starves_nobody),
        TIMER_TEST(test_one_timer_more_than_the_limit_is_our_own_error),
        TIMER_TEST(test_loop_waits_for_the_first_timer),
        TIMER_TEST(test_an_old_kernel_waits_whole_milliseconds),
        TIMER_TEST(test_loop_sleeps_through_to_a_real_timer_without_spinning),
        TIMER_TEST(test_stats_count_turns_and_busy_time),
        TIMER_TEST(test_heap_agrees_with_a_sorted_model),
#ifdef CHECK_EXPENSIVE
        TIMER_TEST(test_timer_changed_behind_the_heap_is_our_own_error),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
