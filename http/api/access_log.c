#include "http/api/access_log.h"

#include "core/clock.h"
#include "core/log.h"
#include "http/api/access_note.h"
#include "http/api/client_address.h"
#include "http/api/payment_id.h"

#include <string.h>

enum { ACCESS_LOG_FIELDS_MAX = 32, ACCESS_LOG_HEX_BYTES = 2 * UUID7_BYTES };

/* The fields of one line, and room for the values that have to be spelled. */
struct access_line {
    struct log_field fields[ACCESS_LOG_FIELDS_MAX];
    uint32_t count;
    char client[IP_TEXT_MAX], txn[PAYMENT_ID_LEN], wallet[ACCESS_LOG_HEX_BYTES],
        key[ACCESS_LOG_HEX_BYTES];
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

/* Whose the request is, behind the proxies of ours. */
static void access_line_add_client(struct access_line *line, const struct ip_networks *trusted,
                                   const struct http_finished *finished)
{
    if (finished->peer == NULL || finished->peer[0] == '\0')
        return;
    const struct ip_address client = client_address_of(trusted, finished->peer, finished->request);
    struct buf text;
    buf_init(&text, line->client, sizeof(line->client));
    ip_address_write(&client, &text);
    access_line_add(line, LOG_SPAN("client.address", buf_span(&text)));
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
    }
    if (note->has_payment || note->has_wallet)
        access_line_add_hex(line, "payment.wallet_hmac",
                            (struct span){(const char *)note->wallet_tag, SECRET_TAG_BYTES},
                            line->wallet);
    access_line_add_text(line, "idempotency.result", note->idempotency);
    if (note->has_key_tag)
        access_line_add_hex(line, "idempotency.key_hmac",
                            (struct span){(const char *)note->key_tag, SECRET_TAG_BYTES},
                            line->key);
    access_line_add_text(line, "error.type", note->problem);
    access_line_add_text(line, "db.sqlstate", note->sqlstate);
}

static const struct {
    const char *name;
    uint32_t lines_per_s_max;
} REASONS[ACCESS_LOG_REASONS] = {
    [ACCESS_LOG_CALLER_FAILED] = {"caller_failed", 100},
    [ACCESS_LOG_CALLER] = {"caller", 100},
    [ACCESS_LOG_STRANGER_FAILED] = {"stranger_failed", 25},
    [ACCESS_LOG_STRANGER] = {"stranger", 100},
    [ACCESS_LOG_AUTH_FAILURE] = {"auth_failure", 100},
    [ACCESS_LOG_ADDRESS] = {"address", 0},
};

const char *access_log_reason_name(enum access_log_reason reason)
{
    return REASONS[reason].name;
}

uint32_t access_log_lines_per_s_max(enum access_log_reason kind)
{
    return REASONS[kind].lines_per_s_max;
}

/* ---- what is left out ---- */

/* Audit lines: they must not be lost to the flood they tell of. */
static void access_log_summarise(struct access_log *log)
{
    for (size_t i = 0; i < ACCESS_LOG_REASONS; i++) {
        const uint64_t count = log->suppressed_total[i] - log->summarised_total[i];
        if (count == 0)
            continue;
        log->summarised_total[i] = log->suppressed_total[i];
        LOG_EMIT(LOG_WARN, LOG_AUDIT, "lines_suppressed", LOG_TEXT("reason", REASONS[i].name),
                 LOG_U64("count", count));
    }
}

static void access_log_on_summary(struct reactor_timer *timer)
{
    access_log_summarise(container_of(timer, struct access_log, summary));
}

static void access_log_suppress(struct access_log *log, enum access_log_reason reason)
{
    log->suppressed_total[reason]++;
    if (!reactor_timer_is_set(&log->summary))
        reactor_timer_set(log->config.reactor, &log->summary, clock_mono_us() + CLOCK_US_PER_S);
}

static bool access_log_may_write(struct access_log *log, enum access_log_reason kind)
{
    const uint64_t second = clock_mono_us() / CLOCK_US_PER_S;
    if (second != log->second) {
        log->second = second;
        memset(log->lines_in_second, 0, sizeof(log->lines_in_second));
    }
    if (log->lines_in_second[kind] >= REASONS[kind].lines_per_s_max) {
        access_log_suppress(log, kind);
        return false;
    }
    log->lines_in_second[kind]++;
    log->lines_total++;
    return true;
}

/* ---- what is wanted ---- */

static bool access_log_wants(struct access_log *log, const struct http_finished *finished)
{
    const bool success = finished->status / 100 == 2 && !finished->dropped;
    if (!success || finished->duration_us > ACCESS_LOG_SLOW_US)
        return true;
    if (log->config.sample == 0 || ++log->since_sample < log->config.sample)
        return false;
    log->since_sample = 0;
    return true;
}

static enum access_log_reason access_log_kind(const struct access_note *note, unsigned status)
{
    if (note != NULL && note->key_id != NULL)
        return status >= 500 ? ACCESS_LOG_CALLER_FAILED : ACCESS_LOG_CALLER;
    return status >= 500 ? ACCESS_LOG_STRANGER_FAILED : ACCESS_LOG_STRANGER;
}

static enum log_level access_log_level(unsigned status)
{
    if (status == 500)
        return LOG_ERROR;
    return status > 500 ? LOG_WARN : LOG_INFO;
}

void access_log_init(struct access_log *log, const struct access_log_config *config)
{
    *log = (struct access_log){.config = *config, .summary = {.on_due = access_log_on_summary}};
}

void access_log_stop(struct access_log *log)
{
    if (log->config.reactor == NULL)
        return;
    reactor_timer_clear(log->config.reactor, &log->summary);
    access_log_summarise(log);
}

void access_log_finished(void *owner, const struct http_finished *finished)
{
    struct access_log *log = owner;
    const struct access_note *note = finished->note;
    const enum auth_verdict auth = note != NULL ? note->auth : AUTH_NOT_REFUSED;
    if (!access_log_wants(log, finished))
        return;
    if (auth == AUTH_TOLD_UNLOGGED || auth == AUTH_THROTTLED_UNLOGGED) {
        access_log_suppress(log, ACCESS_LOG_ADDRESS);
        return;
    }
    const bool access = access_log_may_write(log, access_log_kind(note, finished->status));
    const bool audit =
        auth != AUTH_NOT_REFUSED && access_log_may_write(log, ACCESS_LOG_AUTH_FAILURE);
    if (!access && !audit)
        return;
    struct access_line line;
    line.count = 0;
    access_line_add_request(&line, finished);
    access_line_add_client(&line, log->config.trusted, finished);
    if (note != NULL)
        access_line_add_note(&line, note);
    line.fields[line.count] = (struct log_field){.type = LOG_FIELD_END};
    if (access)
        log_write(access_log_level(finished->status), LOG_ACCESS, "request", line.fields);
    if (audit)
        log_write(LOG_WARN, LOG_AUTH, auth == AUTH_THROTTLED ? "auth_throttled" : "auth_failure",
                  line.fields);
}
