/* payment_sql: parameters as the statements declare them; rows that are not whole decode to false,
 * whichever column is broken and however. */
#include "pool/payment_sql_private.h"
#include "pool/pg_array_private.h"
#include "rows_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { BATCH_MAX = 32, STORAGE_BYTES = 32 * 1024 };

static char storage_bytes[STORAGE_BYTES];
static struct buf storage;
static struct pg_params params;
static PGresult *result;

static int set_up(void **state)
{
    (void)state;
    fake_pq_reset();
    memset(&params, 0, sizeof(params));
    buf_init(&storage, storage_bytes, sizeof(storage_bytes));
    rows_damage(-1, ROWS_WHOLE);
    result = NULL;
    return 0;
}

static void put(PGresult *fresh)
{
    if (result != NULL)
        fake_pq_drop(result);
    result = fresh;
}

static int tear_down(void **state)
{
    (void)state;
    put(NULL);
    fake_pq_check_clean();
    return 0;
}

static struct payment_command command_of(int n)
{
    return (struct payment_command){.wallet_id = 100 + n,
                                    .amount_minor = 250 + n,
                                    .currency = "EUR",
                                    .merchant_country = "DE",
                                    .mcc = (uint16_t)(5411 + n)};
}

/* ---- parameters ---- */

static uint32_t u32_at(const char *bytes)
{
    const unsigned char *b = (const unsigned char *)bytes;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Parameter i is an array of the element type with so many elements, the last one of this size. */
static void assert_array(int i, uint32_t oid, uint32_t count, uint32_t last_size)
{
    const char *bytes = params.values[i];
    assert_int_equal(u32_at(bytes), 1); /* dimensions */
    assert_int_equal(u32_at(bytes + 8), oid);
    assert_int_equal(u32_at(bytes + 12), count);
    assert_true((uint32_t)params.lengths[i] >= 20 + 4 + last_size);
    assert_int_equal(u32_at(bytes + params.lengths[i] - last_size - 4), last_size);
}

static void test_statements_are_all_there(void **state)
{
    (void)state;
    for (int i = 0; i < PAYMENT_SQL_STATEMENTS; i++) {
        assert_non_null(PAYMENT_SQL[i].name);
        assert_true(strlen(PAYMENT_SQL[i].sql) > 0);
        assert_int_equal(PAYMENT_SQL[i].param_types != NULL, PAYMENT_SQL[i].param_count > 0);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(PAYMENT_SQL[i].name, PAYMENT_SQL[j].name);
        /* Every declared parameter is used, and no other. */
        char last[8], next[8];
        snprintf(last, sizeof(last), "$%d", PAYMENT_SQL[i].param_count);
        snprintf(next, sizeof(next), "$%d", PAYMENT_SQL[i].param_count + 1);
        if (PAYMENT_SQL[i].param_count > 0)
            assert_non_null(strstr(PAYMENT_SQL[i].sql, last));
        assert_null(strstr(PAYMENT_SQL[i].sql, next));
    }
}

static void test_one_evaluation_goes_as_scalars(void **state)
{
    (void)state;
    const struct payment_command command = command_of(0), *commands[] = {&command};

    payment_sql_encode_evaluate(commands, 1, SPAN("eu-1"), &params, &storage);

    assert_int_equal(params.statement, PAYMENT_SQL_EVAL_ONE);
    assert_int_equal(params.count, PAYMENT_SQL[PAYMENT_SQL_EVAL_ONE].param_count);
    static const int LENGTHS[] = {8, 8, 3, 4, 2, 4};
    for (int i = 0; i < 6; i++)
        assert_int_equal(params.lengths[i], LENGTHS[i]);
    assert_int_equal(u32_at(params.values[0] + 4), 100);
    assert_int_equal(u32_at(params.values[1] + 4), 250);
    assert_memory_equal(params.values[2], "EUR", 3);
    assert_int_equal(u32_at(params.values[3]), 5411);
    assert_memory_equal(params.values[4], "DE", 2);
    assert_memory_equal(params.values[5], "eu-1", 4);
}

static void test_more_evaluations_go_as_arrays(void **state)
{
    (void)state;
    struct payment_command all[BATCH_MAX];
    const struct payment_command *commands[BATCH_MAX];
    for (int i = 0; i < BATCH_MAX; i++) {
        all[i] = command_of(i);
        commands[i] = &all[i];
    }
    for (uint32_t count = 2; count <= BATCH_MAX; count++) {
        memset(&params, 0, sizeof(params));
        buf_init(&storage, storage_bytes, sizeof(storage_bytes));
        payment_sql_encode_evaluate(commands, count, SPAN("eu-1"), &params, &storage);

        assert_int_equal(params.statement, PAYMENT_SQL_EVAL_BATCH);
        assert_int_equal(params.count, PAYMENT_SQL[PAYMENT_SQL_EVAL_BATCH].param_count);
        assert_array(0, PG_OID_INT8, count, 8);
        assert_array(1, PG_OID_INT8, count, 8);
        assert_array(2, PG_OID_TEXT, count, 3);
        assert_array(3, PG_OID_INT4, count, 4);
        assert_array(4, PG_OID_TEXT, count, 2);
        assert_int_equal(u32_at(params.values[0] + params.lengths[0] - 4), 100 + count - 1);
        assert_int_equal(u32_at(params.values[3] + params.lengths[3] - 4), 5411 + count - 1);
    }
}

static void test_holds_go_as_arrays_also_alone(void **state)
{
    (void)state;
    const struct secret_mac key_hash = {{5}};
    struct payment_command commands[BATCH_MAX];
    struct secret_digest fingerprint = {{7}};
    struct payment_sql_hold holds[BATCH_MAX];
    for (int i = 0; i < BATCH_MAX; i++) {
        commands[i] = command_of(i);
        holds[i] = (struct payment_sql_hold){.client_id = 3,
                                             .key_hash = &key_hash,
                                             .fingerprint = &fingerprint,
                                             .command = &commands[i],
                                             .elapsed_us = 111,
                                             .budget_us = 222};
    }
    for (uint32_t count = 1; count <= BATCH_MAX; count++) {
        for (uint32_t i = 0; i < count; i++) /* only the last one says when it expires */
            commands[i].expires_in_s = i + 1 == count ? 3600 : 0;
        memset(&params, 0, sizeof(params));
        buf_init(&storage, storage_bytes, sizeof(storage_bytes));
        payment_sql_encode_hold(holds, count, SPAN("eu-1"), &params, &storage);

        assert_false(storage.overflow);
        assert_int_equal(params.statement, PAYMENT_SQL_HOLD_BATCH);
        assert_int_equal(params.count, PAYMENT_SQL[params.statement].param_count);
        assert_array(0, PG_OID_UUID, count, UUID7_BYTES);
        assert_array(1, PG_OID_INT4, count, 4);
        assert_array(2, PG_OID_BYTEA, count, SECRET_MAC_BYTES);
        assert_array(3, PG_OID_BYTEA, count, SECRET_DIGEST_BYTES);
        assert_array(4, PG_OID_INT8, count, 8);
        assert_array(5, PG_OID_INT8, count, 8);
        assert_array(6, PG_OID_TEXT, count, 3);
        assert_array(7, PG_OID_INT4, count, 4);
        assert_array(8, PG_OID_TEXT, count, 2);
        assert_array(9, PG_OID_INT4, count, 4);
        assert_array(10, PG_OID_INT4, count, 4);
        assert_memory_equal(params.values[11], "eu-1", 4);
        assert_int_equal(u32_at(params.values[9] + params.lengths[9] - 4), 111);
        assert_int_equal(u32_at(params.values[10] + params.lengths[10] - 4), 222);
        assert_array(12, PG_OID_INT4, count, 4);
        assert_int_equal(u32_at(params.values[12] + 4), count > 1); /* are there NULLs? */
        const char *first = params.values[12] + PG_ARRAY_HEADER_BYTES;
        assert_int_equal(u32_at(first), count > 1 ? UINT32_MAX : 4);
        assert_int_equal(u32_at(params.values[12] + params.lengths[12] - 4), 3600);
    }
}

/* Where two neighbours name one wallet the batch folds, wherever they stand. */
static void test_holds_of_one_wallet_fold(void **state)
{
    (void)state;
    struct payment_command commands[4];
    const struct secret_mac key_hash = {{5}};
    struct secret_digest fingerprint = {{7}};
    struct payment_sql_hold holds[4];
    for (int twin = 1; twin < 4; twin++) {
        for (int i = 0; i < 4; i++) {
            commands[i] = command_of(i == twin ? i - 1 : i);
            holds[i] = (struct payment_sql_hold){
                .key_hash = &key_hash, .fingerprint = &fingerprint, .command = &commands[i]};
        }
        memset(&params, 0, sizeof(params));
        buf_init(&storage, storage_bytes, sizeof(storage_bytes));
        payment_sql_encode_hold(holds, 4, SPAN("eu-1"), &params, &storage);
        assert_int_equal(params.statement, PAYMENT_SQL_HOLD_FOLD);
        assert_int_equal(params.count, PAYMENT_SQL[PAYMENT_SQL_HOLD_FOLD].param_count);
        assert_array(4, PG_OID_INT8, 4, 8);
    }
}

/* ---- rows ---- */

static void assert_same(const struct payment_decision *got, const struct payment_decision *wanted)
{
    assert_int_equal(got->code_index, wanted->code_index);
    assert_int_equal(got->has_balance, wanted->has_balance);
    assert_int_equal(got->balance_after_minor, wanted->balance_after_minor);
    assert_memory_equal(&got->txn_id, &wanted->txn_id, sizeof(got->txn_id));
    assert_memory_equal(&got->fingerprint, &wanted->fingerprint, sizeof(got->fingerprint));
    assert_int_equal(got->processing_us, wanted->processing_us);
    assert_int_equal(got->created_wall_us, wanted->created_wall_us);
    assert_int_equal(got->command.wallet_id, wanted->command.wallet_id);
    assert_int_equal(got->command.amount_minor, wanted->command.amount_minor);
    assert_string_equal(got->command.currency, wanted->command.currency);
    assert_int_equal(got->command.mcc, wanted->command.mcc);
    assert_int_equal(got->command.effect, PAYMENT_HOLD);
}

static void test_row_number_is_within_the_batch(void **state)
{
    (void)state;
    static const int64_t NUMBERS[] = {0, 1, 3, 4, -1, INT64_MAX, INT64_MIN};
    static const bool VALID[] = {false, true, true, false, false, false, false};
    put(fake_pq_rows(1));
    for (size_t i = 0; i < sizeof(NUMBERS) / sizeof(NUMBERS[0]); i++)
        fake_pq_add_int8(result, NUMBERS[i]);
    fake_pq_add_null(result);
    for (uint32_t row = 0; row < 7; row++) {
        uint32_t index = 99;
        assert_int_equal(payment_sql_row_number(rows_of(result), row, 3, &index), VALID[row]);
        assert_int_equal(index, VALID[row] ? (uint32_t)(NUMBERS[row] - 1) : 99);
    }
    uint32_t index;
    assert_false(payment_sql_row_number(rows_of(result), 7, 3, &index));
    assert_false(payment_sql_row_number(rows_of(result), 8, 3, &index)); /* no such row */
}

static void test_evaluation_has_a_code_and_maybe_a_balance(void **state)
{
    (void)state;
    struct payment_decision decision;
    put(rows_evaluate());
    for (uint32_t i = 0; i < PAYMENT_CODE_COUNT; i++)
        rows_add_evaluate(result, 1, PAYMENT_CODES[i].code, 40 + (int64_t)i);
    for (uint32_t i = 0; i < PAYMENT_CODE_COUNT; i++) {
        assert_true(payment_sql_decode_evaluate(rows_of(result), i, &decision));
        assert_int_equal(decision.code_index, i);
        assert_true(decision.has_balance);
        assert_int_equal(decision.balance_after_minor, 40 + i);
        assert_int_equal(decision.how, PAYMENT_NEW);
    }

    put(rows_evaluate());
    rows_damage(2, ROWS_NULL);
    rows_add_evaluate(result, 1, "14", 0);
    assert_true(payment_sql_decode_evaluate(rows_of(result), 0, &decision));
    assert_false(decision.has_balance);

    static const char *const BAD[] = {"99", "0", "000", "xx"};
    rows_damage(-1, ROWS_WHOLE);
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        put(rows_evaluate());
        rows_add_evaluate(result, 1, BAD[i], 0);
        assert_false(payment_sql_decode_evaluate(rows_of(result), 0, &decision));
    }
    put(rows_evaluate());
    rows_damage(1, ROWS_NULL);
    rows_add_evaluate(result, 1, "00", 0);
    assert_false(payment_sql_decode_evaluate(rows_of(result), 0, &decision));
}

