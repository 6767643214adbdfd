#include "pool/payment_row_private.h"

#include <string.h>

/* Bytes of exactly this width. */
static bool read_bytes(const struct pg_rows *rows, uint32_t row, uint32_t column, void *out,
                       size_t width)
{
    struct span bytes;

    if (!pg_row_bytes(rows, row, column, &bytes) || bytes.len != width)
        return false;
    memcpy(out, bytes.ptr, width);
    return true;
}

bool payment_row_uuid(const struct pg_rows *rows, uint32_t row, uint32_t column, struct uuid7 *id)
{
    return read_bytes(rows, row, column, id->bytes, UUID7_BYTES);
}

bool payment_row_fingerprint(const struct pg_rows *rows, uint32_t row, uint32_t column,
                             struct secret_digest *fingerprint)
{
    return read_bytes(rows, row, column, fingerprint->bytes, SECRET_DIGEST_BYTES);
}

bool payment_row_code(const struct pg_rows *rows, uint32_t row, uint32_t column,
                      uint8_t *code_index)
{
    char code[PAYMENT_CODE_LEN];

    if (!read_bytes(rows, row, column, code, sizeof(code)))
        return false;
    const int index = payment_code_find(code);
    if (index < 0)
        return false;
    *code_index = (uint8_t)index;
    return true;
}

bool payment_row_currency(const struct pg_rows *rows, uint32_t row, uint32_t column,
                          char currency[PAYMENT_CURRENCY_LEN + 1])
{
    if (!read_bytes(rows, row, column, currency, PAYMENT_CURRENCY_LEN))
        return false;
    currency[PAYMENT_CURRENCY_LEN] = '\0';
    return true;
}

bool payment_row_mcc(const struct pg_rows *rows, uint32_t row, uint32_t column, uint16_t *mcc)
{
    int32_t value;

    if (!pg_row_int4(rows, row, column, &value) || value < 0 || value > PAYMENT_MCC_MAX)
        return false;
    *mcc = (uint16_t)value;
    return true;
}

bool payment_row_processing_us(const struct pg_rows *rows, uint32_t row, uint32_t column,
                               uint32_t *processing_us)
{
    int32_t value;

    if (!pg_row_int4(rows, row, column, &value) || value < 0)
        return false;
    *processing_us = (uint32_t)value;
    return true;
}

bool payment_row_amounts(const struct pg_rows *rows, uint32_t row, uint32_t first,
                         struct payment_amounts *amounts)
{
    return pg_row_int8(rows, row, first, &amounts->authorised_minor) &&
           pg_row_int8(rows, row, first + 1, &amounts->captured_minor) &&
           pg_row_int8(rows, row, first + 2, &amounts->released_minor) &&
           pg_row_int8(rows, row, first + 3, &amounts->expired_minor) &&
           pg_row_int8(rows, row, first + 4, &amounts->refunded_minor) &&
           payment_amounts_are_sound(amounts);
}
