#include "core/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    U64_DIGITS_MAX = 20,
    UTF8_REPLACEMENT = 0xFFFD,
    UTF8_CODE_MAX = 0x10FFFF,
    UTF8_SURROGATE_FIRST = 0xD800,
    UTF8_SURROGATE_LAST = 0xDFFF,
};

struct span span_of(const char *text)
{
    if (text == NULL)
        return (struct span){NULL, 0};
    return (struct span){text, strlen(text)};
}

bool span_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static unsigned char ascii_lower(char byte)
{
    return (unsigned char)(byte >= 'A' && byte <= 'Z' ? byte + ('a' - 'A') : byte);
}

bool span_equal_nocase(struct span a, struct span b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i]))
            return false;
    }
    return true;
}

bool span_starts_with(struct span bytes, struct span prefix)
{
    return bytes.len >= prefix.len && span_equal((struct span){bytes.ptr, prefix.len}, prefix);
}

static bool is_ows(char byte)
{
    return byte == ' ' || byte == '\t';
}

struct span span_trim(struct span bytes)
{
    while (bytes.len > 0 && is_ows(bytes.ptr[0])) {
        bytes.ptr++;
        bytes.len--;
    }
    while (bytes.len > 0 && is_ows(bytes.ptr[bytes.len - 1]))
        bytes.len--;
    return bytes;
}

bool span_parse_u64(struct span digits, uint64_t max, uint64_t *value)
{
    if (digits.len == 0)
        return false;

    uint64_t sum = 0;
    for (size_t i = 0; i < digits.len; i++) {
        const char byte = digits.ptr[i];
        if (byte < '0' || byte > '9')
            return false;
        const uint64_t digit = (uint64_t)(byte - '0');
        if (digit > max || sum > (max - digit) / 10)
            return false;
        sum = sum * 10 + digit;
    }
    *value = sum;
    return true;
}

struct span span_cut(struct span *rest, char separator)
{
    const char *found = rest->len > 0 ? memchr(rest->ptr, separator, rest->len) : NULL;
    struct span part = *rest;
    if (found == NULL) {
        *rest = (struct span){NULL, 0};
        return part;
    }
    part.len = (size_t)(found - rest->ptr);
    rest->ptr += part.len + 1;
    rest->len -= part.len + 1;
    return part;
}

void buf_init(struct buf *buf, char *storage, size_t cap)
{
    *buf = (struct buf){.data = storage, .cap = cap};
}

struct span buf_span(const struct buf *buf)
{
    return (struct span){buf->data, buf->len};
}

/* Room for exactly `count` bytes, which the caller fills, or NULL and the sticky flag. */
static char *buf_reserve(struct buf *buf, size_t count)
{
    if (buf->overflow || count > buf->cap - buf->len) {
        buf->overflow = true;
        return NULL;
    }
    char *at = buf->data + buf->len;
    buf->len += count;
    return at;
}

void buf_add(struct buf *buf, struct span bytes)
{
    if (bytes.len == 0)
        return;
    char *at = buf_reserve(buf, bytes.len);
    if (at != NULL)
        memcpy(at, bytes.ptr, bytes.len);
}

void buf_add_text(struct buf *buf, const char *text)
{
    buf_add(buf, span_of(text));
}

void buf_add_char(struct buf *buf, char byte)
{
    char *at = buf_reserve(buf, 1);
    if (at != NULL)
        *at = byte;
}

void buf_add_u64(struct buf *buf, uint64_t value)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    char digits[U64_DIGITS_MAX];
    size_t first = U64_DIGITS_MAX;
    while (value >= 100) {
        first -= 2;
        memcpy(digits + first, pairs + 2 * (value % 100), 2);
        value /= 100;
    }
    if (value >= 10) {
        first -= 2;
        memcpy(digits + first, pairs + 2 * value, 2);
    } else {
        digits[--first] = (char)('0' + value);
    }
    buf_add(buf, (struct span){digits + first, U64_DIGITS_MAX - first});
}

