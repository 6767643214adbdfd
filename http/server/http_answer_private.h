/*
 * http_answer: the head of an answer, formatted by hand.
 *
 * Private to http_exchange. Pure but for the caller's cached Date.
 */
#ifndef HTTP_SERVER_HTTP_ANSWER_PRIVATE_H
#define HTTP_SERVER_HTTP_ANSWER_PRIVATE_H

#include "http/server/http_server.h"

/* Lines of every answer: none is for a cache, and none is what its bytes look like to a browser. */
#define HTTP_ANSWER_ALWAYS "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"

enum http_answer_connection {
    HTTP_ANSWER_SAYS_NOTHING,
    HTTP_ANSWER_SAYS_KEEP,
    HTTP_ANSWER_SAYS_CLOSE
};

struct http_answer_head {
    const struct http_response *response;
    struct span date;       /* CLOCK_HTTP_DATE_LEN */
    struct span request_id; /* up to HTTP_REQUEST_ID_MAX */
    enum http_answer_connection connection;
};

/* Enough for the head without the response's own headers and content type. */
enum { HTTP_ANSWER_HEAD_BYTES_MAX = 320 };

/* Status line, fields, empty line. */
void http_answer_add_head(struct buf *out, const struct http_answer_head *head);

#endif
