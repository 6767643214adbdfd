#include "pool/pg_dns.h"

#include "core/clock.h"
#include "core/log.h"

#include <ares.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

enum {
    DNS_SOCKETS_MAX = 16, /* of one lookup: UDP and TCP to each of a few name servers */
    DNS_TRY_MS = 400, /* first try; c-ares doubles it, so all tries fit into PG_DNS_TIMEOUT_MS */
    DNS_TRIES = 2,
};

struct dns_socket {
    struct reactor_io io;
    struct pg_dns *dns;
};

enum dns_state {
    DNS_QUIET,
    DNS_ASKING,  /* c-ares is at work */
    DNS_SETTLED, /* it has told the outcome; on_answer comes when no c-ares call is on the stack */
};

/*   QUIET --resolve--> ASKING --on_lookup, limit--> SETTLED --settle--> QUIET   */
struct pg_dns {
    struct reactor *reactor;
    pg_dns_fn *on_answer;
    void *owner;
    char servers[PG_DNS_SERVERS_MAX];

    char host[PG_DNS_HOST_MAX];
    char address[PG_DNS_ADDRESS_MAX]; /* "": none known */
    bool suspect;
    struct pg_dns_stats stats;

    enum dns_state state;
    ares_channel channel; /* NULL when QUIET, or when it could not be made */
    int family;
    bool try_next_family;
    char found[PG_DNS_ADDRESS_MAX]; /* "": the lookup failed */
    struct dns_socket sockets[DNS_SOCKETS_MAX];
    struct reactor_timer step_timer;  /* c-ares wants to try again, or it settled inside resolve */
    struct reactor_timer limit_timer; /* of the whole lookup */
};

static void after_ares(struct pg_dns *dns);

static void on_socket_ready(struct reactor_io *io, uint32_t events)
{
    struct dns_socket *slot = container_of(io, struct dns_socket, io);
    struct pg_dns *dns = slot->dns;
    const bool readable = (events & (REACTOR_READ | REACTOR_FAILED)) != 0;
    const bool writable = (events & REACTOR_WRITE) != 0;

    ares_process_fd(dns->channel, readable ? io->fd : ARES_SOCKET_BAD,
                    writable ? io->fd : ARES_SOCKET_BAD);
    after_ares(dns);
}

/* c-ares tells what it waits for; neither readable nor writable: it is about to close the
 * socket. */
static void on_socket_state(void *data, ares_socket_t fd, int readable, int writable)
{
    struct pg_dns *dns = data;
    struct dns_socket *slot = NULL;
    const uint32_t events =
        (readable ? (uint32_t)REACTOR_READ : 0) | (writable ? (uint32_t)REACTOR_WRITE : 0);

    for (size_t i = 0; i < DNS_SOCKETS_MAX; i++) {
        if (dns->sockets[i].io.fd == fd)
            slot = &dns->sockets[i];
    }
    if (slot != NULL && events == 0) {
        reactor_remove(dns->reactor, &slot->io);
    } else if (slot != NULL) {
        reactor_watch(dns->reactor, &slot->io, events);
    } else if (events != 0) {
        for (size_t i = 0; i < DNS_SOCKETS_MAX && slot == NULL; i++) {
            if (dns->sockets[i].io.fd == -1)
                slot = &dns->sockets[i];
        }
        if (slot == NULL)
            return; /* its name server stays unheard */
        slot->io.fd = fd;
        if (reactor_add(dns->reactor, &slot->io, events) != ERR_OK)
            slot->io.fd = -1;
    }
}

static bool address_text(const struct ares_addrinfo_node *node, char text[PG_DNS_ADDRESS_MAX])
{
    const void *address = NULL;
    if (node->ai_family == AF_INET)
        address = &((const struct sockaddr_in *)(const void *)node->ai_addr)->sin_addr;
    else if (node->ai_family == AF_INET6)
        address = &((const struct sockaddr_in6 *)(const void *)node->ai_addr)->sin6_addr;
    return address != NULL && inet_ntop(node->ai_family, address, text, PG_DNS_ADDRESS_MAX) != NULL;
}

