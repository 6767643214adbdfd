/*
 * audit and purge: against a scripted database. What goes wrong at which statement, and what is
 * told of it; that the statements find what they are for is test/integration/test_audit.py's.
 */
#include "pool/audit.h"
#include "pool/migrate.h"
#include "pool/purge.h"
#include "test/fake/fake_pq.h"

#include "embedded_sql.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BATCH_ROWS = 10 };

/* The database: what it says. */
static struct {
    const char *region;
    int32_t version;
    unsigned full_batches; /* of every kind, before the one that is not full */
    int invariant, breaches;
    const char *fail_sql; /* this statement fails.. */
    const char *sqlstate; /* ..with this */
    unsigned batches, closed;
    char last_key[80];
} db;

static char *out_text, *err_text;
static size_t out_size, err_size;

static PGresult *open_row(void)
{
    char version[16];
    PGresult *row = fake_pq_rows(2);
    snprintf(version, sizeof(version), "%d", (int)db.version);
    fake_pq_add_text(row, db.region);
    fake_pq_add_text(row, version);
    return row;
}

static PGresult *texts(int count, const char *const *cells)
{
    PGresult *row = fake_pq_rows(count);
    for (int i = 0; i < count; i++)
        fake_pq_add_text(row, cells[i]);
    return row;
}

/* The key that a batch goes on behind is the one that the batch before gave. */
static const char *batch_size(const char *key)
{
    if (db.batches > 0 && db.full_batches > 0)
        assert_string_equal(key, db.last_key);
    snprintf(db.last_key, sizeof(db.last_key), "key-%u", db.batches++);
    return db.batches % (db.full_batches + 1) == 0 ? "3" : "10";
}

static PGresult *audit_batch(const char *const *values)
{
    char invariant[16], breaches[16];
    const bool first = db.batches % (db.full_batches + 1) == 0;
    if (first)
        snprintf(db.last_key, sizeof(db.last_key), "%s", values[0]);
    snprintf(invariant, sizeof(invariant), "%d", db.invariant);
    snprintf(breaches, sizeof(breaches), "%d", db.breaches);
    const char *looked = batch_size(values[0]);
    if (db.invariant == 0) {
        PGresult *row = fake_pq_rows(5);
        fake_pq_add_text(row, looked);
        fake_pq_add_text(row, db.last_key);
        for (int i = 0; i < 3; i++)
            fake_pq_add_text(row, "");
        return row;
    }
    return texts(5, (const char *const[]){looked, db.last_key, invariant, breaches, "wal_9"});
}

static PGresult *purge_batch(const char *const *values)
{
    const char *looked = batch_size(values[1]);
    return texts(4, (const char *const[]){looked, db.last_key, "2", "1"});
}

static PGresult *on_exec(const char *sql, int count, const char *const *values)
{
    (void)count;
    if (db.fail_sql != NULL && strcmp(sql, db.fail_sql) == 0)
        return fake_pq_error(db.sqlstate, "ERROR");
    if (strcmp(sql, SQL_OPS_OPEN) == 0)
        return open_row();
    if (strcmp(sql, SQL_OPS_AUDIT_OPEN) == 0)
        return texts(3, (const char *const[]){"7", "", "from"});
    if (strcmp(sql, SQL_OPS_PURGE_OPEN) == 0) {
        snprintf(db.last_key, sizeof(db.last_key), "from");
        return texts(4, (const char *const[]){"7", "before", "from", "end"});
    }
    if (strcmp(sql, SQL_OPS_PURGE_BATCH) == 0)
        return purge_batch(values);
    if (strcmp(sql, SQL_OPS_AUDIT_CLOSE) == 0) {
        db.closed++;
        return fake_pq_result(PGRES_COMMAND_OK);
    }
    if (strstr(sql, "pg_advisory_lock") != NULL)
        return fake_pq_result(PGRES_TUPLES_OK);
    return audit_batch(values);
}

static enum err run(bool audit, bool *broken)
{
    const struct audit_options audit_options = {
        .database_url = "host=h user=u", .region = "eu-1", .batch_rows = BATCH_ROWS};
    const struct purge_options purge_options = {.database_url = "host=h user=u",
                                                .region = "eu-1",
                                                .retention_days = 90,
                                                .batch_rows = BATCH_ROWS};
    free(out_text);
    free(err_text);
    FILE *out = open_memstream(&out_text, &out_size), *err = open_memstream(&err_text, &err_size);
    assert_non_null(out);
    assert_non_null(err);
    db.batches = db.closed = 0;
    *broken = false;
    const enum err result =
        audit ? audit_run(&audit_options, out, err, broken) : purge_run(&purge_options, out, err);
    fclose(out);
    fclose(err);
    assert_int_equal(fake_pq_live(), 0);
    assert_int_equal(result != ERR_OK, err_size > 0);
    return result;
}

static enum err audit(bool *broken)
{
    return run(true, broken);
}

static enum err purge(void)
{
    bool broken;
    return run(false, &broken);
}

