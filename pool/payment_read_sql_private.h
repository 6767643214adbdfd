/*
 * payment_read_sql (private to pool/): parameters and rows of the statements that read for an
 * answer: find, find_key, wallet, transactions.
 *
 * Pure, as payment_sql: rows of another shape than the statement promises decode to false.
 */
#ifndef POOL_PAYMENT_READ_SQL_PRIVATE_H
#define POOL_PAYMENT_READ_SQL_PRIVATE_H

#include "pool/payment_read.h"
#include "pool/payment_sql_private.h"

/* What their parameters take in the storage. */
enum {
    PAYMENT_READ_SQL_FIND_BYTES_MAX = UUID7_BYTES + sizeof(int32_t) + PAYMENT_SQL_REGION_MAX,
    PAYMENT_READ_SQL_FIND_KEY_BYTES_MAX =
        SECRET_MAC_BYTES + sizeof(int32_t) + PAYMENT_SQL_REGION_MAX,
    PAYMENT_READ_SQL_WALLET_BYTES_MAX = sizeof(int64_t) + sizeof(int32_t) + PAYMENT_SQL_REGION_MAX,
    PAYMENT_READ_SQL_PAGE_BYTES_MAX =
        2 * sizeof(int64_t) + 2 * sizeof(int32_t) + UUID7_BYTES + PAYMENT_SQL_REGION_MAX,
};

/* Who asks, and of which region. */
struct payment_read_sql_asker {
    int32_t client_id;
    struct span region;
};

void payment_read_sql_encode_find(const struct uuid7 *id,
                                  const struct payment_read_sql_asker *asker,
                                  struct pg_params *params, struct buf *storage);
void payment_read_sql_encode_find_key(const struct secret_mac *key_hash,
                                      const struct payment_read_sql_asker *asker,
                                      struct pg_params *params, struct buf *storage);
void payment_read_sql_encode_wallet(int64_t wallet_id, const struct payment_read_sql_asker *asker,
                                    struct pg_params *params, struct buf *storage);
void payment_read_sql_encode_page(int64_t wallet_id, const struct payment_page_ask *ask,
                                  const struct payment_read_sql_asker *asker,
                                  struct pg_params *params, struct buf *storage);

/* Each sets *found; where it is false there is nothing of this client's, and nothing else is set.
 * The rows are not those of another region's database (payment_sql_is_elsewhere). */
MUST_USE bool payment_read_sql_decode_payment(const struct pg_rows *rows, bool *found,
                                              struct payment_decision *decision,
                                              struct payment_read *read);
MUST_USE bool payment_read_sql_decode_wallet(const struct pg_rows *rows, bool *found,
                                             struct payment_wallet *wallet);
MUST_USE bool payment_read_sql_decode_page(const struct pg_rows *rows, int32_t limit, bool *found,
                                           struct payment_read *read);

#endif
