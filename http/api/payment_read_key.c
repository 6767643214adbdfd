#include "http/api/payment_read_key.h"

#include "core/secret.h"
#include "http/api/percent.h"

static bool is_key(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < '!' || text.ptr[i] > '~')
            return false;
    return text.len > 0;
}

bool payment_read_key_decode(struct span segment, char key[PAYMENT_KEY_MAX], uint8_t *key_len)
{
    struct buf out;

    buf_init(&out, key, PAYMENT_KEY_MAX);
    if (!percent_decode(segment, &out) || !is_key(buf_span(&out))) {
        secret_wipe(key, PAYMENT_KEY_MAX);
        return false;
    }
    *key_len = (uint8_t)out.len;
    return true;
}

struct span payment_read_key_hide(struct span path)
{
    const struct span segment = SPAN(PAYMENT_READ_KEY_SEGMENT);

    for (size_t i = 0; i + segment.len <= path.len; i++) {
        const struct span rest = {path.ptr + i, path.len - i};
        if (span_starts_with(rest, segment))
            return (struct span){path.ptr, i + segment.len};
    }
    return path;
}
