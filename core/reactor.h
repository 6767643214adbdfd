/*
 * reactor: one epoll loop, timers and signals. The only door to <sys/epoll.h>.
 *
 * Owns the epoll descriptor, the timer heap and the signalfd. Promises:
 *  - level-triggered readiness; within one turn urgent descriptors (databases) are served before
 *    the others, then timers that are due, then the turn hooks, in that order;
 *  - after reactor_remove() / reactor_timer_clear() the callback never runs again, not even for
 *    events already fetched in this turn, so the owner's slot may be reused at once;
 *  - callbacks never run inside the call that registers them.
 * Never blocks but in epoll_wait, never allocates after init. One thread.
 */
#ifndef CORE_REACTOR_H
#define CORE_REACTOR_H

#include "core/check.h"
#include "core/err.h"
#include "core/list.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* Event bits; the values are epoll's own (checked by reactor.c). */
enum {
    REACTOR_READ = 0x001,
    REACTOR_WRITE = 0x004,
    REACTOR_FAILED = 0x018,   /* EPOLLERR | EPOLLHUP: reported whether asked for or not */
    REACTOR_PEER_END = 0x2000 /* EPOLLRDHUP: the peer will send no more */
};

/* The loop; opaque. The callbacks below run on it, one at a time. */
struct reactor;
struct reactor_io;
struct reactor_timer;
struct reactor_hook;
typedef void reactor_io_fn(struct reactor_io *io, uint32_t events);
typedef void reactor_timer_fn(struct reactor_timer *timer);
typedef void reactor_hook_fn(struct reactor_hook *hook);
typedef void reactor_signal_fn(void *owner, int signal_number);

/* Embedded in the owner, who recovers itself with container_of. fd == -1 means not registered. */
struct reactor_io {
    int fd;
    uint32_t events;
    bool urgent;
    reactor_io_fn *on_ready;
};

/* Embedded. Zeroed memory is a timer that is not set. */
struct reactor_timer {
    uint64_t due_us;
    uint64_t order;     /* set order: ties fire first-set-first */
    uint32_t heap_slot; /* 1-based; 0: not set */
    reactor_timer_fn *on_due;
};

/* Runs once at the end of every turn, before the loop sleeps: the batch point. */
struct reactor_hook {
    struct list_node node;
    reactor_hook_fn *on_turn_end;
};

/* Since creation. */
struct reactor_stats {
    uint64_t turns;
    uint64_t busy_us_total; /* time spent outside epoll_wait */
    uint64_t busy_us_max;   /* longest turn since the last reactor_take_stats() */
};

/* timer_max bounds the timers set at one time (setting one more is a CHECK: it is our own
 * arithmetic). ERR_SYSTEM: no memory or no epoll descriptor. The caller destroys it. */
MUST_USE enum err reactor_create(struct reactor **reactor, uint32_t timer_max);
/* Not from within a turn. What is still registered is forgotten, not called. NULL is fine. */
void reactor_destroy(struct reactor *reactor);

/* io->fd, io->urgent and io->on_ready are set by the caller before. ERR_SYSTEM: errno tells, and io
 * is not registered; io->fd is still the caller's to close. */
MUST_USE enum err reactor_add(struct reactor *reactor, struct reactor_io *io, uint32_t events);
/* Changes the interest, also for events already fetched; no system call if it is unchanged. */
void reactor_watch(struct reactor *reactor, struct reactor_io *io, uint32_t events);
/* For a library that may have replaced the socket behind the same descriptor number (libpq while it
 * connects): registers io->fd afresh whether or not the kernel still knows it. */
MUST_USE enum err reactor_readd(struct reactor *reactor, struct reactor_io *io, uint32_t events);
/* Call before close(). Sets io->fd to -1. Tolerates a descriptor the kernel has already dropped. */
void reactor_remove(struct reactor *reactor, struct reactor_io *io);

/* Sets or moves; due_us is monotonic time. One in the past fires in this turn's or the next turn's
 * timer phase. */
void reactor_timer_set(struct reactor *reactor, struct reactor_timer *timer, uint64_t due_us);
/* Fine when it is not set. */
void reactor_timer_clear(struct reactor *reactor, struct reactor_timer *timer);
bool reactor_timer_is_set(const struct reactor_timer *timer);

/* hook->on_turn_end is set by the caller before. Hooks run in the order they were added; any may
 * add or remove hooks while they run, itself too. */
void reactor_hook_add(struct reactor *reactor, struct reactor_hook *hook);
void reactor_hook_remove(struct reactor *reactor, struct reactor_hook *hook);
/* The next wait returns at once, so that hooks run again. For work left over by a bound. */
void reactor_wake(struct reactor *reactor);

/* Blocks the signals and delivers them as calls from the loop. Once per reactor. ERR_SYSTEM: errno
 * tells. */
MUST_USE enum err reactor_on_signals(struct reactor *reactor, const sigset_t *signals,
                                     reactor_signal_fn *on_signal, void *owner);

/* Monotonic time of this turn's wake-up: cheap, good enough for deadlines. Between turns, the
 * clock's. */
uint64_t reactor_now_us(const struct reactor *reactor);

/* Turns until reactor_stop(). ERR_SYSTEM if epoll itself fails. A turn of 10 ms or more is told as
 * "reactor_slow_turn" at level debug. */
MUST_USE enum err reactor_run(struct reactor *reactor);
/* One turn that waits at most max_wait_us; for tests. */
MUST_USE enum err reactor_turn(struct reactor *reactor, uint64_t max_wait_us);
/* reactor_run() returns after this turn. */
void reactor_stop(struct reactor *reactor);
/* Reads and restarts busy_us_max. */
struct reactor_stats reactor_take_stats(struct reactor *reactor);

#endif
