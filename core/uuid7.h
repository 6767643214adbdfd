/*
 * uuid7: RFC 9562 section 5.7 identifiers: 48 bits of Unix milliseconds, then a 42-bit counter that
 * starts at random in every millisecond (section 6.2, method 1/3), then random bits. Strictly
 * increasing within one generator, also when the wall clock steps back.
 */
#ifndef CORE_UUID7_H
#define CORE_UUID7_H

#include "core/buf.h"
#include "core/check.h"

#include <stdbool.h>
#include <stdint.h>

enum { UUID7_BYTES = 16, UUID7_HEX_LEN = 32 };

/* In network order: sorts by time of creation. */
struct uuid7 {
    uint8_t bytes[UUID7_BYTES];
};

/* Its bytes, borrowed. */
static inline struct span uuid7_span(const struct uuid7 *id)
{
    return (struct span){(const char *)id->bytes, UUID7_BYTES};
}

/* Zeroed memory is a fresh generator. */
struct uuid7_generator {
    uint64_t last_ms;
    uint64_t counter;
};

/* The next identifier; reads the wall clock and takes randomness (secret_init() first). */
struct uuid7 uuid7_next(struct uuid7_generator *generator);
/* Exactly 32 lower-case hex digits; any UUID version is accepted, upper case is not. False: *out is
 * left alone. */
MUST_USE bool uuid7_parse_hex(struct span hex, struct uuid7 *out);

#endif