/* The known address if the answer still holds it and nobody suspects it, else the answer's
 * first. */
static void choose(struct pg_dns *dns, const struct ares_addrinfo *answer)
{
    char text[PG_DNS_ADDRESS_MAX];

    dns->found[0] = '\0';
    for (const struct ares_addrinfo_node *node = answer->nodes; node != NULL;
         node = node->ai_next) {
        if (!address_text(node, text))
            continue;
        const bool known = !dns->suspect && strcmp(text, dns->address) == 0;
        if (dns->found[0] == '\0' || known)
            memcpy(dns->found, text, sizeof(text));
        if (known)
            return;
    }
}

static void on_lookup(void *data, int status, int timeouts, struct ares_addrinfo *answer)
{
    struct pg_dns *dns = data;
    (void)timeouts;

    if (status == ARES_SUCCESS)
        choose(dns, answer);
    if (answer != NULL)
        ares_freeaddrinfo(answer);
    /* ares_destroy ends what is left of a lookup that the limit has settled. */
    if (dns->state != DNS_ASKING)
        return;
    dns->try_next_family =
        dns->family == AF_INET && (status == ARES_ENODATA || status == ARES_ENOTFOUND);
    dns->state = DNS_SETTLED;
}

static void ask(struct pg_dns *dns, int family)
{
    /* Unsorted: c-ares would open a socket to every address to rank them. */
    const struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_NOSORT, .ai_family = family, .ai_socktype = SOCK_STREAM};

    dns->family = family;
    dns->state = DNS_ASKING;
    dns->try_next_family = false;
    ares_getaddrinfo(dns->channel, dns->host, NULL, &hints, on_lookup, dns);
}

static enum err open_channel(struct pg_dns *dns)
{
    struct ares_options options = {.timeout = DNS_TRY_MS,
                                   .tries = DNS_TRIES,
                                   .sock_state_cb = on_socket_state,
                                   .sock_state_cb_data = dns};
    const int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;

    if (ares_init_options(&dns->channel, &options, mask) != ARES_SUCCESS) {
        dns->channel = NULL;
        return ERR_UNAVAILABLE;
    }
    if (dns->servers[0] != '\0' &&
        ares_set_servers_ports_csv(dns->channel, dns->servers) != ARES_SUCCESS)
        return ERR_INVALID;
    return ERR_OK;
}

static void close_channel(struct pg_dns *dns)
{
    if (dns->channel != NULL)
        ares_destroy(dns->channel);
    dns->channel = NULL;
    reactor_timer_clear(dns->reactor, &dns->step_timer);
    reactor_timer_clear(dns->reactor, &dns->limit_timer);
}

/* Ends the lookup and tells the owner. No c-ares call may be on the stack. */
static void settle(struct pg_dns *dns)
{
    dns->state = DNS_SETTLED;
    close_channel(dns);
    dns->state = DNS_QUIET;

    bool changed = false;
    if (dns->found[0] == '\0') {
        dns->stats.failures_total++;
    } else {
        changed = dns->address[0] != '\0' && strcmp(dns->address, dns->found) != 0;
        dns->stats.changes_total += changed;
        dns->stats.answered_us = reactor_now_us(dns->reactor);
        dns->suspect = false;
        memcpy(dns->address, dns->found, sizeof(dns->address));
    }
    if (changed)
        log_info("pg_dns_changed", LOG_TEXT("address", dns->address));
    dns->on_answer(dns->owner, dns->address[0] != '\0' ? dns->address : NULL, changed);
}

