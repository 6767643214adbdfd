/*
 * accept: what the client is ready to read, from its Accept fields (RFC 9110 section 12.5.1).
 *
 * Ranges with q=0 do not count. There is no ranking: every resource here has one form, or one
 * default and one that must be asked for by name.
 */
#ifndef HTTP_SERVER_ACCEPT_H
#define HTTP_SERVER_ACCEPT_H

#include "http/server/http_parser.h"

#include <stdbool.h>

/* True without an Accept field, or when one of its ranges, wild cards included, covers the media
 * type. */
bool accept_allows(const struct http_request *request, struct span media_type);
/* True when a range is this media type by name. */
bool accept_names(const struct http_request *request, struct span media_type);

#endif
