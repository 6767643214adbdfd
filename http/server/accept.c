#include "http/server/accept.h"

/* "0", "0.", "0.0" .. "0.000" */
static bool accept_weight_is_zero(struct span weight)
{
    if (weight.len == 0 || weight.ptr[0] != '0')
        return false;
    for (size_t i = 1; i < weight.len; i++)
        if (weight.ptr[i] != (i == 1 ? '.' : '0'))
            return false;
    return true;
}

/* The media type of one range, without its parameters; false: its weight is zero. */
static bool accept_range(struct span range, struct span *media)
{
    *media = span_trim(span_cut(&range, ';'));
    while (range.ptr != NULL) {
        struct span value = span_trim(span_cut(&range, ';'));
        const struct span name = span_trim(span_cut(&value, '='));
        if (span_equal_nocase(name, SPAN("q")) && value.ptr != NULL)
            return !accept_weight_is_zero(span_trim(value));
    }
    return true;
}

static bool accept_covers(struct span media, struct span media_type)
{
    if (span_equal(media, SPAN("*/*")))
        return true;
    struct span rest = media_type;
    const struct span group = span_cut(&rest, '/');
    return media.len == group.len + 2 && media.ptr[group.len] == '/' &&
           media.ptr[group.len + 1] == '*' &&
           span_equal_nocase((struct span){media.ptr, group.len}, group);
}

static bool accept_search(const struct http_request *request, struct span media_type, bool wild,
                          bool *present)
{
    *present = false;
    for (uint32_t i = 0; i < request->header_count; i++) {
        if (!span_equal_nocase(request->headers[i].name, SPAN("Accept")))
            continue;
        *present = true;
        struct span rest = request->headers[i].value;
        while (rest.ptr != NULL) {
            struct span media;
            if (!accept_range(span_cut(&rest, ','), &media))
                continue;
            if (span_equal_nocase(media, media_type) || (wild && accept_covers(media, media_type)))
                return true;
        }
    }
    return false;
}

bool accept_allows(const struct http_request *request, struct span media_type)
{
    bool present = false;
    return accept_search(request, media_type, true, &present) || !present;
}

bool accept_names(const struct http_request *request, struct span media_type)
{
    bool present = false;
    return accept_search(request, media_type, false, &present);
}
