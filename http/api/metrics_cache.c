#include "http/api/metrics_cache.h"

#include <stdlib.h>

enum err metrics_cache_init(struct metrics_cache *cache, const struct metrics_sources *sources)
{
    *cache = (struct metrics_cache){.sources = sources};
    cache->scratch = malloc(METRICS_PAGE_BYTES_MAX);
    return cache->scratch == NULL ? ERR_SYSTEM : ERR_OK;
}

void metrics_cache_free(struct metrics_cache *cache)
{
    for (unsigned i = 0; i < METRICS_FORMS; i++)
        http_page_release(cache->forms[i].page);
    for (unsigned i = 0; i < METRICS_OLD_PAGES_MAX; i++)
        http_page_release(cache->old[i]);
    free(cache->scratch);
}

/* A place for one more old page; NULL: every one is still read. */
static struct http_page **place_for_old(struct metrics_cache *cache)
{
    for (unsigned i = 0; i < METRICS_OLD_PAGES_MAX; i++) {
        if (cache->old[i] != NULL && http_page_is_shared(cache->old[i]))
            continue;
        http_page_release(cache->old[i]);
        cache->old[i] = NULL;
        return &cache->old[i];
    }
    return NULL;
}

/* NULL: no memory, or it does not fit. */
static struct http_page *make_page(struct metrics_cache *cache, bool openmetrics)
{
    struct buf out;
    buf_init(&out, cache->scratch, METRICS_PAGE_BYTES_MAX);
    metrics_page_write(&out, openmetrics, cache->sources);
    return out.overflow ? NULL : http_page_create(buf_span(&out));
}

static void renew(struct metrics_cache *cache, bool openmetrics)
{
    struct metrics_form *form = &cache->forms[openmetrics];
    const bool is_read = form->page != NULL && http_page_is_shared(form->page);
    struct http_page **place = is_read ? place_for_old(cache) : NULL;
    if (is_read && place == NULL)
        return;
    struct http_page *made = make_page(cache, openmetrics);
    if (made == NULL)
        return;
    if (is_read)
        *place = form->page;
    else
        http_page_release(form->page);
    form->page = made;
}

struct http_page *metrics_cache_page(struct metrics_cache *cache, bool openmetrics)
{
    struct metrics_form *form = &cache->forms[openmetrics];
    const uint64_t now_us = reactor_now_us(cache->sources->parts.reactor);
    if (form->tried_us == 0 || now_us - form->tried_us >= METRICS_FRESH_US) {
        form->tried_us = now_us;
        renew(cache, openmetrics);
    }
    return form->page;
}
