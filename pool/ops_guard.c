#include "pool/ops_guard_private.h"

#include "embedded_sql.h"
#include "pool/migrate.h"

#include <inttypes.h>
#include <string.h>

enum err ops_guard(struct pg_session *session, const char *region)
{
    PGresult *row = pg_session_query(session, SQL_OPS_OPEN, 0, NULL);
    enum err err = ERR_OK;

    if (row == NULL)
        return ERR_UNAVAILABLE;
    const char *found = PQntuples(row) == 1 ? PQgetvalue(row, 0, 0) : "";
    const uint64_t version = PQntuples(row) == 1 ? pg_session_count(row, 0, 1) : 0;
    if (strcmp(found, region) != 0) {
        fprintf(
            session->err,
            "%s: this database holds the data of region %s, but REGION is %s; nothing was done\n",
            session->who, found, region);
        err = ERR_ELSEWHERE;
    } else if (version != (uint64_t)MIGRATE_VERSION_LATEST) {
        fprintf(session->err,
                "%s: the schema is at %" PRIu64 ", and this binary knows it at %" PRId32
                "; use the binary that migrated it\n",
                session->who, version, MIGRATE_VERSION_LATEST);
        err = ERR_CONFLICT;
    }
    PQclear(row);
    return err;
}
