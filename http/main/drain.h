/*
 * drain: the order of leaving.
 *
 *   SERVING --drain_signal--> DELAY --DRAIN_DELAY_MS--> REQUESTS --none left-->
 *      DATABASE --all down--> DONE
 *   any but SERVING --drain_signal again, or DRAIN_TIMEOUT_MS after the delay--> CUT
 *
 * DELAY: /readyz says 503 while balancers take notice; everything is still served, with
 * Connection: close; the store begins nothing of its own any more. REQUESTS: no new connection;
 * what is under way, orphans included, finishes. DATABASE: the pool closes its connections. DONE
 * and CUT stop the loop.
 */
#ifndef HTTP_MAIN_DRAIN_H
#define HTTP_MAIN_DRAIN_H

#include "core/reactor.h"
#include "http/server/http_server.h"
#include "pool/payment_store.h"
#include "pool/pg_pool.h"

enum drain_state {
    DRAIN_SERVING,
    DRAIN_DELAY,
    DRAIN_REQUESTS,
    DRAIN_DATABASE,
    DRAIN_DONE,
    DRAIN_CUT
};

/* Parts are borrowed; set by the owner before drain_init. */
struct drain {
    struct reactor *reactor;
    struct http_server *server;
    struct payment_store *store;
    struct pg_pool *pool;
    uint32_t delay_ms, timeout_ms;

    bool draining; /* what /readyz shows */
    enum drain_state state;
    uint64_t state_since_us, limit_us;
    struct reactor_timer timer;
};

void drain_init(struct drain *drain);
/* SIGTERM or SIGINT came: the first begins, the second leaves at once. */
void drain_signal(struct drain *drain);
/* True once everything was finished in order. */
bool drain_was_clean(const struct drain *drain);

#endif
