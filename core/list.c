#include "core/list.h"

#include "core/check.h"

/* Looked for from both ends at once: what is removed is mostly near one of them. */
static bool list_holds(const struct list *list, const struct list_node *node)
{
    const struct list_node *front = list->head.next, *back = list->head.prev;
    for (uint32_t walked = 0; walked < list->count; walked += 2) {
        if (front == node || back == node)
            return true;
        front = front->next;
        back = back->prev;
    }
    return false;
}

static void link_between(struct list *list, struct list_node *node, struct list_node *prev,
                         struct list_node *next)
{
    CHECK(node->prev == NULL);
    CHECK(prev->next == next);
    CHECK(next->prev == prev);
    node->prev = prev;
    node->next = next;
    prev->next = node;
    next->prev = node;
    list->count++;
}

void list_init(struct list *list)
{
    list->head.prev = &list->head;
    list->head.next = &list->head;
    list->count = 0;
}

void list_push_front(struct list *list, struct list_node *node)
{
    link_between(list, node, &list->head, list->head.next);
}

void list_push_back(struct list *list, struct list_node *node)
{
    link_between(list, node, list->head.prev, &list->head);
}

void list_insert_after(struct list *list, struct list_node *before, struct list_node *node)
{
    if (before == NULL)
        before = &list->head;
    link_between(list, node, before, before->next);
}

void list_remove(struct list *list, struct list_node *node)
{
    CHECK(node->prev != NULL);
    CHECK(list->count > 0);
    CHECK(node->prev->next == node);
    CHECK(node->next->prev == node);
    DCHECK(list_holds(list, node));
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->prev = NULL;
    node->next = NULL;
    list->count--;
}

struct list_node *list_first(const struct list *list)
{
    return list->count > 0 ? list->head.next : NULL;
}

struct list_node *list_last(const struct list *list)
{
    return list->count > 0 ? list->head.prev : NULL;
}

struct list_node *list_pop_front(struct list *list)
{
    struct list_node *first = list_first(list);
    if (first != NULL)
        list_remove(list, first);
    return first;
}

struct list_node *list_next(const struct list *list, const struct list_node *node)
{
    CHECK(node->prev != NULL);
    return node->next == &list->head ? NULL : node->next;
}

struct list_node *list_prev(const struct list *list, const struct list_node *node)
{
    CHECK(node->prev != NULL);
    return node->prev == &list->head ? NULL : node->prev;
}

bool list_node_linked(const struct list_node *node)
{
    return node->prev != NULL;
}
