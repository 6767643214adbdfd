/*
 * payment_step_sql (private to pool/): the parameters and rows of pool/sql/step_batch.sql, the one
 * statement of all that may happen to a hold.
 *
 * As payment_sql: pure, and a row that is not of the expected shape decodes to false.
 */
#ifndef POOL_PAYMENT_STEP_SQL_PRIVATE_H
#define POOL_PAYMENT_STEP_SQL_PRIVATE_H

#include "pool/payment_sql_private.h"

/* The most that the parameters of one step take in the storage, and n of them n times that. */
enum {
    PAYMENT_STEP_SQL_KIND_BYTES = 1,
    PAYMENT_STEP_SQL_BYTES_MAX =
        3 * PAYMENT_SQL_ARRAY_BYTES(UUID7_BYTES) + /* the step, the spare one, the hold */
        PAYMENT_SQL_ARRAY_BYTES(SECRET_MAC_BYTES) + PAYMENT_SQL_ARRAY_BYTES(SECRET_DIGEST_BYTES) +
        PAYMENT_SQL_ARRAY_BYTES(PAYMENT_STEP_SQL_KIND_BYTES) +
        PAYMENT_SQL_ARRAY_BYTES(sizeof(int64_t)) +     /* amount */
        4 * PAYMENT_SQL_ARRAY_BYTES(sizeof(int32_t)) + /* client, final, elapsed, budget */
        PAYMENT_SQL_REGION_MAX,
};

struct payment_sql_step {
    struct uuid7 txn_id;
    struct uuid7 spare_id; /* of a second row: what a final capture releases, or captures beyond */
    int32_t client_id;
    const struct secret_mac *key_hash; /* NULL: without a key, nothing is kept to be replayed */
    const struct secret_digest *fingerprint;
    const struct payment_step *step;
    int32_t elapsed_us, budget_us; /* as of a hold */
};
/* In order of arrival: those of one wallet and hold are decided one after another. */
void payment_step_sql_encode(const struct payment_sql_step *steps, uint32_t count,
                             struct span region, struct pg_params *params, struct buf *storage);

/* Sets what its `how` promises (core/payment.h). decision->wallet_id is 0 where the row tells none.
 * *busy: the wallet decision->wallet_id was locked or has changed meanwhile, nothing else is set.
 * A key that was used for a hold: a replay with the hold's fingerprint, nothing else is set. */
MUST_USE bool payment_step_sql_decode(const struct pg_rows *rows, uint32_t row,
                                      struct payment_step_decision *decision, bool *busy);

#endif
