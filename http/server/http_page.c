#include "http/server/http_page.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct http_page {
    uint32_t references;
    size_t len;
    char bytes[];
};

struct http_page *http_page_create(struct span body)
{
    struct http_page *page = malloc(sizeof *page + body.len);
    if (page == NULL)
        return NULL;
    page->references = 1;
    page->len = body.len;
    if (body.len > 0)
        memcpy(page->bytes, body.ptr, body.len);
    return page;
}

struct http_page *http_page_hold(struct http_page *page)
{
    CHECK(page->references > 0);
    page->references++;
    return page;
}

void http_page_release(struct http_page *page)
{
    if (page == NULL)
        return;
    CHECK(page->references > 0);
    page->references--;
    if (page->references == 0)
        free(page);
}

struct span http_page_body(const struct http_page *page)
{
    return (struct span){page->bytes, page->len};
}

bool http_page_is_shared(const struct http_page *page)
{
    return page->references > 1;
}
