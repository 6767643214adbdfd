#include "http/server/http_error.h"

static const struct http_error_kind KINDS[HTTP_ERRORS] = {
    [HTTP_ERROR_MALFORMED] = {400, ""},
    [HTTP_ERROR_NOT_FOUND] = {404, ""},
    [HTTP_ERROR_METHOD_NOT_ALLOWED] = {405, ""}, /* the router adds Allow */
    [HTTP_ERROR_REQUEST_TIMEOUT] = {408, ""},
    [HTTP_ERROR_LENGTH_REQUIRED] = {411, ""},
    [HTTP_ERROR_CONTENT_TOO_LARGE] = {413, ""},
    [HTTP_ERROR_URI_TOO_LONG] = {414, ""},
    [HTTP_ERROR_EXPECTATION_FAILED] = {417, ""},
    [HTTP_ERROR_HEADERS_TOO_LARGE] = {431, ""},
    [HTTP_ERROR_NOT_IMPLEMENTED] = {501, ""},
    [HTTP_ERROR_OVERLOADED] = {503, "Retry-After: 1\r\n"},
    [HTTP_ERROR_VERSION_NOT_SUPPORTED] = {505, ""},
};

const struct http_error_kind *http_error_kind(enum http_error error)
{
    CHECK(error > HTTP_ERROR_NONE);
    CHECK((unsigned)error < HTTP_ERRORS);
    return &KINDS[error];
}
