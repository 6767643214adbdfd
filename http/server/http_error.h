/*
 * http_error: what the server itself refuses, as a value: one table to status and header lines.
 *
 * Owns no text for the client but the detail: how an error looks is the formatter's, which the
 * server is given (http_server_config.format_error). Pure.
 */
#ifndef HTTP_SERVER_HTTP_ERROR_H
#define HTTP_SERVER_HTTP_ERROR_H

#include "core/buf.h"

#include <stdint.h>

enum http_error {
    HTTP_ERROR_NONE,
    HTTP_ERROR_MALFORMED,
    HTTP_ERROR_NOT_FOUND,
    HTTP_ERROR_METHOD_NOT_ALLOWED,
    HTTP_ERROR_REQUEST_TIMEOUT,
    HTTP_ERROR_LENGTH_REQUIRED,
    HTTP_ERROR_CONTENT_TOO_LARGE,
    HTTP_ERROR_URI_TOO_LONG,
    HTTP_ERROR_EXPECTATION_FAILED,
    HTTP_ERROR_HEADERS_TOO_LARGE,
    HTTP_ERROR_NOT_IMPLEMENTED,
    HTTP_ERROR_OVERLOADED,
    HTTP_ERROR_VERSION_NOT_SUPPORTED
};
enum { HTTP_ERRORS = HTTP_ERROR_VERSION_NOT_SUPPORTED + 1 };

struct http_error_kind {
    uint16_t status;
    const char *headers; /* lines with CRLF, or "" */
};
/* Never of HTTP_ERROR_NONE (CHECKed). */
const struct http_error_kind *http_error_kind(enum http_error error);

/* A refusal on its way: what, and why this time. */
struct http_refusal {
    enum http_error error;
    const char *detail; /* a literal, never input; NULL: nothing to add */
};

/* What the formatter is told of one error. Borrowed for the call. */
struct http_error_report {
    struct http_refusal refusal;
    struct span path;     /* of the request; empty: there is none */
    const char *trace_id; /* HTTP_REQUEST_ID_LEN hex digits */
};
/* Room for the body of an error; a formatter that needs more breaks its promise (CHECKed). */
enum { HTTP_ERROR_BODY_BYTES = 3072 };
/* Writes the body and returns its content type, a literal; may fill the exchange's note. */
typedef struct span http_error_fn(const struct http_error_report *report, struct buf *body,
                                  void *note);

#endif
