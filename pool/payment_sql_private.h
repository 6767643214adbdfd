/*
 * payment_sql (private to pool/): the prepared statements of pool/sql/, their parameters and their
 * rows.
 *
 * Pure encoding and decoding: owns nothing, sends nothing. A row that is not of the expected shape
 * decodes to false, never to a guess.
 */
#ifndef POOL_PAYMENT_SQL_PRIVATE_H
#define POOL_PAYMENT_SQL_PRIVATE_H

#include "core/config.h"
#include "core/payment.h"
#include "core/secret.h"
#include "core/uuid7.h"
#include "pool/audit.h"
#include "pool/pg_array_private.h"
#include "pool/pg_query.h"

#include <stdbool.h>
#include <stdint.h>

enum payment_sql {
    PAYMENT_SQL_EVAL_BATCH,
    PAYMENT_SQL_EVAL_ONE,
    PAYMENT_SQL_HOLD_BATCH,
    PAYMENT_SQL_HOLD_FOLD,
    PAYMENT_SQL_STEP_BATCH,
    PAYMENT_SQL_FIND,
    PAYMENT_SQL_EXPIRE_BATCH,
    PAYMENT_SQL_FIND_KEY,
    PAYMENT_SQL_WALLET,
    PAYMENT_SQL_TRANSACTIONS,
    PAYMENT_SQL_PROBE,
};
enum {
    PAYMENT_SQL_STATEMENTS = PAYMENT_SQL_PROBE + 1,
    PAYMENT_SQL_OF_CALLERS = PAYMENT_SQL_PROBE, /* the first ones: all but the probe's */
    PAYMENT_SQL_TEXT_MAX = 64,
    PAYMENT_SQL_REGION_MAX = CONFIG_TEXT_MAX - 1,
};

/* An array of one element of this size. */
#define PAYMENT_SQL_ARRAY_BYTES(element_bytes)                                                     \
    (PG_ARRAY_HEADER_BYTES + PG_ARRAY_ELEMENT_BYTES + (int)(element_bytes))

/* The most that the parameters of one take in the storage. A batch of n takes less than n times
 * that: what it has once, the arrays' headers and the region, is counted n times. */
enum {
    PAYMENT_SQL_EVALUATE_BYTES_MAX =
        2 * PAYMENT_SQL_ARRAY_BYTES(sizeof(int64_t)) + /* wallet, amount */
        PAYMENT_SQL_ARRAY_BYTES(PAYMENT_CURRENCY_LEN) +
        PAYMENT_SQL_ARRAY_BYTES(sizeof(int32_t)) + /* mcc */
        PAYMENT_SQL_ARRAY_BYTES(PAYMENT_COUNTRY_LEN) + PAYMENT_SQL_REGION_MAX,
    PAYMENT_SQL_HOLD_BYTES_MAX =
        PAYMENT_SQL_ARRAY_BYTES(UUID7_BYTES) + PAYMENT_SQL_ARRAY_BYTES(SECRET_MAC_BYTES) +
        PAYMENT_SQL_ARRAY_BYTES(SECRET_DIGEST_BYTES) +
        4 * PAYMENT_SQL_ARRAY_BYTES(sizeof(int32_t)) + /* client, elapsed, budget, expires in */
        PAYMENT_SQL_EVALUATE_BYTES_MAX,
};

/* Indexed by enum payment_sql: the pool's statements. */
extern const struct pg_statement PAYMENT_SQL[PAYMENT_SQL_STATEMENTS];

/* One of them goes as scalars, more as arrays. */
void payment_sql_encode_evaluate(const struct payment_command *const *commands, uint32_t count,
                                 struct span region, struct pg_params *params, struct buf *storage);

struct payment_sql_hold {
    struct uuid7 txn_id;
    int32_t client_id;
    const struct secret_mac *key_hash;
    const struct secret_digest *fingerprint;
    const struct payment_command *command;
    int32_t elapsed_us; /* of the request so far: part of the recorded processing time */
    int32_t budget_us;  /* what is left: later than that nothing moves */
};
/* Those of one wallet are neighbours, in order of arrival, and are decided one after another. */
void payment_sql_encode_hold(const struct payment_sql_hold *holds, uint32_t count,
                             struct span region, struct pg_params *params, struct buf *storage);

/* No row at all: the database is another region's, and nothing was read or written. */
MUST_USE bool payment_sql_is_elsewhere(const struct pg_rows *rows);
/* Column n of a batch row as an index below count. */
MUST_USE bool payment_sql_row_number(const struct pg_rows *rows, uint32_t row, uint32_t count,
                                     uint32_t *index);
/* Sets code and balance. */
MUST_USE bool payment_sql_decode_evaluate(const struct pg_rows *rows, uint32_t row,
                                          struct payment_decision *decision);
/* Sets everything that is recorded; *busy: the wallet was locked, nothing else is set. */
MUST_USE bool payment_sql_decode_hold(const struct pg_rows *rows, uint32_t row,
                                      struct payment_decision *decision, bool *busy);
/* What is recorded of a hold, from column `first` on: txn_id fingerprint code balance_after
 * processing_us created_at wallet_id amount currency mcc. */
MUST_USE bool payment_sql_decode_recorded(const struct pg_rows *rows, uint32_t row, uint32_t first,
                                          struct payment_decision *decision);

/* Holds a secret: what Idempotency-Keys are hashed with. */
struct payment_probe_row {
    char region[PAYMENT_SQL_TEXT_MAX * 4], isolation[PAYMENT_SQL_TEXT_MAX];
    int32_t schema_version;
    uint8_t idempotency_key[SECRET_MAC_KEY_BYTES];
    bool has_reference;
    struct payment_command reference;
    struct audit_result whole_audit, recent_audit;
};
MUST_USE bool payment_sql_decode_probe(const struct pg_rows *rows, struct payment_probe_row *row);

#endif
