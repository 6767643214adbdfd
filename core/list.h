/*
 * list: intrusive, doubly linked, counted. Storage is the owner's; a node is on at most one list.
 * O(1) everywhere; count is exact, so a list is also a gauge and a bound. Broken links end the
 * process (CHECK); with CHECK_EXPENSIVE so does the removal of a node from a list it is not on.
 */
#ifndef CORE_LIST_H
#define CORE_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The struct that embeds this member. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* A node off every list has prev == NULL; zeroed memory is such a node. */
struct list_node {
    struct list_node *prev, *next;
};

/* A ring through `head`; count is without it. */
struct list {
    struct list_node head;
    uint32_t count;
};

/* Makes it empty; nodes it held are forgotten, not unlinked. */
void list_init(struct list *list);
/* The node must be off every list (CHECKed). */
void list_push_front(struct list *list, struct list_node *node);
void list_push_back(struct list *list, struct list_node *node);
/* Behind `before`, which is on this list; NULL: at the front. */
void list_insert_after(struct list *list, struct list_node *before, struct list_node *node);
/* The node must be on this list (membership is the caller's to know; audited by DCHECK). */
void list_remove(struct list *list, struct list_node *node);
/* NULL when empty. pop_front also removes it. */
struct list_node *list_first(const struct list *list);
struct list_node *list_last(const struct list *list);
struct list_node *list_pop_front(struct list *list);
/* The node after this one, NULL at the end. */
struct list_node *list_next(const struct list *list, const struct list_node *node);
/* The node before this one, NULL at the front. */
struct list_node *list_prev(const struct list *list, const struct list_node *node);
/* True while it is on a list, whichever. */
bool list_node_linked(const struct list_node *node);

#endif
