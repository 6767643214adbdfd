#include "core/check.h"
#include "core/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ITEM_MAX = 8 };

struct item {
    int value;
    struct list_node node;
};

/* A broken promise ends the process; here it must only end the call under test. */
_Noreturn void __wrap_check_failed(const char *expr, const char *file, int line);
_Noreturn void __wrap_check_failed(const char *expr, const char *file, int line)
{
    mock_assert(0, expr, file, line);
    abort();
}

static char digit_of(const struct list_node *node)
{
    return (char)('0' + container_of(node, const struct item, node)->value);
}

static int value_of(const struct list_node *node)
{
    assert_non_null(node);
    return digit_of(node) - '0';
}

/* The values in order, one digit each; walked both ways so that both halves of every link count. */
static void assert_holds(const struct list *list, const char *digits)
{
    char forward[ITEM_MAX + 1] = "", backward[ITEM_MAX + 1] = "";
    const size_t count = list->count;
    size_t walked = 0;
    assert_int_equal(count, strlen(digits));
    assert_true(count <= ITEM_MAX);

    for (const struct list_node *node = list_first(list); node != NULL && walked < count;
         node = list_next(list, node))
        forward[walked++] = digit_of(node);
    for (const struct list_node *node = list->head.prev; node != &list->head && walked > 0;
         node = node->prev)
        backward[--walked] = digit_of(node);

    assert_string_equal(forward, digits);
    assert_string_equal(backward, digits);
}

static void fill(struct list *list, struct item *items, int count)
{
    list_init(list);
    for (int i = 0; i < count; i++) {
        items[i] = (struct item){.value = i};
        list_push_back(list, &items[i].node);
    }
}

static void test_new_list_is_empty(void **unused)
{
    struct list list;
    (void)unused;

    list_init(&list);

    assert_holds(&list, "");
    assert_null(list_first(&list));
    assert_null(list_last(&list));
    assert_null(list_pop_front(&list));
}

static void test_push_keeps_order_at_both_ends(void **unused)
{
    struct item a = {.value = 1}, b = {.value = 2}, c = {.value = 3};
    struct list list;
    (void)unused;
    list_init(&list);

    list_push_back(&list, &b.node);
    list_push_front(&list, &a.node);
    list_push_back(&list, &c.node);

    assert_holds(&list, "123");
    assert_int_equal(value_of(list_first(&list)), 1);
    assert_int_equal(value_of(list_last(&list)), 3);
}

static void test_remove_takes_first_middle_and_last(void **unused)
{
    struct item items[5];
    struct list list;
    (void)unused;
    fill(&list, items, 5);

    list_remove(&list, &items[2].node);
    assert_holds(&list, "0134");
    list_remove(&list, &items[0].node);
    assert_holds(&list, "134");
    list_remove(&list, &items[4].node);
    assert_holds(&list, "13");
}

static void test_node_knows_whether_it_is_linked(void **unused)
{
    struct item item = {.value = 7};
    struct list list;
    (void)unused;
    list_init(&list);
    assert_false(list_node_linked(&item.node));

    list_push_back(&list, &item.node);
    assert_true(list_node_linked(&item.node));

    assert_ptr_equal(list_pop_front(&list), &item.node);
    assert_false(list_node_linked(&item.node));
}

static void test_removed_node_may_join_again(void **unused)
{
    struct item items[2];
    struct list list;
    (void)unused;
    fill(&list, items, 2);

    list_push_back(&list, list_pop_front(&list));

    assert_holds(&list, "10");
}

static void test_push_refuses_a_linked_node(void **unused)
{
    struct item items[2];
    struct list list;
    (void)unused;
    fill(&list, items, 2);

    expect_assert_failure(list_push_back(&list, &items[1].node));
    expect_assert_failure(list_push_front(&list, &items[1].node));

    assert_holds(&list, "01");
}

static void test_remove_refuses_an_unlinked_node(void **unused)
{
    struct item items[1], stray = {.value = 9};
    struct list list;
    (void)unused;
    fill(&list, items, 1);

    expect_assert_failure(list_remove(&list, &stray.node));

    assert_holds(&list, "0");
}

static void test_remove_refuses_a_node_with_broken_links(void **unused)
{
    struct item items[3];
    struct list list;
    (void)unused;
    fill(&list, items, 3);

    items[0].node.next = &items[2].node;
    expect_assert_failure(list_remove(&list, &items[1].node));
    items[0].node.next = &items[1].node;

    items[2].node.prev = &items[0].node;
    expect_assert_failure(list_remove(&list, &items[1].node));
    items[2].node.prev = &items[1].node;

    assert_holds(&list, "012");
}

static void test_push_refuses_a_list_with_broken_ends(void **unused)
{
    struct item items[2], stray = {.value = 9};
    struct list list;
    (void)unused;
    fill(&list, items, 2);

    items[1].node.next = NULL;
    expect_assert_failure(list_push_back(&list, &stray.node));
    items[1].node.next = &list.head;

    items[0].node.prev = NULL;
    expect_assert_failure(list_push_front(&list, &stray.node));
    items[0].node.prev = &list.head;

    assert_holds(&list, "01");
}

/* Links alone cannot tell: both lists are whole, only their counts would be wrong afterwards. */
static void test_remove_refuses_a_node_of_another_list(void **unused)
{
    struct item items[5], others[4];
    struct list list, other;
    (void)unused;
    fill(&list, items, 5);
    fill(&other, others, 4);
#ifdef CHECK_EXPENSIVE
    for (int i = 0; i < 4; i++)
        expect_assert_failure(list_remove(&list, &others[i].node));
#endif
    for (int i = 0; i < 4; i++)
        list_remove(&other, &others[i].node);

    assert_holds(&list, "01234");
    assert_holds(&other, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_list_is_empty),
        cmocka_unit_test(test_push_keeps_order_at_both_ends),
        cmocka_unit_test(test_remove_takes_first_middle_and_last),
        cmocka_unit_test(test_node_knows_whether_it_is_linked),
        cmocka_unit_test(test_removed_node_may_join_again),
        cmocka_unit_test(test_push_refuses_a_linked_node),
        cmocka_unit_test(test_remove_refuses_an_unlinked_node),
        cmocka_unit_test(test_remove_refuses_a_node_with_broken_links),
        cmocka_unit_test(test_push_refuses_a_list_with_broken_ends),
        cmocka_unit_test(test_remove_refuses_a_node_of_another_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
