#include "pool/audit.h"

#include "core/buf.h"
#include "core/clock.h"
#include "embedded_sql.h"
#include "pool/ops_guard_private.h"
#include "pool/pg_session_private.h"

#include <inttypes.h>
#include <string.h>

enum {
    AUDIT_KEY_BYTES = 40, /* a uuid, a wallet's number, a run's */
    AUDIT_TIME_BYTES = 64,
    AUDIT_WHO_BYTES = 96,
    AUDIT_FIRST_MAX = 5, /* offenders that are named, of each invariant */
    AUDIT_REPORT_BYTES = 16 * 1024,
};

/* A batch takes milliseconds; whoever is in the way so long that it does not is to be told. The
 * plans must not depend on what statistics say: rows are found by key, one by one. */
#define AUDIT_SETTINGS                                                                             \
    "-c statement_timeout=300s -c jit=off -c enable_hashjoin=off -c enable_mergejoin=off "         \
    "-c enable_seqscan=off -c default_transaction_isolation=read\\ committed"

/* What is walked through, in this order. */
enum audit_walk { AUDIT_WALLETS, AUDIT_DECISIONS, AUDIT_ENTRIES };
enum { AUDIT_WALKS = AUDIT_ENTRIES + 1 };

static const struct {
    const char *sql;
    bool by_time; /* by identifiers that begin with their time; else always from the first */
} WALKS[AUDIT_WALKS] = {
    [AUDIT_WALLETS] = {SQL_OPS_AUDIT_WALLETS, false},
    [AUDIT_DECISIONS] = {SQL_OPS_AUDIT_DECISIONS, true},
    [AUDIT_ENTRIES] = {SQL_OPS_AUDIT_ENTRIES, true},
};

/* I1 at [0]. */
static const char *const RULES[] = {
    "balance and version of a wallet are those of its ledger",
    "an approved decision has exactly one transfer of its kind, a declined one none",
    "no ledger row without a decision, but what a capture brings along, and expiries",
    "one decision per client and key",
    "each ledger entry starts where the one before ended, without gaps",
    "decision and ledger tell the same story",
    "no negative balance",
    "the limit counters are those of the ledger",
    "the sum over all accounts is zero",
    "a step belongs to one hold, and only its first row says that the hold is resolved",
    "no hold gives more than it has, and each step recorded what the hold had come to",
};
enum { AUDIT_RULES = sizeof(RULES) / sizeof(RULES[0]) };

struct audit_finding {
    uint64_t breaches;
    uint32_t named;
    char first[AUDIT_FIRST_MAX][AUDIT_WHO_BYTES];
};

struct audit {
    struct pg_session session;
    const struct audit_options *options;
    char run[AUDIT_KEY_BYTES], since[AUDIT_TIME_BYTES], from[AUDIT_KEY_BYTES];
    uint64_t looked[AUDIT_WALKS], statements, breaches;
    struct audit_finding findings[AUDIT_RULES];
};

static void copy_text(char *out, size_t room, const char *text)
{
    snprintf(out, room, "%s", text);
}

/* "26h": how PostgreSQL reads an interval, and never a time. */
static bool is_duration(struct span text)
{
    uint64_t number;

    return text.len > 1 && strchr("smhd", text.ptr[text.len - 1]) != NULL &&
           span_parse_u64((struct span){text.ptr, text.len - 1}, UINT32_MAX, &number);
}

static const char *since_kind(const char *since)
{
    if (since == NULL)
        return "whole";
    if (strcmp(since, "last") == 0)
        return "last";
    return is_duration(span_of(since)) ? "ago" : "at";
}

static enum err audit_open(struct audit *audit)
{
    static const char CLASS_DATA[] = "22"; /* of SQLSTATE: what was given is no time */
    const char *since = audit->options->since;
    const char *const values[] = {since_kind(since), since};
    PGresult *row = pg_session_query(&audit->session, SQL_OPS_AUDIT_OPEN, 2, values);

    if (row == NULL)
        return strncmp(audit->session.sqlstate, CLASS_DATA, 2) == 0 ? ERR_INVALID : ERR_UNAVAILABLE;
    copy_text(audit->run, sizeof(audit->run), PQgetvalue(row, 0, 0));
    copy_text(audit->since, sizeof(audit->since), PQgetvalue(row, 0, 1));
    copy_text(audit->from, sizeof(audit->from), PQgetvalue(row, 0, 2));
    PQclear(row);
    return ERR_OK;
}

/* A row of a batch's answer that tells of a broken invariant. */
static void audit_note(struct audit *audit, const PGresult *rows, int row)
{
    const uint64_t number = pg_session_count(rows, row, 2), count = pg_session_count(rows, row, 3);

    if (number < 1 || number > AUDIT_RULES)
        return;
    struct audit_finding *finding = &audit->findings[number - 1];
    finding->breaches += count;
    audit->breaches += count;
    if (finding->named < AUDIT_FIRST_MAX)
        copy_text(finding->first[finding->named++], AUDIT_WHO_BYTES, PQgetvalue(rows, row, 4));
}

/* From the key on, batch by batch, until one comes back that is not full. */
static enum err audit_walk(struct audit *audit, enum audit_walk walk)
{
    char key[AUDIT_KEY_BYTES] = "0", limit[AUDIT_KEY_BYTES];
    uint64_t looked;

