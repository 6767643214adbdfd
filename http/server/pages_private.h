/*
 * pages: zeroed address space for tables that are sized for the worst day: memory stands behind a
 * page only once it is touched.
 *
 * Private to http_server and http_counts.
 */
#ifndef HTTP_SERVER_PAGES_PRIVATE_H
#define HTTP_SERVER_PAGES_PRIVATE_H

#include <stddef.h>

/* NULL: no address space. */
void *pages_map(size_t size);
/* NULL is fine. */
void pages_unmap(void *memory, size_t size);

#endif
