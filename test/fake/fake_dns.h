/*
 * fake_dns: pg_dns for tests, linked in its place: no c-ares, no name server.
 *
 * A lookup ends when the test says so. Keeps the promises of pool/pg_dns.h: on_answer never runs
 * inside pg_dns_resolve(), and once per lookup.
 */
#ifndef TEST_FAKE_DNS_H
#define TEST_FAKE_DNS_H

#include <stdbool.h>

struct fake_dns {
    const char *last; /* what pg_dns_last() gives; NULL: nothing known */
    bool fresh;
    bool create_fails;
    bool answers_stale; /* what a failed lookup gives: the last good answer, not fresh */
    char host[256];     /* asked for last */
    unsigned lookups, expired, live;
};
extern struct fake_dns fake_dns;

void fake_dns_reset(void);
/* Ends the lookup under way. NULL: no answer and none ever known. */
void fake_dns_answer(const char *address, bool changed);
bool fake_dns_is_asked(void);

#endif
