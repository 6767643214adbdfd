/* payment_step_sql: parameters as step_batch.sql declares them; each `how` of its rows with what it
 * promises, and any other row decoded to false. */
#include "pool/payment_step_sql_private.h"
#include "rows_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { STORAGE_BYTES = 8 * 1024 };

static PGresult *result;
static struct payment_step_decision got;
static bool busy;

static int set_up(void **state)
{
    (void)state;
    fake_pq_reset();
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

/* One row, decoded. */
static bool decode(const char *how, const struct payment_step_decision *decision)
{
    memset(&got, 0xA5, sizeof(got));
    busy = true;
    put(rows_step());
    rows_add_step(result, 1, how, decision);
    return payment_step_sql_decode(rows_of(result), 0, &got, &busy);
}

/* ---- parameters ---- */

static struct pg_params params;
static char storage_bytes[STORAGE_BYTES];

static uint32_t u32_at(const char *bytes)
{
    const unsigned char *b = (const unsigned char *)bytes;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Parameter i is an array of so many elements, and these are its bytes, lengths included. */
static void assert_array(int i, uint32_t oid, uint32_t count, const void *elements, size_t size)
{
    const char *bytes = params.values[i];
    assert_int_equal(u32_at(bytes + 8), oid);
    assert_int_equal(u32_at(bytes + 12), count);
    assert_int_equal(params.lengths[i], PG_ARRAY_HEADER_BYTES + (int)size);
    assert_memory_equal(bytes + PG_ARRAY_HEADER_BYTES, elements, size);
}
#define ASSERT_ARRAY(i, oid, count, elements)                                                      \
    assert_array((i), (oid), (count), (elements), sizeof(elements) - 1)

/* Two of them: a final capture of 258 with a key, and a void of all without one. */
static void encode_two(void)
{
    static const struct secret_mac key_hash = {{3}};
    static const struct secret_digest fingerprint = {{4}};
    static const struct payment_step capture = {
        .kind = PAYMENT_CAPTURE, .has_amount = true, .final = true, .amount_minor = 258};
    static const struct payment_step all = {.kind = PAYMENT_VOID, .amount_minor = 7};
    const struct payment_sql_step steps[] = {{.client_id = 5,
                                              .key_hash = &key_hash,
                                              .fingerprint = &fingerprint,
                                              .step = &capture,
                                              .elapsed_us = 111,
                                              .budget_us = 222},
                                             {.client_id = 6,
                                              .fingerprint = &fingerprint,
                                              .step = &all,
                                              .elapsed_us = 333,
                                              .budget_us = 444}};
    struct buf storage;
    params = (struct pg_params){0};
    buf_init(&storage, storage_bytes, sizeof(storage_bytes));
    payment_step_sql_encode(steps, 2, SPAN("eu-1"), &params, &storage);
}

static void test_steps_go_as_arrays(void **state)
{
    (void)state;
    encode_two();

    assert_int_equal(params.statement, PAYMENT_SQL_STEP_BATCH);
    assert_int_equal(params.count, PAYMENT_SQL[PAYMENT_SQL_STEP_BATCH].param_count);
    ASSERT_ARRAY(2, PG_OID_INT4, 2, "\0\0\0\4\0\0\0\5\0\0\0\4\0\0\0\6");
    ASSERT_ARRAY(5, PG_OID_TEXT, 2, "\0\0\0\1C\0\0\0\1V");
    ASSERT_ARRAY(7, PG_OID_INT8, 2, "\0\0\0\10\0\0\0\0\0\0\1\2\xff\xff\xff\xff");
    ASSERT_ARRAY(8, PG_OID_INT4, 2, "\0\0\0\4\0\0\0\1\0\0\0\4\0\0\0\0");
    ASSERT_ARRAY(9, PG_OID_INT4, 2, "\0\0\0\4\0\0\0\x6f\0\0\0\4\0\0\1\x4d");
    ASSERT_ARRAY(10, PG_OID_INT4, 2, "\0\0\0\4\0\0\0\xde\0\0\0\4\0\0\1\xbc");
    assert_int_equal(params.lengths[11], 4);
    assert_memory_equal(params.values[11], "eu-1", 4);
}

/* Nobody can replay what has no key: its hash is NULL, and no hash of nothing. */
static void test_who_has_no_key_has_no_hash(void **state)
{
    (void)state;
    char hashes[4 + SECRET_MAC_BYTES + 4] = "\0\0\0\x10\3";
    encode_two();

    assert_int_equal(SECRET_MAC_BYTES, 0x10);
    memset(hashes + 4 + SECRET_MAC_BYTES, 0xff, 4);
    assert_array(3, PG_OID_BYTEA, 2, hashes, sizeof(hashes));
    assert_int_equal(u32_at(params.values[3] + 4), 1);
    assert_int_equal(u32_at(params.values[4] + 12), 2); /* all have a fingerprint */
}

static void test_each_step_has_its_ids_and_its_letter(void **state)
{
    (void)state;
    static const char *const LETTERS = "CVIR";
    const struct secret_digest fingerprint = {{4}};
    for (unsigned kind = 0; kind < PAYMENT_STEP_KINDS; kind++) {
        const struct payment_step step = {.kind = (enum payment_step_kind)kind, .hold_id = {{9}}};
        const struct payment_sql_step one = {
            .txn_id = {{7}}, .spare_id = {{8}}, .fingerprint = &fingerprint, .step = &step};
        struct buf storage;
        params = (struct pg_params){0};
        buf_init(&storage, storage_bytes, sizeof(storage_bytes));
        payment_step_sql_encode(&one, 1, SPAN("eu-1"), &params, &storage);

        ASSERT_ARRAY(0, PG_OID_UUID, 1, "\0\0\0\20\7\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        ASSERT_ARRAY(1, PG_OID_UUID, 1, "\0\0\0\20\10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        ASSERT_ARRAY(6, PG_OID_UUID, 1, "\0\0\0\20\11\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        assert_int_equal(params.values[5][PG_ARRAY_HEADER_BYTES + 4], LETTERS[kind]);
    }
}

/* ---- rows ---- */

static void assert_recorded(const struct payment_step_decision *wanted)
{
    assert_int_equal(got.kind, wanted->kind);
    assert_int_equal(got.code_index, wanted->code_index);
    assert_memory_equal(&got.txn_id, &wanted->txn_id, sizeof(got.txn_id));
    assert_memory_equal(&got.hold_id, &wanted->hold_id, sizeof(got.hold_id));
    assert_memory_equal(&got.fingerprint, &wanted->fingerprint, sizeof(got.fingerprint));
    assert_memory_equal(&got.amounts, &wanted->amounts, sizeof(got.amounts));
    assert_int_equal(got.amount_minor, wanted->amount_minor);
    assert_int_equal(got.balance_after_minor, wanted->balance_after_minor);
    assert_int_equal(got.processing_us, wanted->processing_us);
    assert_int_equal(got.created_wall_us, wanted->created_wall_us);
    assert_int_equal(got.wallet_id, wanted->wallet_id);
    assert_string_equal(got.currency, wanted->currency);
}

static void test_what_is_on_record_comes_back_whole(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        enum payment_step_how how;
    } HOWS[] = {
        {"new", PAYMENT_STEP_NEW}, {"replay", PAYMENT_STEP_REPLAY}, {"race", PAYMENT_STEP_RACE}};
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned kind = 0; kind < PAYMENT_STEP_KINDS; kind++) {
            struct payment_step_decision wanted = rows_step_decision((int)i);
            wanted.kind = (enum payment_step_kind)kind;
            assert_true(decode(HOWS[i].word, &wanted));
            assert_false(busy);
            assert_int_equal(got.how, HOWS[i].how);
            assert_recorded(&wanted);
        }
    }
}

static void test_only_an_increment_is_declined(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < PAYMENT_STEP_KINDS; kind++) {
        struct payment_step_decision wanted = rows_step_decision(0);
        wanted.kind = (enum payment_step_kind)kind;
        wanted.code_index = PAYMENT_CODE_FUNDS;
        assert_int_equal(decode("new", &wanted), kind == PAYMENT_INCREMENT);
    }
}

