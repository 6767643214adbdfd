/* fake_pq (private to test/fake): what its files share. */
#ifndef TEST_FAKE_PQ_PRIVATE_H
#define TEST_FAKE_PQ_PRIVATE_H

#include "test/fake/fake_pq.h"

enum { FAKE_PQ_CONNS_MAX = 512, FAKE_PQ_TEXT_MAX = 256 };

enum fake_pq_item_kind {
    ITEM_RESULT,
    ITEM_END,
    ITEM_NOTICE,
    ITEM_NOTIFY,
    ITEM_PARAMETER,
};

struct fake_pq_item {
    enum fake_pq_item_kind kind;
    PGresult *result; /* RESULT, NOTICE */
    const char *name, *value;
};

struct pg_conn {
    unsigned number;
    struct fake_pq_script script;
    ConnStatusType status;
    unsigned step;
    int near_fd, far_fd;
    char *options[FAKE_PQ_OPTIONS_MAX][2];
    unsigned option_count;

    bool pipeline, busy, hung_up;
    PGTransactionStatusType transaction;
    unsigned flushes_left;
    unsigned queries, prepares, prepares_in_flight, deallocates;
    struct fake_pq_sent sent;

    PQnoticeReceiver on_notice;
    void *notice_owner;
    unsigned notifies; /* received, not taken */

    struct fake_pq_item items[FAKE_PQ_ITEMS_MAX]; /* a ring */
    unsigned first, count, received;              /* `received` of `count` have arrived */
};

/* Counts the call; true: it is the one that fails. conn may be NULL. */
bool fake_pq_fails(enum fake_pq_call call, PGconn *conn);
/* Results that were handed out to the code under test are counted until PQclear(). */
void fake_pq_hand_out(PGresult *result);
unsigned fake_pq_results_out(void);
unsigned fake_pq_notifies_out(void);
void fake_pq_results_reset(void);
void fake_pq_queries_reset(void);
void fake_pq_drop_items(PGconn *conn);
void fake_pq_nudge(PGconn *conn);
void fake_pq_drain(PGconn *conn);

#endif
