/* llhttp spells some of its enumerators as we do; its spellings are not used here. */
#define HTTP_DELETE LLHTTP_METHOD_DELETE
#define HTTP_GET LLHTTP_METHOD_GET
#define HTTP_HEAD LLHTTP_METHOD_HEAD
#define HTTP_POST LLHTTP_METHOD_POST
#define HTTP_PUT LLHTTP_METHOD_PUT
#define HTTP_PATCH LLHTTP_METHOD_PATCH
#define HTTP_OPTIONS LLHTTP_METHOD_OPTIONS
#define HTTP_TRACE LLHTTP_METHOD_TRACE
#define HTTP_CONNECT LLHTTP_METHOD_CONNECT
#include <llhttp.h>
#undef HTTP_DELETE
#undef HTTP_GET
#undef HTTP_HEAD
#undef HTTP_POST
#undef HTTP_PUT
#undef HTTP_PATCH
#undef HTTP_OPTIONS
#undef HTTP_TRACE
#undef HTTP_CONNECT

#include "http/server/http_head_private.h"
#include "http/server/http_parser.h"

#include <assert.h>
#include <string.h>

static_assert(sizeof(llhttp_t) <= HTTP_LLHTTP_BYTES, "HTTP_LLHTTP_BYTES is too small");
static_assert(alignof(llhttp_t) <= 16, "the parser's llhttp storage is not aligned enough");

enum { METHOD_BYTES_MAX = 32 };

/*
 * START -> METHOD -> HEAD -> [BODY] -> DONE -> START (http_parser_next)
 *             |-> ODD_LINE -> REFUSED (a method we do not know: read its line, then judge)
 * any -> REFUSED
 */
enum phase {
    PHASE_START,
    PHASE_METHOD,
    PHASE_ODD_LINE,
    PHASE_HEAD,
    PHASE_BODY,
    PHASE_DONE,
    PHASE_REFUSED
};

static llhttp_t *parser_llhttp(struct http_parser *parser)
{
    return (llhttp_t *)(void *)parser->llhttp;
}

static int refuse(struct http_parser *parser, struct http_refusal refusal)
{
    parser->phase = PHASE_REFUSED;
    parser->refusal = refusal;
    return HPE_USER;
}

static int refuse_malformed(struct http_parser *parser, const char *detail)
{
    return refuse(parser, (struct http_refusal){HTTP_ERROR_MALFORMED, detail});
}

static int refuse_head_size(struct http_parser *parser)
{
    return refuse(parser, (struct http_refusal){HTTP_ERROR_HEADERS_TOO_LARGE,
                                                "The header section is too large."});
}

static int refuse_body_size(struct http_parser *parser)
{
    return refuse(parser, (struct http_refusal){HTTP_ERROR_CONTENT_TOO_LARGE,
                                                "The body, or its framing, is too large."});
}

/* ---- llhttp's callbacks; pieces of one span arrive one behind the other in the buffer ---- */

static int on_url(llhttp_t *llhttp, const char *at, size_t length)
{
    struct http_parser *parser = llhttp->data;
    struct span *target = &parser->request.target;
    if (target->len == 0) {
        target->ptr = at;
        const size_t method_len = HTTP_METHOD_NAMES[parser->request.method].len;
        if (at != parser->buffer + method_len + 1)
            return refuse_malformed(parser, "The request line is not valid.");
    }
    target->len += length;
    if (target->len > parser->limits->uri_bytes_max)
        return refuse(parser, (struct http_refusal){HTTP_ERROR_URI_TOO_LONG,
                                                    "The request target is too long."});
    return 0;
}

static int on_protocol_complete(llhttp_t *llhttp)
{
    struct http_parser *parser = llhttp->data;
    const char *protocol = parser->request.target.ptr + parser->request.target.len + 1;
    if (memcmp(protocol, "HTTP", 4) != 0)
        return refuse_malformed(parser, "The request line is not valid.");
    return 0;
}

static int on_version_complete(llhttp_t *llhttp)
{
    struct http_parser *parser = llhttp->data;
    if (llhttp->http_major != 1 || llhttp->http_minor > 1)
        return refuse(parser, (struct http_refusal){HTTP_ERROR_VERSION_NOT_SUPPORTED,
                                                    "Only HTTP/1.0 and HTTP/1.1 are supported."});
    parser->request.version_minor = llhttp->http_minor;
    parser->version_known = true;
    return 0;
}

