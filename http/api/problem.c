#include "http/api/problem.h"

#include "core/check.h"
#include "core/payment.h"
#include "http/api/access_note.h"
#include "http/api/payment_read_key.h"

#define PROBLEM_TYPE_PREFIX "urn:problem:payment-latency-api:"

enum {
    PROBLEM_BODY_BYTES = 3072,
    PROBLEM_HEADER_BYTES = 512,
    PROBLEM_INSTANCE_MAX = 256,
    PROBLEM_DETAIL_BYTES = 256
};

#define PROBLEM_MEDIA_TYPE "application/problem+json"
#define RETRY_SOON "Retry-After: 1\r\n"

static const struct problem_kind kinds[PROBLEMS] = {
    [PROBLEM_MALFORMED_REQUEST] = {"malformed-request", 400, "Malformed request",
                                   "Malformed request", ""},
    [PROBLEM_INVALID_JSON] = {"invalid-json", 400, "Invalid JSON", "Invalid JSON", ""},
    [PROBLEM_IDEMPOTENCY_KEY_MISSING] = {"idempotency-key-missing", 400, "Idempotency key missing",
                                         "Missing Idempotency-Key header", ""},
    [PROBLEM_IDEMPOTENCY_KEY_INVALID] = {"idempotency-key-invalid", 400, "Idempotency key invalid",
                                         "Invalid Idempotency-Key header", ""},
    [PROBLEM_API_KEY_MISSING] = {"api-key-missing", 401, "API key missing",
                                 "Missing X-API-Key header",
                                 "WWW-Authenticate: ApiKey realm=\"payment-latency-api\"\r\n"},
    [PROBLEM_API_KEY_INVALID] = {"api-key-invalid", 403, "API key invalid", "Invalid API key", ""},
    [PROBLEM_FORCED_OUTCOME_DISABLED] = {"forced-outcome-disabled", 403, "Forced outcome disabled",
                                         "Forced outcomes are disabled", ""},
    [PROBLEM_NOT_FOUND] = {"not-found", 404, "Not found", "Not found", ""},
    [PROBLEM_METHOD_NOT_ALLOWED] = {"method-not-allowed", 405, "Method not allowed",
                                    "Method not allowed", ""},
    [PROBLEM_NOT_ACCEPTABLE] = {"not-acceptable", 406, "Not acceptable", "Not acceptable", ""},
    [PROBLEM_REQUEST_TIMEOUT] = {"request-timeout", 408, "Request timeout", "Request timeout", ""},
    [PROBLEM_IDEMPOTENCY_IN_FLIGHT] = {"idempotency-in-flight", 409, "Idempotency key in flight",
                                       "A request with this Idempotency-Key is under way",
                                       RETRY_SOON},
    [PROBLEM_WALLET_BUSY] = {"wallet-busy", 409, "Wallet busy", "Wallet busy", RETRY_SOON},
    [PROBLEM_ALREADY_RESOLVED] = {"already-resolved", 409, "Hold already resolved",
                                  "The hold is already resolved", ""},
    [PROBLEM_TOO_MANY_STEPS] = {"too-many-steps", 409, "Too many steps",
                                "The hold has as many steps as it may have", ""},
    [PROBLEM_LENGTH_REQUIRED] = {"length-required", 411, "Length required", "Length required", ""},
    [PROBLEM_CONTENT_TOO_LARGE] = {"content-too-large", 413, "Content too large",
                                   "Content too large", ""},
    [PROBLEM_URI_TOO_LONG] = {"uri-too-long", 414, "URI too long", "URI too long", ""},
    [PROBLEM_UNSUPPORTED_MEDIA_TYPE] = {"unsupported-media-type", 415, "Unsupported media type",
                                        "Unsupported media type", "Accept: application/json\r\n"},
    [PROBLEM_EXPECTATION_FAILED] = {"expectation-failed", 417, "Expectation failed",
                                    "Expectation failed", ""},
    [PROBLEM_INVALID_PARAMETER] = {"invalid-parameter", 422, "Invalid parameter",
                                   "Invalid parameter", ""},
    [PROBLEM_IDEMPOTENCY_KEY_REUSED] = {"idempotency-key-reused", 422, "Idempotency key reused",
                                        "This Idempotency-Key belongs to another request", ""},
    [PROBLEM_PAN_DETECTED] = {"pan-detected", 422, "Card number detected",
                              "Card numbers are not accepted", ""},
    [PROBLEM_AMOUNT_EXCEEDS_OPEN] = {"amount-exceeds-open", 422, "Amount exceeds what is open",
                                     "The amount is more than there is", ""},
    [PROBLEM_TOO_MANY_FAILURES] = {"too-many-failures", 429, "Too many failures",
                                   "Too many requests without a valid API key", RETRY_SOON},
    [PROBLEM_HEADERS_TOO_LARGE] = {"headers-too-large", 431, "Request header fields too large",
                                   "Request header fields too large", ""},
    [PROBLEM_INTERNAL] = {"internal", 500, "Internal error", "Internal error", ""},
    [PROBLEM_NOT_IMPLEMENTED] = {"not-implemented", 501, "Not implemented", "Not implemented", ""},
    [PROBLEM_OVERLOADED] = {"overloaded", 503, "Overloaded", "Overloaded", RETRY_SOON},
    [PROBLEM_WALLET_UNAVAILABLE] = {"wallet-unavailable", 503, "Wallet unavailable",
                                    "Wallet unavailable", RETRY_SOON},
    [PROBLEM_DATABASE_UNAVAILABLE] = {"database-unavailable", 503, "Database unavailable",
                                      "Database unavailable", RETRY_SOON},
    [PROBLEM_WRONG_REGION] = {"wrong-region", 503, "Wrong region", "Wrong region", RETRY_SOON},
    [PROBLEM_DEADLINE_EXCEEDED] = {"deadline-exceeded", 504, "Deadline exceeded",
                                   "Deadline exceeded", ""},
    [PROBLEM_OUTCOME_UNKNOWN] = {"outcome-unknown", 504, "Outcome unknown", "Outcome unknown", ""},
    [PROBLEM_VERSION_NOT_SUPPORTED] = {"version-not-supported", 505, "HTTP version not supported",
                                       "HTTP version not supported", ""},
};