static void test_hold_says_how_it_was_decided(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        enum payment_how how;
    } HOWS[] = {{"new", PAYMENT_NEW}, {"replay", PAYMENT_REPLAY}, {"race", PAYMENT_RACE}};
    for (int i = 0; i < 3; i++) {
        const struct payment_decision wanted = rows_decision(i);
        struct payment_decision got;
        bool busy = true;
        put(rows_hold());
        rows_add_hold(result, 1, HOWS[i].word, &wanted);
        assert_true(payment_sql_decode_hold(rows_of(result), 0, &got, &busy));
        assert_false(busy);
        assert_int_equal(got.how, HOWS[i].how);
        assert_same(&got, &wanted);
    }
}

static void test_late_and_busy_holds_have_nothing_recorded(void **state)
{
    (void)state;
    struct payment_decision got;
    bool busy;
    put(rows_hold());
    rows_add_hold(result, 1, "late", NULL);
    rows_add_hold(result, 2, "busy", NULL);
    rows_add_hold(result, 3, "new", NULL);
    rows_add_hold(result, 4, "whatever", NULL);
    assert_true(payment_sql_decode_hold(rows_of(result), 0, &got, &busy));
    assert_int_equal(got.how, PAYMENT_LATE);
    assert_false(busy);
    assert_true(payment_sql_decode_hold(rows_of(result), 1, &got, &busy));
    assert_true(busy);
    assert_false(payment_sql_decode_hold(rows_of(result), 2, &got, &busy));
    assert_false(payment_sql_decode_hold(rows_of(result), 3, &got, &busy));
}

