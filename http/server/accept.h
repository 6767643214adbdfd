/*
 * accept: what the client is ready to read, from its Accept fields (RFC 9110 section 12.5.1).
 *
 * The closest range decides: a media type's name before its group before the wild card. One with
 * q=0 refuses. There is no ranking: every resource here has one form, or one default and one that
 * must be asked for by name.
 */
#ifndef HTTP_SERVER_ACCEPT_H
#define HTTP_SERVER_ACCEPT_H

#include "http/server/http_parser.h"

#include <stdbool.h>

/* True when nothing is said (no Accept field, or only empty ones), or when the closest range that
 * covers the media type takes it. */
bool accept_allows(const struct http_request *request, struct span media_type);
/* True when the closest range that covers the media type has q=0. */
bool accept_refuses(const struct http_request *request, struct span media_type);
/* True when a range takes this media type by name. */
bool accept_names(const struct http_request *request, struct span media_type);

#endif
