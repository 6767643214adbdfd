#include "api_fixture.h"

#include "core/clock.h"
#include "core/secret.h"
#include "http/api/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* ---- the fake server: one exchange ---- */

struct http_exchange given;

const struct http_request *http_exchange_request(const struct http_exchange *exchange)
{
    return &exchange->request;
}
uint32_t http_exchange_index(const struct http_exchange *exchange)
{
    (void)exchange;
    return 0;
}
struct span http_exchange_param(const struct http_exchange *exchange)
{
    return exchange->param;
}
uint64_t http_exchange_received_us(const struct http_exchange *exchange)
{
    (void)exchange;
    return 1000000;
}
const char *http_exchange_trace_id(const struct http_exchange *exchange)
{
    (void)exchange;
    return "0123456789abcdef0123456789abcdef";
}
const char *http_exchange_request_id(const struct http_exchange *exchange)
{
    (void)exchange;
    return "0123456789abcdef0123456789abcdef";
}
const char *http_exchange_peer(const struct http_exchange *exchange)
{
    (void)exchange;
    return "192.0.2.1";
}
void *http_exchange_note(struct http_exchange *exchange)
{
    return &exchange->note;
}
void http_respond(struct http_exchange *exchange, const struct http_response *response)
{
    exchange->answers++;
    exchange->status = response->status;
    exchange->length_unknown = response->length_unknown;
    assert_true(response->headers.len < sizeof(exchange->headers));
    assert_true(response->body.len < sizeof(exchange->body));
    memcpy(exchange->headers, response->headers.ptr, response->headers.len);
    exchange->headers[response->headers.len] = '\0';
    memcpy(exchange->body, response->body.ptr, response->body.len);
    exchange->body[response->body.len] = '\0';
}
struct span http_request_header(const struct http_request *request, struct span name,
                                uint32_t *count)
{
    struct span first = {0};
    uint32_t found = 0;
    for (uint32_t i = 0; i < request->header_count; i++)
        if (span_equal_nocase(request->headers[i].name, name) && found++ == 0)
            first = request->headers[i].value;
    if (count != NULL)
        *count = found;
    return first;
}

/* ---- the fake store ---- */

struct payment_op *submitted;
enum err submit_err;
bool cancel_answer;
bool knows_hash_key;
unsigned keys_hashed;
struct payment_store_health health;

enum err payment_store_submit(struct payment_store *store, struct payment_op *op)
{
    (void)store;
    if (submit_err == ERR_OK)
        submitted = op;
    return submit_err;
}
bool payment_store_cancel(struct payment_store *store, struct payment_op *op)
{
    (void)store;
    assert_ptr_equal(op, submitted);
    return cancel_answer;
}
bool payment_store_hash_key(const struct payment_store *store, struct span key,
                            struct secret_mac *hash)
{
    (void)store;
    *hash = (struct secret_mac){{(uint8_t)key.len, (uint8_t)key.ptr[0]}};
    keys_hashed++;
    return knows_hash_key;
}
const struct payment_store_health *payment_store_health(struct payment_store *store)
{
    (void)store;
    return &health;
}
const char *pg_outcome_name(enum pg_outcome outcome)
{
    (void)outcome;
    return "";
}

/* ---- arrange ---- */

struct payment_api *api;
static struct api_keys keys;
static struct auth_throttle *throttle;
static const struct ip_networks no_proxies;
struct http_route routes[HTTP_ROUTES_MAX];
static uint64_t mono_us(void)
{
    return 1001420;
}
static uint64_t wall_us(void)
{
    return UINT64_C(1795485806496301);
}

int set_up(void **state)
{
    (void)state;
    static struct config config = {.region = "eu-south-2", .request_budget_ms = 100};
    if (secret_init() != ERR_OK)
        return -1;
    json_init();
    clock_replace(mono_us, wall_us);
    api_keys_set(&keys, SPAN("the-key"), SPAN("the-old-key"));
    submitted = NULL;
    submit_err = ERR_OK;
    cancel_answer = false;
    knows_hash_key = true;
    keys_hashed = 0;
    health = (struct payment_store_health){.has_reference = true,
                                           .reference = {.wallet_id = 1,
                                                         .amount_minor = 100,
                                                         .currency = "EUR",
                                                         .merchant_country = "ES",
                                                         .mcc = 5812}};
    if (auth_throttle_create(&throttle, &no_proxies, FAILURES_PER_S) != ERR_OK ||
        payment_api_create(&api, NULL, &keys, throttle, &config, 1) != ERR_OK)
        return -1;
    memset(routes, 0, sizeof(routes));
    return payment_api_routes(api, routes, HTTP_ROUTES_MAX) > 0 ? 0 : -1;
}

int tear_down(void **state)
{
    (void)state;
    payment_api_destroy(api);
    auth_throttle_destroy(throttle);
    return 0;
}

void header(const char *name, const char *value)
{
    struct http_request *request = &given.request;
    request->headers[request->header_count++] = (struct http_header){span_of(name), span_of(value)};
}

void request_without_key(enum http_method method)
{
    given = (struct http_exchange){.request = {.method = method}};
    given.request.path = SPAN("/api/payment/simulate");
    submitted = NULL;
}

void request(enum http_method method)
{
    request_without_key(method);
    header("x-api-key", "the-key");
}

void hold_with_key(const char *key)
{
    request(HTTP_POST);
    header("Content-Type", "application/json");
    header("Idempotency-Key", key);
    given.request.body = span_of(HOLD);
    routes[0].on_request(api, &given);
}

void finish(enum pg_outcome outcome)
{
    assert_non_null(submitted);
    assert_int_equal(given.answers, 0);
    submitted->on_done(submitted, outcome);
    assert_int_equal(given.answers, 1);
}

void decide(enum payment_how how, const char *code)
{
    struct payment_decision *decision = &submitted->decision;
    *decision = (struct payment_decision){.how = how,
                                          .code_index = (uint8_t)payment_code_find(code),
                                          .has_balance = true,
                                          .balance_after_minor = 98750,
                                          .txn_id = submitted->txn_id,
                                          .processing_us = 1420,
                                          .created_wall_us = UINT64_C(1795485806496301),
                                          .fingerprint = submitted->fingerprint,
                                          .command = submitted->command};
}

bool body_has(const char *text)
{
    return strstr(given.body, text) != NULL;
}

bool headers_have(const char *text)
{
    return strstr(given.headers, text) != NULL;
}

void handle(const char *path)
{
    for (uint32_t i = 0; i < HTTP_ROUTES_MAX && routes[i].path != NULL; i++)
        if (strcmp(routes[i].path, path) == 0) {
            routes[i].on_request(api, &given);
            return;
        }
    fail_msg("no route %s", path);
}