static void test_hold_with_one_broken_column_is_not_decoded(void **state)
{
    (void)state;
    const struct payment_decision wanted = rows_decision(0);
    for (int column = 0; column < ROWS_RECORDED_COLUMNS; column++) {
        for (int damage = ROWS_NULL; damage <= ROWS_LONG; damage++) {
            struct payment_decision got;
            bool busy;
            rows_damage(2 + column, (enum rows_damage)damage);
            put(rows_hold());
            rows_add_hold(result, 1, "new", &wanted);
            /* Column 3 is the balance: an unknown wallet has none. */
            assert_int_equal(payment_sql_decode_hold(rows_of(result), 0, &got, &busy), column == 3);
        }
    }
    struct payment_decision got;
    bool busy;
    rows_damage(1, ROWS_NULL);
    put(rows_hold());
    rows_add_hold(result, 1, "new", &wanted);
    assert_false(payment_sql_decode_hold(rows_of(result), 0, &got, &busy));
}

static void test_numbers_out_of_range_are_not_decoded(void **state)
{
    (void)state;
    static const struct {
        uint32_t processing_us;
        uint16_t mcc;
        bool valid;
    } CASES[] = {{0, 0, true},
                 {INT32_MAX, PAYMENT_MCC_MAX, true},
                 {UINT32_MAX, 0, false},
                 {0, PAYMENT_MCC_MAX + 1, false}};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct payment_decision decision = rows_decision(0), got;
        bool busy;
        decision.processing_us = CASES[i].processing_us;
        decision.command.mcc = CASES[i].mcc;
        put(rows_hold());
        rows_add_hold(result, 1, "new", &decision);
        assert_int_equal(payment_sql_decode_hold(rows_of(result), 0, &got, &busy), CASES[i].valid);
    }
}

