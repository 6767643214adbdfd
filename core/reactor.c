#include "core/reactor.h"

#include "core/clock.h"
#include "core/log.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

static_assert(REACTOR_READ == (int)EPOLLIN, "the kernel's bit");
static_assert(REACTOR_WRITE == (int)EPOLLOUT, "the kernel's bit");
static_assert(REACTOR_FAILED == ((int)EPOLLERR | (int)EPOLLHUP), "the kernel's bits");
static_assert(REACTOR_PEER_END == (int)EPOLLRDHUP, "the kernel's bit");

enum {
    REACTOR_EVENTS_MAX = 64, /* fetched by one turn */
    REACTOR_SIGNALS_MAX = 8, /* fetched by one turn; what is left wakes the next */
    /* heap_slot of a timer that is due in this turn: this bit and its place in `due`. */
    TIMER_DUE_BIT = 1 << 30,
    TIMER_MAX = TIMER_DUE_BIT - 1,
    /* A turn that takes this much of a request's 100 ms is worth a line to one who looks for it. */
    SLOW_TURN_US = 10 * CLOCK_US_PER_MS,
};

struct reactor {
    int epoll_fd;
    bool in_turn, stopped;
    bool wake;
    bool coarse; /* the kernel waits in milliseconds only */ /* the next wait returns at once */
    uint64_t now_us;
    uint64_t turn_end_us;

    /* Events of this turn still to be served; a served or scrubbed one has data.ptr NULL. */
    struct epoll_event batch[REACTOR_EVENTS_MAX];
    int batch_count;

    /* A binary heap, heap[1] is due first, and the timers taken from it to fire in this turn. A
     * timer is in one of the two; timer_max bounds both together. */
    uint32_t timer_max, heap_count, due_count, due_next;
    uint64_t timer_order;
    struct reactor_timer **heap;
    struct reactor_timer **due;

    struct list hooks;
    struct list_node *hook_next; /* where the walk over the hooks goes on */

    struct reactor_io signal_io;
    reactor_signal_fn *on_signal;
    void *signal_owner;

    struct reactor_stats stats;
};

enum err reactor_create(struct reactor **reactor, uint32_t timer_max)
{
    CHECK(timer_max <= TIMER_MAX);
    struct reactor *created = calloc(1, sizeof *created);
    if (created == NULL)
        return ERR_SYSTEM;
    created->heap = calloc((size_t)timer_max + 1, sizeof(struct reactor_timer *));
    created->due = calloc((size_t)timer_max + 1, sizeof(struct reactor_timer *));
    created->epoll_fd = -1;
    created->signal_io.fd = -1;
    if (created->heap != NULL && created->due != NULL)
        created->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (created->epoll_fd == -1) {
        reactor_destroy(created);
        return ERR_SYSTEM;
    }
    created->timer_max = timer_max;
    list_init(&created->hooks);
    *reactor = created;
    return ERR_OK;
}

void reactor_destroy(struct reactor *reactor)
{
    if (reactor == NULL)
        return;
    CHECK(!reactor->in_turn);
    const int saved_errno = errno;
    if (reactor->signal_io.fd != -1)
        close(reactor->signal_io.fd);
    if (reactor->epoll_fd != -1)
        close(reactor->epoll_fd);
    free(reactor->heap);
    free(reactor->due);
    free(reactor);
    errno = saved_errno;
}

static int control(struct reactor *reactor, int operation, struct reactor_io *io, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = io};
    return epoll_ctl(reactor->epoll_fd, operation, io->fd, &event);
}

/* Forgets what was fetched for this owner, so that its slot or descriptor may be reused at once. */
static void scrub(struct reactor *reactor, const struct reactor_io *io)
{
    for (int i = 0; i < reactor->batch_count; i++) {
        if (reactor->batch[i].data.ptr == io)
            reactor->batch[i].data.ptr = NULL;
    }
}

enum err reactor_add(struct reactor *reactor, struct reactor_io *io, uint32_t events)
{
    CHECK(io->fd != -1);
    CHECK(io->on_ready != NULL);
    if (control(reactor, EPOLL_CTL_ADD, io, events) == -1)
        return ERR_SYSTEM;
    io->events = events;
    return ERR_OK;
}