/* What there is to say where an occurrence adds nothing; NULL: the title says it all. */
static const char *problem_default_detail(enum problem problem)
{
    switch ((int)problem) {
    case PROBLEM_API_KEY_MISSING:
        return "send the key in one X-API-Key field";
    case PROBLEM_API_KEY_INVALID:
        return "exactly one X-API-Key field with a key that is in effect is needed";
    case PROBLEM_NOT_FOUND:
        return "nothing is served at this path";
    case PROBLEM_METHOD_NOT_ALLOWED:
        return "the Allow field names the methods of this path";
    case PROBLEM_IDEMPOTENCY_IN_FLIGHT:
        return "repeat it after Retry-After with the same Idempotency-Key";
    default:
        return NULL;
    }
}

/* Whether money may have moved, where the same request may be sent again. A key in flight is
 * unknown: this request moved nothing, the one that has the key may. */
static const char *const applied[PROBLEMS] = {
    [PROBLEM_REQUEST_TIMEOUT] = "no",      [PROBLEM_IDEMPOTENCY_IN_FLIGHT] = "unknown",
    [PROBLEM_WALLET_BUSY] = "no",          [PROBLEM_INTERNAL] = "no",
    [PROBLEM_OVERLOADED] = "no",           [PROBLEM_WALLET_UNAVAILABLE] = "no",
    [PROBLEM_DATABASE_UNAVAILABLE] = "no", [PROBLEM_DEADLINE_EXCEEDED] = "no",
    [PROBLEM_OUTCOME_UNKNOWN] = "unknown", [PROBLEM_WRONG_REGION] = "no",
    [PROBLEM_TOO_MANY_FAILURES] = "no",
};

