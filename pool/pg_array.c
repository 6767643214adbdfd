#include "pool/pg_array_private.h"

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <string.h>

/* Seconds between 1970-01-01 and PostgreSQL's epoch, 2000-01-01. */
#define PG_EPOCH_US (INT64_C(946684800) * 1000 * 1000)

/* What stands for the length of an element that is NULL: -1 on the wire. */
#define PG_NULL_LENGTH UINT32_MAX

static void store_u32(char *at, uint32_t value)
{
    const uint32_t wire = htonl(value);

    memcpy(at, &wire, sizeof(wire));
}

static void store_u64(char *at, uint64_t value)
{
    store_u32(at, (uint32_t)(value >> 32));
    store_u32(at + 4, (uint32_t)value);
}

static uint32_t load_u32(const char *at)
{
    uint32_t wire;

    memcpy(&wire, at, sizeof(wire));
    return ntohl(wire);
}

static uint64_t load_u64(const char *at)
{
    return (uint64_t)load_u32(at) << 32 | load_u32(at + 4);
}

static char *reserve(struct buf *storage, size_t count)
{
    CHECK(storage->cap - storage->len >= count);
    char *at = storage->data + storage->len;
    storage->len += count;
    return at;
}

static void param_push(struct pg_params *params, const char *value, size_t length)
{
    CHECK(params->count < PG_PARAMS_MAX);
    params->values[params->count] = value;
    params->lengths[params->count] = (int)length;
    params->count++;
}

void pg_array_begin(struct pg_array *array, struct pg_params *params, struct buf *storage,
                    uint32_t element_oid, uint32_t count)
{
    *array = (struct pg_array){
        .storage = storage, .params = params, .count = count, .start = storage->len};
    char *header = reserve(storage, PG_ARRAY_HEADER_BYTES);

    store_u32(header, 1);     /* dimensions */
    store_u32(header + 4, 0); /* no NULLs yet */
    store_u32(header + 8, element_oid);
    store_u32(header + 12, count);
    store_u32(header + 16, 1); /* lower bound */
}

static char *array_element(struct pg_array *array, size_t length)
{
    CHECK(array->added < array->count);
    array->added++;
    char *at = reserve(array->storage, PG_ARRAY_ELEMENT_BYTES + length);
    store_u32(at, (uint32_t)length);
    return at + PG_ARRAY_ELEMENT_BYTES;
}

void pg_array_add_int4(struct pg_array *array, int32_t value)
{
    store_u32(array_element(array, 4), (uint32_t)value);
}

void pg_array_add_int8(struct pg_array *array, int64_t value)
{
    store_u64(array_element(array, 8), (uint64_t)value);
}

void pg_array_add_bytes(struct pg_array *array, struct span bytes)
{
    memcpy(array_element(array, bytes.len), bytes.ptr, bytes.len);
}

void pg_array_add_null(struct pg_array *array)
{
    store_u32(array->storage->data + array->start + 4, 1);
    char *end = array_element(array, 0);
    store_u32(end - PG_ARRAY_ELEMENT_BYTES, PG_NULL_LENGTH);
}

void pg_array_end(struct pg_array *array)
{
    CHECK(array->added == array->count);
    param_push(array->params, array->storage->data + array->start,
               array->storage->len - array->start);
}

void pg_param_int4(struct pg_params *params, struct buf *storage, int32_t value)
{
    char *at = reserve(storage, 4);

    store_u32(at, (uint32_t)value);
    param_push(params, at, 4);
}

void pg_param_int8(struct pg_params *params, struct buf *storage, int64_t value)
{
    char *at = reserve(storage, 8);

    store_u64(at, (uint64_t)value);
    param_push(params, at, 8);
}

void pg_param_bytes(struct pg_params *params, struct buf *storage, struct span bytes)
{
    char *at = reserve(storage, bytes.len);

    memcpy(at, bytes.ptr, bytes.len);
    param_push(params, at, bytes.len);
}

/* struct pg_rows is never defined: it is libpq's result under our own name. */
static const PGresult *result_of(const struct pg_rows *rows)
{
    return (const PGresult *)(const void *)rows;
}

uint32_t pg_rows_count(const struct pg_rows *rows)
{
    return (uint32_t)PQntuples(result_of(rows));
}

uint32_t pg_rows_columns(const struct pg_rows *rows)
{
    return (uint32_t)PQnfields(result_of(rows));
}

bool pg_row_bytes(const struct pg_rows *rows, uint32_t row, uint32_t column, struct span *value)
{
    const PGresult *result = result_of(rows);

    if (row >= pg_rows_count(rows) || column >= pg_rows_columns(rows))
        return false;
    if (PQgetisnull(result, (int)row, (int)column))
        return false;
    value->ptr = PQgetvalue(result, (int)row, (int)column);
    value->len = (size_t)PQgetlength(result, (int)row, (int)column);
    return true;
}

bool pg_row_int4(const struct pg_rows *rows, uint32_t row, uint32_t column, int32_t *value)
{
    struct span bytes;

    if (!pg_row_bytes(rows, row, column, &bytes) || bytes.len != 4)
        return false;
    *value = (int32_t)load_u32(bytes.ptr);
    return true;
}

bool pg_row_int8(const struct pg_rows *rows, uint32_t row, uint32_t column, int64_t *value)
{
    struct span bytes;

    if (!pg_row_bytes(rows, row, column, &bytes) || bytes.len != 8)
        return false;
    *value = (int64_t)load_u64(bytes.ptr);
    return true;
}

bool pg_row_time(const struct pg_rows *rows, uint32_t row, uint32_t column, uint64_t *wall_us)
{
    int64_t since_2000_us;

    if (!pg_row_int8(rows, row, column, &since_2000_us) || since_2000_us < -PG_EPOCH_US)
        return false;
    *wall_us = (uint64_t)(since_2000_us + PG_EPOCH_US);
    return true;
}
