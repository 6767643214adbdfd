/*
 * payment_expiry: what the release of expired holds has come to, for whoever tells it on.
 *
 * How it works: payment_expiry_private.h.
 */
#ifndef POOL_PAYMENT_EXPIRY_H
#define POOL_PAYMENT_EXPIRY_H

#include <stdint.h>

struct payment_expiry;

/* Of this process, since it started. */
struct payment_expiry_stats {
    uint64_t released_total; /* holds whose open money went back */
    uint64_t cleared_total;  /* holds with nothing open any more when their time came */
    uint64_t left_total;     /* times a hold was left for later: its wallet was not to be had */
    uint64_t failed_total;   /* statements that failed, or whose answer was lost */
    uint64_t left;           /* holds that the last whole sweep left */
    uint64_t overdue_us;     /* of the oldest expired hold known of, now; 0: there is none */
};
struct payment_expiry_stats payment_expiry_stats(const struct payment_expiry *expiry);

#endif
