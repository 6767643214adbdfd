#include "core/uuid7.h"

#include "core/clock.h"
#include "core/secret.h"

enum {
    COUNTER_BITS = 42,
    COUNTER_LOW_BITS = 30, /* of them after the variant; the 12 others follow the version */
};

static const uint64_t COUNTER_MAX = (UINT64_C(1) << COUNTER_BITS) - 1;
/* A fresh counter leaves its top bit clear: at least 2^41 identifiers before it can overflow. */
static const uint64_t COUNTER_START_MASK = (UINT64_C(1) << (COUNTER_BITS - 1)) - 1;

static void put_be64(uint8_t *at, uint64_t value)
{
    for (int i = 7; i >= 0; i--) {
        at[i] = (uint8_t)value;
        value >>= 8;
    }
}

struct uuid7 uuid7_next(struct uuid7_generator *generator)
{
    struct {
        uint64_t counter;
        uint64_t tail;
    } random;
    secret_random(&random, sizeof random);

    const uint64_t now_ms = clock_wall_us() / CLOCK_US_PER_MS;
    if (now_ms > generator->last_ms) {
        generator->last_ms = now_ms;
        generator->counter = random.counter & COUNTER_START_MASK;
    } else if (generator->counter < COUNTER_MAX) {
        generator->counter++;
    } else {
        /* Borrow the next millisecond: order matters more than an exact timestamp. */
        generator->last_ms++;
        generator->counter = random.counter & COUNTER_START_MASK;
    }

    const uint64_t counter_high = generator->counter >> COUNTER_LOW_BITS;
    const uint64_t counter_low = generator->counter & ((UINT64_C(1) << COUNTER_LOW_BITS) - 1);
    struct uuid7 id;
    put_be64(id.bytes, generator->last_ms << 16 | UINT64_C(0x7000) | counter_high);
    put_be64(id.bytes + 8, UINT64_C(2) << 62 | counter_low << 32 | (random.tail & UINT32_MAX));
    return id;
}

static bool is_upper(char byte)
{
    return byte >= 'A' && byte <= 'Z';
}

bool uuid7_parse_hex(struct span hex, struct uuid7 *out)
{
    if (hex.len != UUID7_HEX_LEN)
        return false;

    struct uuid7 id;
    for (size_t i = 0; i < UUID7_BYTES; i++) {
        const char *digits = hex.ptr + 2 * i;
        const int high = hex_value(digits[0]), low = hex_value(digits[1]);
        if (high == -1 || low == -1 || is_upper(digits[0]) || is_upper(digits[1]))
            return false;
        id.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *out = id;
    return true;
}