void reactor_watch(struct reactor *reactor, struct reactor_io *io, uint32_t events)
{
    CHECK(io->fd != -1);
    if (io->events == events)
        return;
    if (control(reactor, EPOLL_CTL_MOD, io, events) == -1) {
        /* The owner's deadline ends what now never becomes ready. */
        log_error("reactor_watch_failed", LOG_I64("fd", io->fd), LOG_I64("errno", errno));
        return;
    }
    io->events = events;
}

enum err reactor_readd(struct reactor *reactor, struct reactor_io *io, uint32_t events)
{
    CHECK(io->fd != -1);
    CHECK(io->on_ready != NULL);
    scrub(reactor, io);
    int result = control(reactor, EPOLL_CTL_ADD, io, events);
    if (result == -1 && errno == EEXIST)
        result = control(reactor, EPOLL_CTL_MOD, io, events);
    if (result == -1)
        return ERR_SYSTEM;
    io->events = events;
    return ERR_OK;
}

void reactor_remove(struct reactor *reactor, struct reactor_io *io)
{
    scrub(reactor, io);
    if (io->fd == -1)
        return;
    /* ENOENT and EBADF: the kernel dropped it when the descriptor was closed or replaced. */
    if (control(reactor, EPOLL_CTL_DEL, io, 0) == -1 && errno != ENOENT && errno != EBADF)
        log_error("reactor_remove_failed", LOG_I64("fd", io->fd), LOG_I64("errno", errno));
    io->fd = -1;
    io->events = 0;
}

static bool fires_before(const struct reactor_timer *a, const struct reactor_timer *b)
{
    return a->due_us < b->due_us || (a->due_us == b->due_us && a->order < b->order);
}

static void heap_put(struct reactor *reactor, uint32_t slot, struct reactor_timer *timer)
{
    reactor->heap[slot] = timer;
    timer->heap_slot = slot;
}

/* Finds the place of a timer for which `slot` is free: up first, and if it stays there, down. */
static void heap_settle(struct reactor *reactor, uint32_t slot, struct reactor_timer *timer)
{
    while (slot > 1 && fires_before(timer, reactor->heap[slot / 2])) {
        heap_put(reactor, slot, reactor->heap[slot / 2]);
        slot /= 2;
    }
    for (;;) {
        uint32_t child = 2 * slot;
        if (child > reactor->heap_count)
            break;
        if (child < reactor->heap_count &&
            fires_before(reactor->heap[child + 1], reactor->heap[child]))
            child++;
        if (!fires_before(reactor->heap[child], timer))
            break;
        heap_put(reactor, slot, reactor->heap[child]);
        slot = child;
    }
    heap_put(reactor, slot, timer);
}

static void heap_remove(struct reactor *reactor, struct reactor_timer *timer)
{
    const uint32_t slot = timer->heap_slot;
    CHECK(slot >= 1);
    CHECK(slot <= reactor->heap_count);
    CHECK(reactor->heap[slot] == timer);
    struct reactor_timer *last = reactor->heap[reactor->heap_count];
    reactor->heap[reactor->heap_count] = NULL;
    reactor->heap_count--;
    timer->heap_slot = 0;
    if (last != timer)
        heap_settle(reactor, slot, last);
}

static bool timer_is_due(const struct reactor_timer *timer)
{
    return (timer->heap_slot & TIMER_DUE_BIT) != 0;
}

void reactor_timer_set(struct reactor *reactor, struct reactor_timer *timer, uint64_t due_us)
{
    CHECK(timer->on_due != NULL);
    if (timer_is_due(timer))
        reactor_timer_clear(reactor, timer);
    timer->due_us = due_us;
    timer->order = ++reactor->timer_order;
    if (timer->heap_slot == 0) {
        CHECK(reactor->heap_count + reactor->due_count < reactor->timer_max);
        reactor->heap_count++;
        heap_settle(reactor, reactor->heap_count, timer);
    } else {
        CHECK(reactor->heap[timer->heap_slot] == timer);
        heap_settle(reactor, timer->heap_slot, timer);
    }
}

