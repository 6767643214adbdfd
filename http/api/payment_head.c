#include "http/api/payment_head.h"

#include "http/server/accept.h"

#include <string.h>

static bool payment_head_parameter_ok(struct span parameter)
{
    struct span value = span_trim(parameter);
    if (value.len == 0) /* RFC 9110 section 5.6.6: nothing between two semicolons, or after one */
        return true;
    const struct span name = span_trim(span_cut(&value, '='));
    value = span_trim(value);
    if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
        value = (struct span){value.ptr + 1, value.len - 2};
    return span_equal_nocase(name, SPAN("charset")) && span_equal_nocase(value, SPAN("utf-8"));
}

bool payment_head_is_json(const struct http_request *request)
{
    uint32_t count = 0;
    struct span type = http_request_header(request, SPAN("Content-Type"), &count);
    if (count != 1 || !span_equal_nocase(span_trim(span_cut(&type, ';')), SPAN("application/json")))
        return false;
    while (type.ptr != NULL)
        if (!payment_head_parameter_ok(span_cut(&type, ';')))
            return false;
    const struct span coding = http_request_header(request, SPAN("Content-Encoding"), &count);
    return count == 0 ||
           (count == 1 && (coding.len == 0 || span_equal_nocase(coding, SPAN("identity"))));
}

bool payment_head_accepts_json(const struct http_request *request)
{
    const struct span json = SPAN("application/json");
    return accept_allows(request, json) ||
           (!accept_refuses(request, json) &&
            accept_names(request, SPAN("application/problem+json")));
}

/* Undoes the quotes and the two escapes; false: not a quoted string, or too long. */
static bool payment_key_unquote(struct span field, char *key, size_t *key_len)
{
    if (field.len < 2 || field.ptr[field.len - 1] != '"')
        return false;
    size_t len = 0;
    for (size_t i = 1; i < field.len - 1; i++) {
        char byte = field.ptr[i];
        if (byte == '"')
            return false;
        if (byte == '\\') {
            i++;
            if (i == field.len - 1 || (field.ptr[i] != '"' && field.ptr[i] != '\\'))
                return false;
            byte = field.ptr[i];
        }
        if (len == PAYMENT_KEY_MAX)
            return false;
        key[len++] = byte;
    }
    *key_len = len;
    return true;
}

enum payment_key_form payment_head_idempotency_key(const struct http_request *request,
                                                   char key[PAYMENT_KEY_MAX], uint8_t *key_len)
{
    uint32_t count = 0;
    const struct span field = http_request_header(request, SPAN("Idempotency-Key"), &count);
    if (count == 0)
        return PAYMENT_KEY_ABSENT;
    size_t len = field.len;
    if (count > 1 || len == 0)
        return PAYMENT_KEY_INVALID;
    if (field.ptr[0] == '"') {
        if (!payment_key_unquote(field, key, &len))
            return PAYMENT_KEY_INVALID;
    } else {
        if (len > PAYMENT_KEY_MAX)
            return PAYMENT_KEY_INVALID;
        memcpy(key, field.ptr, len);
    }
    for (size_t i = 0; i < len; i++)
        if (key[i] < '!' || key[i] > '~')
            return PAYMENT_KEY_INVALID;
    if (len == 0)
        return PAYMENT_KEY_INVALID;
    *key_len = (uint8_t)len;
    return PAYMENT_KEY_VALID;
}
