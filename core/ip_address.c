#include "core/ip_address.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

enum { IP_V4_PREFIX_BYTES = 12, IP_V4_PREFIX_BITS = 96, IP_BITS = 128, IP_PARTY_BYTES = 8 };
static_assert(IP_TEXT_MAX == INET6_ADDRSTRLEN, "the longest text, with its NUL");

static const uint8_t v4_prefix[IP_V4_PREFIX_BYTES] = {[10] = 0xff, [11] = 0xff};

static bool ip_address_is_v4(const struct ip_address *address)
{
    return memcmp(address->bytes, v4_prefix, sizeof(v4_prefix)) == 0;
}

bool ip_address_parse(struct span text, struct ip_address *address)
{
    char storage[IP_TEXT_MAX];
    struct ip_address parsed;
    if (text.len == 0 || text.len >= sizeof(storage) || memchr(text.ptr, '\0', text.len) != NULL)
        return false;
    memcpy(storage, text.ptr, text.len);
    storage[text.len] = '\0';
    if (inet_pton(AF_INET, storage, parsed.bytes + IP_V4_PREFIX_BYTES) == 1)
        memcpy(parsed.bytes, v4_prefix, sizeof(v4_prefix));
    else if (inet_pton(AF_INET6, storage, parsed.bytes) != 1)
        return false;
    *address = parsed;
    return true;
}

void ip_address_write(const struct ip_address *address, struct buf *out)
{
    char storage[IP_TEXT_MAX];
    const bool v4 = ip_address_is_v4(address);
    buf_add_text(out,
                 inet_ntop(v4 ? AF_INET : AF_INET6, address->bytes + (v4 ? IP_V4_PREFIX_BYTES : 0),
                           storage, sizeof(storage)));
}

bool ip_address_equal(const struct ip_address *a, const struct ip_address *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

struct ip_address ip_address_party(const struct ip_address *address)
{
    struct ip_address party = *address;
    if (!ip_address_is_v4(address))
        memset(party.bytes + IP_PARTY_BYTES, 0, IP_ADDRESS_BYTES - IP_PARTY_BYTES);
    return party;
}

/* The address with all bits behind the prefix cleared. */
static struct ip_address ip_address_masked(const struct ip_address *address, uint32_t prefix_bits)
{
    struct ip_address masked = {0};
    const uint32_t whole = prefix_bits / 8, rest = prefix_bits % 8;
    memcpy(masked.bytes, address->bytes, whole);
    if (rest > 0)
        masked.bytes[whole] = (uint8_t)(address->bytes[whole] & 0xff00u >> rest);
    return masked;
}

static const char *ip_network_parse(struct span entry, struct ip_network *network)
{
    struct span rest = entry;
    uint64_t bits = 0;
    const struct span address = span_cut(&rest, '/');
    const bool v4_text = memchr(address.ptr, ':', address.len) == NULL;
    const uint32_t before = v4_text ? IP_V4_PREFIX_BITS : 0, bits_max = IP_BITS - before;
    if (!ip_address_parse(address, &network->base))
        return "is not a numeric address";
    if (rest.ptr == NULL)
        bits = bits_max;
    else if (!span_parse_u64(rest, bits_max, &bits) || (rest.len > 1 && rest.ptr[0] == '0'))
        return v4_text ? "has no prefix of 1..32 bits" : "has no prefix of 1..128 bits";
    if (bits == 0)
        return "takes everybody in";
    network->prefix_bits = (uint8_t)(before + bits);
    const struct ip_address masked = ip_address_masked(&network->base, network->prefix_bits);
    return ip_address_equal(&masked, &network->base) ? NULL : "has bits behind its prefix";
}

const char *ip_networks_parse(struct span list, struct ip_networks *networks)
{
    networks->count = 0;
    if (list.len == 0)
        return NULL;
    while (list.ptr != NULL) {
        const struct span entry = span_cut(&list, ',');
        if (networks->count == IP_NETWORKS_MAX)
            return "is one network too many";
        const char *why = ip_network_parse(entry, &networks->entries[networks->count]);
        if (why != NULL)
            return why;
        networks->count++;
    }
    return NULL;
}

bool ip_networks_hold(const struct ip_networks *networks, const struct ip_address *address)
{
    for (uint32_t i = 0; i < networks->count; i++) {
        const struct ip_network *network = &networks->entries[i];
        const struct ip_address masked = ip_address_masked(address, network->prefix_bits);
        if (ip_address_equal(&masked, &network->base))
            return true;
    }
    return false;
}
