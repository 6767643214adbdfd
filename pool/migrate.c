#include "pool/migrate.h"

#include "core/buf.h"
#include "core/secret.h"
#include "embedded_sql.h"
#include "pool/pg_session_private.h"

#include <string.h>

const int32_t MIGRATE_VERSION_LATEST = EMBEDDED_MIGRATION_COUNT;

enum { MIGRATE_VALUE_TEXT_MAX = 16, MIGRATE_DIGEST_HEX_MAX = 2 * SECRET_DIGEST_BYTES + 1 };

/* Any fixed number; it only has to be the same in every binary that ever migrates. */
#define MIGRATE_ADVISORY_LOCK "7236271960185"
/* How long another pod's migration is waited for, and how long one of ours may make the service
 * wait. */
#define MIGRATE_WAIT_TURN "SET lock_timeout = '60s'"
#define MIGRATE_WAIT_TABLE "SET lock_timeout = '10s'"

#define MIGRATE_SETTINGS "-c statement_timeout=0"

struct migrate_session {
    struct pg_session database;
    FILE *out, *err;
};

/* Makes the record of migrations, and waits until no other pod migrates. */
static enum err migrate_begin(struct migrate_session *run)
{
    static const char *const steps[] = {
        MIGRATE_WAIT_TURN,
        "SELECT pg_advisory_lock(" MIGRATE_ADVISORY_LOCK ")",
        MIGRATE_WAIT_TABLE,
        "CREATE SCHEMA IF NOT EXISTS pay",
        "CREATE TABLE IF NOT EXISTS pay.schema_migration ("
        "  version int PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL,"
        "  applied_at timestamptz NOT NULL DEFAULT now())",
    };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        const enum err err = pg_session_exec(&run->database, steps[i]);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

static void migrate_digest(const struct embedded_migration *migration,
                           char hex[MIGRATE_DIGEST_HEX_MAX])
{
    const struct secret_digest digest = secret_hash(span_of(migration->sql));
    struct buf text;
    buf_init(&text, hex, MIGRATE_DIGEST_HEX_MAX - 1);
    buf_add_hex(&text, digest.bytes, sizeof digest.bytes);
    CHECK(!text.overflow);
    hex[text.len] = '\0';
}

/* Compares what is applied with what this binary knows. *applied: how many of ours are there, from
 * the first on. */
static enum err migrate_compare(struct migrate_session *run, int *applied)
{
    PGresult *rows = pg_session_query(
        &run->database, "SELECT version, name, sha256 FROM pay.schema_migration ORDER BY version",
        0, NULL);
    if (rows == NULL)
        return ERR_UNAVAILABLE;