void reactor_timer_clear(struct reactor *reactor, struct reactor_timer *timer)
{
    if (timer_is_due(timer)) {
        const uint32_t place = timer->heap_slot & ~(uint32_t)TIMER_DUE_BIT;
        CHECK(reactor->due[place] == timer);
        reactor->due[place] = NULL;
        reactor->due_count--;
        timer->heap_slot = 0;
    } else if (timer->heap_slot != 0) {
        heap_remove(reactor, timer);
    }
}

bool reactor_timer_is_set(const struct reactor_timer *timer)
{
    return timer->heap_slot != 0;
}

/* No timer fires before its parent, and each knows its place. */
static bool heap_is_whole(const struct reactor *reactor)
{
    for (uint32_t slot = 1; slot <= reactor->heap_count; slot++) {
        const struct reactor_timer *timer = reactor->heap[slot];
        if (timer->heap_slot != slot || (slot > 1 && fires_before(timer, reactor->heap[slot / 2])))
            return false;
    }
    return true;
}

/* Takes every due timer out before the first one fires: one that a callback sets to the past waits
 * for the next turn and cannot starve the descriptors. */
static void run_timers(struct reactor *reactor)
{
    uint32_t taken = 0;
    CHECK(reactor->due_count == 0);
    DCHECK(heap_is_whole(reactor));
    while (reactor->heap_count > 0 && reactor->heap[1]->due_us <= reactor->now_us) {
        struct reactor_timer *timer = reactor->heap[1];
        heap_remove(reactor, timer);
        reactor->due[taken] = timer;
        timer->heap_slot = (uint32_t)TIMER_DUE_BIT | taken;
        taken++;
    }
    reactor->due_count = taken;
    for (uint32_t i = 0; i < taken; i++) {
        struct reactor_timer *timer = reactor->due[i];
        if (timer == NULL)
            continue;
        reactor_timer_clear(reactor, timer);
        timer->on_due(timer);
    }
    CHECK(reactor->due_count == 0);
}

void reactor_hook_add(struct reactor *reactor, struct reactor_hook *hook)
{
    CHECK(hook->on_turn_end != NULL);
    list_push_back(&reactor->hooks, &hook->node);
}

void reactor_hook_remove(struct reactor *reactor, struct reactor_hook *hook)
{
    if (reactor->hook_next == &hook->node)
        reactor->hook_next = list_next(&reactor->hooks, &hook->node);
    list_remove(&reactor->hooks, &hook->node);
}

static void run_hooks(struct reactor *reactor)
{
    reactor->hook_next = list_first(&reactor->hooks);
    while (reactor->hook_next != NULL) {
        struct list_node *node = reactor->hook_next;
        reactor->hook_next = list_next(&reactor->hooks, node);
        struct reactor_hook *hook = container_of(node, struct reactor_hook, node);
        hook->on_turn_end(hook);
    }
}

void reactor_wake(struct reactor *reactor)
{
    reactor->wake = true;
}

static void on_signal_ready(struct reactor_io *io, uint32_t events)
{
    struct reactor *reactor = container_of(io, struct reactor, signal_io);
    struct signalfd_siginfo infos[REACTOR_SIGNALS_MAX];
    (void)events;
    const ssize_t size = read(io->fd, infos, sizeof infos);
    if (size == -1) /* EAGAIN, EINTR: the descriptor is still watched */
        return;
    const size_t count = (size_t)size / sizeof infos[0];
    for (size_t i = 0; i < count; i++)
        reactor->on_signal(reactor->signal_owner, (int)infos[i].ssi_signo);
}

enum err reactor_on_signals(struct reactor *reactor, const sigset_t *signals,
                            reactor_signal_fn *on_signal, void *owner)
{
    CHECK(reactor->signal_io.fd == -1);
    CHECK(on_signal != NULL);
    if (sigprocmask(SIG_BLOCK, signals, NULL) == -1)
        return ERR_SYSTEM;
    const int fd = signalfd(-1, signals, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd == -1)
        return ERR_SYSTEM;
    reactor->signal_io = (struct reactor_io){.fd = fd, .on_ready = on_signal_ready};
    reactor->on_signal = on_signal;
    reactor->signal_owner = owner;
    return reactor_add(reactor, &reactor->signal_io, REACTOR_READ);
}

uint64_t reactor_now_us(const struct reactor *reactor)
{
    return reactor->in_turn ? reactor->now_us : clock_mono_us();
}

