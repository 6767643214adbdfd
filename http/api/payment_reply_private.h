/*
 * payment_reply (private to payment_api): the answer of a call while it is written, head and body.
 */
#ifndef HTTP_API_PAYMENT_REPLY_PRIVATE_H
#define HTTP_API_PAYMENT_REPLY_PRIVATE_H

#include "http/api/payment_call_private.h"

#include <stdbool.h>
#include <stdint.h>

struct payment_reply {
    uint16_t status;
    struct payment_timing timing;
    char header_storage[PAYMENT_ANSWER_HEADER_BYTES];
    char body_storage[PAYMENT_ANSWER_BODY_BYTES];
    struct buf headers, body;
    bool length_unknown;
};

/* The head has the timing as it is now. */
void payment_reply_begin(struct payment_reply *reply, const struct payment_call *call,
                         uint16_t status);
/* Location: where the transaction is read. */
void payment_reply_add_location(struct payment_reply *reply, const struct uuid7 *txn_id);
/* Answers and ends the call. */
void payment_reply_send(struct payment_reply *reply, struct payment_call *call);

#endif
