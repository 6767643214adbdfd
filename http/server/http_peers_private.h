/*
 * http_peers: how many connections each client address holds, and which address holds more than
 * its share.
 *
 * Private to http_server. Owns an entry for each address that is connected, borrows the
 * connections' nodes. Every step is O(1): entries are hashed with a secret multiplier, so that
 * nobody can aim at one bucket. Judges nothing: who gives way is http_crowd's matter.
 */
#ifndef HTTP_SERVER_HTTP_PEERS_PRIVATE_H
#define HTTP_SERVER_HTTP_PEERS_PRIVATE_H

#include "core/check.h"
#include "core/list.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

enum { HTTP_PEER_FLOOR = 64 }; /* connections that any address may hold, whatever the share */

/* One address, while it has connections. */
struct http_peer {
    struct list_node greedy; /* on http_peers.greedy: it holds more than its share */
    struct http_peer *next;  /* of its bucket, or of the free ones */
    struct list conns;       /* http_conn.peer_node, in the order they came */
    uint64_t key;
};

struct http_peers {
    struct http_peer *slots, *free;
    struct http_peer **buckets;
    struct list greedy;
    uint32_t slot_count, slots_touched, mask, conns_max; /* conns_max: the share, of each address */
    uint64_t multiplier;                                 /* odd and secret */
};

/* percent of conn_count connections is an address' share, HTTP_PEER_FLOOR at least; 100: there is
 * no limit. False: no memory; what was made is freed by http_peers_free(). */
MUST_USE bool http_peers_init(struct http_peers *peers, uint32_t conn_count, uint32_t percent);
void http_peers_free(struct http_peers *peers);

/* What is counted as one address: an IPv4 address, an IPv6 network of 64 bits. 0: neither. */
uint64_t http_peer_key(const struct sockaddr *address);

/* A connection of this address begins; there is an entry for each of conn_count connections. */
struct http_peer *http_peers_join(struct http_peers *peers, uint64_t key, struct list_node *conn);
/* It ends. The entry is gone with its last connection. */
void http_peers_leave(struct http_peers *peers, struct http_peer *peer, struct list_node *conn);
/* NULL: it has no connection. */
struct http_peer *http_peers_find(const struct http_peers *peers, uint64_t key);
/* One connection more would be over its share. */
bool http_peers_at_share(const struct http_peers *peers, const struct http_peer *peer);
/* An address that holds more than its share; NULL: there is none. */
struct http_peer *http_peers_greedy(const struct http_peers *peers);

#endif
