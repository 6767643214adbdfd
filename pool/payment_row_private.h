/*
 * payment_row (private to pool/): columns that mean something of a payment.
 *
 * Each reads one column, or some that follow one another, of one row. False: NULL, or not of that
 * form; the row is then of another shape than its statement promises, and nothing may be made of
 * it.
 */
#ifndef POOL_PAYMENT_ROW_PRIVATE_H
#define POOL_PAYMENT_ROW_PRIVATE_H

#include "core/payment.h"
#include "pool/pg_array_private.h"

MUST_USE bool payment_row_uuid(const struct pg_rows *rows, uint32_t row, uint32_t column,
                               struct uuid7 *id);
MUST_USE bool payment_row_fingerprint(const struct pg_rows *rows, uint32_t row, uint32_t column,
                                      struct secret_digest *fingerprint);
/* A response code of ours, as its place in PAYMENT_CODES. */
MUST_USE bool payment_row_code(const struct pg_rows *rows, uint32_t row, uint32_t column,
                               uint8_t *code_index);
MUST_USE bool payment_row_currency(const struct pg_rows *rows, uint32_t row, uint32_t column,
                                   char currency[PAYMENT_CURRENCY_LEN + 1]);
MUST_USE bool payment_row_mcc(const struct pg_rows *rows, uint32_t row, uint32_t column,
                              uint16_t *mcc);
/* An int4 that counts microseconds of a request. */
MUST_USE bool payment_row_processing_us(const struct pg_rows *rows, uint32_t row, uint32_t column,
                                        uint32_t *processing_us);
/* authorised captured released expired refunded, from the column `first` on; they are sound. */
MUST_USE bool payment_row_amounts(const struct pg_rows *rows, uint32_t row, uint32_t first,
                                  struct payment_amounts *amounts);

#endif