static int on_header_field(llhttp_t *llhttp, const char *at, size_t length)
{
    struct http_parser *parser = llhttp->data;
    struct http_request *request = &parser->request;
    if (parser->phase != PHASE_HEAD)
        return 0; /* a trailer: counted as chunk overhead, without effect */
    if (!parser->in_name) {
        if (request->header_count == parser->limits->header_count_max)
            return refuse_head_size(parser);
        parser->in_name = true;
        request->headers[request->header_count++] =
            (struct http_header){.name = {.ptr = at}, .value = SPAN("")};
    }
    request->headers[request->header_count - 1].name.len += length;
    return 0;
}

static int on_header_field_complete(llhttp_t *llhttp)
{
    struct http_parser *parser = llhttp->data;
    parser->in_name = false;
    return 0;
}

static int on_header_value(llhttp_t *llhttp, const char *at, size_t length)
{
    struct http_parser *parser = llhttp->data;
    if (parser->phase != PHASE_HEAD)
        return 0;
    struct span *value = &parser->request.headers[parser->request.header_count - 1].value;
    if (value->len == 0)
        value->ptr = at;
    else if (at != value->ptr + value->len)
        return refuse_malformed(parser, "A header field is folded.");
    value->len += length;
    return 0;
}

static int on_headers_complete(llhttp_t *llhttp)
{
    struct http_parser *parser = llhttp->data;
    struct http_request *request = &parser->request;
    struct http_refusal refusal;
    request->fields_known = true;
    if (llhttp->http_major != 1)
        return refuse_malformed(parser, "The request line is not valid.");
    if (!http_head_check(request, &refusal))
        return refuse(parser, refusal);
    request->keep_alive = llhttp_should_keep_alive(llhttp) != 0 &&
                          (llhttp->flags & F_CONNECTION_CLOSE) == 0 &&
                          request->method != HTTP_CONNECT;
    llhttp->upgrade = 0; /* no protocol is offered, so Upgrade and CONNECT are plain requests */
    parser->chunked = (llhttp->flags & F_CHUNKED) != 0;
    if (!parser->chunked && llhttp->content_length > parser->limits->body_bytes_max)
        return refuse_body_size(parser);
    if (!parser->chunked && llhttp->content_length == 0)
        return 0;
    parser->phase = PHASE_BODY;
    return HPE_PAUSED; /* the pause tells where the head ends */
}

static int on_chunk_header(llhttp_t *llhttp)
{
    struct http_parser *parser = llhttp->data;
    if (llhttp->content_length > parser->limits->body_bytes_max - parser->body_len)
        return refuse_body_size(parser);
    return 0;
}

/* Chunks are moved together: only over bytes that llhttp has left behind. */
static int on_body(llhttp_t *llhttp, const char *at, size_t length)
{
    struct http_parser *parser = llhttp->data;
    CHECK(length <= parser->limits->body_bytes_max - parser->body_len);
    char *end = parser->buffer + parser->head_end + parser->body_len;
    CHECK(end <= at);
    if (end != at)
        memmove(end, at, length);
    parser->body_len += length;
    return 0;
}

static int on_message_complete(llhttp_t *llhttp)
{
    struct http_parser *parser = llhttp->data;
    parser->phase = PHASE_DONE;
    return HPE_PAUSED;
}