/* How long epoll may wait; UINT64_MAX: for ever. */
static uint64_t wait_us(const struct reactor *reactor, uint64_t before_us, uint64_t max_wait_us)
{
    if (reactor->wake)
        return 0;
    if (reactor->heap_count == 0)
        return max_wait_us;
    const uint64_t due_us = reactor->heap[1]->due_us;
    const uint64_t until_us = due_us > before_us ? due_us - before_us : 0;
    return until_us < max_wait_us ? until_us : max_wait_us;
}

static int wait_for_events(struct reactor *reactor, uint64_t wait)
{
    const struct timespec limit = {(time_t)(wait / CLOCK_US_PER_S),
                                   (long)(wait % CLOCK_US_PER_S) * 1000};

    if (!reactor->coarse) {
        const int count = epoll_pwait2(reactor->epoll_fd, reactor->batch, REACTOR_EVENTS_MAX,
                                       wait == UINT64_MAX ? NULL : &limit, NULL);
        if (count != -1 || errno != ENOSYS)
            return count;
        reactor->coarse = true; /* a kernel before 5.11 */
    }
    /* Rounded up: rounded down, a timer due in half of one would make the loop spin until then. */
    const uint64_t ms = wait / CLOCK_US_PER_MS + (wait % CLOCK_US_PER_MS > 0);
    const int most_ms = wait == UINT64_MAX ? -1 : ms < INT_MAX ? (int)ms : INT_MAX;
    return epoll_wait(reactor->epoll_fd, reactor->batch, REACTOR_EVENTS_MAX, most_ms);
}

static void run_batch(struct reactor *reactor, bool urgent)
{
    for (int i = 0; i < reactor->batch_count; i++) {
        struct reactor_io *io = reactor->batch[i].data.ptr;
        if (io == NULL || io->urgent != urgent)
            continue;
        /* An earlier callback of this turn may have lost interest in what was fetched. */
        const uint32_t events = reactor->batch[i].events & (io->events | REACTOR_FAILED);
        reactor->batch[i].data.ptr = NULL;
        if (events != 0)
            io->on_ready(io, events);
    }
}

static enum err turn(struct reactor *reactor, uint64_t before_us, uint64_t max_wait_us)
{
    CHECK(!reactor->in_turn);
    const uint64_t wait = wait_us(reactor, before_us, max_wait_us);
    reactor->wake = false;
    const int count = wait_for_events(reactor, wait);
    if (count == -1 && errno != EINTR)
        return ERR_SYSTEM;

    reactor->in_turn = true;
    reactor->now_us = clock_mono_us();
    reactor->batch_count = count > 0 ? count : 0;
    run_batch(reactor, true);
    run_batch(reactor, false);
    reactor->batch_count = 0;
    run_timers(reactor);
    run_hooks(reactor);
    reactor->in_turn = false;

    reactor->turn_end_us = clock_mono_us();
    const uint64_t busy_us = reactor->turn_end_us - reactor->now_us;
    reactor->stats.turns++;
    reactor->stats.busy_us_total += busy_us;
    if (busy_us > reactor->stats.busy_us_max)
        reactor->stats.busy_us_max = busy_us;
    if (busy_us >= SLOW_TURN_US)
        log_debug("reactor_slow_turn", LOG_U64("busy_us", busy_us),
                  LOG_U64("events", (uint64_t)(count > 0 ? count : 0)));
    return ERR_OK;
}

enum err reactor_run(struct reactor *reactor)
{
    reactor->turn_end_us = clock_mono_us();
    while (!reactor->stopped) {
        const enum err err = turn(reactor, reactor->turn_end_us, UINT64_MAX);
        if (err != ERR_OK)
            return err;
    }
    reactor->stopped = false;
    return ERR_OK;
}

enum err reactor_turn(struct reactor *reactor, uint64_t max_wait_us)
{
    return turn(reactor, clock_mono_us(), max_wait_us);
}

void reactor_stop(struct reactor *reactor)
{
    reactor->stopped = true;
}

struct reactor_stats reactor_take_stats(struct reactor *reactor)
{
    const struct reactor_stats stats = reactor->stats;
    reactor->stats.busy_us_max = 0;
    return stats;
}
