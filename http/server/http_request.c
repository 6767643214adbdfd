/* http_request: looking into a request that is complete (http_parser.h). */
#include "http/server/http_head_private.h"

const struct span HTTP_METHOD_NAMES[HTTP_METHODS] = {
    [HTTP_GET] = {"GET", 3},         [HTTP_HEAD] = {"HEAD", 4},     [HTTP_POST] = {"POST", 4},
    [HTTP_PUT] = {"PUT", 3},         [HTTP_DELETE] = {"DELETE", 6}, [HTTP_PATCH] = {"PATCH", 5},
    [HTTP_OPTIONS] = {"OPTIONS", 7}, [HTTP_TRACE] = {"TRACE", 5},   [HTTP_CONNECT] = {"CONNECT", 7},
    [HTTP_OTHER] = {"OTHER", 5},
};

const char *http_method_name(enum http_method method)
{
    return HTTP_METHOD_NAMES[method].ptr;
}

struct span http_request_header(const struct http_request *request, struct span name,
                                uint32_t *count)
{
    struct span found = {0};
    uint32_t matches = 0;
    for (uint32_t i = 0; i < request->header_count; i++) {
        const struct http_header *header = &request->headers[i];
        if (header->name.len != name.len || !span_equal_nocase(header->name, name))
            continue;
        if (matches++ == 0)
            found = header->value;
        if (count == NULL)
            break;
    }
    if (count != NULL)
        *count = matches;
    return found;
}
