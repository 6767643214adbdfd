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

/* One element of an Accept field. */
struct accept_range {
    struct span media; /* without its parameters; empty: nothing was said */
    bool refused;      /* its weight is zero */
    bool narrowed;     /* it has parameters of its own: it is about one form of the media type */
};

static struct accept_range accept_read_range(struct span text)
{
    struct accept_range range = {.media = span_trim(span_cut(&text, ';'))};
    while (text.ptr != NULL) {
        struct span value = span_trim(span_cut(&text, ';'));
        const struct span name = span_trim(span_cut(&value, '='));
        if (span_equal_nocase(name, SPAN("q")) && value.ptr != NULL) {
            range.refused = accept_weight_is_zero(span_trim(value));
            break;
        }
        range.narrowed = range.narrowed || name.len > 0;
    }
    return range;
}

enum { ACCEPT_APART, ACCEPT_BY_ALL, ACCEPT_BY_GROUP, ACCEPT_BY_NAME };

/* How closely a range names the media type. */
static int accept_closeness(struct span media, struct span media_type)
{
    if (span_equal_nocase(media, media_type))
        return ACCEPT_BY_NAME;
    if (span_equal(media, SPAN("*/*")))
        return ACCEPT_BY_ALL;
    struct span rest = media_type;
    const struct span group = span_cut(&rest, '/');
    const bool covers = media.len == group.len + 2 && media.ptr[group.len] == '/' &&
                        media.ptr[group.len + 1] == '*' &&
                        span_equal_nocase((struct span){media.ptr, group.len}, group);
    return covers ? ACCEPT_BY_GROUP : ACCEPT_APART;
}

/* What all Accept fields together say of a media type. */
struct accept_said {
    bool anything;
    int closeness; /* of the ranges that decide */
    bool accepted; /* by one of them */
};

static void accept_weigh(struct accept_said *said, const struct accept_range *range,
                         struct span media_type)
{
    said->anything = said->anything || range->media.len > 0;
    /* What refuses one form of a media type says nothing of the plain one, which is all there is;
     * what asks for one form takes the plain one, too, as it always did. */
    if (range->refused && range->narrowed)
        return;
    const int closeness = accept_closeness(range->media, media_type);
    if (closeness == ACCEPT_APART || closeness < said->closeness)
        return;
    said->accepted = !range->refused || (closeness == said->closeness && said->accepted);
    said->closeness = closeness;
}

static struct accept_said accept_search(const struct http_request *request, struct span media_type)
{
    struct accept_said said = {0};
    for (uint32_t i = 0; i < request->header_count; i++) {
        if (!span_equal_nocase(request->headers[i].name, SPAN("Accept")))
            continue;
        struct span rest = request->headers[i].value;
        while (rest.ptr != NULL) {
            const struct accept_range range = accept_read_range(span_cut(&rest, ','));
            accept_weigh(&said, &range, media_type);
        }
    }
    return said;
}

bool accept_allows(const struct http_request *request, struct span media_type)
{
    const struct accept_said said = accept_search(request, media_type);
    return said.accepted || !said.anything;
}

bool accept_refuses(const struct http_request *request, struct span media_type)
{
    const struct accept_said said = accept_search(request, media_type);
    return said.closeness != ACCEPT_APART && !said.accepted;
}

bool accept_names(const struct http_request *request, struct span media_type)
{
    const struct accept_said said = accept_search(request, media_type);
    return said.accepted && said.closeness == ACCEPT_BY_NAME;
}
