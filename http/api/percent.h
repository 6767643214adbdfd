/*
 * percent: percent-encoding of URIs (RFC 3986 section 2.1), undone.
 */
#ifndef HTTP_API_PERCENT_H
#define HTTP_API_PERCENT_H

#include "core/buf.h"

#include <stdbool.h>

/* Appends the text with its escapes undone, once; a '+' stays a '+', any byte may come of it.
 * False: a broken escape, or more than fits. */
MUST_USE bool percent_decode(struct span text, struct buf *out);

#endif
