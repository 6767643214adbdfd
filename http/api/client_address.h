/*
 * client_address: who is at the other end of a request, behind the proxies we trust.
 *
 * The peer, unless it is one of TRUSTED_PROXIES: then X-Forwarded-For is read from the right, its
 * lines as one list, and the first address that is none of theirs is the client. What is left of
 * that is the client's own claim and is not looked at. An entry that is not an address on the way
 * there, or more than CLIENT_HOPS_MAX of them: the peer. Where all are trusted: the leftmost.
 */
#ifndef HTTP_API_CLIENT_ADDRESS_H
#define HTTP_API_CLIENT_ADDRESS_H

#include "core/ip_address.h"
#include "http/server/http_parser.h"

enum { CLIENT_HOPS_MAX = 32 };

/* peer is numeric, or "" where there is none (all zeros then). request may be NULL: the peer. */
struct ip_address client_address_of(const struct ip_networks *trusted, const char *peer,
                                    const struct http_request *request);

#endif
