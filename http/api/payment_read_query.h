/*
 * payment_read_query: the query of .../wallets/{id}/transactions -> which page is asked for, or the
 * problem to answer.
 */
#ifndef HTTP_API_PAYMENT_READ_QUERY_H
#define HTTP_API_PAYMENT_READ_QUERY_H

#include "http/api/payment_refusal.h"
#include "pool/payment_read.h"

#include <stdbool.h>

enum { PAYMENT_READ_LIMIT_DEFAULT = 50 };

extern const char PAYMENT_READ_BEFORE_RULE[];

/* limit and before, each at most once and nothing else but empty parameters; without either the
 * newest PAYMENT_READ_LIMIT_DEFAULT. before is a transaction's id, or a version. False: refused. */
MUST_USE bool payment_read_query(struct span query, struct payment_page_ask *ask,
                                 struct payment_refusal *refusal);

#endif
