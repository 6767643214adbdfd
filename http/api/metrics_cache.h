/*
 * metrics_cache: the page of /metrics, made seldom and shared by all who ask.
 *
 * Promises: each of its two forms is made at most once in METRICS_FRESH_US, however many ask and
 * however slowly they read; at most METRICS_FORMS + METRICS_OLD_PAGES_MAX pages exist. A page that
 * is out of date is kept for those who still read it; while there are so many of them, the present
 * page goes on being given rather than none.
 */
#ifndef HTTP_API_METRICS_CACHE_H
#define HTTP_API_METRICS_CACHE_H

#include "core/clock.h"
#include "http/api/metrics_page.h"
#include "http/server/http_page.h"

enum {
    METRICS_FRESH_US = 250 * CLOCK_US_PER_MS,
    METRICS_PAGE_BYTES_MAX = HTTP_LARGE_ANSWER_BYTES_MAX,
    METRICS_FORMS = 2, /* text 0.0.4, OpenMetrics */
    METRICS_OLD_PAGES_MAX = 8,
};

/* One form's present page. */
struct metrics_form {
    struct http_page *page; /* NULL: none could be made */
    uint64_t tried_us;      /* monotonic; 0: never */
};

struct metrics_cache {
    const struct metrics_sources *sources;
    char *scratch; /* METRICS_PAGE_BYTES_MAX; untouched until the first scrape */
    struct metrics_form forms[METRICS_FORMS];
    struct http_page *old[METRICS_OLD_PAGES_MAX]; /* NULL, or one that somebody may still read */
};

/* sources are borrowed. ERR_SYSTEM: no memory. */
MUST_USE enum err metrics_cache_init(struct metrics_cache *cache,
                                     const struct metrics_sources *sources);
/* Lets go of every page: answers under way keep theirs. */
void metrics_cache_free(struct metrics_cache *cache);
/* The page, borrowed for this call. NULL: there is no memory for it, or it does not fit an answer.
 */
struct http_page *metrics_cache_page(struct metrics_cache *cache, bool openmetrics);

#endif
