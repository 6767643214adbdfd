#include "http/server/http_peers_private.h"

#include "core/secret.h"
#include "http/server/pages_private.h"

#include <string.h>

enum { BUCKETS_MIN = 64, V4_TAG_BIT = 32 };

static size_t slots_bytes(const struct http_peers *peers)
{
    return (size_t)peers->slot_count * sizeof(struct http_peer);
}

static size_t buckets_bytes(const struct http_peers *peers)
{
    return ((size_t)peers->mask + 1) * sizeof(struct http_peer *);
}

bool http_peers_init(struct http_peers *peers, uint32_t conn_count, uint32_t percent)
{
    uint32_t buckets = BUCKETS_MIN;
    while (buckets < conn_count)
        buckets *= 2;
    *peers = (struct http_peers){.slot_count = conn_count, .mask = buckets - 1};
    peers->conns_max =
        percent >= 100 ? UINT32_MAX : (uint32_t)((uint64_t)conn_count * percent / 100);
    if (peers->conns_max < HTTP_PEER_FLOOR)
        peers->conns_max = HTTP_PEER_FLOOR;
    list_init(&peers->greedy);
    secret_random(&peers->multiplier, sizeof peers->multiplier);
    peers->multiplier |= 1;
    peers->slots = pages_map(slots_bytes(peers));
    peers->buckets = pages_map(buckets_bytes(peers));
    return peers->slots != NULL && peers->buckets != NULL;
}

void http_peers_free(struct http_peers *peers)
{
    pages_unmap(peers->slots, slots_bytes(peers));
    pages_unmap(peers->buckets, buckets_bytes(peers));
}

static uint64_t v4_key(const void *address)
{
    uint32_t bits;
    memcpy(&bits, address, sizeof bits);
    return UINT64_C(1) << V4_TAG_BIT | bits;
}

uint64_t http_peer_key(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return v4_key(&((const struct sockaddr_in *)(const void *)address)->sin_addr);
    if (address->sa_family != AF_INET6)
        return 0;
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(v6))
        return v4_key(&v6->s6_addr[12]);
    /* A caller with one address of such a network has all of them. */
    uint64_t network;
    memcpy(&network, v6->s6_addr, sizeof network);
    return network;
}

static struct http_peer **bucket_of(const struct http_peers *peers, uint64_t key)
{
    return &peers->buckets[(uint32_t)((key * peers->multiplier) >> 32) & peers->mask];
}

struct http_peer *http_peers_find(const struct http_peers *peers, uint64_t key)
{
    struct http_peer *peer = *bucket_of(peers, key);
    while (peer != NULL && peer->key != key)
        peer = peer->next;
    return peer;
}

static struct http_peer *make_entry(struct http_peers *peers, uint64_t key)
{
    struct http_peer *peer = peers->free;
    if (peer != NULL) {
        peers->free = peer->next;
    } else {
        CHECK(peers->slots_touched < peers->slot_count);
        peer = &peers->slots[peers->slots_touched++];
    }
    struct http_peer **bucket = bucket_of(peers, key);
    *peer = (struct http_peer){.key = key, .next = *bucket};
    list_init(&peer->conns);
    *bucket = peer;
    return peer;
}

static void free_entry(struct http_peers *peers, struct http_peer *peer)
{
    struct http_peer **link = bucket_of(peers, peer->key);
    while (*link != peer)
        link = &(*link)->next;
    *link = peer->next;
    peer->next = peers->free;
    peers->free = peer;
}

struct http_peer *http_peers_join(struct http_peers *peers, uint64_t key, struct list_node *conn)
{
    struct http_peer *peer = http_peers_find(peers, key);
    if (peer == NULL)
        peer = make_entry(peers, key);
    list_push_back(&peer->conns, conn);
    if (peer->conns.count > peers->conns_max && !list_node_linked(&peer->greedy))
        list_push_back(&peers->greedy, &peer->greedy);
    return peer;
}

void http_peers_leave(struct http_peers *peers, struct http_peer *peer, struct list_node *conn)
{
    list_remove(&peer->conns, conn);
    if (peer->conns.count <= peers->conns_max && list_node_linked(&peer->greedy))
        list_remove(&peers->greedy, &peer->greedy);
    if (peer->conns.count == 0)
        free_entry(peers, peer);
}

bool http_peers_at_share(const struct http_peers *peers, const struct http_peer *peer)
{
    return peer != NULL && peer->conns.count >= peers->conns_max;
}

struct http_peer *http_peers_greedy(const struct http_peers *peers)
{
    struct list_node *first = list_first(&peers->greedy);
    return first == NULL ? NULL : container_of(first, struct http_peer, greedy);
}