static void test_a_key_of_a_hold_is_a_replay_of_another_request(void **state)
{
    (void)state;
    const struct secret_digest fingerprint = {{77}};
    put(rows_step());
    rows_add_step_of_hold(result, 1, &fingerprint);

    assert_true(payment_step_sql_decode(rows_of(result), 0, &got, &busy));
    assert_false(busy);
    assert_int_equal(got.how, PAYMENT_STEP_REPLAY);
    assert_memory_equal(&got.fingerprint, &fingerprint, sizeof(fingerprint));

    rows_damage(3, ROWS_SHORT); /* without it nobody could tell them apart */
    put(rows_step());
    rows_add_step_of_hold(result, 1, &fingerprint);
    assert_false(payment_step_sql_decode(rows_of(result), 0, &got, &busy));
}

static void test_what_moved_nothing_says_no_more_than_that(void **state)
{
    (void)state;
    assert_true(decode("late", NULL));
    assert_int_equal(got.how, PAYMENT_STEP_LATE);
    assert_true(decode("not_found", NULL));
    assert_int_equal(got.how, PAYMENT_STEP_NOT_FOUND);
    assert_true(decode("too_many", NULL));
    assert_int_equal(got.how, PAYMENT_STEP_TOO_MANY);
    assert_false(busy);
    assert_int_equal(got.wallet_id, 0);
}

static void test_resolved_tells_the_state_and_the_amounts(void **state)
{
    (void)state;
    struct payment_step_decision wanted = rows_step_decision(1);
    for (unsigned i = PAYMENT_OPEN; i <= PAYMENT_REFUNDED; i++) {
        wanted.state = (enum payment_state)i;
        assert_true(decode("resolved", &wanted));
        assert_int_equal(got.how, PAYMENT_STEP_RESOLVED);
        assert_int_equal(got.state, i);
        assert_memory_equal(&got.amounts, &wanted.amounts, sizeof(got.amounts));
    }
}

