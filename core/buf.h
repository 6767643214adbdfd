/*
 * buf: borrowed bytes (span) and a bounded writer (buf) over storage of the caller.
 *
 * A writer that would pass its capacity sets `overflow`, which is sticky, and writes nothing more:
 * callers build a whole answer and test once. Nothing here allocates.
 */
#ifndef CORE_BUF_H
#define CORE_BUF_H

#include "core/check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that somebody else owns; not NUL-terminated. */
struct span {
    const char *ptr;
    size_t len;
};

/* The span of a string literal. */
#define SPAN(literal) ((struct span){(literal), sizeof(literal) - 1})

/* The text without its NUL; NULL gives an empty span. */
struct span span_of(const char *text);
/* The same bytes; _nocase takes ASCII letters of either case for the same. */
bool span_equal(struct span a, struct span b);
bool span_equal_nocase(struct span a, struct span b);
/* True for an empty prefix. */
bool span_starts_with(struct span bytes, struct span prefix);
/* Strips SP and HTAB at both ends (RFC 9110 section 5.6.3, OWS). */
struct span span_trim(struct span bytes);
/* Decimal digits only, no sign, no space, value <= max; false leaves *value alone. */
MUST_USE bool span_parse_u64(struct span digits, uint64_t max, uint64_t *value);
/* Cuts the part before the first `separator` off *rest and returns it; the last part leaves
 * rest->ptr NULL. For walking lists: while (rest.ptr != NULL) part = span_cut(&rest, ','). */
struct span span_cut(struct span *rest, char separator);

/* 0..15 for a hex digit of either case, -1 for any other byte. */
int hex_value(char digit);

/* data[0..len) is written; the storage is the caller's. */
struct buf {
    char *data;
    size_t cap, len;
    bool overflow;
};

/* Empty, over `cap` bytes that are borrowed for the writer's life. */
void buf_init(struct buf *buf, char *storage, size_t cap);
/* What was written; valid until the next write. */
struct span buf_span(const struct buf *buf);
/* Append bytes, a text without its NUL (NULL: nothing), a byte, a decimal number. */
void buf_add(struct buf *buf, struct span bytes);
void buf_add_text(struct buf *buf, const char *text);
void buf_add_char(struct buf *buf, char byte);
void buf_add_u64(struct buf *buf, uint64_t value);
void buf_add_i64(struct buf *buf, int64_t value);
/* Thousandths with two decimals, rounded half up, like "%.2f" of value/1000: 1420 -> 1.42. */
void buf_add_milli2(struct buf *buf, uint64_t thousandths);
/* Two lower-case hex digits a byte. */
void buf_add_hex(struct buf *buf, const uint8_t *bytes, size_t count);
/* The bytes as a JSON string with its quotes: control bytes, quote, backslash and every byte that
 * is not valid UTF-8 are escaped, so the output is one line of valid JSON whatever came in (RFC
 * 8259 section 7). */
void buf_add_json(struct buf *buf, struct span text);
/* Like printf, whose formatter ends its text with a NUL: one byte more than the text must be free.
 */
void buf_addf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
