#include "http/api/client_address.h"

/* A walk from the right: goes on over trusted hops. */
struct client_walk {
    const struct ip_networks *trusted;
    struct ip_address client;
    uint32_t hops;
    bool ended; /* client is nobody we trust */
};

/* Cuts the part behind the last comma off *rest; the last part leaves rest->ptr NULL. */
static struct span client_cut_last(struct span *rest)
{
    size_t at = rest->len;
    while (at > 0 && rest->ptr[at - 1] != ',')
        at--;
    const struct span part = {rest->ptr + at, rest->len - at};
    *rest = at > 0 ? (struct span){rest->ptr, at - 1} : (struct span){NULL, 0};
    return span_trim(part);
}

/* False: the list is not one of addresses. */
static bool client_walk_line(struct client_walk *walk, struct span line)
{
    while (line.ptr != NULL && !walk->ended) {
        const struct span entry = client_cut_last(&line);
        if (walk->hops++ == CLIENT_HOPS_MAX || !ip_address_parse(entry, &walk->client))
            return false;
        walk->ended = !ip_networks_hold(walk->trusted, &walk->client);
    }
    return true;
}

struct ip_address client_address_of(const struct ip_networks *trusted, const char *peer,
                                    const struct http_request *request)
{
    struct ip_address own = {0};
    if (!ip_address_parse(span_of(peer), &own) || request == NULL ||
        !ip_networks_hold(trusted, &own))
        return own;
    struct client_walk walk = {.trusted = trusted, .client = own};
    for (uint32_t i = request->header_count; i > 0 && !walk.ended; i--) {
        const struct http_header *header = &request->headers[i - 1];
        if (span_equal_nocase(header->name, SPAN("X-Forwarded-For")) &&
            !client_walk_line(&walk, header->value))
            return own;
    }
    return walk.client;
}
