/*
 * auth_throttle: how often each address came without a valid key, and what it is told.
 *
 * Asked only after a key was refused: a valid key is served whatever its address did before, so
 * nobody behind the same NAT or load balancer is locked out by a neighbour. What is throttled is
 * the cost of refusing: more than AUTH_FAILURES_PER_S failures of one address within a second are
 * answered 429 instead of 401 or 403, and are no lines in the log. It does not stop guessing: 64
 * characters do.
 *
 * An address is ip_address_party() of the client's. Its second begins with its first failure. The
 * table has AUTH_ADDRESSES_MAX of them; the one whose second began first is forgotten for another,
 * which is counted where that second was not over: it starts afresh if it comes again. O(1).
 */
#ifndef HTTP_API_AUTH_THROTTLE_H
#define HTTP_API_AUTH_THROTTLE_H

#include "core/err.h"
#include "core/ip_address.h"
#include "http/server/http_parser.h"

#include <stdint.h>

/* AUTH_LINES_PER_S_MAX: failures of one address that are logged in its second, throttled or not. */
enum { AUTH_ADDRESSES_MAX = 4096, AUTH_LINES_PER_S_MAX = 20 };

enum auth_verdict {
    AUTH_NOT_REFUSED,        /* of a request whose key was not refused */
    AUTH_TOLD,               /* 401 or 403 */
    AUTH_TOLD_UNLOGGED,      /* the same; its address had its share of lines */
    AUTH_THROTTLED,          /* 429, the first of its second: logged */
    AUTH_THROTTLED_UNLOGGED, /* 429 */
};

struct auth_throttle_stats {
    uint64_t told_total, throttled_total;
    uint64_t forgotten_total; /* before their second was over */
    uint32_t addresses;       /* remembered now */
};

struct auth_throttle;

/* trusted is borrowed. failures_per_s 0: nobody is throttled, lines are still shared out. */
MUST_USE enum err auth_throttle_create(struct auth_throttle **throttle,
                                       const struct ip_networks *trusted, uint32_t failures_per_s);
void auth_throttle_destroy(struct auth_throttle *throttle);
/* Counts a request whose key was refused; never AUTH_NOT_REFUSED. */
enum auth_verdict auth_throttle_refuse(struct auth_throttle *throttle, const char *peer,
                                       const struct http_request *request);
struct auth_throttle_stats auth_throttle_stats(const struct auth_throttle *throttle);

#endif
