/*
 * audit: are the books whole? Looks at every invariant of the ledger, I1 to I11.
 *
 * A subcommand's work, so it may block (pg_session). Reads by key in bounded batches, each a
 * statement with a snapshot of its own: no snapshot is held longer than a batch takes, so vacuum
 * and the hot wallets' row versions do not wait for an audit, and its memory does not grow with the
 * ledger. That needs no common snapshot, because what a payment changes it changes in one
 * transaction, every invariant is looked at within one statement, and ledger rows are never
 * changed: what was whole stays so, and rows that come meanwhile are whole, too.
 *
 * Writes nothing but its own row in pay.audit_run; the role pay_ops is enough. What is
 * committed late under an older identifier while it runs is the next run's to look at.
 */
#ifndef POOL_AUDIT_H
#define POOL_AUDIT_H

#include "core/check.h"
#include "core/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct audit_options {
    const char *database_url;
    const char *region;  /* another one's database is refused */
    const char *since;   /* "last", "26h" (a number and s, m, h or d) or a time; NULL: everything */
    uint32_t batch_rows; /* at most so many of a kind in one statement */
};

/* How one ended that is over. */
struct audit_result {
    uint64_t finished_s; /* since 1970; 0: there was none */
    uint64_t breaches;
};

/* Prints what it looked at and a line for each invariant. ERR_OK: it came to its end; *broken says
 * whether anything was found. ERR_INVALID: since is none of the three; others: it could not look.
 * The reason is on `err`, without the URL. */
MUST_USE enum err audit_run(const struct audit_options *options, FILE *out, FILE *err,
                            bool *broken);

#endif