static const llhttp_settings_t SETTINGS = {
    .on_url = on_url,
    .on_protocol_complete = on_protocol_complete,
    .on_version_complete = on_version_complete,
    .on_header_field = on_header_field,
    .on_header_field_complete = on_header_field_complete,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_chunk_header = on_chunk_header,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* ---- phases ---- */

static void refuse_llhttp_error(struct http_parser *parser, llhttp_errno_t error)
{
    if (parser->phase == PHASE_REFUSED)
        return;
    if (error == HPE_INVALID_VERSION && !parser->version_known)
        refuse(parser, (struct http_refusal){HTTP_ERROR_VERSION_NOT_SUPPORTED,
                                             "Only HTTP/1.0 and HTTP/1.1 are supported."});
    else if (error == HPE_INVALID_CONTENT_LENGTH || error == HPE_UNEXPECTED_CONTENT_LENGTH ||
             error == HPE_INVALID_TRANSFER_ENCODING || error == HPE_INVALID_CHUNK_SIZE)
        refuse_malformed(parser, "The length of the body is not given unambiguously.");
    else
        refuse_malformed(parser, "The request is not valid HTTP/1.1.");
}

/* Empty lines before a request are skipped (RFC 9112 section 2.2) and keep no memory. */
static void skip_empty_lines(struct http_parser *parser)
{
    size_t count = 0;
    while (count < parser->filled &&
           (parser->buffer[count] == '\r' || parser->buffer[count] == '\n'))
        count++;
    if (count > 0) {
        parser->filled -= count;
        memmove(parser->buffer, parser->buffer + count, parser->filled);
    }
    if (parser->filled > 0)
        parser->phase = PHASE_METHOD;
}

static void read_method(struct http_parser *parser)
{
    size_t len = 0;
    while (len < parser->filled && len <= METHOD_BYTES_MAX &&
           http_head_is_token_char((unsigned char)parser->buffer[len]))
        len++;
    if (len > METHOD_BYTES_MAX) {
        refuse_malformed(parser, "The method is too long.");
        return;
    }
    if (len == parser->filled)
        return;
    if (len == 0 || parser->buffer[len] != ' ') {
        refuse_malformed(parser, "The request line is not valid.");
        return;
    }
    const struct span name = {.ptr = parser->buffer, .len = len};
    parser->phase = PHASE_ODD_LINE;
    for (unsigned i = 0; i < HTTP_OTHER; i++) {
        if (span_equal(name, HTTP_METHOD_NAMES[i])) {
            parser->request.method = (enum http_method)i;
            parser->phase = PHASE_HEAD;
            return;
        }
    }
}

static void read_odd_line(struct http_parser *parser)
{
    const size_t limit = parser->limits->header_bytes_max;
    const size_t visible = parser->filled < limit ? parser->filled : limit;
    const char *line_feed = memchr(parser->buffer, '\n', visible);
    if (line_feed == NULL) {
        if (parser->filled > limit)
            refuse_head_size(parser);
        return;
    }
    const size_t len = (size_t)(line_feed - parser->buffer);
    if (parser->buffer[len - 1] != '\r')
        refuse_malformed(parser, "The request line is not valid.");
    else
        refuse(parser, http_head_judge_unknown_method(
                           (struct span){.ptr = parser->buffer, .len = len - 1}));
}

/* A line end right behind the target would be HTTP/0.9, which llhttp accepts. */
static bool is_without_version(const struct http_parser *parser)
{
    const struct span target = parser->request.target;
    return target.len > 0 && target.ptr + target.len < parser->buffer + parser->parsed &&
           target.ptr[target.len] != ' ';
}

static void parse_head(struct http_parser *parser)
{
    llhttp_t *llhttp = parser_llhttp(parser);
    const size_t limit = parser->limits->header_bytes_max;
    const size_t end = parser->filled < limit ? parser->filled : limit;
    const llhttp_errno_t error =
        llhttp_execute(llhttp, parser->buffer + parser->parsed, end - parser->parsed);
    if (error == HPE_OK) {
        parser->parsed = end;
        if (is_without_version(parser))
            refuse_malformed(parser, "The request line is not valid.");
        else if (parser->filled > limit)
            refuse_head_size(parser);
    } else if (error == HPE_PAUSED) {
        parser->parsed = (size_t)(llhttp_get_error_pos(llhttp) - parser->buffer);
        parser->head_end = parser->parsed;
        if (parser->phase == PHASE_BODY)
            llhttp_resume(llhttp);
    } else {
        refuse_llhttp_error(parser, error);
    }
}

static void parse_body(struct http_parser *parser)
{
    llhttp_t *llhttp = parser_llhttp(parser);
    const size_t body_len = parser->body_len;
    const llhttp_errno_t error =
        llhttp_execute(llhttp, parser->buffer + parser->parsed, parser->filled - parser->parsed);
    if (error != HPE_OK && error != HPE_PAUSED) {
        refuse_llhttp_error(parser, error);
        return;
    }
    const size_t end =
        error == HPE_OK ? parser->filled : (size_t)(llhttp_get_error_pos(llhttp) - parser->buffer);
    if (parser->chunked)
        parser->chunk_overhead += (uint32_t)(end - parser->parsed - (parser->body_len - body_len));
    parser->parsed = end;
    if (parser->chunk_overhead > parser->limits->chunk_overhead_max) {
        refuse_body_size(parser);
    } else if (error == HPE_OK) {
        /* llhttp keeps no pointer between calls, so the framing behind the body may be dropped. */
        parser->parsed = parser->head_end + parser->body_len;
        parser->filled = parser->parsed;
    }
}

/* ---- the interface ---- */

static void start_over(struct http_parser *parser)
{
    parser->parsed = 0;
    parser->request.method = HTTP_OTHER;
    parser->request.target = (struct span){0};
    parser->request.path = SPAN("");
    parser->request.query = SPAN("");
    parser->request.body = SPAN("");
    parser->request.header_count = 0;
    parser->request.version_minor = 1;
    parser->request.keep_alive = false;
    parser->request.expects_continue = false;
    parser->request.has_body = false;
    parser->request.fields_known = false;
    parser->refusal = (struct http_refusal){0};
    parser->head_end = 0;
    parser->body_len = 0;
    parser->chunk_overhead = 0;
    parser->phase = PHASE_START;
    parser->version_known = false;
    parser->in_name = false;
    parser->chunked = false;
    parser->continue_told = false;
}

void http_parser_init(struct http_parser *parser, const struct http_limits *limits, char *buffer,
                      size_t cap)
{
    CHECK(limits->header_count_max <= HTTP_HEADERS_MAX);
    CHECK((size_t)limits->header_bytes_max + limits->body_bytes_max < cap);
    parser->limits = limits;
    parser->buffer = buffer;
    parser->cap = cap;
    parser->filled = 0;
    llhttp_t *llhttp = parser_llhttp(parser);
    llhttp_init(llhttp, HTTP_REQUEST, &SETTINGS);
    llhttp->data = parser;
    start_over(parser);
}

struct span http_parser_room(const struct http_parser *parser)
{
    return (struct span){.ptr = parser->buffer + parser->filled,
                         .len = parser->cap - parser->filled};
}

enum http_parse http_parser_feed(struct http_parser *parser, size_t count)
{
    CHECK(count <= parser->cap - parser->filled);
    parser->filled += count;
    if (parser->phase == PHASE_START)
        skip_empty_lines(parser);
    if (parser->phase == PHASE_METHOD)
        read_method(parser);
    if (parser->phase == PHASE_ODD_LINE)
        read_odd_line(parser);
    if (parser->phase == PHASE_HEAD)
        parse_head(parser);
    if (parser->phase == PHASE_BODY && parser->filled > parser->parsed)
        parse_body(parser);

    if (parser->phase == PHASE_REFUSED)
        return HTTP_PARSE_REFUSED;
    if (parser->phase == PHASE_DONE) {
        parser->request.body =
            (struct span){.ptr = parser->buffer + parser->head_end, .len = parser->body_len};
        return HTTP_PARSE_REQUEST;
    }
    if (parser->phase == PHASE_BODY && parser->request.expects_continue && !parser->continue_told) {
        parser->continue_told = true;
        if (parser->body_len == 0 && parser->chunk_overhead == 0)
            return HTTP_PARSE_HEADERS;
    }
    return HTTP_PARSE_MORE;
}

void http_parser_next(struct http_parser *parser)
{
    CHECK(parser->phase == PHASE_DONE);
    const size_t left = parser->filled - parser->parsed;
    if (left > 0)
        memmove(parser->buffer, parser->buffer + parser->parsed, left);
    parser->filled = left;
    llhttp_reset(parser_llhttp(parser));
    start_over(parser);
}

bool http_parser_started(const struct http_parser *parser)
{
    return parser->phase != PHASE_START;
}

bool http_parser_in_head(const struct http_parser *parser)
{
    return parser->phase < PHASE_BODY;
}
