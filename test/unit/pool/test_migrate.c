/*
 * migrate: against a scripted database that remembers pay.schema_migration and pay.region, and what
 * was executed. Every step is made to fail once.
 */
#include "pool/migrate.h"
#include "test/fake/fake_pq.h"

#include "core/buf.h"
#include "core/secret.h"
#include "embedded_sql.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { RECORDS_MAX = 16, TEXT_MAX = 80 };

struct record {
    char version[TEXT_MAX], name[TEXT_MAX], digest[TEXT_MAX];
};

/* The database: what is committed, and what a transaction would add. */
static struct {
    struct record records[RECORDS_MAX];
    int record_count, pending;
    bool in_transaction, locked;
    char region[TEXT_MAX];
    const char *fail_text; /* a statement that holds it fails.. */
    const char *sqlstate;  /* ..with this */
    unsigned statements;
} db;

static char *out_text, *err_text;
static size_t out_size, err_size;

static PGresult *ok(void)
{
    return fake_pq_result(PGRES_COMMAND_OK);
}

static PGresult *select_records(void)
{
    PGresult *rows = fake_pq_rows(3);
    assert_true(db.locked);
    for (int i = 0; i < db.record_count; i++) {
        fake_pq_add_text(rows, db.records[i].version);
        fake_pq_add_text(rows, db.records[i].name);
        fake_pq_add_text(rows, db.records[i].digest);
    }
    return rows;
}

static PGresult *insert_record(const char *const *values)
{
    assert_true(db.in_transaction);
    struct record *record = &db.records[db.record_count + db.pending++];
    snprintf(record->version, TEXT_MAX, "%s", values[0]);
    snprintf(record->name, TEXT_MAX, "%s", values[1]);
    snprintf(record->digest, TEXT_MAX, "%s", values[2]);
    return ok();
}

static PGresult *select_region(void)
{
    PGresult *rows = fake_pq_rows(1);
    if (db.region[0] != '\0')
        fake_pq_add_text(rows, db.region);
    return rows;
}

static PGresult *on_exec(const char *sql, int count, const char *const *values)
{
    db.statements++;
    if (db.fail_text != NULL && strstr(sql, db.fail_text) != NULL)
        return fake_pq_error(db.sqlstate, "ERROR");
    if (strstr(sql, "pg_advisory_lock") != NULL)
        db.locked = true;
    if (strstr(sql, "FROM pay.schema_migration") != NULL)
        return select_records();
    if (strstr(sql, "INSERT INTO pay.schema_migration") != NULL && count == 3)
        return insert_record(values);
    if (strcmp(sql, "SELECT region FROM pay.region") == 0)
        return select_region();
    if (strstr(sql, "INSERT INTO pay.region") != NULL && count == 1) {
        if (db.region[0] == '\0')
            snprintf(db.region, TEXT_MAX, "%s", values[0]);
        return ok();
    }
    if (strcmp(sql, "BEGIN") == 0) {
        assert_false(db.in_transaction);
        db.in_transaction = true;
    } else if (strcmp(sql, "COMMIT") == 0) {
        db.record_count += db.pending;
        db.pending = 0;
        db.in_transaction = false;
    }
    return ok();
}

static enum err run(const char *url, const char *region)
{
    const struct migrate_options options = {.database_url = url, .region = region};
    free(out_text);
    free(err_text);
    FILE *out = open_memstream(&out_text, &out_size), *err = open_memstream(&err_text, &err_size);
    assert_non_null(out);
    assert_non_null(err);
    const enum err result = migrate_run(&options, out, err);
    fclose(out);
    fclose(err);
    /* The connection is gone: so are its lock and its open transaction. */
    assert_int_equal(fake_pq_live(), 0);
    db.locked = db.in_transaction = false;
    db.pending = 0;
    assert_null(strstr(err_text, "s3cret"));
    assert_int_equal(result != ERR_OK, err_size > 0);
    return result;
}

static enum err migrate(void)
{
    return run("host=h user=u password=s3cret", "eu-1");
}

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(secret_init(), ERR_OK);
    fake_pq_reset();
    fake_pq_on_exec(on_exec);
    memset(&db, 0, sizeof(db));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(out_text);
    free(err_text);
    out_text = err_text = NULL;
    fake_pq_check_clean();
    return 0;
}

static void test_empty_database_gets_every_migration(void **state)
{
    (void)state;
    assert_int_equal(migrate(), ERR_OK);

    assert_int_equal(db.record_count, MIGRATE_VERSION_LATEST);
    assert_string_equal(db.region, "eu-1");
    for (int i = 0; i < EMBEDDED_MIGRATION_COUNT; i++) {
        char line[2 * TEXT_MAX];
        snprintf(line, sizeof(line), "applied %s\n", EMBEDDED_MIGRATIONS[i].name);
        assert_non_null(strstr(out_text, line));
        assert_string_equal(db.records[i].name, EMBEDDED_MIGRATIONS[i].name);
        assert_int_equal(strlen(db.records[i].digest), 2 * SECRET_DIGEST_BYTES);
    }
}

static void test_second_run_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(migrate(), ERR_OK);
    assert_int_equal(migrate(), ERR_OK);

    char line[TEXT_MAX];
    snprintf(line, sizeof(line), "already at %d\n", EMBEDDED_MIGRATION_COUNT);
    assert_string_equal(out_text, line);
    assert_int_equal(db.record_count, EMBEDDED_MIGRATION_COUNT);
}

