/*
 * payment_read_answer: formats the answers that show what is on record: a payment whole, a wallet,
 * a page of its transactions.
 *
 * As payment_answer: appends to the caller's buffer, allocates nothing.
 */
#ifndef HTTP_API_PAYMENT_READ_ANSWER_H
#define HTTP_API_PAYMENT_READ_ANSWER_H

#include "http/api/payment_answer.h"
#include "pool/payment_read.h"

enum {
    PAYMENT_READ_ENTRY_BYTES = 264,  /* the longest line of the ledger */
    PAYMENT_READ_FRAME_BYTES = 2048, /* what stands around them */
    /* The longest of these answers. Those past HTTP_ANSWER_BYTES share HTTP_LARGE_ANSWERS_MAX. */
    PAYMENT_READ_BODY_BYTES =
        PAYMENT_READ_FRAME_BYTES + PAYMENT_ENTRIES_MAX * PAYMENT_READ_ENTRY_BYTES,
};

/* The recorded decision as it was answered, then what has become of it: voided, wallet_id,
 * merchant; of an approved hold state, expires_at while it is open, its amounts and its steps. */
void payment_read_answer_write_payment(struct buf *out, const struct payment_answer_style *style,
                                       const struct payment_answer *answer,
                                       const struct payment_read *read);
/* The wallet as it was at wall_us. */
void payment_read_answer_write_wallet(struct buf *out, const struct payment_answer_style *style,
                                      const struct payment_wallet *wallet, uint64_t wall_us);
/* The transactions, and next_before unless they are the last. */
void payment_read_answer_write_page(struct buf *out, const struct payment_read *read);

#endif
