/* payment_read_sql: what reads ask with, and what their rows become; a row that is not whole
 * decodes to false, whichever column is broken and however. */
#include "pool/payment_read_sql_private.h"
#include "rows_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static char storage_bytes[1024];
static struct buf storage;
static struct pg_params params;
static PGresult *result;
static struct payment_read got;
static const struct payment_read_sql_asker ASKER = {.client_id = 9, .region = {"eu-1", 4}};

static int set_up(void **state)
{
    (void)state;
    fake_pq_reset();
    memset(&params, 0, sizeof(params));
    memset(&got, 0xa5, sizeof(got)); /* of the read before */
    buf_init(&storage, storage_bytes, sizeof(storage_bytes));
    rows_damage(-1, ROWS_WHOLE);
    result = NULL;
    return 0;
}

static const struct pg_rows *put(PGresult *fresh)
{
    if (result != NULL)
        fake_pq_drop(result);
    result = fresh;
    return rows_of(result);
}

static int tear_down(void **state)
{
    (void)state;
    put(NULL);
    fake_pq_check_clean();
    return 0;
}

/* ---- parameters ---- */

static void assert_value(uint8_t index, const void *bytes, int size)
{
    assert_int_equal(params.lengths[index], size);
    assert_memory_equal(params.values[index], bytes, (size_t)size);
}

static void test_find_names_the_id_the_client_and_the_region(void **state)
{
    (void)state;
    const struct uuid7 id = {{1}};

    payment_read_sql_encode_find(&id, &ASKER, &params, &storage);

    assert_int_equal(params.statement, PAYMENT_SQL_FIND);
    assert_int_equal(params.count, PAYMENT_SQL[PAYMENT_SQL_FIND].param_count);
    assert_value(0, id.bytes, UUID7_BYTES);
    assert_value(1, "\0\0\0\x09", 4);
    assert_value(2, "eu-1", 4);
}

static void test_find_by_key_sends_its_hash(void **state)
{
    (void)state;
    const struct secret_mac hash = {{2}};

    payment_read_sql_encode_find_key(&hash, &ASKER, &params, &storage);

    assert_int_equal(params.statement, PAYMENT_SQL_FIND_KEY);
    assert_int_equal(params.count, PAYMENT_SQL[PAYMENT_SQL_FIND_KEY].param_count);
    assert_value(0, hash.bytes, SECRET_MAC_BYTES);
    assert_value(1, "\0\0\0\x09", 4);
}

static void test_wallet_and_page_name_the_wallet(void **state)
{
    (void)state;
    const struct payment_page_ask ask = {
        .before_version = 5, .before_id = {{3}}, .limit = PAYMENT_PAGE_MAX};

    payment_read_sql_encode_wallet(7, &ASKER, &params, &storage);
    assert_int_equal(params.statement, PAYMENT_SQL_WALLET);
    assert_int_equal(params.count, PAYMENT_SQL[PAYMENT_SQL_WALLET].param_count);
    assert_value(0, "\0\0\0\0\0\0\0\x07", 8);

    memset(&params, 0, sizeof(params));
    payment_read_sql_encode_page(7, &ask, &ASKER, &params, &storage);
    assert_int_equal(params.statement, PAYMENT_SQL_TRANSACTIONS);
    assert_int_equal(params.count, PAYMENT_SQL[PAYMENT_SQL_TRANSACTIONS].param_count);
    assert_value(0, "\0\0\0\0\0\0\0\x07", 8);
    assert_value(1, "\0\0\0\x09", 4);
    assert_value(2, "\0\0\0\0\0\0\0\x05", 8);
    assert_value(3, ask.before_id.bytes, UUID7_BYTES);
    assert_value(4, "\0\0\0\x64", 4);
    assert_value(5, "eu-1", 4);
}

/* ---- a payment ---- */

static bool decode_payment(PGresult *rows, bool *found, struct payment_decision *decision)
{
    return payment_read_sql_decode_payment(put(rows), found, decision, &got);
}

