/*
 * ops_guard (private to pool/): may a command work on this database? What audit and purge ask
 * first.
 */
#ifndef POOL_OPS_GUARD_PRIVATE_H
#define POOL_OPS_GUARD_PRIVATE_H

#include "pool/pg_session_private.h"

/* ERR_ELSEWHERE: the database is another region's. ERR_CONFLICT: its schema is not the one that
 * this binary knows, so that what it looks for, or changes, may mean something else there. Told. */
MUST_USE enum err ops_guard(struct pg_session *session, const char *region);

#endif
