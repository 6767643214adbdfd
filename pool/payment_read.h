/*
 * payment_read: what the reads bring back: a payment with what has happened to it, a wallet, a page
 * of a wallet's transactions.
 *
 * Large, and needed for as long as an answer is written: the store has one of them, not each
 * operation. Plain values; knows nothing of rows.
 */
#ifndef POOL_PAYMENT_READ_H
#define POOL_PAYMENT_READ_H

#include "core/payment.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    /* Rows of the ledger in one answer: all that a hold can have, and some to spare.
     * pool/sql/payment_view.inc.sql brings one more at most. */
    PAYMENT_ENTRIES_MAX = PAYMENT_STEPS_MAX + 28,
    PAYMENT_PAGE_MAX = 100, /* transactions of a page */
    PAYMENT_DATE_LEN = 10,  /* "2026-11-24" */
};

/* A row of the ledger that moved or posted a client's money. */
enum payment_entry_kind {
    PAYMENT_ENTRY_HOLD,
    PAYMENT_ENTRY_CAPTURE,
    PAYMENT_ENTRY_VOID, /* or the rest that a final capture released */
    PAYMENT_ENTRY_INCREMENT,
    PAYMENT_ENTRY_OVER_CAPTURE,
    PAYMENT_ENTRY_REFUND,
    PAYMENT_ENTRY_EXPIRY,
};
/* "hold" "capture" "void" "increment" "over_capture" "refund" "expiry"; static text. */
const char *payment_entry_name(enum payment_entry_kind kind);

struct payment_entry {
    enum payment_entry_kind kind;
    struct uuid7 txn_id;
    struct uuid7 hold_id; /* of a page: the hold it belongs to, its own id on a HOLD */
    int64_t amount_minor, balance_after_minor;
    int64_t version; /* of a page: which version of the wallet it made */
    uint64_t created_wall_us;
};

/* What has become of a payment; its recorded decision is the operation's. The entries are its
 * steps, in the order of the ledger. */
struct payment_view {
    bool has_amounts; /* an approved hold */
    struct payment_amounts amounts;
    bool has_expiry;
    uint64_t expires_wall_us;
};

enum payment_wallet_status { PAYMENT_WALLET_ACTIVE, PAYMENT_WALLET_BLOCKED, PAYMENT_WALLET_CLOSED };
/* "active" "blocked" "closed"; static text. */
const char *payment_wallet_status_name(enum payment_wallet_status status);

struct payment_wallet {
    int64_t wallet_id;
    enum payment_wallet_status status;
    char currency[PAYMENT_CURRENCY_LEN + 1];
    int64_t balance_minor, version;
    int64_t open_count, open_minor; /* holds of the client that asks */
    bool open_cut;                  /* there may be older ones beside these */
    char day[PAYMENT_DATE_LEN + 1]; /* the business day the counters are of */
    int64_t day_spent_minor, month_spent_minor;
    int32_t day_count;
    int64_t txn_max_minor, day_max_minor, month_max_minor; /* limits of its program */
    int32_t day_count_max;
};

/* Which page: what is older than a version, or than a transaction. */
struct payment_page_ask {
    int64_t before_version; /* INT64_MAX: the newest; counts where before_id is nil */
    struct uuid7 before_id;
    int32_t limit; /* 1..PAYMENT_PAGE_MAX */
};

/* A page; the entries are its transactions, newest first. */
struct payment_page {
    bool before_known;    /* false: before_id is no transaction of this client there */
    int64_t next_version; /* before which the next page begins; 0: this is the last one */
};

/* What one read has brought. */
struct payment_read {
    struct payment_view view;     /* FIND, FIND_KEY */
    struct payment_wallet wallet; /* WALLET */
    struct payment_page page;     /* TRANSACTIONS */
    uint32_t entry_count;
    struct payment_entry entries[PAYMENT_ENTRIES_MAX];
};

#endif