const struct problem_kind *problem_kind(enum problem problem)
{
    CHECK((unsigned)problem < PROBLEMS);
    return &kinds[problem];
}

static const enum problem http_problems[HTTP_ERRORS] = {
    [HTTP_ERROR_NONE] = PROBLEM_INTERNAL,
    [HTTP_ERROR_MALFORMED] = PROBLEM_MALFORMED_REQUEST,
    [HTTP_ERROR_NOT_FOUND] = PROBLEM_NOT_FOUND,
    [HTTP_ERROR_METHOD_NOT_ALLOWED] = PROBLEM_METHOD_NOT_ALLOWED,
    [HTTP_ERROR_REQUEST_TIMEOUT] = PROBLEM_REQUEST_TIMEOUT,
    [HTTP_ERROR_LENGTH_REQUIRED] = PROBLEM_LENGTH_REQUIRED,
    [HTTP_ERROR_CONTENT_TOO_LARGE] = PROBLEM_CONTENT_TOO_LARGE,
    [HTTP_ERROR_URI_TOO_LONG] = PROBLEM_URI_TOO_LONG,
    [HTTP_ERROR_EXPECTATION_FAILED] = PROBLEM_EXPECTATION_FAILED,
    [HTTP_ERROR_HEADERS_TOO_LARGE] = PROBLEM_HEADERS_TOO_LARGE,
    [HTTP_ERROR_NOT_IMPLEMENTED] = PROBLEM_NOT_IMPLEMENTED,
    [HTTP_ERROR_OVERLOADED] = PROBLEM_OVERLOADED,
    [HTTP_ERROR_VERSION_NOT_SUPPORTED] = PROBLEM_VERSION_NOT_SUPPORTED,
};

enum problem problem_of_http_error(enum http_error error)
{
    CHECK((unsigned)error < HTTP_ERRORS);
    return http_problems[error];
}

static void problem_add_member(struct buf *out, const char *name, struct span value)
{
    buf_add_char(out, ',');
    buf_add_json(out, span_of(name));
    buf_add_char(out, ':');
    buf_add_json(out, value);
}

/* "must be EUR or MXN, not a number" */
static void problem_add_error_text(struct buf *out, const struct problem_error *error)
{
    buf_add_text(out, error->detail);
    if (error->instead != NULL) {
        buf_add(out, SPAN(", not "));
        buf_add_text(out, error->instead);
    }
}

static void problem_add_detail(struct buf *out, enum problem problem,
                               const struct problem_details *details)
{
    const char *detail =
        details->detail != NULL ? details->detail : problem_default_detail(problem);
    const struct problem_error *first = &details->errors[0];
    char storage[PROBLEM_DETAIL_BYTES];
    struct buf text;
    buf_init(&text, storage, sizeof(storage));
    if (detail != NULL) {
        buf_add_text(&text, detail);
    } else if (details->error_count > 0) {
        buf_add_text(&text, first->pointer);
        buf_add_text(&text, first->pointer[0] == '\0' ? "" : " ");
        problem_add_error_text(&text, first);
    }
    if (details->has_offset) {
        buf_add(&text, SPAN(", found at offset "));
        buf_add_u64(&text, details->offset);
    }
    CHECK(!text.overflow);
    if (text.len > 0)
        problem_add_member(out, "detail", buf_span(&text));
}

