/*
 * purge: forgets Idempotency-Keys whose retention is over.
 *
 * A subcommand's work, so it may block (pg_session). A record without ledger rows (a declined hold
 * or increment) is deleted; one with ledger rows stays, without its key. The ledger is never
 * touched. Small batches, each a transaction: whoever ends it in the middle loses nothing, the next
 * run goes on from there. Afterwards the same key begins a new payment, which is what the retention
 * is about. The role pay_ops is enough.
 */
#ifndef POOL_PURGE_H
#define POOL_PURGE_H

#include "core/check.h"
#include "core/err.h"

#include <stdint.h>
#include <stdio.h>

struct purge_options {
    const char *database_url;
    const char *region; /* another one's database is refused */
    uint32_t retention_days;
    uint32_t batch_rows; /* at most so many records in one transaction */
};

/* Prints what it did, a line. ERR_*: it did not come to its end; the reason is on `err`, without
 * the URL, and what is done is done. */
MUST_USE enum err purge_run(const struct purge_options *options, FILE *out, FILE *err);

#endif