static void test_exceeds_tells_the_limit_and_the_amounts(void **state)
{
    (void)state;
    struct payment_step_decision wanted = rows_step_decision(1);
    assert_true(decode("exceeds", &wanted));
    assert_int_equal(got.how, PAYMENT_STEP_EXCEEDS);
    assert_int_equal(got.limit_minor, wanted.limit_minor);
    assert_memory_equal(&got.amounts, &wanted.amounts, sizeof(got.amounts));
    wanted.limit_minor = 0;
    assert_true(decode("exceeds", &wanted));
    wanted.limit_minor = -1;
    assert_false(decode("exceeds", &wanted));
}

static void test_busy_names_the_wallet(void **state)
{
    (void)state;
    assert_true(decode("busy", NULL));
    assert_true(busy);
    assert_int_equal(got.wallet_id, ROWS_BUSY_WALLET);
    rows_damage(11, ROWS_NULL); /* locked, and nobody can say which */
    assert_false(decode("busy", NULL));
}

/* Which columns a `how` cannot do without. Column 13, the hold's mcc, is nobody's. */
static void test_one_broken_column_is_not_decoded(void **state)
{
    (void)state;
    static const struct {
        const char *how;
        uint32_t needed; /* bit n: column n */
    } CASES[] = {{"new", 0x7DFFE}, {"replay", 0x7DFFE},    {"race", 0x7DFFE},
                 {"late", 0x2},    {"not_found", 0x2},     {"too_many", 0x2},
                 {"busy", 0x802},  {"resolved", 0x17C002}, {"exceeds", 0xFC002}};
    const struct payment_step_decision wanted = rows_step_decision(0);

    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        for (int column = 1; column < ROWS_STEP_COLUMNS; column++) {
            const bool needed = (CASES[i].needed >> column & 1) != 0;
            for (int damage = ROWS_NULL; needed && damage <= ROWS_LONG; damage++) {
                rows_damage(column, (enum rows_damage)damage);
                if (decode(CASES[i].how, &wanted))
                    fail_msg("%s decoded with column %d broken", CASES[i].how, column);
            }
            rows_damage(column, needed ? ROWS_WHOLE : ROWS_NULL);
            if (!decode(CASES[i].how, &wanted))
                fail_msg("%s needed column %d", CASES[i].how, column);
        }
    }
}

static void test_a_row_of_too_few_columns_is_not_decoded(void **state)
{
    (void)state;
    put(fake_pq_rows(2));
    fake_pq_add_bytes(result, "\0\0\0\0\0\0\0\1", 8);
    fake_pq_add_bytes(result, "new", 3);
    assert_false(payment_step_sql_decode(rows_of(result), 0, &got, &busy));
    assert_false(payment_step_sql_decode(rows_of(result), 1, &got, &busy)); /* no such row */
}

static void test_words_and_letters_that_are_not_ours(void **state)
{
    (void)state;
    const struct payment_step_decision wanted = rows_step_decision(0);
    assert_false(decode("whatever", &wanted));
    assert_false(decode("", &wanted));
    assert_false(decode("news", &wanted));

    struct payment_step_decision unsound = wanted;
    unsound.amounts.captured_minor = unsound.amounts.authorised_minor + 1;
    static const char *const HOWS[] = {"new", "replay", "race", "resolved", "exceeds"};
    for (size_t i = 0; i < sizeof(HOWS) / sizeof(HOWS[0]); i++)
        assert_false(decode(HOWS[i], &unsound));
    struct payment_step_decision nothing = wanted;
    nothing.amount_minor = 0; /* every step is about some money */
    assert_false(decode("new", &nothing));
    nothing = wanted;
    nothing.wallet_id = 0;
    assert_false(decode("new", &nothing));
}

#define STEP_SQL_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STEP_SQL_TEST(test_steps_go_as_arrays),
        STEP_SQL_TEST(test_who_has_no_key_has_no_hash),
        STEP_SQL_TEST(test_each_step_has_its_ids_and_its_letter),
        STEP_SQL_TEST(test_what_is_on_record_comes_back_whole),
        STEP_SQL_TEST(test_only_an_increment_is_declined),
        STEP_SQL_TEST(test_a_key_of_a_hold_is_a_replay_of_another_request),
        STEP_SQL_TEST(test_what_moved_nothing_says_no_more_than_that),
        STEP_SQL_TEST(test_resolved_tells_the_state_and_the_amounts),
        STEP_SQL_TEST(test_exceeds_tells_the_limit_and_the_amounts),
        STEP_SQL_TEST(test_busy_names_the_wallet),
        STEP_SQL_TEST(test_one_broken_column_is_not_decoded),
        STEP_SQL_TEST(test_a_row_of_too_few_columns_is_not_decoded),
        STEP_SQL_TEST(test_words_and_letters_that_are_not_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