static void test_a_payment_with_steps(void **state)
{
    (void)state;
    const struct payment_decision wanted = rows_decision(4);
    struct payment_decision decision;
    bool found;

    assert_true(decode_payment(rows_find(&wanted, 3), &found, &decision));

    assert_true(found);
    assert_int_equal(decision.how, PAYMENT_REPLAY);
    assert_memory_equal(&decision.txn_id, &wanted.txn_id, sizeof(wanted.txn_id));
    assert_int_equal(decision.command.amount_minor, wanted.command.amount_minor);
    assert_true(got.view.has_amounts);
    assert_int_equal(got.view.amounts.captured_minor, 300);
    assert_int_equal(got.view.amounts.refunded_minor, 10);
    assert_true(got.view.has_expiry);
    assert_int_equal(got.view.expires_wall_us, wanted.created_wall_us + ROWS_EXPIRES_AFTER_US);
    assert_int_equal(got.entry_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(got.entries[i].kind, PAYMENT_ENTRY_CAPTURE);
        assert_int_equal(got.entries[i].txn_id.bytes[1], i + 1);
        assert_int_equal(got.entries[i].amount_minor, i + 1);
        assert_int_equal(got.entries[i].balance_after_minor, 7001 + i);
        assert_int_equal(got.entries[i].created_wall_us, UINT64_C(1764000000000001) + i);
    }
}

static void test_a_payment_without_steps_and_one_that_is_unknown(void **state)
{
    (void)state;
    const struct payment_decision wanted = rows_decision(4);
    struct payment_decision decision;
    bool found;

    assert_true(decode_payment(rows_find(&wanted, 0), &found, &decision));
    assert_true(found);
    assert_int_equal(got.entry_count, 0);

    rows_damage(0, ROWS_NULL);
    assert_true(decode_payment(rows_find(&wanted, 0), &found, &decision));
    assert_false(found);
}

static void test_a_declined_hold_has_no_amounts(void **state)
{
    (void)state;
    struct payment_decision wanted = rows_decision(4), decision;
    bool found;
    wanted.code_index = PAYMENT_CODE_FUNDS;

    assert_true(decode_payment(rows_find(&wanted, 0), &found, &decision));

    assert_true(found);
    assert_false(got.view.has_amounts);
}

static void test_as_many_steps_as_there_is_room_for_and_no_more(void **state)
{
    (void)state;
    const struct payment_decision wanted = rows_decision(4);
    struct payment_decision decision;
    bool found;

    assert_true(decode_payment(rows_find(&wanted, PAYMENT_ENTRIES_MAX), &found, &decision));
    assert_int_equal(got.entry_count, PAYMENT_ENTRIES_MAX);
    assert_false(decode_payment(rows_find(&wanted, PAYMENT_ENTRIES_MAX + 1), &found, &decision));
}

/* NULL is right for the balance of an unknown wallet and for the expiry of what cannot expire. A
 * step whose id alone is missing is none; then the rest of it is not looked at. */
static bool may_be_null(int column)
{
    return column == 0 || column == 3 || column == ROWS_RECORDED_COLUMNS || column == 16;
}

static void test_a_payment_that_is_not_whole_is_not_decoded(void **state)
{
    (void)state;
    const struct payment_decision wanted = rows_decision(4);

    for (int column = 0; column < ROWS_FIND_COLUMNS; column++) {
        for (int damage = ROWS_NULL; damage <= ROWS_LONG; damage++) {
            struct payment_decision decision;
            bool found;
            /* A balance or expiry of another width is taken for none. */
            const bool fine = column == 3 || column == ROWS_RECORDED_COLUMNS ||
                              (damage == ROWS_NULL && may_be_null(column));
            rows_damage(column, (enum rows_damage)damage);
            assert_int_equal(decode_payment(rows_find(&wanted, 1), &found, &decision), fine);
        }
    }
}

/* ---- a wallet ---- */

static void test_a_wallet(void **state)
{
    (void)state;
    static const char *const LETTERS[] = {"A", "B", "C"};
    bool found;

    for (int i = 0; i < 3; i++) {
        assert_true(
            payment_read_sql_decode_wallet(put(rows_wallet(LETTERS[i])), &found, &got.wallet));
        assert_true(found);
        assert_int_equal((int)got.wallet.status, i);
    }
    assert_int_equal(got.wallet.wallet_id, 1);
    assert_string_equal(got.wallet.currency, "EUR");
    assert_int_equal(got.wallet.balance_minor, 4);
    assert_int_equal(got.wallet.version, 5);
    assert_int_equal(got.wallet.open_count, 6);
    assert_int_equal(got.wallet.open_minor, 7);
    assert_false(got.wallet.open_cut);
    assert_string_equal(got.wallet.day, "2026-11-24");
    assert_int_equal(got.wallet.day_spent_minor, 10);
    assert_int_equal(got.wallet.day_count, 11);
    assert_int_equal(got.wallet.month_spent_minor, 12);
    assert_int_equal(got.wallet.txn_max_minor, 13);
    assert_int_equal(got.wallet.day_max_minor, 14);
    assert_int_equal(got.wallet.month_max_minor, 15);
    assert_int_equal(got.wallet.day_count_max, 16);
    assert_false(payment_read_sql_decode_wallet(put(rows_wallet("D")), &found, &got.wallet));
}

