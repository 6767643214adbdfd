/*
 * http_head: what a complete head must satisfy beyond llhttp's grammar (RFC 9112 sections 3, 6
 * and 7).
 *
 * Private to http_parser. Pure: looks at spans, keeps nothing.
 */
#ifndef HTTP_SERVER_HTTP_HEAD_PRIVATE_H
#define HTTP_SERVER_HTTP_HEAD_PRIVATE_H

#include "http/server/http_parser.h"

#include <stdbool.h>

/* The tokens of the methods we know; the last one is the label of all others. */
extern const struct span HTTP_METHOD_NAMES[HTTP_METHODS];

/* RFC 9110 section 5.6.2: a byte of a token. */
bool http_head_is_token_char(unsigned char byte);
/* Trims the values, splits the target, sets has_body and expects_continue. False: *refusal says
 * why. */
bool http_head_check(struct http_request *request, struct http_refusal *refusal);
/* Judges a request line whose method we do not know, without its CRLF: 501, 505 or 400. */
struct http_refusal http_head_judge_unknown_method(struct span line);

#endif
