/*
 * pg_pool: the connections, all alike: connect, prepare, hand out, retire, reconnect, drain.
 *
 * Owns POOL_SIZE slots, each on exactly one list, the list of its state. Hands out the most
 * recently used idle connection (warm backend). Fixed size: min = max. A connection belongs to
 * nobody between two queries. The background connector is the breaker's probe: with no usable
 * connection a send is refused at once. At most PG_CONNECTS_MAX attempts in parallel, back-off 50
 * ms doubling to the limit with full jitter, fresh credentials and address at each attempt. Uses
 * conn_count + PG_POOL_TIMERS reactor timers.
 *
 * Owns the database URL: after create nobody else reads its file or judges it.
 */
#ifndef POOL_PG_POOL_H
#define POOL_PG_POOL_H

#include "core/buf.h"
#include "core/config.h"
#include "core/err.h"
#include "core/histogram.h"
#include "core/list.h"
#include "core/reactor.h"
#include "pool/pg_dns.h"
#include "pool/pg_query.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    PG_POOL_MAX = 64,
    PG_CONNECTS_MAX = 2,
    PG_BACKOFF_FIRST_MS = 50,
    PG_POOL_TIMERS = 2 + PG_DNS_TIMERS, /* the spare's and the connector's */
    PG_SQLSTATES_MAX = 64,              /* classes "00".."ZZ" seen, bounded */
};

/*
 *   DOWN --start--> CONNECTING --OK, role checked--> PREPARING --all prepared--> IDLE <--> BUSY
 *     ^                                                  ^------ 0A000, 26000, 42P05 -------'
 *     '--- any failure, retire, deadline: ended with a pg_close_reason from every state
 *   (The host name is resolved before the start.)
 */
enum pg_conn_state {
    PG_CONN_DOWN,
    PG_CONN_CONNECTING,
    PG_CONN_PREPARING,
    PG_CONN_IDLE,
    PG_CONN_BUSY
};
enum { PG_CONN_STATES = PG_CONN_BUSY + 1 };
/* Label of pool_connections. */
const char *pg_conn_state_name(enum pg_conn_state state);

/* Why a connection ended: label of pool_closed_total, and the log line. */
enum pg_close_reason {
    PG_CLOSE_REFUSED,   /* connect failed */
    PG_CLOSE_TIMEOUT,   /* connect + prepare took longer than the limit */
    PG_CLOSE_AUTH,      /* 28xxx */
    PG_CLOSE_STANDBY,   /* in_hot_standby or read-only */
    PG_CLOSE_PREPARE,   /* a statement could not be prepared (schema missing?) */
    PG_CLOSE_EOF,       /* the server went away */
    PG_CLOSE_SHUTDOWN,  /* 57P0x: the server ends its sessions, or does not take new ones yet */
    PG_CLOSE_READ_ONLY, /* 25006 */
    PG_CLOSE_DEADLINE,  /* no answer in time */
    PG_CLOSE_PROTOCOL,  /* libpq lost step, or a transaction was left open */
    PG_CLOSE_LIFETIME,  /* planned replacement */
    PG_CLOSE_EPOCH,     /* the address or the credentials changed */
    PG_CLOSE_DRAIN,
};
enum { PG_CLOSE_REASONS = PG_CLOSE_DRAIN + 1 };
const char *pg_close_reason_name(enum pg_close_reason reason);

struct pg_pool;

struct pg_pool_config {
    const char *database_url;      /* libpq URI or key=value; copied */
    const char *database_url_file; /* "" or a file re-read at each connect; copied */
    const char *application_name;
    bool tls_required; /* sslmode must be verify-full (checked by pg_url_check) */
    uint32_t conn_count;
    uint32_t connect_timeout_ms, backoff_max_ms, lifetime_s;
    uint32_t statement_timeout_ms, lock_timeout_ms;
    uint32_t query_timeout_ms; /* a dead network: no answer by then ends the connection */
};

/* Told, never inside a pool call, when a connection became idle or the pool went up or down. */
struct pg_pool_listener {
    struct list_node node;
    void (*on_change)(struct pg_pool_listener *listener);
};

struct pg_pool_stats {
    uint64_t closed_total[PG_CLOSE_REASONS];
    uint64_t connects_total, connect_failures_total, reprepare_total;
    struct histogram connect_time, query_time; /* query_time: send to answer */
    struct {
        char class_[3];
        uint64_t count;
    } sqlstates[PG_SQLSTATES_MAX];
    char last_error_stage[16], last_error_sqlstate[PG_SQLSTATE_LEN + 1];
};

/* The one rule of when the database must prove its identity: outside ENVIRONMENT=dev, unless
 * DATABASE_TLS_INSECURE allows to do without. */
bool pg_url_tls_required(const struct config *config);
/* ERR_INVALID: the URL cannot be parsed or names more than one host; *why says so without quoting
 * it. */
MUST_USE enum err pg_url_check(const char *database_url, bool tls_required, struct buf *why);

MUST_USE enum err pg_pool_create(struct pg_pool **pool, struct reactor *reactor,
                                 const struct pg_pool_config *config,
                                 const struct pg_statement *statements, uint8_t statement_count);
/* All connections must be DOWN (pg_pool_drain, then loop), or they are cut with PG_CLOSE_DRAIN. */
void pg_pool_destroy(struct pg_pool *pool);

/* Sends now on an idle connection. ERR_AGAIN: all usable ones are busy. ERR_UNAVAILABLE: none is
 * up. on_answer never runs inside this call. */
MUST_USE enum err pg_pool_send(struct pg_pool *pool, const struct pg_params *params,
                               struct pg_query *query);
void pg_pool_listen(struct pg_pool *pool, struct pg_pool_listener *listener);
void pg_pool_unlisten(struct pg_pool *pool, struct pg_pool_listener *listener);

uint32_t pg_pool_usable(const struct pg_pool *pool); /* IDLE + BUSY */
uint32_t pg_pool_count(const struct pg_pool *pool, enum pg_conn_state state);
uint32_t pg_pool_size(const struct pg_pool *pool);
/* What pg_pool_reload found. */
enum pg_reload {
    PG_RELOAD_NO_FILE,   /* the URL does not come from a file */
    PG_RELOAD_UNCHANGED, /* as it was at the last reload, or at create */
    PG_RELOAD_CHANGED,   /* taken: every connection is replaced, one at a time */
    PG_RELOAD_KEPT,      /* it cannot be read or used: what runs goes on; *why says so */
};
/* Reads the URL's file again. */
enum pg_reload pg_pool_reload(struct pg_pool *pool, struct buf *why);
/* Every connection is replaced, one at a time: the address, the credentials or what answers behind
 * them changed. */
void pg_pool_new_epoch(struct pg_pool *pool);
/* No new connections; idle ones close now, busy ones after their answer. */
void pg_pool_drain(struct pg_pool *pool);
const struct pg_pool_stats *pg_pool_stats(const struct pg_pool *pool);

/* All zero where the host needs no lookup (a numeric address, a socket path). */
const struct pg_dns_stats *pg_pool_dns_stats(const struct pg_pool *pool);

/* For pg_lane. */
struct reactor *pg_pool_reactor(struct pg_pool *pool);

#endif
