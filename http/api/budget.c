#include "http/api/budget.h"

#include "core/clock.h"

enum { GRPC_DIGITS_MAX = 8 };

static bool budget_read_ms(struct span value, uint64_t *budget_us)
{
    uint64_t ms = 0;
    if (!span_parse_u64(value, BUDGET_HEADER_MS_MAX, &ms) || ms == 0)
        return false;
    *budget_us = ms * CLOCK_US_PER_MS;
    return true;
}

/* gRPC over HTTP/2, "Timeout": at most 8 digits and a case-sensitive unit. */
static bool budget_read_grpc(struct span value, uint64_t *budget_us)
{
    if (value.len < 2 || value.len > GRPC_DIGITS_MAX + 1 || value.ptr[0] == '0')
        return false;
    uint64_t amount = 0;
    if (!span_parse_u64((struct span){value.ptr, value.len - 1}, 99999999, &amount))
        return false;
    switch (value.ptr[value.len - 1]) {
    case 'H':
        *budget_us = amount * 3600 * CLOCK_US_PER_S;
        return true;
    case 'M':
        *budget_us = amount * 60 * CLOCK_US_PER_S;
        return true;
    case 'S':
        *budget_us = amount * CLOCK_US_PER_S;
        return true;
    case 'm':
        *budget_us = amount * CLOCK_US_PER_MS;
        return true;
    case 'u':
        *budget_us = amount;
        return true;
    case 'n':
        *budget_us = (amount + 999) / 1000;
        return true;
    default:
        return false;
    }
}

static const struct {
    struct span name;
    bool (*read)(struct span value, uint64_t *budget_us);
} budget_headers[] = {
    {{"X-Request-Timeout-Ms", 20}, budget_read_ms},
    {{"x-envoy-expected-rq-timeout-ms", 30}, budget_read_ms},
    {{"grpc-timeout", 12}, budget_read_grpc},
};

uint64_t budget_of_request_us(const struct http_request *request, uint64_t budget_us_max,
                              uint64_t *malformed)
{
    uint64_t budget_us = budget_us_max;
    for (uint32_t i = 0; i < request->header_count; i++) {
        const struct http_header *header = &request->headers[i];
        for (size_t kind = 0; kind < sizeof(budget_headers) / sizeof(budget_headers[0]); kind++) {
            if (!span_equal_nocase(header->name, budget_headers[kind].name))
                continue;
            uint64_t asked_us = 0;
            if (!budget_headers[kind].read(header->value, &asked_us))
                (*malformed)++;
            else if (asked_us < budget_us)
                budget_us = asked_us;
        }
    }
    return budget_us;
}
