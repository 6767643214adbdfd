#include "http/api/payment_id.h"

void payment_id_add(struct buf *out, const struct uuid7 *id)
{
    buf_add(out, SPAN(PAYMENT_ID_PREFIX));
    buf_add_hex(out, id->bytes, UUID7_BYTES);
}

void payment_id_add_number(struct buf *out, uint64_t number)
{
    buf_add(out, SPAN(PAYMENT_ID_PREFIX));
    buf_add_u64(out, number);
}

bool payment_id_parse(struct span text, struct uuid7 *id)
{
    const struct span prefix = SPAN(PAYMENT_ID_PREFIX);
    return span_starts_with(text, prefix) &&
           uuid7_parse_hex((struct span){text.ptr + prefix.len, text.len - prefix.len}, id);
}
