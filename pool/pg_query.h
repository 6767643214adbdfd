/*
 * pg_query: one statement on its way: parameters in, answer out. No libpq type but the opaque
 * result.
 */
#ifndef POOL_PG_QUERY_H
#define POOL_PG_QUERY_H

#include "core/check.h"
#include "core/list.h"

#include <stdbool.h>
#include <stdint.h>

enum { PG_PARAMS_MAX = 16, PG_SQLSTATE_LEN = 5 };

/* A prepared statement. Every connection prepares all of them before it serves. */
struct pg_statement {
    const char *name;
    const char *sql;
    const uint32_t *param_types; /* OIDs */
    uint8_t param_count;
};

/* Binary parameters; the bytes are the caller's until pg_pool_send() returns. */
struct pg_params {
    uint8_t statement; /* index into the pool's statements */
    uint8_t count;
    const char *values[PG_PARAMS_MAX];
    int lengths[PG_PARAMS_MAX];
};

enum pg_answer_kind {
    PG_ANSWER_ROWS,  /* success; rows is valid during on_answer only */
    PG_ANSWER_ERROR, /* the server refused it: nothing of it is applied; sqlstate tells */
    PG_ANSWER_LOST,  /* sent, no answer, or one that says so: outcome unknown */
};

struct pg_rows; /* libpq's PGresult; only pool/ reads it, through pg_array */

struct pg_answer {
    enum pg_answer_kind kind;
    char sqlstate[PG_SQLSTATE_LEN + 1];
    const struct pg_rows *rows;
};

struct pg_query;
typedef void pg_query_fn(struct pg_query *query, const struct pg_answer *answer);

/* Storage is the caller's from pg_pool_send() == ERR_OK until on_answer. */
struct pg_query {
    uint64_t sent_us;
    uint8_t statement;
    pg_query_fn *on_answer;
};

#endif
