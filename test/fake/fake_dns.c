#include "test/fake/fake_dns.h"

#include "pool/pg_dns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct pg_dns {
    pg_dns_fn *on_answer;
    void *owner;
    bool asked;
    struct pg_dns_stats stats;
};

struct fake_dns fake_dns;
static struct pg_dns *the_dns;

void fake_dns_reset(void)
{
    memset(&fake_dns, 0, sizeof(fake_dns));
    the_dns = NULL;
}

void fake_dns_answer(const char *address, bool changed)
{
    assert_non_null(the_dns);
    assert_true(the_dns->asked);
    the_dns->asked = false;
    fake_dns.last = address;
    fake_dns.fresh = address != NULL && !fake_dns.answers_stale;
    the_dns->on_answer(the_dns->owner, address, changed);
}

bool fake_dns_is_asked(void)
{
    return the_dns != NULL && the_dns->asked;
}

enum err pg_dns_create(struct pg_dns **dns, struct reactor *reactor, pg_dns_fn *on_answer,
                       void *owner)
{
    (void)reactor;
    if (fake_dns.create_fails)
        return ERR_SYSTEM;
    struct pg_dns *made = calloc(1, sizeof(*made));
    if (made == NULL)
        return ERR_SYSTEM;
    made->on_answer = on_answer;
    made->owner = owner;
    the_dns = made;
    fake_dns.live++;
    *dns = made;
    return ERR_OK;
}

void pg_dns_destroy(struct pg_dns *dns)
{
    if (dns == NULL)
        return;
    assert_true(fake_dns.live > 0);
    fake_dns.live--;
    if (the_dns == dns)
        the_dns = NULL;
    free(dns);
}

void pg_dns_resolve(struct pg_dns *dns, const char *host)
{
    dns->asked = true;
    fake_dns.lookups++;
    dns->stats.lookups_total++;
    snprintf(fake_dns.host, sizeof(fake_dns.host), "%s", host);
}

const char *pg_dns_last(const struct pg_dns *dns, const char *host, bool *fresh)
{
    (void)dns, (void)host;
    *fresh = fake_dns.last != NULL && fake_dns.fresh;
    return fake_dns.last;
}

void pg_dns_expire(struct pg_dns *dns)
{
    (void)dns;
    fake_dns.expired++;
    fake_dns.fresh = false;
}

const struct pg_dns_stats *pg_dns_stats(const struct pg_dns *dns)
{
    return &dns->stats;
}
