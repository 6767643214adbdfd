#include "core/clock.h"
#include "http/api/api_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static uint64_t fixed_wall_us(void)
{
    return 1234567;
}

static void test_find_accepts_current_and_previous_only(void **state)
{
    (void)state;
    struct api_keys keys = {0};
    api_keys_set(&keys, SPAN("current-key"), SPAN("previous-key"));

    assert_string_equal(api_keys_find(&keys, SPAN("current-key"))->key_id, "current");
    assert_string_equal(api_keys_find(&keys, SPAN("previous-key"))->key_id, "previous");
    assert_null(api_keys_find(&keys, SPAN("current-kez")));
    assert_null(api_keys_find(&keys, SPAN("current-ke")));
    assert_null(api_keys_find(&keys, SPAN("current-key ")));
    assert_null(api_keys_find(&keys, SPAN("")));
    assert_null(api_keys_find(&keys, (struct span){NULL, 0}));
}

static void test_both_keys_are_one_client(void **state)
{
    (void)state;
    struct api_keys keys = {0};
    api_keys_set(&keys, SPAN("a"), SPAN("b"));

    assert_int_equal(api_keys_find(&keys, SPAN("a"))->client_id,
                     api_keys_find(&keys, SPAN("b"))->client_id);
}

static void test_find_counts_uses(void **state)
{
    (void)state;
    struct api_keys keys = {0};
    api_keys_set(&keys, SPAN("a"), SPAN(""));
    clock_replace(NULL, fixed_wall_us);

    api_keys_find(&keys, SPAN("a"));
    api_keys_find(&keys, SPAN("x"));
    api_keys_find(&keys, SPAN("a"));
    clock_replace(NULL, NULL);

    assert_int_equal(keys.count, 1);
    assert_int_equal(keys.entries[0].used_total, 2);
    assert_int_equal(keys.entries[0].last_used_wall_us, 1234567);
}

static void test_set_keeps_the_count_of_a_key_that_became_previous(void **state)
{
    (void)state;
    struct api_keys keys = {0};
    api_keys_set(&keys, SPAN("old"), SPAN(""));
    api_keys_find(&keys, SPAN("old"));

    api_keys_set(&keys, SPAN("new"), SPAN("old"));

    assert_int_equal(keys.entries[0].used_total, 0);
    assert_int_equal(keys.entries[1].used_total, 1);
    assert_string_equal(keys.entries[1].key_id, "previous");
}

static void test_set_forgets_keys_that_are_not_given(void **state)
{
    (void)state;
    struct api_keys keys = {0};
    api_keys_set(&keys, SPAN("old"), SPAN("older"));

    api_keys_set(&keys, SPAN("new"), SPAN(""));

    assert_null(api_keys_find(&keys, SPAN("old")));
    assert_null(api_keys_find(&keys, SPAN("older")));
    assert_non_null(api_keys_find(&keys, SPAN("new")));
}

static void test_set_with_equal_keys_makes_one_entry(void **state)
{
    (void)state;
    struct api_keys keys = {0};

    api_keys_set(&keys, SPAN("same"), SPAN("same"));

    assert_int_equal(keys.count, 1);
    assert_string_equal(api_keys_find(&keys, SPAN("same"))->key_id, "current");
}

static int set_up(void **state)
{
    (void)state;
    return secret_init() == ERR_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find_accepts_current_and_previous_only),
        cmocka_unit_test(test_both_keys_are_one_client),
        cmocka_unit_test(test_find_counts_uses),
        cmocka_unit_test(test_set_keeps_the_count_of_a_key_that_became_previous),
        cmocka_unit_test(test_set_forgets_keys_that_are_not_given),
        cmocka_unit_test(test_set_with_equal_keys_makes_one_entry),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
