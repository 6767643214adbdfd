/*
 * http_page: a large body that many answers send from one copy.
 *
 * Counted references: its maker holds one, every answer that sends it one more; whoever lets go
 * last frees it. Never changes once it is made.
 */
#ifndef HTTP_SERVER_HTTP_PAGE_H
#define HTTP_SERVER_HTTP_PAGE_H

#include "core/buf.h"
#include "core/check.h"

#include <stdbool.h>

struct http_page;

/* Copies the body; the caller holds the one reference. NULL: no memory. */
MUST_USE struct http_page *http_page_create(struct span body);
/* One reference more; returns the page. */
struct http_page *http_page_hold(struct http_page *page);
/* One less; NULL is fine. */
void http_page_release(struct http_page *page);
/* Lives as long as the page. */
struct span http_page_body(const struct http_page *page);
/* Whether somebody else holds it, too. */
bool http_page_is_shared(const struct http_page *page);

#endif
