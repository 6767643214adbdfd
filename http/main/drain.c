#include "http/main/drain.h"

#include "core/clock.h"
#include "core/log.h"

/* Nobody is told when the last answer is written, so the three stages look; it is the end, after
 * all. */
enum { DRAIN_LOOK_US = 5 * CLOCK_US_PER_MS };

static const char *drain_state_name(enum drain_state state)
{
    static const char *const NAMES[] = {
        [DRAIN_SERVING] = "serving",   [DRAIN_DELAY] = "delay", [DRAIN_REQUESTS] = "requests",
        [DRAIN_DATABASE] = "database", [DRAIN_DONE] = "done",   [DRAIN_CUT] = "cut",
    };
    return NAMES[state];
}

static void drain_set_state(struct drain *drain, enum drain_state next)
{
    const uint64_t now_us = reactor_now_us(drain->reactor);
    log_info("drain", LOG_TEXT("state", drain_state_name(next)),
             LOG_TEXT("before", drain_state_name(drain->state)),
             LOG_U64("before_ms", (now_us - drain->state_since_us) / CLOCK_US_PER_MS));
    drain->state = next;
    drain->state_since_us = now_us;
    if (next == DRAIN_DONE || next == DRAIN_CUT) {
        reactor_timer_clear(drain->reactor, &drain->timer);
        reactor_stop(drain->reactor);
    }
}

static void drain_look_again(struct drain *drain)
{
    reactor_timer_set(drain->reactor, &drain->timer,
                      reactor_now_us(drain->reactor) + DRAIN_LOOK_US);
}

static bool drain_pool_is_down(const struct drain *drain)
{
    return pg_pool_count(drain->pool, PG_CONN_DOWN) == pg_pool_size(drain->pool);
}

static void drain_step(struct drain *drain)
{
    if (drain->state == DRAIN_DELAY) {
        http_server_drain(drain->server);
        drain_set_state(drain, DRAIN_REQUESTS);
    }
    if (drain->state == DRAIN_REQUESTS && http_server_quiet(drain->server) &&
        payment_store_quiet(drain->store)) {
        payment_store_stop(drain->store);
        pg_pool_drain(drain->pool);
        drain_set_state(drain, DRAIN_DATABASE);
    }
    if (drain->state == DRAIN_DATABASE && drain_pool_is_down(drain)) {
        drain_set_state(drain, DRAIN_DONE);
        return;
    }
    if (reactor_now_us(drain->reactor) >= drain->limit_us) {
        drain_set_state(drain, DRAIN_CUT);
        return;
    }
    drain_look_again(drain);
}

static void drain_on_timer(struct reactor_timer *timer)
{
    drain_step(container_of(timer, struct drain, timer));
}

void drain_init(struct drain *drain)
{
    drain->draining = false;
    drain->state = DRAIN_SERVING;
    drain->state_since_us = reactor_now_us(drain->reactor);
    drain->timer = (struct reactor_timer){.on_due = drain_on_timer};
}

void drain_signal(struct drain *drain)
{
    if (drain->state == DRAIN_DONE || drain->state == DRAIN_CUT)
        return;
    if (drain->state != DRAIN_SERVING) {
        drain_set_state(drain, DRAIN_CUT);
        return;
    }
    const uint64_t now_us = reactor_now_us(drain->reactor);
    const uint64_t delay_us = (uint64_t)drain->delay_ms * CLOCK_US_PER_MS;
    drain->draining = true;
    drain->limit_us = now_us + delay_us + (uint64_t)drain->timeout_ms * CLOCK_US_PER_MS;
    drain_set_state(drain, DRAIN_DELAY);
    payment_store_rest(drain->store);
    http_server_close_after_answers(drain->server);
    reactor_timer_set(drain->reactor, &drain->timer, now_us + delay_us);
}

bool drain_was_clean(const struct drain *drain)
{
    return drain->state == DRAIN_DONE;
}