static void arm_step(struct pg_dns *dns)
{
    struct timeval wait;
    const uint64_t now_us = reactor_now_us(dns->reactor);

    if (dns->state == DNS_SETTLED) {
        reactor_timer_set(dns->reactor, &dns->step_timer, now_us);
    } else if (ares_timeout(dns->channel, NULL, &wait) != NULL) {
        reactor_timer_set(dns->reactor, &dns->step_timer,
                          now_us + (uint64_t)wait.tv_sec * CLOCK_US_PER_S + (uint64_t)wait.tv_usec);
    } else {
        reactor_timer_clear(dns->reactor, &dns->step_timer);
    }
}

static void after_ares(struct pg_dns *dns)
{
    if (dns->state == DNS_SETTLED && dns->try_next_family)
        ask(dns, AF_INET6);
    if (dns->state == DNS_SETTLED)
        settle(dns);
    else
        arm_step(dns);
}

static void on_step(struct reactor_timer *timer)
{
    struct pg_dns *dns = container_of(timer, struct pg_dns, step_timer);

    if (dns->state == DNS_ASKING)
        ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    after_ares(dns);
}

static void on_limit(struct reactor_timer *timer)
{
    settle(container_of(timer, struct pg_dns, limit_timer));
}

enum err pg_dns_create(struct pg_dns **dns, struct reactor *reactor, pg_dns_fn *on_answer,
                       void *owner)
{
    CHECK(on_answer != NULL);
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
        return ERR_UNAVAILABLE;
    struct pg_dns *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        ares_library_cleanup();
        return ERR_SYSTEM;
    }
    made->reactor = reactor;
    made->on_answer = on_answer;
    made->owner = owner;
    made->step_timer.on_due = on_step;
    made->limit_timer.on_due = on_limit;
    for (size_t i = 0; i < DNS_SOCKETS_MAX; i++)
        made->sockets[i] =
            (struct dns_socket){.io = {.fd = -1, .on_ready = on_socket_ready}, .dns = made};
    *dns = made;
    return ERR_OK;
}

void pg_dns_destroy(struct pg_dns *dns)
{
    if (dns == NULL)
        return;
    dns->state = DNS_QUIET;
    close_channel(dns);
    free(dns);
    ares_library_cleanup();
}

void pg_dns_set_servers(struct pg_dns *dns, const char *servers)
{
    CHECK(strlen(servers) < sizeof(dns->servers));
    snprintf(dns->servers, sizeof(dns->servers), "%s", servers);
}

void pg_dns_resolve(struct pg_dns *dns, const char *host)
{
    CHECK(strlen(host) < sizeof(dns->host));
    if (strcmp(dns->host, host) != 0) {
        dns->state = DNS_QUIET;
        close_channel(dns);
        snprintf(dns->host, sizeof(dns->host), "%s", host);
        dns->address[0] = '\0';
        dns->stats.answered_us = 0;
    }
    if (dns->state != DNS_QUIET)
        return;

    dns->found[0] = '\0';
    dns->stats.lookups_total++;
    reactor_timer_set(dns->reactor, &dns->limit_timer,
                      reactor_now_us(dns->reactor) + (uint64_t)PG_DNS_TIMEOUT_MS * CLOCK_US_PER_MS);
    if (open_channel(dns) == ERR_OK)
        ask(dns, AF_INET);
    else
        dns->state = DNS_SETTLED;
    arm_step(dns);
}

const char *pg_dns_last(const struct pg_dns *dns, const char *host, bool *fresh)
{
    *fresh = false;
    if (dns->address[0] == '\0' || strcmp(dns->host, host) != 0)
        return NULL;
    const uint64_t age_us = reactor_now_us(dns->reactor) - dns->stats.answered_us;
    *fresh = !dns->suspect && age_us < (uint64_t)PG_DNS_FRESH_MS * CLOCK_US_PER_MS;
    return dns->address;
}

void pg_dns_expire(struct pg_dns *dns)
{
    dns->suspect = true;
}

const struct pg_dns_stats *pg_dns_stats(const struct pg_dns *dns)
{
    return &dns->stats;
}