static void test_probe_row(void **state)
{
    (void)state;
    struct payment_probe_row row;
    put(rows_probe("eu-1", 7, "read committed"));
    assert_true(payment_sql_decode_probe(rows_of(result), &row));
    assert_string_equal(row.region, "eu-1");
    assert_string_equal(row.isolation, "read committed");
    assert_int_equal(row.schema_version, 7);
    assert_true(row.has_reference);
    assert_int_equal(row.reference.wallet_id, 77);
    assert_int_equal(row.reference.amount_minor, 1999);
    assert_string_equal(row.reference.currency, "EUR");
    assert_string_equal(row.reference.merchant_country, "DE");
    assert_int_equal(row.reference.mcc, 5411);
    assert_int_equal(row.reference.effect, PAYMENT_EVALUATE);
    assert_memory_equal(row.idempotency_key, ROWS_IDEMPOTENCY_KEY, SECRET_MAC_KEY_BYTES);
    assert_int_equal(row.whole_audit.finished_s, ROWS_AUDIT_FINISHED_S);
    assert_int_equal(row.whole_audit.breaches, ROWS_AUDIT_BREACHES);
    assert_int_equal(row.recent_audit.finished_s, ROWS_AUDIT_FINISHED_S + 1);
    assert_int_equal(row.recent_audit.breaches, ROWS_AUDIT_BREACHES + 1);
}

