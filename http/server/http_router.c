#include "http/server/http_router_private.h"

#include <string.h>

static const char PARAM[] = "{id}";

void http_router_init(struct http_router *router, const struct http_route *routes, uint32_t count,
                      struct http_counts *counts)
{
    CHECK(count <= HTTP_ROUTES_MAX);
    router->routes = routes;
    router->count = count;
    for (uint32_t i = 0; i < count; i++) {
        const char *path = routes[i].path;
        const char *param = strstr(path, PARAM);
        CHECK(path[0] == '/');
        router->patterns[i] = (struct http_pattern){.prefix = span_of(path), .suffix = SPAN("")};
        router->patterns[i].endpoint = http_counts_endpoint(counts, path);
        if (param != NULL) {
            router->patterns[i].has_param = true;
            router->patterns[i].prefix.len = (size_t)(param - path);
            router->patterns[i].suffix = span_of(param + sizeof PARAM - 1);
        }
    }
}

static bool pattern_matches(const struct http_pattern *pattern, struct span path,
                            struct span *param)
{
    if (!pattern->has_param)
        return span_equal(pattern->prefix, path);
    const size_t around = pattern->prefix.len + pattern->suffix.len;
    if (path.len <= around || !span_starts_with(path, pattern->prefix))
        return false;
    const struct span tail = {.ptr = path.ptr + path.len - pattern->suffix.len,
                              .len = pattern->suffix.len};
    *param = (struct span){.ptr = path.ptr + pattern->prefix.len, .len = path.len - around};
    return span_equal(tail, pattern->suffix) && memchr(param->ptr, '/', param->len) == NULL;
}

struct http_match http_router_match(const struct http_router *router, struct span path)
{
    for (uint32_t i = 0; i < router->count; i++) {
        struct span param = SPAN("");
        if (pattern_matches(&router->patterns[i], path, &param))
            return (struct http_match){&router->routes[i], router->patterns[i].endpoint, param};
    }
    return (struct http_match){.endpoint = HTTP_ENDPOINT_OTHER, .param = SPAN("")};
}

static uint32_t allowed_methods(const struct http_router *router, const struct http_route *route)
{
    uint32_t methods = 1u << HTTP_OPTIONS;
    for (uint32_t i = 0; i < router->count; i++) {
        if (route == NULL || route == &router->routes[i])
            methods |= router->routes[i].methods;
    }
    if ((methods & 1u << HTTP_GET) != 0)
        methods |= 1u << HTTP_HEAD;
    return methods;
}

enum http_admission http_router_admit(const struct http_router *router,
                                      const struct http_route *route,
                                      const struct http_request *request, enum http_error *error)
{
    const enum http_method method = request->method;
    const bool everything = method == HTTP_OPTIONS && span_equal(request->path, SPAN("*"));
    const bool content_expected =
        (method == HTTP_POST || method == HTTP_PUT || method == HTTP_PATCH) && route != NULL &&
        !route->body_optional;
    const bool never = method == HTTP_TRACE || method == HTTP_CONNECT;
    if (!never && route == NULL && !everything)
        *error = HTTP_ERROR_NOT_FOUND;
    else if (method == HTTP_OPTIONS)
        return HTTP_ADMIT_OPTIONS;
    else if (never || (allowed_methods(router, route) & 1u << method) == 0)
        *error = HTTP_ERROR_METHOD_NOT_ALLOWED;
    else if (content_expected && !request->has_body)
        *error = HTTP_ERROR_LENGTH_REQUIRED;
    else
        return HTTP_ADMIT_HANDLER;
    return HTTP_ADMIT_REFUSED;
}

void http_router_add_allow(const struct http_router *router, const struct http_route *route,
                           struct buf *out)
{
    const uint32_t methods = allowed_methods(router, route);
    const char *separator = "Allow: ";
    for (unsigned i = 0; i < HTTP_OTHER; i++) {
        if ((methods & 1u << i) == 0)
            continue;
        buf_add_text(out, separator);
        buf_add_text(out, http_method_name((enum http_method)i));
        separator = ", ";
    }
    buf_add(out, SPAN("\r\n"));
}
