/*
 * metrics_database: the database's part of /metrics: pool, lanes, statements.
 */
#ifndef HTTP_API_METRICS_DATABASE_H
#define HTTP_API_METRICS_DATABASE_H

#include "core/metrics.h"
#include "pool/payment_store.h"

void metrics_database_write(struct metrics_writer *writer, const struct pg_pool *pool,
                            struct payment_store *store);

#endif
