/*
 * payment_work (private to pool/): how operations become statements, and rows their answers.
 *
 * One pg_work for each kind of operation; pure but for the clock. The members they are given are
 * those of a payment_op.
 */
#ifndef POOL_PAYMENT_WORK_PRIVATE_H
#define POOL_PAYMENT_WORK_PRIVATE_H

#include "pool/payment_store.h"

extern const struct pg_work PAYMENT_WORK_EVALUATE;
extern const struct pg_work PAYMENT_WORK_HOLD;
extern const struct pg_work PAYMENT_WORK_FIND;
extern const struct pg_work PAYMENT_WORK_VOID;

/* REGION, as configured. */
struct span payment_store_region(const struct payment_store *store);

#endif
