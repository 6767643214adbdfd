/*
 * payment_answer: formats the answers of the payment API.
 *
 * The Go service's five members come first, in its order and types; ours are only appended.
 * Everything here is on the hot path: appends to the caller's buffer, no printf, no allocation. The
 * same decision gives the same bytes, so a replay is identical.
 */
#ifndef HTTP_API_PAYMENT_ANSWER_H
#define HTTP_API_PAYMENT_ANSWER_H

#include "core/err.h"
#include "core/payment.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    PAYMENT_ANSWER_BODY_BYTES = 1536,
    PAYMENT_ANSWER_HEADER_BYTES = 384,
    PAYMENT_ANSWER_REGION_BYTES = 384
};

/* The parts that never change, made once. */
struct payment_answer_style {
    char region_storage[PAYMENT_ANSWER_REGION_BYTES];
    struct span
        region; /* "...,"region":"eu-south-2","timestamp":"..." up to the time's first digit */
};
/* ERR_INVALID: the region's name is too long for an answer. */
MUST_USE enum err payment_answer_style_init(struct payment_answer_style *style, struct span region);

/* What an answer shows. */
struct payment_answer {
    uint64_t number; /* the legacy "txn_<digits>"; 0: txn_id is shown */
    struct uuid7 txn_id;
    uint8_t code_index; /* into PAYMENT_CODES */
    uint64_t processing_us;
    uint64_t wall_us;
    const struct payment_command *command; /* not needed for the legacy form */
    bool has_balance;
    int64_t balance_after_minor;
};

/* Writes the body of a decision. */
typedef void payment_answer_fn(struct buf *out, const struct payment_answer_style *style,
                               const struct payment_answer *answer);
/* Five members and a line feed: the Go service's answer. */
payment_answer_fn payment_answer_write_legacy;
/* The five and the decision. */
payment_answer_fn payment_answer_write;
/* The same, with the object still open: what has become of it follows. */
payment_answer_fn payment_answer_open_recorded;

/* Where the time of a request went; each 0 when it did not come so far. */
struct payment_timing {
    uint64_t auth_us, queue_us, db_us, total_us;
};
/* Server-Timing (W3C). */
void payment_answer_write_headers(struct buf *out, const struct payment_timing *timing);

#endif
