/*
 * http_parser: bytes -> struct http_request of spans. The only door to <llhttp.h>.
 *
 * Works on one fixed buffer that never moves while a request is in it; touches no socket; accepts
 * its input in any split, byte by byte included. Strict: whatever is ambiguous is refused (RFC
 * 9112; what llhttp leaves to us is done here: Host, versions, empty Transfer-Encoding, TE on
 * HTTP/1.0, obs-fold, every limit). A refusal ends the connection.
 */
#ifndef HTTP_SERVER_HTTP_PARSER_H
#define HTTP_SERVER_HTTP_PARSER_H

#include "core/buf.h"
#include "core/check.h"
#include "http/server/http_error.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTP_HEADERS_MAX = 64, HTTP_LLHTTP_BYTES = 192 };

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_PATCH,
    HTTP_OPTIONS,
    HTTP_TRACE,
    HTTP_CONNECT,
    HTTP_OTHER /* a token we do not know: 501 */
};
enum { HTTP_METHODS = HTTP_OTHER + 1 };
const char *http_method_name(enum http_method method); /* "GET" ... "OTHER" */

struct http_header {
    struct span name, value; /* value is trimmed */
};

/* Spans into the parser's buffer, valid until http_parser_next(). */
struct http_request {
    enum http_method method;
    struct span target, path, query; /* query without '?'; path is not percent-decoded */
    struct span body;                /* de-chunked, contiguous */
    struct http_header headers[HTTP_HEADERS_MAX];
    uint8_t header_count;
    uint8_t version_minor; /* 0 or 1 */
    bool keep_alive;
    bool expects_continue;
    bool has_body;     /* Content-Length or chunked was given */
    bool fields_known; /* every header field was read to its end, also where it is refused */
};

/* First field of that name, case-insensitive; ptr NULL when absent. *count, if not NULL: how
 * many. */
struct span http_request_header(const struct http_request *request, struct span name,
                                uint32_t *count);

struct http_limits {
    uint32_t header_bytes_max; /* request line and fields */
    uint32_t header_count_max; /* <= HTTP_HEADERS_MAX */
    uint32_t uri_bytes_max;
    uint32_t body_bytes_max;
    uint32_t chunk_overhead_max; /* chunk sizes, extensions and trailers of one body */
};

enum http_parse {
    HTTP_PARSE_MORE,    /* nothing complete yet */
    HTTP_PARSE_HEADERS, /* once, when 100-continue is expected and no byte of the body is here */
    HTTP_PARSE_REQUEST, /* request() is complete */
    HTTP_PARSE_REFUSED, /* refusal() says why; the connection must end */
};

struct http_parser {
    alignas(16) unsigned char llhttp[HTTP_LLHTTP_BYTES];
    const struct http_limits *limits;
    char *buffer;
    size_t cap, filled, parsed;
    struct http_request request;
    struct http_refusal refusal;
    /* the rest is http_parser.c's */
    size_t head_end, body_len;
    uint32_t chunk_overhead;
    uint8_t phase;
    bool version_known, in_name, chunked, continue_told;
};

/* cap must hold header_bytes_max + body_bytes_max + some read-ahead; storage is the caller's. */
void http_parser_init(struct http_parser *parser, const struct http_limits *limits, char *buffer,
                      size_t cap);
/* Where to read to, and how much fits; 0 room with no complete request cannot happen (limits are
 * below cap). */
struct span http_parser_room(const struct http_parser *parser);
/* `count` bytes were written to the room; parse on. Also with 0, after http_parser_next(). */
enum http_parse http_parser_feed(struct http_parser *parser, size_t count);
/* The current request is done with: moves what came behind it to the front and starts over. */
void http_parser_next(struct http_parser *parser);
/* True when at least one byte of a request (other than empty lines) is there, i.e. the connection
 * is not idle. */
bool http_parser_started(const struct http_parser *parser);
/* True when no head is complete yet; false while a body is being read. */
bool http_parser_in_head(const struct http_parser *parser);

#endif