static int set_up(void **state)
{
    (void)state;
    fake_pq_reset();
    fake_pq_on_exec(on_exec);
    memset(&db, 0, sizeof(db));
    db.region = "eu-1";
    db.version = MIGRATE_VERSION_LATEST;
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

static void test_audit_walks_each_kind_to_its_end(void **state)
{
    (void)state;
    bool broken;
    db.full_batches = 2;
    assert_int_equal(audit(&broken), ERR_OK);
    assert_false(broken);
    assert_int_equal(db.batches, 9);
    assert_int_equal(db.closed, 1);
    assert_non_null(
        strstr(out_text, "looked at 23 wallets, 23 decisions, 23 ledger rows in 9 statements, "));
    assert_non_null(strstr(out_text, "the ledger is whole\n"));
}

static void test_audit_names_five_offenders_and_counts_all(void **state)
{
    (void)state;
    bool broken;
    db.full_batches = 2;
    db.invariant = 11;
    db.breaches = 4;
    assert_int_equal(audit(&broken), ERR_OK);
    assert_true(broken);
    assert_non_null(strstr(out_text, "I11 BROKEN"));
    assert_non_null(
        strstr(out_text, ": 36 times, first wal_9, wal_9, wal_9, wal_9, wal_9\nthe ledger is "));
    assert_non_null(strstr(out_text, "the ledger is broken\n"));
}

/* An answer that nobody could have asked for is none. */
static void test_audit_takes_no_invariant_that_it_does_not_know(void **state)
{
    (void)state;
    bool broken;
    db.invariant = 12;
    db.breaches = 4;
    assert_int_equal(audit(&broken), ERR_OK);
    assert_false(broken);
}

static void test_audit_that_is_cut_off_tells_what_it_found(void **state)
{
    (void)state;
    bool broken;
    db.invariant = 1;
    db.breaches = 1;
    db.fail_sql = SQL_OPS_AUDIT_ENTRIES;
    db.sqlstate = "57014";
    assert_int_equal(audit(&broken), ERR_UNAVAILABLE);
    assert_true(broken);
    assert_int_equal(db.closed, 0);
    assert_non_null(strstr(out_text, "the ledger is broken\n"));

    db.invariant = 0;
    assert_int_equal(audit(&broken), ERR_UNAVAILABLE);
    assert_false(broken);
    assert_non_null(strstr(out_text, "not all of it was looked at\n"));
}

static void test_time_that_is_none_is_told_apart_from_a_database_that_fails(void **state)
{
    (void)state;
    bool broken;
    db.fail_sql = SQL_OPS_AUDIT_OPEN;
    db.sqlstate = "22007";
    assert_int_equal(audit(&broken), ERR_INVALID);
    db.sqlstate = "53300";
    assert_int_equal(audit(&broken), ERR_UNAVAILABLE);
    db.sqlstate = NULL;
    assert_int_equal(audit(&broken), ERR_UNAVAILABLE);
    assert_string_equal(out_text, "");
}

static void test_neither_works_on_another_regions_database(void **state)
{
    (void)state;
    bool broken;
    db.region = "us-1";
    assert_int_equal(audit(&broken), ERR_ELSEWHERE);
    assert_int_equal(purge(), ERR_ELSEWHERE);
    assert_int_equal(db.batches, 0);
    assert_non_null(strstr(err_text, "us-1"));
}

static void test_neither_works_on_another_schema(void **state)
{
    (void)state;
    bool broken;
    for (int step = -1; step <= 1; step += 2) {
        db.version = MIGRATE_VERSION_LATEST + step;
        assert_int_equal(audit(&broken), ERR_CONFLICT);
        assert_int_equal(purge(), ERR_CONFLICT);
        assert_int_equal(db.batches, 0);
    }
}

static void test_purge_goes_on_until_a_batch_is_not_full(void **state)
{
    (void)state;
    db.full_batches = 3;
    assert_int_equal(purge(), ERR_OK);
    assert_int_equal(db.batches, 4);
    assert_string_equal(out_text,
                        "records of before before: 8 deleted, 4 kept without their key\n");
}

static void test_every_statement_may_fail(void **state)
{
    (void)state;
    bool broken, failed = true;
    for (int audits = 0; audits < 2; audits++, failed = true) {
        for (unsigned nth = 1; failed; nth++) {
            assert_true(nth < 20);
            fake_pq_fail(FAKE_PQ_EXEC, nth, true);
            const enum err err = run(audits != 0, &broken);
            failed = fake_pq_has_failed();
            fake_pq_fail(FAKE_PQ_EXEC, 0, false);
            assert_int_equal(err, failed ? ERR_UNAVAILABLE : ERR_OK);
            assert_false(broken);
        }
    }
}

#define OPS_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OPS_TEST(test_audit_walks_each_kind_to_its_end),
        OPS_TEST(test_audit_names_five_offenders_and_counts_all),
        OPS_TEST(test_audit_takes_no_invariant_that_it_does_not_know),
        OPS_TEST(test_audit_that_is_cut_off_tells_what_it_found),
        OPS_TEST(test_time_that_is_none_is_told_apart_from_a_database_that_fails),
        OPS_TEST(test_neither_works_on_another_regions_database),
        OPS_TEST(test_neither_works_on_another_schema),
        OPS_TEST(test_purge_goes_on_until_a_batch_is_not_full),
        OPS_TEST(test_every_statement_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
