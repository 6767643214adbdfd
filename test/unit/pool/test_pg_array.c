#include "pool/pg_array_private.h"

#include <libpq-fe.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static char bytes[1024];

static void assert_param(const struct pg_params *params, uint8_t index, const char *expected,
                         size_t length)
{
    assert_true(index < params->count);
    assert_int_equal(params->lengths[index], length);
    assert_memory_equal(params->values[index], expected, length);
}

static void test_int8_array_has_the_servers_binary_form(void **state)
{
    (void)state;
    struct pg_params params = {0};
    struct buf storage;
    struct pg_array array;
    static const char EXPECTED[] =
        "\0\0\0\1\0\0\0\0\0\0\0\x14\0\0\0\2\0\0\0\1"
        "\0\0\0\x8\0\0\0\0\0\0\0\5\0\0\0\x8\xff\xff\xff\xff\xff\xff\xff\xfe";

    buf_init(&storage, bytes, sizeof(bytes));
    pg_array_begin(&array, &params, &storage, PG_OID_INT8, 2);
    pg_array_add_int8(&array, 5);
    pg_array_add_int8(&array, -2);
    pg_array_end(&array);

    assert_param(&params, 0, EXPECTED, sizeof(EXPECTED) - 1);
}

static void test_text_and_int4_elements_are_length_prefixed(void **state)
{
    (void)state;
    struct pg_params params = {0};
    struct buf storage;
    struct pg_array array;

    buf_init(&storage, bytes, sizeof(bytes));
    pg_array_begin(&array, &params, &storage, PG_OID_TEXT, 2);
    pg_array_add_bytes(&array, SPAN("EUR"));
    pg_array_add_bytes(&array, SPAN(""));
    pg_array_end(&array);
    pg_array_begin(&array, &params, &storage, PG_OID_INT4, 1);
    pg_array_add_int4(&array, 5812);
    pg_array_end(&array);

    assert_int_equal(params.count, 2);
    assert_memory_equal(params.values[0] + 20, "\0\0\0\3EUR\0\0\0\0", 11);
    assert_memory_equal(params.values[1] + 20, "\0\0\0\4\0\0\x16\xb4", 8);
}

static void test_null_elements_have_no_bytes_and_are_announced(void **state)
{
    (void)state;
    struct pg_params params = {0};
    struct buf storage;
    struct pg_array array;
    static const char EXPECTED[] = "\0\0\0\1\0\0\0\1\0\0\0\x17\0\0\0\3\0\0\0\1"
                                   "\xff\xff\xff\xff\0\0\0\4\0\0\0\7\xff\xff\xff\xff";

    memset(bytes, 0x55, sizeof(bytes));
    buf_init(&storage, bytes, sizeof(bytes));
    pg_array_begin(&array, &params, &storage, PG_OID_INT4, 3);
    pg_array_add_null(&array);
    pg_array_add_int4(&array, 7);
    pg_array_add_null(&array);
    pg_array_end(&array);

    assert_param(&params, 0, EXPECTED, sizeof(EXPECTED) - 1);
    assert_int_equal(storage.len, sizeof(EXPECTED) - 1);
    assert_int_equal(bytes[storage.len], 0x55);
}

static void test_scalars_follow_each_other(void **state)
{
    (void)state;
    struct pg_params params = {0};
    struct buf storage;

    buf_init(&storage, bytes, sizeof(bytes));
    pg_param_int4(&params, &storage, -1);
    pg_param_int8(&params, &storage, INT64_C(1) << 40);
    pg_param_bytes(&params, &storage, SPAN("eu-south-2"));

    assert_param(&params, 0, "\xff\xff\xff\xff", 4);
    assert_param(&params, 1, "\0\0\1\0\0\0\0\0", 8);
    assert_param(&params, 2, "eu-south-2", 10);
}

/* libpq builds a result in memory, so the readers are tested on the real thing. */
static PGresult *result_of(const char *value, int length)
{
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc column = {.name = (char *)(uintptr_t) "c", .format = 1};

    assert_int_equal(PQsetResultAttrs(result, 1, &column), 1);
    assert_int_equal(PQsetvalue(result, 0, 0, (char *)(uintptr_t)value, length), 1);
    return result;
}

static const struct pg_rows *rows_of(const PGresult *result)
{
    return (const struct pg_rows *)(const void *)result;
}

static void test_row_values_are_read_in_network_order(void **state)
{
    (void)state;
    PGresult *result = result_of("\0\0\0\0\0\0\1\0", 8);
    int64_t wide;
    int32_t narrow;

    assert_true(pg_row_int8(rows_of(result), 0, 0, &wide));
    assert_int_equal(wide, 256);
    assert_false(pg_row_int4(rows_of(result), 0, 0, &narrow)); /* another width */
    PQclear(result);
}

static void test_row_time_is_unix_time(void **state)
{
    (void)state;
    PGresult *result = result_of("\0\0\0\0\0\0\0\1", 8); /* 1 us after 2000-01-01 */
    uint64_t wall_us;

    assert_true(pg_row_time(rows_of(result), 0, 0, &wall_us));
    assert_true(wall_us == UINT64_C(946684800000001));
    PQclear(result);
}

static void test_null_and_out_of_range_are_not_values(void **state)
{
    (void)state;
    PGresult *result = result_of(NULL, -1);
    struct span bytes_out;

    assert_false(pg_row_bytes(rows_of(result), 0, 0, &bytes_out));
    assert_false(pg_row_bytes(rows_of(result), 1, 0, &bytes_out));
    assert_false(pg_row_bytes(rows_of(result), 0, 1, &bytes_out));
    PQclear(result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_int8_array_has_the_servers_binary_form),
        cmocka_unit_test(test_text_and_int4_elements_are_length_prefixed),
        cmocka_unit_test(test_null_elements_have_no_bytes_and_are_announced),
        cmocka_unit_test(test_scalars_follow_each_other),
        cmocka_unit_test(test_row_values_are_read_in_network_order),
        cmocka_unit_test(test_row_time_is_unix_time),
        cmocka_unit_test(test_null_and_out_of_range_are_not_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
