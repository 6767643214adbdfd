/*
 * pg_dns: resolves the database's host name on the loop, by c-ares. The only door to <ares.h>.
 *
 * PQconnectStart would block in getaddrinfo; so libpq always gets hostaddr. Keeps the last good
 * answer and gives it when a lookup fails or takes longer than PG_DNS_TIMEOUT_MS. IPv4 first; IPv6
 * when the name has no IPv4 address. An answer that still holds the known address does not count as
 * changed, so a resolver that rotates its answers moves nobody. Numeric addresses and socket paths
 * never come here.
 *
 * Every lookup has its own c-ares channel: none can be stuck for ever, and /etc/resolv.conf is read
 * anew.
 */
#ifndef POOL_PG_DNS_H
#define POOL_PG_DNS_H

#include "core/check.h"
#include "core/err.h"
#include "core/reactor.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    PG_DNS_TIMEOUT_MS = 2000,
    PG_DNS_FRESH_MS = 5000,
    PG_DNS_ADDRESS_MAX = 64,
    PG_DNS_HOST_MAX = 256,
    PG_DNS_SERVERS_MAX = 128,
    PG_DNS_TIMERS = 2, /* reactor timers it uses */
};

struct pg_dns;
/* address: numeric, NUL-terminated, valid during the call; NULL: no answer and none ever known.
 * changed: differs from the answer before. Runs on the loop, never inside pg_dns_resolve, once per
 * lookup. */
typedef void pg_dns_fn(void *owner, const char *address, bool changed);

struct pg_dns_stats {
    uint64_t lookups_total, failures_total, changes_total;
    uint64_t answered_us; /* when the current answer came; 0: never */
};

MUST_USE enum err pg_dns_create(struct pg_dns **dns, struct reactor *reactor, pg_dns_fn *on_answer,
                                void *owner);
void pg_dns_destroy(struct pg_dns *dns);
/* Other name servers than /etc/resolv.conf's, as "127.0.0.1:5353"; "": those again. For tests. */
void pg_dns_set_servers(struct pg_dns *dns, const char *servers);
/* Starts a lookup; while one for this host is under way this joins it (one on_answer). Another host
 * than before forgets the old answer. */
void pg_dns_resolve(struct pg_dns *dns, const char *host);
/* The last good answer for the host, NULL when there is none; *fresh: younger than
 * PG_DNS_FRESH_MS. */
const char *pg_dns_last(const struct pg_dns *dns, const char *host, bool *fresh);
/* The known answer is suspect (a refused connect, a 25006, a shutdown): it is not fresh any more,
 * and the next lookup prefers the server's first address to it. */
void pg_dns_expire(struct pg_dns *dns);
const struct pg_dns_stats *pg_dns_stats(const struct pg_dns *dns);

#endif
