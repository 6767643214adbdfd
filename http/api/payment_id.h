/*
 * payment_id: how a transaction's id is written: "txn_" and 32 hex digits; the Go service's form
 * has decimal digits instead.
 */
#ifndef HTTP_API_PAYMENT_ID_H
#define HTTP_API_PAYMENT_ID_H

#include "core/buf.h"
#include "core/uuid7.h"

#include <stdbool.h>

#define PAYMENT_ID_PREFIX "txn_"
enum { PAYMENT_ID_LEN = sizeof(PAYMENT_ID_PREFIX) - 1 + UUID7_HEX_LEN };

void payment_id_add(struct buf *out, const struct uuid7 *id);
void payment_id_add_number(struct buf *out, uint64_t number);
/* False: it is not of the first form. */
MUST_USE bool payment_id_parse(struct span text, struct uuid7 *id);

#endif