static void problem_add_errors(struct buf *out, const struct problem_details *details)
{
    CHECK(details->error_count <= PROBLEM_ERRORS_MAX);
    buf_add(out, SPAN(",\"errors\":["));
    for (uint32_t i = 0; i < details->error_count; i++) {
        buf_add_text(out, i == 0 ? "{\"pointer\":" : ",{\"pointer\":");
        buf_add_json(out, span_of(details->errors[i].pointer));
        if (details->errors[i].position > 0) {
            buf_add(out, SPAN(",\"position\":"));
            buf_add_u64(out, details->errors[i].position);
        }
        char storage[PROBLEM_DETAIL_BYTES];
        struct buf text;
        buf_init(&text, storage, sizeof(storage));
        problem_add_error_text(&text, &details->errors[i]);
        CHECK(!text.overflow);
        problem_add_member(out, "detail", buf_span(&text));
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

/* What a caller needs to ask for what can be done. */
static void problem_add_hold(struct buf *out, const struct problem_details *details)
{
    if (details->state != NULL)
        problem_add_member(out, "state", span_of(details->state));
    if (!details->has_limit)
        return;
    buf_add(out, SPAN(",\"asked\":"));
    buf_add_i64(out, details->asked_minor);
    buf_add(out, SPAN(",\"limit\":"));
    buf_add_i64(out, details->limit_minor);
}

void problem_write(struct buf *out, enum problem problem, const struct problem_details *details,
                   struct span instance, const char *trace_id)
{
    const struct problem_kind *kind = problem_kind(problem);
    buf_add(out, SPAN("{\"type\":\"" PROBLEM_TYPE_PREFIX));
    buf_add_text(out, kind->slug);
    buf_add_char(out, '"');
    problem_add_member(out, "title", span_of(kind->title));
    buf_add(out, SPAN(",\"status\":"));
    buf_add_u64(out, kind->status);
    problem_add_detail(out, problem, details);
    /* A path may be anything: the answer stays small, and never repeats what may be a card number,
     * nor an Idempotency-Key, which is a secret wherever the answer is kept. */
    instance = payment_read_key_hide(instance);
    if (instance.len > 0 && instance.len <= PROBLEM_INSTANCE_MAX &&
        !payment_has_card_number(instance))
        problem_add_member(out, "instance", instance);
    problem_add_member(out, "error", span_of(kind->error));
    problem_add_member(out, "trace_id", span_of(trace_id));
    if (applied[problem] != NULL)
        problem_add_member(out, "applied", span_of(applied[problem]));
    if (details->has_offset) {
        buf_add(out, SPAN(",\"offset\":"));
        buf_add_u64(out, details->offset);
    }
    if (details->error_count > 0)
        problem_add_errors(out, details);
    if (details->mismatch != NULL) {
        buf_add(out, SPAN(",\"mismatch\":["));
        buf_add_json(out, span_of(details->mismatch));
        if (details->mismatch_or != NULL) {
            buf_add_char(out, ',');
            buf_add_json(out, span_of(details->mismatch_or));
        }
        buf_add_char(out, ']');
    }
    problem_add_hold(out, details);
    buf_add(out, SPAN("}\n"));
}

struct span problem_format_error(const struct http_error_report *report, struct buf *body,
                                 void *note)
{
    const enum problem problem = problem_of_http_error(report->refusal.error);
    const struct problem_details details = {.detail = report->refusal.detail};
    struct access_note *access_note = note;
    problem_write(body, problem, &details, report->path, report->trace_id);
    access_note->problem = problem_kind(problem)->slug;
    return SPAN(PROBLEM_MEDIA_TYPE);
}

void problem_respond(struct http_exchange *exchange, enum problem problem,
                     const struct problem_details *details)
{
    const struct problem_kind *kind = problem_kind(problem);
    char body_storage[PROBLEM_BODY_BYTES];
    char header_storage[PROBLEM_HEADER_BYTES];
    struct buf body;
    struct buf headers;
    buf_init(&body, body_storage, sizeof(body_storage));
    buf_init(&headers, header_storage, sizeof(header_storage));
    problem_write(&body, problem, details, http_exchange_request(exchange)->path,
                  http_exchange_trace_id(exchange));
    buf_add_text(&headers, kind->headers);
    buf_add(&headers, details->headers);
    CHECK(!body.overflow);
    CHECK(!headers.overflow);

    access_note_of(exchange)->problem = kind->slug;
    http_respond(exchange, &(struct http_response){
                               .status = kind->status,
                               .content_type = SPAN(PROBLEM_MEDIA_TYPE),
                               .headers = buf_span(&headers),
                               .body = buf_span(&body),
                               .close = details->close,
                           });
}
