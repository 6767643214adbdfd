#include "http/api/access_log.h"

#include "core/clock.h"
#include "core/log.h"
#include "http/api/access_note.h"
#include "http/api/payment_id.h"
#include "http/api/problem.h"

#include <string.h>

enum { ACCESS_LOG_FIELDS_MAX = 32, ACCESS_LOG_HEX_BYTES = 2 * UUID7_BYTES };

/* The fields of one line, and room for the values that have to be spelled. */
struct access_line {
    struct log_field fields[ACCESS_LOG_FIELDS_MAX];
    uint32_t count;
    char txn[PAYMENT_ID_LEN], wallet[ACCESS_LOG_HEX_BYTES], key[ACCESS_LOG_HEX_BYTES];
};

static void access_line_add(struct access_line *line, struct log_field field)
{
    CHECK(line->count < ACCESS_LOG_FIELDS_MAX - 1);
    line->fields[line->count++] = field;
}

static void access_line_add_hex(struct access_line *line, const char *name, struct span bytes,
                                char storage[ACCESS_LOG_HEX_BYTES])
{
    struct buf hex;
    buf_init(&hex, storage, ACCESS_LOG_HEX_BYTES);
    buf_add_hex(&hex, (const uint8_t *)bytes.ptr, bytes.len);
    access_line_add(line, LOG_SPAN(name, buf_span(&hex)));
}

/* As the caller knows it, so that one search finds it in both places. */
static void access_line_add_txn(struct access_line *line, const struct uuid7 *id)
{
    struct buf text;
    buf_init(&text, line->txn, sizeof(line->txn));
    payment_id_add(&text, id);
    access_line_add(line, LOG_SPAN("payment.transaction_id", buf_span(&text)));
}

static void access_line_add_text(struct access_line *line, const char *name, const char *text)
{
    if (text != NULL)
        access_line_add(line, LOG_TEXT(name, text));
}

static void access_line_add_request(struct access_line *line, const struct http_finished *finished)
{
    access_line_add_text(line, "trace_id", finished->trace_id);
    access_line_add_text(line, "request_id", finished->request_id);
    access_line_add(line, LOG_TEXT("http.request.method", http_method_name(finished->method)));
    access_line_add_text(line, "http.route", finished->endpoint);
    access_line_add(line, LOG_U64("http.response.status_code", finished->status));
    access_line_add(line, LOG_U64("http.request.body.size", finished->request_body_bytes));
    access_line_add(line, LOG_U64("http.response.body.size", finished->response_body_bytes));
    access_line_add_text(line, "network.peer.address", finished->peer);
    access_line_add(line, LOG_U64("duration_us", finished->duration_us));
    if (finished->dropped)
        access_line_add(line, LOG_U64("client.gone", 1));
}

static void access_line_add_note(struct access_line *line, const struct access_note *note)
{
    if (note->budget_ms != 0) {
        access_line_add(line, LOG_U64("queue_us", note->queue_us));
        access_line_add(line, LOG_U64("db_us", note->db_us));
        access_line_add(line, LOG_U64("deadline_ms", note->budget_ms));
    }
    if (note->key_id != NULL) {
        access_line_add(line, LOG_I64("client.id", note->client_id));
        access_line_add(line, LOG_TEXT("api_key.id", note->key_id));
    }
    if (note->has_txn)
        access_line_add_txn(line, &note->txn_id);
    if (note->has_payment) {
        access_line_add_text(line, "payment.response_code", note->response_code);
        access_line_add_text(line, "payment.effect", note->effect);
        access_line_add(line, LOG_SPAN("payment.currency", span_of(note->currency)));
        access_line_add(line, LOG_I64("payment.amount", note->amount_minor));
        access_line_add_hex(line, "payment.wallet_hmac",
                            (struct span){(const char *)note->wallet_tag, SECRET_TAG_BYTES},
                            line->wallet);
    }
    access_line_add_text(line, "idempotency.result", note->idempotency);
    if (note->has_key_tag)
        access_line_add_hex(line, "idempotency.key_hmac",
                            (struct span){(const char *)note->key_tag, SECRET_TAG_BYTES},
                            line->key);
    access_line_add_text(line, "error.type", note->problem);
    access_line_add_text(line, "db.sqlstate", note->sqlstate);
}

static bool access_log_may_write(struct access_log *log)
{
    const uint64_t second = clock_mono_us() / CLOCK_US_PER_S;
    if (second != log->second) {
        log->second = second;
        log->lines_in_second = 0;
    }
    if (log->lines_in_second >= ACCESS_LOG_LINES_PER_S_MAX) {
        log->suppressed_total++;
        return false;
    }
    log->lines_in_second++;
    log->lines_total++;
    return true;
}

static bool access_log_wants(struct access_log *log, const struct http_finished *finished)
{
    const bool success = finished->status / 100 == 2 && !finished->dropped;
    if (!success || finished->duration_us > ACCESS_LOG_SLOW_US)
        return true;
    if (log->sample == 0 || ++log->since_sample < log->sample)
        return false;
    log->since_sample = 0;
    return true;
}

static bool access_log_is_key_failure(const struct access_note *note)
{
    return note != NULL && note->problem != NULL &&
           (strcmp(note->problem, problem_kind(PROBLEM_API_KEY_MISSING)->slug) == 0 ||
            strcmp(note->problem, problem_kind(PROBLEM_API_KEY_INVALID)->slug) == 0);
}

static enum log_level access_log_level(unsigned status)
{
    if (status == 500)
        return LOG_ERROR;
    return status > 500 ? LOG_WARN : LOG_INFO;
}

void access_log_init(struct access_log *log, uint32_t sample)
{
    *log = (struct access_log){.sample = sample};
}

void access_log_finished(void *owner, const struct http_finished *finished)
{
    struct access_log *log = owner;
    if (!access_log_wants(log, finished) || !access_log_may_write(log))
        return;
    struct access_line line;
    line.count = 0;
    access_line_add_request(&line, finished);
    if (finished->note != NULL)
        access_line_add_note(&line, finished->note);
    line.fields[line.count] = (struct log_field){.type = LOG_FIELD_END};
    log_write(access_log_level(finished->status), "access", "request", line.fields);
    if (access_log_is_key_failure(finished->note) && access_log_may_write(log))
        log_write(LOG_WARN, "audit", "auth_failure", line.fields);
}
