#include "http/server/http_answer_private.h"

/* Everything in front of the date's value. */
static struct span status_lines(unsigned status)
{
#define LINE(code, reason)                                                                         \
    case code:                                                                                     \
        return SPAN("HTTP/1.1 " #code " " reason "\r\nDate: ")
    switch (status) {
        LINE(200, "OK");
        LINE(201, "Created");
        LINE(202, "Accepted");
        LINE(204, "No Content");
        LINE(400, "Bad Request");
        LINE(401, "Unauthorized");
        LINE(403, "Forbidden");
        LINE(404, "Not Found");
        LINE(405, "Method Not Allowed");
        LINE(406, "Not Acceptable");
        LINE(408, "Request Timeout");
        LINE(409, "Conflict");
        LINE(411, "Length Required");
        LINE(413, "Content Too Large");
        LINE(414, "URI Too Long");
        LINE(415, "Unsupported Media Type");
        LINE(417, "Expectation Failed");
        LINE(422, "Unprocessable Content");
        LINE(429, "Too Many Requests");
        LINE(431, "Request Header Fields Too Large");
        LINE(500, "Internal Server Error");
        LINE(501, "Not Implemented");
        LINE(503, "Service Unavailable");
        LINE(504, "Gateway Timeout");
        LINE(505, "HTTP Version Not Supported");
    default:
        return SPAN("");
    }
#undef LINE
}

void http_answer_add_head(struct buf *out, const struct http_answer_head *head)
{
    const struct http_response *response = head->response;
    const struct span lines = status_lines(response->status);
    if (lines.len > 0) {
        buf_add(out, lines);
    } else {
        buf_add(out, SPAN("HTTP/1.1 "));
        buf_add_u64(out, response->status);
        buf_add(out, SPAN(" \r\nDate: ")); /* RFC 9112 section 4: the reason may be empty */
    }
    buf_add(out, head->date);
    if (response->content_type.len > 0) {
        buf_add(out, SPAN("\r\nContent-Type: "));
        buf_add(out, response->content_type);
    }
    if (response->status != 204 && !response->length_unknown) {
        buf_add(out, SPAN("\r\nContent-Length: "));
        buf_add_u64(out, response->body.len);
    }
    buf_add(out, SPAN("\r\nX-Request-Id: "));
    buf_add(out, head->request_id);
    buf_add(out, SPAN("\r\n" HTTP_ANSWER_ALWAYS));
    buf_add(out, response->headers);
    switch (head->connection) {
    case HTTP_ANSWER_SAYS_NOTHING:
        break;
    case HTTP_ANSWER_SAYS_KEEP:
        buf_add(out, SPAN("Connection: keep-alive\r\n"));
        break;
    case HTTP_ANSWER_SAYS_CLOSE:
        buf_add(out, SPAN("Connection: close\r\n"));
        break;
    }
    buf_add(out, SPAN("\r\n"));
}