static void test_probe_row_without_an_audit(void **state)
{
    (void)state;
    struct payment_probe_row row;
    for (int column = 9; column < 13; column++) {
        rows_damage(column, ROWS_NULL);
        put(rows_probe("eu-1", 7, "read committed"));
        assert_true(payment_sql_decode_probe(rows_of(result), &row));
        assert_int_equal(row.whole_audit.finished_s == 0, column <= 10);
        assert_int_equal(row.recent_audit.finished_s == 0, column > 10);
    }
}

static void test_probe_row_with_one_missing_column(void **state)
{
    (void)state;
    struct payment_probe_row row;
    for (int column = 0; column < 9; column++) {
        const bool reference = column >= 1 && column <= 5;
        rows_damage(column, ROWS_NULL);
        put(rows_probe("eu-1", 7, "read committed"));
        assert_int_equal(payment_sql_decode_probe(rows_of(result), &row), reference);
        if (reference)
            assert_false(row.has_reference);
    }
    put(fake_pq_rows(9));
    assert_false(payment_sql_decode_probe(rows_of(result), &row));
}

static void test_probe_row_with_a_hash_key_of_another_size(void **state)
{
    (void)state;
    struct payment_probe_row row;
    static const enum rows_damage DAMAGES[] = {ROWS_SHORT, ROWS_LONG};
    for (size_t i = 0; i < 2; i++) {
        rows_damage(8, DAMAGES[i]);
        put(rows_probe("eu-1", 7, "read committed"));
        assert_false(payment_sql_decode_probe(rows_of(result), &row));
    }
}

static void test_probe_text_that_is_too_long(void **state)
{
    (void)state;
    struct payment_probe_row row;
    char isolation[PAYMENT_SQL_TEXT_MAX + 1];
    memset(isolation, 'x', sizeof(isolation));
    put(fake_pq_rows(9));
    fake_pq_add_text(result, "eu-1");
    for (int i = 0; i < 5; i++)
        fake_pq_add_null(result);
    fake_pq_add_int4(result, 1);
    fake_pq_add_bytes(result, isolation, PAYMENT_SQL_TEXT_MAX);
    fake_pq_add_bytes(result, (const char *)ROWS_IDEMPOTENCY_KEY, SECRET_MAC_KEY_BYTES);
    assert_false(payment_sql_decode_probe(rows_of(result), &row));
}

#define SQL_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SQL_TEST(test_statements_are_all_there),
        SQL_TEST(test_one_evaluation_goes_as_scalars),
        SQL_TEST(test_more_evaluations_go_as_arrays),
        SQL_TEST(test_holds_go_as_arrays_also_alone),
        SQL_TEST(test_holds_of_one_wallet_fold),
        SQL_TEST(test_row_number_is_within_the_batch),
        SQL_TEST(test_evaluation_has_a_code_and_maybe_a_balance),
        SQL_TEST(test_hold_says_how_it_was_decided),
        SQL_TEST(test_late_and_busy_holds_have_nothing_recorded),
        SQL_TEST(test_hold_with_one_broken_column_is_not_decoded),
        SQL_TEST(test_numbers_out_of_range_are_not_decoded),
        SQL_TEST(test_probe_row),
        SQL_TEST(test_probe_row_without_an_audit),
        SQL_TEST(test_probe_row_with_one_missing_column),
        SQL_TEST(test_probe_row_with_a_hash_key_of_another_size),
        SQL_TEST(test_probe_text_that_is_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
