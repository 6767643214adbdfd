/*
 * pg_array: PostgreSQL's binary formats: one-dimensional arrays and scalars in, columns out.
 *
 * Format: server's array_recv / array_send (ndim, flags, element oid, length, lower bound, then
 * length- prefixed elements), network byte order. Explicit OIDs at prepare; no quoting, no
 * escaping.
 */
#ifndef POOL_PG_ARRAY_PRIVATE_H
#define POOL_PG_ARRAY_PRIVATE_H

#include "core/buf.h"
#include "core/check.h"
#include "pool/pg_query.h"

#include <stdbool.h>
#include <stdint.h>

/* pg_type.oid of the types we send (catalog/pg_type.dat; fixed for all versions). */
enum {
    PG_OID_BYTEA = 17,
    PG_OID_INT8 = 20,
    PG_OID_INT4 = 23,
    PG_OID_TEXT = 25,
    PG_OID_TIMESTAMPTZ = 1184,
    PG_OID_UUID = 2950,
    PG_OID_BYTEA_ARRAY = 1001,
    PG_OID_INT4_ARRAY = 1007,
    PG_OID_TEXT_ARRAY = 1009,
    PG_OID_INT8_ARRAY = 1016,
    PG_OID_UUID_ARRAY = 2951,
};

/* What an array takes besides its elements' bytes: for itself, and for each element. */
enum { PG_ARRAY_HEADER_BYTES = 20, PG_ARRAY_ELEMENT_BYTES = 4 };

/* Appends one parameter to *params; its bytes go into *storage. The array's elements follow by the
 * adders, exactly `count` of them, then pg_array_end. A storage too small is a CHECK: sizes are our
 * arithmetic. */
struct pg_array {
    struct buf *storage;
    struct pg_params *params;
    uint32_t count, added;
    size_t start;
};
void pg_array_begin(struct pg_array *array, struct pg_params *params, struct buf *storage,
                    uint32_t element_oid, uint32_t count);
void pg_array_add_int4(struct pg_array *array, int32_t value);
void pg_array_add_int8(struct pg_array *array, int64_t value);
void pg_array_add_bytes(struct pg_array *array, struct span bytes); /* text, bytea, uuid */
void pg_array_add_null(struct pg_array *array);
void pg_array_end(struct pg_array *array);

/* Scalars. */
void pg_param_int4(struct pg_params *params, struct buf *storage, int32_t value);
void pg_param_int8(struct pg_params *params, struct buf *storage, int64_t value);
void pg_param_bytes(struct pg_params *params, struct buf *storage, struct span bytes);

/* Binary columns. False: NULL, or not of that width. */
uint32_t pg_rows_count(const struct pg_rows *rows);
uint32_t pg_rows_columns(const struct pg_rows *rows);
MUST_USE bool pg_row_int4(const struct pg_rows *rows, uint32_t row, uint32_t column,
                          int32_t *value);
MUST_USE bool pg_row_int8(const struct pg_rows *rows, uint32_t row, uint32_t column,
                          int64_t *value);
MUST_USE bool pg_row_bytes(const struct pg_rows *rows, uint32_t row, uint32_t column,
                           struct span *value);
/* timestamptz (microseconds since 2000-01-01) as wall microseconds since 1970. */
MUST_USE bool pg_row_time(const struct pg_rows *rows, uint32_t row, uint32_t column,
                          uint64_t *wall_us);

#endif