static void test_a_wallet_that_is_not_whole_is_unknown_or_not_decoded(void **state)
{
    (void)state;
    for (int column = 0; column < ROWS_WALLET_COLUMNS; column++) {
        for (int damage = ROWS_NULL; damage <= ROWS_LONG; damage++) {
            const bool unknown = column == 0 && damage == ROWS_NULL;
            bool found;
            rows_damage(column, (enum rows_damage)damage);
            assert_int_equal(
                payment_read_sql_decode_wallet(put(rows_wallet("A")), &found, &got.wallet),
                unknown);
            if (unknown)
                assert_false(found);
        }
    }
}

/* ---- a page ---- */

static bool decode_page(PGresult *rows, int32_t limit)
{
    bool found = false;
    return payment_read_sql_decode_page(put(rows), limit, &found, &got) && found;
}

static void test_a_page_tells_where_the_next_one_begins(void **state)
{
    (void)state;
    static const struct {
        int64_t floor;
        uint32_t rows;
        uint32_t entries;
        int64_t next;
    } CASES[] = {
        {1, 0, 0, 0},     /* nothing there */
        {1, 3, 3, 0},     /* all there is */
        {1, 4, 3, 898},   /* one more than was asked for */
        {400, 3, 3, 400}, /* exactly as many, but not looked at all */
        {400, 1, 1, 400}, {400, 0, 0, 400}, {400, 4, 3, 898},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        assert_true(decode_page(rows_page(CASES[i].floor, 900, CASES[i].rows), 3));
        assert_true(got.page.before_known);
        assert_int_equal(got.entry_count, CASES[i].entries);
        assert_int_equal(got.page.next_version, CASES[i].next);
    }
    assert_int_equal(got.entries[0].kind, PAYMENT_ENTRY_VOID);
    assert_int_equal(got.entries[0].version, 900);
    assert_int_equal(got.entries[0].hold_id.bytes[0], 0x10);
    assert_int_equal(got.entries[2].version, 898);
}

static void test_more_rows_than_were_asked_for_are_not_decoded(void **state)
{
    (void)state;
    assert_true(decode_page(rows_page(1, 900, PAYMENT_PAGE_MAX + 1), PAYMENT_PAGE_MAX));
    assert_int_equal(got.entry_count, PAYMENT_PAGE_MAX);
    assert_false(decode_page(rows_page(1, 900, PAYMENT_PAGE_MAX + 2), PAYMENT_PAGE_MAX));
}

static void test_a_place_that_is_unknown(void **state)
{
    (void)state;
    rows_damage(1, ROWS_NULL);
    assert_true(decode_page(rows_page(1, 900, 0), 3));
    assert_false(got.page.before_known);
    assert_false(decode_page(rows_page(1, 900, 2), 3)); /* and yet transactions */
}

static void test_a_page_that_is_not_whole_is_not_decoded(void **state)
{
    (void)state;
    for (int column = 0; column < ROWS_PAGE_COLUMNS; column++) {
        for (int damage = ROWS_NULL; damage <= ROWS_LONG; damage++) {
            rows_damage(column, (enum rows_damage)damage);
            assert_false(decode_page(rows_page(1, 900, 2), 3));
        }
    }
}

#define READ_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        READ_TEST(test_find_names_the_id_the_client_and_the_region),
        READ_TEST(test_find_by_key_sends_its_hash),
        READ_TEST(test_wallet_and_page_name_the_wallet),
        READ_TEST(test_a_payment_with_steps),
        READ_TEST(test_a_payment_without_steps_and_one_that_is_unknown),
        READ_TEST(test_a_declined_hold_has_no_amounts),
        READ_TEST(test_as_many_steps_as_there_is_room_for_and_no_more),
        READ_TEST(test_a_payment_that_is_not_whole_is_not_decoded),
        READ_TEST(test_a_wallet),
        READ_TEST(test_a_wallet_that_is_not_whole_is_unknown_or_not_decoded),
        READ_TEST(test_a_page_tells_where_the_next_one_begins),
        READ_TEST(test_more_rows_than_were_asked_for_are_not_decoded),
        READ_TEST(test_a_place_that_is_unknown),
        READ_TEST(test_a_page_that_is_not_whole_is_not_decoded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