    if (WALKS[walk].by_time)
        copy_text(key, sizeof(key), audit->from);
    snprintf(limit, sizeof(limit), "%" PRIu32, audit->options->batch_rows);
    do {
        const char *const values[] = {key, limit};
        PGresult *rows = pg_session_query(&audit->session, WALKS[walk].sql, 2, values);
        if (rows == NULL)
            return ERR_UNAVAILABLE;
        for (int row = 0; row < PQntuples(rows); row++)
            audit_note(audit, rows, row);
        looked = pg_session_count(rows, 0, 0);
        copy_text(key, sizeof(key), PQgetvalue(rows, 0, 1));
        PQclear(rows);
        audit->looked[walk] += looked;
        audit->statements++;
    } while (looked >= audit->options->batch_rows);
    return ERR_OK;
}

static void audit_write_rule(const struct audit *audit, uint32_t index, struct buf *report)
{
    const struct audit_finding *finding = &audit->findings[index];
    char name[8];

    snprintf(name, sizeof(name), "I%" PRIu32, index + 1);
    if (finding->breaches == 0) {
        buf_addf(report, "%-3s kept    %s\n", name, RULES[index]);
        return;
    }
    buf_addf(report, "%-3s BROKEN  %s: %" PRIu64 " times, first", name, RULES[index],
             finding->breaches);
    for (uint32_t i = 0; i < finding->named; i++)
        buf_addf(report, "%s %s", i == 0 ? "" : ",", finding->first[i]);
    buf_add_char(report, '\n');
}

static enum err audit_close(struct audit *audit, const char *report)
{
    char counts[AUDIT_WALKS][AUDIT_KEY_BYTES], breaches[AUDIT_KEY_BYTES];

    for (uint32_t i = 0; i < AUDIT_WALKS; i++)
        snprintf(counts[i], sizeof(counts[i]), "%" PRIu64, audit->looked[i]);
    snprintf(breaches, sizeof(breaches), "%" PRIu64, audit->breaches);
    const char *const values[] = {
        audit->run, counts[AUDIT_WALLETS], counts[AUDIT_DECISIONS], counts[AUDIT_ENTRIES], breaches,
        report};
    PGresult *result = pg_session_query(&audit->session, SQL_OPS_AUDIT_CLOSE, 6, values);
    PQclear(result);
    return result == NULL ? ERR_UNAVAILABLE : ERR_OK;
}

static void audit_tell(const struct audit *audit, uint64_t took_us, const char *report, FILE *out)
{
    fprintf(out, "ledger of %s, %s%s\n", audit->options->region,
            audit->since[0] == '\0' ? "whole" : "since ", audit->since);
    fprintf(out,
            "looked at %" PRIu64 " wallets, %" PRIu64 " decisions, %" PRIu64
            " ledger rows in %" PRIu64 " statements, %" PRIu64 ".%03" PRIu64 " s\n%s",
            audit->looked[AUDIT_WALLETS], audit->looked[AUDIT_DECISIONS],
            audit->looked[AUDIT_ENTRIES], audit->statements, took_us / CLOCK_US_PER_S,
            took_us % CLOCK_US_PER_S / CLOCK_US_PER_MS, report);
}

/* Also of a run that was cut off: what it has found is true. */
static enum err audit_end(struct audit *audit, uint64_t took_us, enum err err, FILE *out)
{
    char storage[AUDIT_REPORT_BYTES];
    struct buf report;

    buf_init(&report, storage, sizeof(storage) - 1);
    for (uint32_t i = 0; i < AUDIT_RULES; i++)
        audit_write_rule(audit, i, &report);
    CHECK(!report.overflow);
    storage[report.len] = '\0';
    audit_tell(audit, took_us, storage, out);
    if (err == ERR_OK)
        err = audit_close(audit, storage);
    if (audit->breaches > 0)
        fputs("the ledger is broken\n", out);
    else
        fputs(err == ERR_OK ? "the ledger is whole\n" : "not all of it was looked at\n", out);
    return err;
}

static enum err audit_all(struct audit *audit, FILE *out)
{
    const uint64_t begin_us = clock_mono_us();
    enum err err = ops_guard(&audit->session, audit->options->region);

    if (err == ERR_OK)
        err = audit_open(audit);
    if (err != ERR_OK)
        return err;
    for (uint32_t walk = 0; err == ERR_OK && walk < AUDIT_WALKS; walk++)
        err = audit_walk(audit, (enum audit_walk)walk);
    return audit_end(audit, clock_mono_us() - begin_us, err, out);
}

enum err audit_run(const struct audit_options *options, FILE *out, FILE *err_out, bool *broken)
{
    CHECK(options->region[0] != '\0');
    CHECK(options->batch_rows > 0);
    struct audit audit = {.session = {.who = "audit", .err = err_out}, .options = options};

    enum err err = pg_session_open(&audit.session, options->database_url, AUDIT_SETTINGS);
    if (err == ERR_OK)
        err = audit_all(&audit, out);
    pg_session_close(&audit.session);
    *broken = audit.breaches > 0;
    return err;
}