    enum err err = ERR_OK;
    const int count = PQntuples(rows);
    for (int row = 0; row < count && err == ERR_OK; row++) {
        const char *version = PQgetvalue(rows, row, 0), *name = PQgetvalue(rows, row, 1);
        char hex[MIGRATE_DIGEST_HEX_MAX], expected[MIGRATE_VALUE_TEXT_MAX];
        snprintf(expected, sizeof expected, "%d", row + 1);
        if (row >= EMBEDDED_MIGRATION_COUNT) {
            fprintf(run->err,
                    "migrate: the database is at %s (%s), ahead of this binary, which knows %d; "
                    "use a newer binary\n",
                    PQgetvalue(rows, count - 1, 0), PQgetvalue(rows, count - 1, 1),
                    EMBEDDED_MIGRATION_COUNT);
            err = ERR_CONFLICT;
            break;
        }
        migrate_digest(&EMBEDDED_MIGRATIONS[row], hex);
        if (strcmp(version, expected) != 0) {
            fprintf(run->err, "migrate: pay.schema_migration has no record %s before %s (%s)\n",
                    expected, version, name);
            err = ERR_CONFLICT;
        } else if (strcmp(PQgetvalue(rows, row, 2), hex) != 0) {
            fprintf(run->err,
                    "migrate: %s was changed after it was applied; put it back, and write a new "
                    "migration instead\n",
                    name);
            err = ERR_CONFLICT;
        }
    }
    PQclear(rows);
    *applied = count;
    return err;
}

/* The file and its record in one transaction. */
static enum err migrate_apply(struct migrate_session *run,
                              const struct embedded_migration *migration)
{
    char hex[MIGRATE_DIGEST_HEX_MAX], version[MIGRATE_VALUE_TEXT_MAX];
    migrate_digest(migration, hex);
    snprintf(version, sizeof version, "%d", migration->version);
    const char *const record[] = {version, migration->name, hex};

    enum err err = pg_session_exec(&run->database, "BEGIN");
    if (err == ERR_OK)
        err = pg_session_exec(&run->database, migration->sql);
    if (err == ERR_OK) {
        PGresult *result = pg_session_query(
            &run->database,
            "INSERT INTO pay.schema_migration (version, name, sha256) VALUES ($1::int, $2, $3)", 3,
            record);
        err = result == NULL ? ERR_UNAVAILABLE : ERR_OK;
        PQclear(result);
    }
    if (err == ERR_OK)
        err = pg_session_exec(&run->database, "COMMIT");
    if (err != ERR_OK) {
        /* The connection is closed next, which rolls back. */
        fprintf(run->err, "migrate: %s was not applied; nothing of it is in the database\n",
                migration->name);
        return err;
    }
    fprintf(run->out, "applied %s\n", migration->name);
    return ERR_OK;
}

/* The residency guard: a database belongs to the region that migrated it first. */
static enum err migrate_check_region(struct migrate_session *run, const char *region)
{
    PGresult *rows = pg_session_query(&run->database, "SELECT region FROM pay.region", 0, NULL);
    if (rows == NULL)
        return ERR_UNAVAILABLE;
    enum err err = ERR_OK;
    if (PQntuples(rows) > 0 && strcmp(PQgetvalue(rows, 0, 0), region) != 0) {
        fprintf(run->err,
                "migrate: this database holds the data of region %s, but REGION is %s; "
                "nothing was changed\n",
                PQgetvalue(rows, 0, 0), region);
        err = ERR_CONFLICT;
    }
    PQclear(rows);
    return err;
}

static enum err migrate_claim_region(struct migrate_session *run, const char *region)
{
    const char *const values[] = {region};
    PGresult *result = pg_session_query(
        &run->database, "INSERT INTO pay.region (region) VALUES ($1) ON CONFLICT DO NOTHING", 1,
        values);
    const enum err err = result == NULL ? ERR_UNAVAILABLE : ERR_OK;
    PQclear(result);
    return err;
}

static enum err migrate_all(struct migrate_session *run, const char *region)
{
    enum err err = migrate_begin(run);
    int applied = 0;
    if (err == ERR_OK)
        err = migrate_compare(run, &applied);
    if (err == ERR_OK && applied > 0)
        err = migrate_check_region(run, region);
    if (err == ERR_OK && applied == EMBEDDED_MIGRATION_COUNT)
        fprintf(run->out, "already at %d\n", applied);
    for (int i = applied; err == ERR_OK && i < EMBEDDED_MIGRATION_COUNT; i++)
        err = migrate_apply(run, &EMBEDDED_MIGRATIONS[i]);
    if (err == ERR_OK)
        err = migrate_claim_region(run, region);
    return err;
}

enum err migrate_run(const struct migrate_options *options, FILE *out, FILE *err_out)
{
    CHECK(options->database_url != NULL);
    CHECK(options->region != NULL && options->region[0] != '\0');
    struct migrate_session run = {
        .database = {.who = "migrate", .err = err_out}, .out = out, .err = err_out};

    enum err err = pg_session_open(&run.database, options->database_url, MIGRATE_SETTINGS);
    if (err == ERR_OK)
        err = migrate_all(&run, options->region);
    pg_session_close(&run.database); /* gives the advisory lock back */
    return err;
}
