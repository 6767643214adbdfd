/*
 * payment_work (private to pool/): how operations become statements, and rows their answers.
 *
 * One pg_work for the operations that share a statement; pure but for the clock. The members they
 * are given are those of a payment_op.
 */
#ifndef POOL_PAYMENT_WORK_PRIVATE_H
#define POOL_PAYMENT_WORK_PRIVATE_H

#include "pool/payment_store.h"

extern const struct pg_work PAYMENT_WORK_EVALUATE;
extern const struct pg_work PAYMENT_WORK_HOLD;
/* All that may happen to a hold: one statement for all of it. */
extern const struct pg_work PAYMENT_WORK_STEP;
/* Those that only read for an answer (payment_read_work.c). */
extern const struct pg_work PAYMENT_WORK_FIND;
extern const struct pg_work PAYMENT_WORK_FIND_KEY;
extern const struct pg_work PAYMENT_WORK_WALLET;
extern const struct pg_work PAYMENT_WORK_TRANSACTIONS;

/* REGION, as configured. */
struct span payment_store_region(const struct payment_store *store);
/* Where a read leaves what it has brought, for the answer that is written next. */
struct payment_read *payment_store_read(struct payment_store *store);

#endif