static void test_half_migrated_database_gets_the_rest(void **state)
{
    (void)state;
    assert_int_equal(migrate(), ERR_OK);
    db.record_count--;

    assert_int_equal(migrate(), ERR_OK);

    assert_int_equal(db.record_count, EMBEDDED_MIGRATION_COUNT);
    assert_null(strstr(out_text, EMBEDDED_MIGRATIONS[0].name));
    assert_non_null(strstr(out_text, EMBEDDED_MIGRATIONS[EMBEDDED_MIGRATION_COUNT - 1].name));
}

static void test_changed_file_is_refused(void **state)
{
    (void)state;
    assert_int_equal(migrate(), ERR_OK);
    db.records[0].digest[5] ^= 1;
    assert_int_equal(migrate(), ERR_CONFLICT);
    assert_non_null(strstr(err_text, "was changed after it was applied"));
}

static void test_gap_in_the_records_is_refused(void **state)
{
    (void)state;
    assert_int_equal(migrate(), ERR_OK);
    snprintf(db.records[0].version, TEXT_MAX, "2");
    assert_int_equal(migrate(), ERR_CONFLICT);
    assert_non_null(strstr(err_text, "has no record 1 before 2"));
}

static void test_database_ahead_of_the_binary_is_refused(void **state)
{
    (void)state;
    assert_int_equal(migrate(), ERR_OK);
    db.records[db.record_count] = db.records[db.record_count - 1];
    snprintf(db.records[db.record_count++].version, TEXT_MAX, "%d", EMBEDDED_MIGRATION_COUNT + 1);
    assert_int_equal(migrate(), ERR_CONFLICT);
    assert_non_null(strstr(err_text, "ahead of this binary"));
}

static void test_another_regions_database_is_refused(void **state)
{
    (void)state;
    assert_int_equal(migrate(), ERR_OK);
    assert_int_equal(run("host=h user=u", "us-1"), ERR_CONFLICT);
    assert_non_null(strstr(err_text, "eu-1"));
    assert_string_equal(db.region, "eu-1");
}

static void test_database_without_a_region_is_claimed(void **state)
{
    (void)state;
    assert_int_equal(migrate(), ERR_OK);
    db.region[0] = '\0';
    assert_int_equal(run("host=h user=u", "us-1"), ERR_OK);
    assert_string_equal(db.region, "us-1");
}

static void test_url_that_is_none_is_refused_without_quoting_it(void **state)
{
    (void)state;
    assert_int_equal(run("s3cret", "eu-1"), ERR_INVALID);
    assert_int_equal(fake_pq_made(), 0);
    assert_non_null(strstr(err_text, "not a valid connection string"));
}

static void test_no_connection(void **state)
{
    (void)state;
    fake_pq_next.start_bad = true;
    assert_int_equal(migrate(), ERR_UNAVAILABLE);
    assert_non_null(strstr(err_text, "connection refused"));

    fake_pq_fail(FAKE_PQ_CONNECTDB, 1, false);
    assert_int_equal(migrate(), ERR_UNAVAILABLE);
    assert_non_null(strstr(err_text, "out of memory"));
    assert_int_equal(db.statements, 0);
}

static void test_lock_that_is_held_too_long_is_said_in_words(void **state)
{
    (void)state;
    db.fail_text = "pg_advisory_lock";
    db.sqlstate = "55P03";
    assert_int_equal(migrate(), ERR_UNAVAILABLE);
    assert_non_null(strstr(err_text, "another session holds a lock"));
}

static void test_statement_that_the_server_refuses_applies_nothing(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {"SET lock_timeout",
                                        "CREATE SCHEMA IF NOT EXISTS pay",
                                        "FROM pay.schema_migration",
                                        "BEGIN",
                                        "INSERT INTO pay.schema_migration",
                                        "COMMIT"};
    for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++) {
        db.fail_text = TEXTS[i];
        db.sqlstate = i % 2 == 0 ? "42501" : NULL;
        assert_int_equal(migrate(), ERR_UNAVAILABLE);
        assert_int_equal(db.record_count, 0);
        assert_string_equal(db.region, "");
    }
}

/* Whatever fails, at whatever statement: nothing half is recorded, and the next run ends it. */
static void test_every_statement_may_fail_once(void **state)
{
    (void)state;
    bool failed = true;
    for (unsigned nth = 1; failed; nth++) {
        assert_true(nth < 100);
        for (int breaks = 0; breaks < 2; breaks++) {
            memset(&db, 0, sizeof(db));
            fake_pq_fail(FAKE_PQ_EXEC, nth, breaks != 0);
            const enum err err = migrate();
            failed = fake_pq_has_failed();
            fake_pq_fail(FAKE_PQ_EXEC, 0, false);
            assert_int_equal(err, failed ? ERR_UNAVAILABLE : ERR_OK);
            assert_int_equal(migrate(), ERR_OK);
            assert_int_equal(db.record_count, EMBEDDED_MIGRATION_COUNT);
            assert_string_equal(db.region, "eu-1");
        }
    }
}

#define MIGRATE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MIGRATE_TEST(test_empty_database_gets_every_migration),
        MIGRATE_TEST(test_second_run_changes_nothing),
        MIGRATE_TEST(test_half_migrated_database_gets_the_rest),
        MIGRATE_TEST(test_changed_file_is_refused),
        MIGRATE_TEST(test_gap_in_the_records_is_refused),
        MIGRATE_TEST(test_database_ahead_of_the_binary_is_refused),
        MIGRATE_TEST(test_another_regions_database_is_refused),
        MIGRATE_TEST(test_database_without_a_region_is_claimed),
        MIGRATE_TEST(test_url_that_is_none_is_refused_without_quoting_it),
        MIGRATE_TEST(test_no_connection),
        MIGRATE_TEST(test_lock_that_is_held_too_long_is_said_in_words),
        MIGRATE_TEST(test_statement_that_the_server_refuses_applies_nothing),
        MIGRATE_TEST(test_every_statement_may_fail_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
