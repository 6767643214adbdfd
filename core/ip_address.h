/*
 * ip_address: numeric IPv4 and IPv6 addresses, and networks of them in CIDR notation.
 *
 * One form for both families: sixteen bytes, IPv4 as ::ffff:a.b.c.d, so that an address is the same
 * whichever socket it came by. Parsing is strict: no names, zones, ports, brackets, spaces or
 * leading zeros, and no bits behind a network's prefix. Asks nobody.
 */
#ifndef CORE_IP_ADDRESS_H
#define CORE_IP_ADDRESS_H

#include "core/buf.h"

#include <stdbool.h>
#include <stdint.h>

enum { IP_ADDRESS_BYTES = 16, IP_TEXT_MAX = 46, IP_NETWORKS_MAX = 64 };

struct ip_address {
    uint8_t bytes[IP_ADDRESS_BYTES];
};

/* The addresses whose first prefix_bits (0..128) are those of base; all others of base are 0. */
struct ip_network {
    struct ip_address base;
    uint8_t prefix_bits;
};

struct ip_networks {
    struct ip_network entries[IP_NETWORKS_MAX];
    uint32_t count;
};

/* False: not an address, and *address is left alone. */
MUST_USE bool ip_address_parse(struct span text, struct ip_address *address);
/* As people write it: 192.0.2.1, 2001:db8::1; at most IP_TEXT_MAX - 1 bytes. */
void ip_address_write(const struct ip_address *address, struct buf *out);
bool ip_address_equal(const struct ip_address *a, const struct ip_address *b);
/* Who is likely one party: an IPv4 address itself, the /64 of an IPv6 address. */
struct ip_address ip_address_party(const struct ip_address *address);

/* Comma-separated networks ("10.0.0.0/8,2001:db8::/32"; an address alone is a network of one);
 * empty text is none. NULL: good. Else what is wrong, static, with the entry behind the first
 * networks->count. */
MUST_USE const char *ip_networks_parse(struct span list, struct ip_networks *networks);
bool ip_networks_hold(const struct ip_networks *networks, const struct ip_address *address);

#endif
