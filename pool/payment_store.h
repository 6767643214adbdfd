/*
 * payment_store: the payment statements. Command <-> parameters, row -> decision. No libpq type
 * crosses this header.
 *
 * Owns the lanes (hold, step, read, evaluate, report, expire) and what they share, the set of
 * (client, key) pairs in flight, the background probe that measures latency and reads pay.region on
 * a connection of its own, and the release of expired holds.
 */
#ifndef POOL_PAYMENT_STORE_H
#define POOL_PAYMENT_STORE_H

#include "core/config.h"
#include "core/payment.h"
#include "pool/audit.h"
#include "pool/payment_expiry.h"
#include "pool/payment_read.h"
#include "pool/pg_lane.h"
#include "pool/pg_shards.h"

#include <stdbool.h>
#include <stdint.h>

struct payment_store;
struct payment_op;
typedef void payment_op_fn(struct payment_op *op, enum pg_outcome outcome);

/* A kind is a row of the table in payment_store.c: its work, its lane, whether it claims a key. */
enum payment_op_kind {
    PAYMENT_OP_EVALUATE,
    PAYMENT_OP_HOLD,
    PAYMENT_OP_CAPTURE,
    PAYMENT_OP_VOID,
    PAYMENT_OP_INCREMENT,
    PAYMENT_OP_REFUND,
    PAYMENT_OP_FIND,
    PAYMENT_OP_FIND_KEY,
    PAYMENT_OP_WALLET,
    PAYMENT_OP_TRANSACTIONS,
};
enum { PAYMENT_OP_KINDS = PAYMENT_OP_TRANSACTIONS + 1 };

/* One request to the database, embedded in the caller's slot; the store's from submit to on_done.
 * Set by the caller: everything down to on_done. Valid in on_done: how it went; with PG_DONE the
 * answer. */
struct payment_op {
    enum payment_op_kind kind;
    struct payment_command command;   /* EVALUATE, HOLD; of it WALLET, TRANSACTIONS: the wallet */
    struct payment_step step;         /* CAPTURE, VOID, INCREMENT, REFUND: `steps`; of that kind */
    struct uuid7 txn_id;              /* HOLD, steps: the new id; FIND: the one looked for */
    struct payment_page_ask page;     /* TRANSACTIONS */
    struct uuid7 spare_id;            /* CAPTURE: another new id, for a second row of the ledger */
    struct secret_digest fingerprint; /* HOLD, steps */
    int32_t client_id;
    uint64_t
        started_us; /* last byte of the request: the record's processing time counts from here */
    uint64_t due_us;
    bool has_key;               /* HOLD, steps: always, but a VOID may have none */
    struct secret_mac key_hash; /* with has_key, FIND_KEY: by payment_store_hash_key() */
    payment_op_fn *on_done;

    uint32_t queue_us;                  /* of the last try, until it was sent; 0: it was not */
    uint32_t db_us;                     /* from there to its end; 0: nothing was ever sent */
    char sqlstate[PG_SQLSTATE_LEN + 1]; /* the server's last error; "": it told none */

    bool found;                                 /* FIND, FIND_KEY, WALLET, TRANSACTIONS: `reads` */
    const struct payment_read *read;            /* reads that found something; gone after on_done */
    struct payment_decision decision;           /* EVALUATE (code, balance), HOLD, FIND, FIND_KEY */
    struct payment_step_decision step_decision; /* steps */

    struct pg_member member; /* the store's */
    struct list_node key_node;
    uint32_t key_bucket;
    struct payment_store *store;
};

/* What the last probe saw. */
struct payment_store_health {
    bool database_ok;    /* a probe answered within the last 3 intervals */
    bool schema_ok;      /* the newest migration of this binary is applied */
    bool region_ok;      /* pay.region was REGION when it was last read */
    bool region_known;   /* and it was read since the pool last came up */
    bool isolation_ok;   /* read committed */
    bool pool_ready;     /* every connection has been up and prepared since start */
    uint64_t latency_us; /* last probe, send to answer */
    bool has_reference;
    struct payment_command reference; /* the region's reference wallet and purchase */
    struct audit_result whole_audit;  /* the last one of the whole ledger */
    struct audit_result
        recent_audit; /* those of newer rows after that: the last's time, the worst */
};

/* database: what the pool was made with, for the probe's own connection. */
MUST_USE enum err payment_store_create(struct payment_store **store, struct pg_pool *pool,
                                       const struct pg_pool_config *database,
                                       const struct config *config, uint32_t op_max);
/* Begins no work of its own any more: other processes release the holds that expire from now on. */
void payment_store_rest(struct payment_store *store);
/* The same, and ends the probe and its connection; what is in the lanes goes on. */
void payment_store_stop(struct payment_store *store);
/* Reads the database URL's file again, for the pool and for the probe (pg_pool_reload). */
enum pg_reload payment_store_reload(struct payment_store *store, struct buf *why);
void payment_store_destroy(struct payment_store *store);
/* The prepared statements to create the pool with. */
const struct pg_statement *payment_store_statements(uint8_t *count);

/* The keyed hash under which an Idempotency-Key is known from here on: the key itself goes no
 * further. False: the database has not told yet what to hash with. */
MUST_USE bool payment_store_hash_key(const struct payment_store *store, struct span key,
                                     struct secret_mac *hash);
/* ERR_CONFLICT: this (client, key) is in flight in this process. ERR_ELSEWHERE: the database is
 * another region's. ERR_UNAVAILABLE: nothing is connected, or it is not known yet whose database
 * that is. Others: pg_lane_submit. on_done never runs inside this call. */
MUST_USE enum err payment_store_submit(struct payment_store *store, struct payment_op *op);
/* True: forgotten before it was sent. False: it will finish and call on_done. */
bool payment_store_cancel(struct payment_store *store, struct payment_op *op);

const struct payment_store_health *payment_store_health(struct payment_store *store);
bool payment_store_ready(struct payment_store *store);       /* all of health */
bool payment_store_quiet(const struct payment_store *store); /* nothing of ours in flight */
uint32_t payment_store_lane_count(void);
const struct pg_lane *payment_store_lane(const struct payment_store *store, uint32_t index);
/* What is known of the wallets that holds and steps go to. */
const struct pg_shards *payment_store_wallets(const struct payment_store *store);
/* Of those that evaluates ask about. */
const struct pg_shards *payment_store_evaluated_wallets(const struct payment_store *store);
/* Of the release of expired holds. */
const struct payment_expiry *payment_store_expiry(const struct payment_store *store);
/* Per statement kind, for db_query_duration_seconds{query=...}; NULL past the end. */
const struct histogram *payment_store_query_time(const struct payment_store *store, uint32_t index,
                                                 const char **name);

#endif
