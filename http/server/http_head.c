#include "http/server/http_head_private.h"

#include <string.h>

static const struct http_refusal MALFORMED_TARGET = {HTTP_ERROR_MALFORMED,
                                                     "The request target is not valid."};
static const struct http_refusal MALFORMED_HOST = {HTTP_ERROR_MALFORMED,
                                                   "Exactly one valid Host field is required."};
static const struct http_refusal MALFORMED_FRAMING = {
    HTTP_ERROR_MALFORMED, "The length of the body is not given unambiguously."};
static const struct http_refusal UNKNOWN_EXPECTATION = {
    HTTP_ERROR_EXPECTATION_FAILED, "The only expectation that can be met is 100-continue."};

static bool is_digit(unsigned char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_alnum(unsigned char byte)
{
    const unsigned char lower = byte | 0x20;
    return is_digit(byte) || (lower >= 'a' && lower <= 'z');
}

bool http_head_is_token_char(unsigned char byte)
{
    return is_alnum(byte) || (byte != '\0' && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
}

/* Without the sub-delimiters and escapes that nobody's host name has. */
static bool is_host_char(unsigned char byte)
{
    return is_alnum(byte) || byte == '-' || byte == '.' || byte == '_' || byte == '~';
}

static bool is_port(struct span port)
{
    uint64_t value = 0;
    return port.len == 0 || (port.len <= 5 && span_parse_u64(port, UINT16_MAX, &value));
}

/* uri-host [":" port] of RFC 9110 section 7.2. */
static bool is_authority(struct span text)
{
    if (text.len == 0)
        return false;
    size_t at = 0;
    if (text.ptr[0] == '[') {
        const char *close = memchr(text.ptr, ']', text.len);
        if (close == NULL)
            return false;
        for (at = 1; text.ptr + at < close; at++) {
            const unsigned char byte = (unsigned char)text.ptr[at];
            const unsigned char lower = byte | 0x20;
            if (!is_digit(byte) && !(lower >= 'a' && lower <= 'f') && byte != ':' && byte != '.')
                return false;
        }
        if (at == 1)
            return false;
        at++;
    } else {
        while (at < text.len && is_host_char((unsigned char)text.ptr[at]))
            at++;
        if (at == 0)
            return false;
    }
    if (at == text.len)
        return true;
    return text.ptr[at] == ':' &&
           is_port((struct span){.ptr = text.ptr + at + 1, .len = text.len - at - 1});
}

/* Cuts scheme and authority off an absolute-form target; what is left starts with '/' or '?', or
 * is empty. */
static bool cut_authority(struct span *rest)
{
    size_t scheme = 0;
    if (rest->len >= 7 && span_equal_nocase((struct span){rest->ptr, 7}, SPAN("http://")))
        scheme = 7;
    else if (rest->len >= 8 && span_equal_nocase((struct span){rest->ptr, 8}, SPAN("https://")))
        scheme = 8;
    else
        return false;
    size_t end = scheme;
    while (end < rest->len && rest->ptr[end] != '/' && rest->ptr[end] != '?')
        end++;
    if (!is_authority((struct span){.ptr = rest->ptr + scheme, .len = end - scheme}))
        return false;
    *rest = (struct span){.ptr = rest->ptr + end, .len = rest->len - end};
    return true;
}

static bool split_target(struct http_request *request)
{
    struct span rest = request->target;
    for (size_t i = 0; i < rest.len; i++) {
        const unsigned char byte = (unsigned char)rest.ptr[i];
        if (byte <= ' ' || byte >= 0x7f || byte == '#')
            return false;
    }
    request->query = SPAN("");
    request->path = rest;
    if (request->method == HTTP_CONNECT)
        return is_authority(rest);
    if (span_equal(rest, SPAN("*")))
        return request->method == HTTP_OPTIONS;
    const bool absolute = rest.len > 0 && rest.ptr[0] != '/';
    if (rest.len == 0 || (absolute && !cut_authority(&rest)))
        return false;
    const char *mark = rest.len == 0 ? NULL : memchr(rest.ptr, '?', rest.len);
    request->path = rest;
    if (mark != NULL) {
        request->path.len = (size_t)(mark - rest.ptr);
        request->query = (struct span){.ptr = mark + 1, .len = rest.len - request->path.len - 1};
    }
    if (request->path.len == 0)
        request->path = SPAN("/");
    return true;
}

/* The few fields that decide framing and addressing, as they were counted in one pass. */
struct field_counts {
    uint32_t host, length, coding;
    bool host_valid, coding_valid, expectation_known;
};

static void count_field(struct http_request *request, struct field_counts *counts,
                        const struct http_header *header)
{
    switch (header->name.len) {
    case 4:
        if (span_equal_nocase(header->name, SPAN("host"))) {
            counts->host++;
            counts->host_valid = is_authority(header->value);
        }
        break;
    case 6:
        if (span_equal_nocase(header->name, SPAN("expect"))) {
            if (span_equal_nocase(header->value, SPAN("100-continue")))
                request->expects_continue = true;
            else
                counts->expectation_known = false;
        }
        break;
    case 14:
        if (span_equal_nocase(header->name, SPAN("content-length")))
            counts->length++;
        break;
    case 17:
        if (span_equal_nocase(header->name, SPAN("transfer-encoding"))) {
            counts->coding++;
            counts->coding_valid = span_equal_nocase(header->value, SPAN("chunked"));
        }
        break;
    default:
        break;
    }
}

bool http_head_check(struct http_request *request, struct http_refusal *refusal)
{
    struct field_counts counts = {.expectation_known = true};
    for (uint32_t i = 0; i < request->header_count; i++) {
        struct http_header *header = &request->headers[i];
        header->value = span_trim(header->value);
        count_field(request, &counts, header);
    }
    const bool framing_ambiguous =
        counts.length + counts.coding > 1 ||
        (counts.coding == 1 && (!counts.coding_valid || request->version_minor == 0));
    const bool host_bad = counts.host > 1 || (counts.host == 1 && !counts.host_valid) ||
                          (counts.host == 0 && request->version_minor == 1);

    *refusal = (struct http_refusal){0};
    if (framing_ambiguous)
        *refusal = MALFORMED_FRAMING;
    else if (!split_target(request))
        *refusal = MALFORMED_TARGET;
    else if (host_bad)
        *refusal = MALFORMED_HOST;
    else if (!counts.expectation_known && request->version_minor == 1)
        *refusal = UNKNOWN_EXPECTATION;
    request->has_body = counts.length + counts.coding > 0;
    if (request->version_minor == 0)
        request->expects_continue = false; /* RFC 9110 section 10.1.1 */
    return refusal->error == HTTP_ERROR_NONE;
}

struct http_refusal http_head_judge_unknown_method(struct span line)
{
    const struct http_refusal malformed = {HTTP_ERROR_MALFORMED, "The request line is not valid."};
    const char *space = memrchr(line.ptr, ' ', line.len);
    if (space == NULL || space == line.ptr)
        return malformed;
    const struct span version = {.ptr = space + 1,
                                 .len = line.len - (size_t)(space + 1 - line.ptr)};
    if (version.len != 8 || !span_starts_with(version, SPAN("HTTP/")) ||
        !is_digit((unsigned char)version.ptr[5]) || version.ptr[6] != '.' ||
        !is_digit((unsigned char)version.ptr[7]))
        return malformed;
    /* METHOD SP target SP version: the target must not be empty. */
    const char *method_end = memchr(line.ptr, ' ', line.len);
    if (method_end == space || method_end + 1 == space)
        return malformed;
    if (version.ptr[5] == '1' && version.ptr[7] <= '1')
        return (struct http_refusal){HTTP_ERROR_NOT_IMPLEMENTED, "The method is not known."};
    return (struct http_refusal){HTTP_ERROR_VERSION_NOT_SUPPORTED,
                                 "Only HTTP/1.0 and HTTP/1.1 are supported."};
}