void buf_add_i64(struct buf *buf, int64_t value)
{
    if (value < 0)
        buf_add_char(buf, '-');
    /* Negated as unsigned: INT64_MIN has no positive twin. */
    buf_add_u64(buf, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

void buf_add_milli2(struct buf *buf, uint64_t thousandths)
{
    const uint64_t hundredths = thousandths / 10 + (thousandths % 10 >= 5 ? 1 : 0);
    const char fraction[] = {'.', (char)('0' + hundredths / 10 % 10),
                             (char)('0' + hundredths % 10)};
    buf_add_u64(buf, hundredths / 100);
    buf_add(buf, (struct span){fraction, sizeof fraction});
}

static const char hex_digits[] = "0123456789abcdef";

int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

void buf_add_hex(struct buf *buf, const uint8_t *bytes, size_t count)
{
    if (count > SIZE_MAX / 2) {
        buf->overflow = true;
        return;
    }
    char *at = buf_reserve(buf, 2 * count);
    if (at == NULL)
        return;
    for (size_t i = 0; i < count; i++) {
        *at++ = hex_digits[bytes[i] >> 4];
        *at++ = hex_digits[bytes[i] & 0x0F];
    }
}

/* Length of the well-formed UTF-8 sequence at the front (RFC 3629: shortest form, no surrogates),
 * or 0. */
static size_t utf8_decode(struct span bytes, uint32_t *code)
{
    const unsigned char lead = (unsigned char)bytes.ptr[0];
    size_t len = 0;
    uint32_t least = 0;
    if (lead < 0x80) {
        *code = lead;
        return 1;
    }
    if (lead >= 0xC2 && lead <= 0xDF) {
        len = 2;
        least = 0x80;
        *code = lead & 0x1Fu;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        len = 3;
        least = 0x800;
        *code = lead & 0x0Fu;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        len = 4;
        least = 0x10000;
        *code = lead & 0x07u;
    }
    if (len == 0 || bytes.len < len)
        return 0;
    for (size_t i = 1; i < len; i++) {
        const unsigned char byte = (unsigned char)bytes.ptr[i];
        if ((byte & 0xC0) != 0x80)
            return 0;
        *code = *code << 6 | (byte & 0x3Fu);
    }
    const bool surrogate = *code >= UTF8_SURROGATE_FIRST && *code <= UTF8_SURROGATE_LAST;
    return *code < least || *code > UTF8_CODE_MAX || surrogate ? 0 : len;
}

static bool is_json_plain(unsigned char byte)
{
    return byte >= 0x20 && byte < 0x7F && byte != '"' && byte != '\\';
}

/* Control characters of C0 and C1, and the two characters some readers take for line ends. */
static bool must_hide(uint32_t code)
{
    return code < 0x20 || (code >= 0x7F && code <= 0x9F) || code == 0x2028 || code == 0x2029;
}

static void json_add_unicode_escape(struct buf *buf, uint32_t code)
{
    const char text[] = {'\\',
                         'u',
                         hex_digits[code >> 12 & 0xF],
                         hex_digits[code >> 8 & 0xF],
                         hex_digits[code >> 4 & 0xF],
                         hex_digits[code & 0xF]};
    buf_add(buf, (struct span){text, sizeof text});
}

/* Writes the character at the front, which is not plain, and returns how many bytes it took. */
static size_t json_add_special(struct buf *buf, struct span rest)
{
    uint32_t code = 0;
    const size_t len = utf8_decode(rest, &code);
    if (len == 0) {
        json_add_unicode_escape(buf, UTF8_REPLACEMENT);
        return 1;
    }
    if (code == '"' || code == '\\') {
        buf_add_char(buf, '\\');
        buf_add_char(buf, (char)code);
    } else if (must_hide(code)) {
        json_add_unicode_escape(buf, code);
    } else {
        buf_add(buf, (struct span){rest.ptr, len});
    }
    return len;
}

void buf_add_json(struct buf *buf, struct span text)
{
    buf_add_char(buf, '"');
    size_t at = 0;
    while (at < text.len) {
        size_t end = at;
        while (end < text.len && is_json_plain((unsigned char)text.ptr[end]))
            end++;
        buf_add(buf, (struct span){text.ptr + at, end - at});
        at = end;
        if (at < text.len)
            at += json_add_special(buf, (struct span){text.ptr + at, text.len - at});
    }
    buf_add_char(buf, '"');
}

void buf_addf(struct buf *buf, const char *format, ...)
{
    if (buf->overflow)
        return;
    const size_t room = buf->cap - buf->len;
    va_list args;
    va_start(args, format);
    const int len = vsnprintf(buf->data + buf->len, room, format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= room) {
        buf->overflow = true;
        return;
    }
    buf->len += (size_t)len;
}
