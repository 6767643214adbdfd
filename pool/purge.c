#include "pool/purge.h"

#include "embedded_sql.h"
#include "pool/ops_guard_private.h"
#include "pool/pg_session_private.h"

#include <inttypes.h>

enum { PURGE_TEXT_BYTES = 64 };

/* Two purges at once would do everything twice. Any fixed number that no other command takes. */
#define PURGE_TURN "SELECT pg_advisory_lock(7236271960186)"
/* A batch that waits for a lock gives way: the next run goes on there. */
#define PURGE_SETTINGS                                                                             \
    "-c statement_timeout=60s -c lock_timeout=5s -c jit=off -c enable_hashjoin=off "               \
    "-c enable_mergejoin=off -c enable_seqscan=off "                                               \
    "-c default_transaction_isolation=read\\ committed"

struct purge {
    struct pg_session session;
    const struct purge_options *options;
    char run[PURGE_TEXT_BYTES], before[PURGE_TEXT_BYTES];
    char key[PURGE_TEXT_BYTES], end[PURGE_TEXT_BYTES]; /* identifiers: done up to, stop before */
    uint64_t deleted, forgotten;
};

static void copy_cell(char out[PURGE_TEXT_BYTES], const PGresult *rows, int column)
{
    snprintf(out, PURGE_TEXT_BYTES, "%s", PQgetvalue(rows, 0, column));
}

static enum err purge_open(struct purge *purge)
{
    char days[PURGE_TEXT_BYTES];

    snprintf(days, sizeof(days), "%" PRIu32, purge->options->retention_days);
    const char *const values[] = {days};
    PGresult *row = pg_session_query(&purge->session, SQL_OPS_PURGE_OPEN, 1, values);
    if (row == NULL)
        return ERR_UNAVAILABLE;
    copy_cell(purge->run, row, 0);
    copy_cell(purge->before, row, 1);
    copy_cell(purge->key, row, 2);
    copy_cell(purge->end, row, 3);
    PQclear(row);
    return ERR_OK;
}

/* Batch by batch, until one comes back that is not full. */
static enum err purge_walk(struct purge *purge)
{
    char limit[PURGE_TEXT_BYTES];
    uint64_t looked;

    snprintf(limit, sizeof(limit), "%" PRIu32, purge->options->batch_rows);
    do {
        const char *const values[] = {purge->run, purge->key, purge->end, purge->before, limit};
        PGresult *row = pg_session_query(&purge->session, SQL_OPS_PURGE_BATCH, 5, values);
        if (row == NULL)
            return ERR_UNAVAILABLE;
        looked = pg_session_count(row, 0, 0);
        copy_cell(purge->key, row, 1);
        purge->deleted += pg_session_count(row, 0, 2);
        purge->forgotten += pg_session_count(row, 0, 3);
        PQclear(row);
    } while (looked >= purge->options->batch_rows);
    return ERR_OK;
}

static enum err purge_all(struct purge *purge, FILE *out)
{
    enum err err = ops_guard(&purge->session, purge->options->region);

    if (err == ERR_OK)
        err = pg_session_exec(&purge->session, PURGE_TURN);
    if (err == ERR_OK)
        err = purge_open(purge);
    if (err == ERR_OK)
        err = purge_walk(purge);
    if (purge->before[0] != '\0')
        fprintf(out,
                "records of before %s: %" PRIu64 " deleted, %" PRIu64 " kept without their key%s\n",
                purge->before, purge->deleted, purge->forgotten,
                err == ERR_OK ? "" : "; not finished");
    return err;
}

enum err purge_run(const struct purge_options *options, FILE *out, FILE *err_out)
{
    CHECK(options->region[0] != '\0');
    CHECK(options->batch_rows > 0);
    struct purge purge = {.session = {.who = "purge", .err = err_out}, .options = options};

    enum err err = pg_session_open(&purge.session, options->database_url, PURGE_SETTINGS);
    if (err == ERR_OK)
        err = purge_all(&purge, out);
    pg_session_close(&purge.session);
    return err;
}
