/* Results of fake_pq: built by a test, handed out by PQgetResult, gone with PQclear. */
#include "test/fake/fake_pq_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CELLS_MAX = 130 * 21 }; /* a payment with more steps than are shown */

struct cell {
    char *bytes; /* NULL: SQL's NULL */
    int size;
};

struct pg_result {
    ExecStatusType status;
    char *sqlstate, *severity;
    bool out; /* with the code under test */
    int columns, cell_count;
    struct cell cells[CELLS_MAX];
};

static unsigned results_out;

unsigned fake_pq_results_out(void)
{
    return results_out;
}

void fake_pq_results_reset(void)
{
    results_out = 0;
}

void fake_pq_hand_out(PGresult *result)
{
    result->out = true;
    results_out++;
}

PGresult *fake_pq_result(ExecStatusType status)
{
    PGresult *result = calloc(1, sizeof(*result));
    assert_non_null(result);
    result->status = status;
    return result;
}

PGresult *fake_pq_error(const char *sqlstate, const char *severity)
{
    PGresult *result = fake_pq_result(PGRES_FATAL_ERROR);
    result->sqlstate = sqlstate != NULL ? strdup(sqlstate) : NULL;
    result->severity = severity != NULL ? strdup(severity) : NULL;
    return result;
}

PGresult *fake_pq_rows(int columns)
{
    PGresult *result = fake_pq_result(PGRES_TUPLES_OK);
    result->columns = columns;
    return result;
}

void fake_pq_add_bytes(PGresult *rows, const void *bytes, size_t size)
{
    assert_true(rows->cell_count < CELLS_MAX);
    struct cell *cell = &rows->cells[rows->cell_count++];
    cell->bytes = malloc(size + 1);
    assert_non_null(cell->bytes);
    memcpy(cell->bytes, bytes, size);
    cell->bytes[size] = '\0';
    cell->size = (int)size;
}

void fake_pq_add_text(PGresult *rows, const char *text)
{
    fake_pq_add_bytes(rows, text, strlen(text));
}

static void add_number(PGresult *rows, uint64_t value, size_t size)
{
    unsigned char bytes[8];
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(value >> (8 * (size - 1 - i)));
    fake_pq_add_bytes(rows, bytes, size);
}

void fake_pq_add_int4(PGresult *rows, int32_t value)
{
    add_number(rows, (uint32_t)value, 4);
}

void fake_pq_add_int8(PGresult *rows, int64_t value)
{
    add_number(rows, (uint64_t)value, 8);
}

void fake_pq_add_null(PGresult *rows)
{
    assert_true(rows->cell_count < CELLS_MAX);
    rows->cells[rows->cell_count++] = (struct cell){.bytes = NULL};
}

void fake_pq_drop(PGresult *result)
{
    for (int i = 0; i < result->cell_count; i++)
        free(result->cells[i].bytes);
    free(result->sqlstate);
    free(result->severity);
    free(result);
}

/* ---- libpq ---- */

void PQclear(PGresult *result)
{
    if (result == NULL)
        return;
    assert_true(result->out);
    assert_true(results_out > 0);
    results_out--;
    fake_pq_drop(result);
}

ExecStatusType PQresultStatus(const PGresult *result)
{
    return result != NULL ? result->status : PGRES_FATAL_ERROR;
}

char *PQresultErrorField(const PGresult *result, int field)
{
    if (result == NULL)
        return NULL;
    if (field == PG_DIAG_SQLSTATE)
        return result->sqlstate;
    assert_int_equal(field, PG_DIAG_SEVERITY_NONLOCALIZED);
    return result->severity;
}

int PQnfields(const PGresult *result)
{
    return result != NULL ? result->columns : 0;
}

int PQntuples(const PGresult *result)
{
    if (result == NULL || result->columns == 0)
        return 0;
    assert_int_equal(result->cell_count % result->columns, 0);
    return result->cell_count / result->columns;
}

static const struct cell *cell_of(const PGresult *result, int row, int column)
{
    assert_in_range(column, 0, result->columns - 1);
    assert_in_range(row, 0, PQntuples(result) - 1);
    return &result->cells[row * result->columns + column];
}

char *PQgetvalue(const PGresult *result, int row, int column)
{
    static char none[1];
    const struct cell *cell = cell_of(result, row, column);
    return cell->bytes != NULL ? cell->bytes : none;
}

int PQgetlength(const PGresult *result, int row, int column)
{
    return cell_of(result, row, column)->size;
}

int PQgetisnull(const PGresult *result, int row, int column)
{
    return cell_of(result, row, column)->bytes == NULL;
}
