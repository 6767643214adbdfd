#include "http/api/payment_read_query.h"

#include "http/api/payment_id.h"
#include "http/api/percent.h"

/* Longer than any name or value that is one. */
enum { PART_MAX = 64 };

const char PAYMENT_READ_BEFORE_RULE[] =
    "must be a transaction of this list, or what next_before says";
static const char LIMIT_RULE[] = "must be a number from 1 to 100";
_Static_assert(PAYMENT_PAGE_MAX == 100, "LIMIT_RULE says it");
/* Its own name is input, which no answer repeats: its place among the parameters tells it. */
static const char UNKNOWN_RULE[] = "a parameter is none of limit, before";

static bool set_limit(struct span text, struct payment_page_ask *ask)
{
    uint64_t limit;

    if (!span_parse_u64(text, PAYMENT_PAGE_MAX, &limit) || limit < 1)
        return false;
    ask->limit = (int32_t)limit;
    return true;
}

static bool set_before(struct span text, struct payment_page_ask *ask)
{
    uint64_t version;

    if (payment_id_parse(text, &ask->before_id))
        return true;
    if (!span_parse_u64(text, INT64_MAX, &version) || version < 1)
        return false;
    ask->before_version = (int64_t)version;
    return true;
}

static const struct {
    struct span name;
    bool (*set)(struct span text, struct payment_page_ask *ask);
    const char *rule;
} PARAMETERS[] = {
    {{"limit", 5}, set_limit, LIMIT_RULE},
    {{"before", 6}, set_before, PAYMENT_READ_BEFORE_RULE},
};
enum { PARAMETERS_COUNT = sizeof(PARAMETERS) / sizeof(PARAMETERS[0]) };

/* Index into PARAMETERS; PARAMETERS_COUNT when it is none of them. */
static size_t find(struct span encoded_name)
{
    char storage[PART_MAX];
    struct buf name;
    size_t index = 0;

    buf_init(&name, storage, sizeof(storage));
    if (!percent_decode(encoded_name, &name))
        return PARAMETERS_COUNT;
    while (index < PARAMETERS_COUNT && !span_equal(buf_span(&name), PARAMETERS[index].name))
        index++;
    return index;
}

/* position: of the parameter, from 1. */
static void read_parameter(struct span parameter, uint32_t position, bool seen[PARAMETERS_COUNT],
                           struct payment_page_ask *ask, struct payment_refusal *refusal)
{
    char storage[PART_MAX];
    struct buf value;

    const size_t index = find(span_cut(&parameter, '='));
    if (index == PARAMETERS_COUNT) {
        payment_refusal_add(
            refusal,
            (struct problem_error){.pointer = "", .detail = UNKNOWN_RULE, .position = position});
        return;
    }
    const char *name = PARAMETERS[index].name.ptr;
    if (seen[index]) {
        payment_refusal_add_field(refusal, name, "is given more than once");
        return;
    }
    seen[index] = true;
    buf_init(&value, storage, sizeof(storage));
    if (!percent_decode(parameter, &value) || !PARAMETERS[index].set(buf_span(&value), ask))
        payment_refusal_add_field(refusal, name, PARAMETERS[index].rule);
}

bool payment_read_query(struct span query, struct payment_page_ask *ask,
                        struct payment_refusal *refusal)
{
    bool seen[PARAMETERS_COUNT] = {false};
    struct span rest = query;

    *ask =
        (struct payment_page_ask){.before_version = INT64_MAX, .limit = PAYMENT_READ_LIMIT_DEFAULT};
    *refusal = (struct payment_refusal){0};
    for (uint32_t position = 1; rest.ptr != NULL; position++) {
        const struct span parameter = span_cut(&rest, '&');
        if (parameter.len > 0)
            read_parameter(parameter, position, seen, ask, refusal);
    }
    return refusal->details.error_count == 0 ||
           payment_refusal_set(refusal, PROBLEM_INVALID_PARAMETER, NULL);
}
