/*
 * migrate: applies pool/schema/NNNN_*.sql, embedded in the binary, in order, each in one
 * transaction.
 *
 * A subcommand's work, so it may block (pg_session). Takes an advisory
 * lock, so two pods cannot migrate at once; records name and SHA-256 of each file in
 * pay.schema_migration; refuses a file that changed after it was applied, and a database that is
 * ahead of this binary.
 */
#ifndef POOL_MIGRATE_H
#define POOL_MIGRATE_H

#include "core/check.h"
#include "core/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* The newest migration this binary knows. */
extern const int32_t MIGRATE_VERSION_LATEST;

struct migrate_options {
    const char *database_url; /* of the schema's owner */
    const char
        *region; /* recorded in pay.region at the first migration; another one later is refused */
};

/* Prints what it does, a line each. ERR_*: the reason is on `err`, without the URL. */
MUST_USE enum err migrate_run(const struct migrate_options *options, FILE *out, FILE *err);

#endif
