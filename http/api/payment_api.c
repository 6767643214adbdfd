#include "http/api/payment_api.h"

#include "core/clock.h"
#include "core/secret.h"
#include "http/api/budget.h"
#include "http/api/payment_api_private.h"
#include "http/api/payment_body.h"
#include "http/api/payment_head.h"
#include "http/api/payment_id.h"
#include "http/api/payment_read_call_private.h"
#include "http/api/payment_read_key.h"
#include "http/api/payment_step_call_private.h"

#include <stdlib.h>

/* An address that fails again and again is told to wait. Only who has no valid key comes here. */
static void payment_api_refuse_key(struct payment_call *call, enum problem problem)
{
    struct http_exchange *exchange = call->exchange;
    const enum auth_verdict verdict = auth_throttle_refuse(
        call->api->throttle, http_exchange_peer(exchange), http_exchange_request(exchange));
    access_note_of(exchange)->auth = verdict;
    if (verdict == AUTH_THROTTLED || verdict == AUTH_THROTTLED_UNLOGGED)
        payment_call_refuse_because(call, PROBLEM_TOO_MANY_FAILURES,
                                    "too many from this address; a valid key is served");
    else
        payment_call_refuse_because(call, problem, NULL);
}

struct payment_call *payment_api_take_call(struct payment_api *api, struct http_exchange *exchange)
{
    const uint32_t index = http_exchange_index(exchange);
    CHECK(index < api->call_count);
    struct payment_call *call = &api->calls[index];
    CHECK(call->exchange == NULL);
    const uint64_t began_us = clock_mono_us();
    const struct http_request *request = http_exchange_request(exchange);
    uint32_t count = 0;
    const struct span presented = http_request_header(request, SPAN("X-API-Key"), &count);
    const struct api_key *key = api_keys_find(api->keys, presented);
    *call = (struct payment_call){
        .api = api, .exchange = exchange, .auth_us = clock_mono_us() - began_us};
    if (count <= 1 && presented.len == 0) {
        payment_api_refuse_key(call, PROBLEM_API_KEY_MISSING);
        return NULL;
    }
    if (key == NULL || count > 1) {
        payment_api_refuse_key(call, PROBLEM_API_KEY_INVALID);
        return NULL;
    }
    call->op.client_id = key->client_id;
    struct access_note *note = access_note_of(exchange);
    note->key_id = key->key_id;
    note->client_id = key->client_id;
    if (!payment_head_accepts_json(request)) {
        payment_call_refuse_because(call, PROBLEM_NOT_ACCEPTABLE, "the answer is application/json");
        return NULL;
    }
    return call;
}

void payment_api_submit(struct payment_call *call, enum payment_form_index form)
{
    struct payment_api *api = call->api;
    struct payment_op *op = &call->op;
    const uint64_t budget_us =
        budget_of_request_us(http_exchange_request(call->exchange), api->budget_us_max,
                             &api->stats.malformed_timeouts_total);
    call->form = &PAYMENT_FORMS[form];
    op->kind = call->form->op;
    op->started_us = http_exchange_received_us(call->exchange);
    op->due_us = op->started_us + budget_us;
    op->on_done = payment_call_done;
    access_note_of(call->exchange)->budget_ms = (uint32_t)(budget_us / CLOCK_US_PER_MS);
    switch (payment_store_submit(api->store, op)) {
    case ERR_OK:
        return;
    case ERR_CONFLICT:
        api->stats.idempotency_total[PAYMENT_IDEMPOTENCY_IN_FLIGHT]++;
        access_note_of(call->exchange)->idempotency =
            payment_idempotency_name(PAYMENT_IDEMPOTENCY_IN_FLIGHT);
        payment_call_refuse_because(call, PROBLEM_IDEMPOTENCY_IN_FLIGHT, NULL);
        return;
    case ERR_FULL:
        api->stats.shed_total[PAYMENT_SHED_QUEUE]++;
        payment_call_refuse_because(call, PROBLEM_OVERLOADED, "the queue is full");
        return;
    case ERR_BUSY:
        payment_call_refuse_busy(call);
        return;
    case ERR_POISONED:
        api->stats.shed_total[PAYMENT_SHED_WALLET]++;
        payment_call_refuse_because(call, PROBLEM_WALLET_UNAVAILABLE, "nothing was sent");
        return;
    case ERR_ELSEWHERE:
        api->stats.shed_total[PAYMENT_SHED_REGION]++;
        payment_call_refuse_because(call, PROBLEM_WRONG_REGION, "nothing was sent");
        return;
    case ERR_TIMEOUT:
        api->stats.shed_total[PAYMENT_SHED_DEADLINE]++;
        payment_call_refuse_because(call, PROBLEM_OVERLOADED, "the time would not be enough");
        return;
    case ERR_UNAVAILABLE:
        api->stats.shed_total[PAYMENT_SHED_DOWN]++;
        payment_call_refuse_because(call, PROBLEM_DATABASE_UNAVAILABLE, "nothing was sent");
        return;
    case ERR_AGAIN:
    case ERR_INVALID:
    case ERR_SYSTEM:
        break;
    }
    payment_call_refuse_because(call, PROBLEM_INTERNAL, NULL);
}

static void payment_api_get(struct payment_call *call, const struct http_request *request)
{
    const struct payment_store_health *health = payment_store_health(call->api->store);
    enum payment_form_index form = PAYMENT_FORM_LEGACY;
    if (payment_query_is_purchase(request->query)) {
        struct payment_refusal refusal;
        form = PAYMENT_FORM_QUERY;
        if (!payment_query_read(request->query, &call->op.command, &refusal)) {
            payment_call_refuse(call, refusal.problem, &refusal.details);
            return;
        }
    }
    if (request->method == HTTP_HEAD) {
        payment_call_answer_head(call);
        return;
    }
    if (form == PAYMENT_FORM_LEGACY) {
        if (!health->has_reference) {
            call->api->stats.shed_total[PAYMENT_SHED_DOWN]++;
            payment_call_refuse_because(call, PROBLEM_DATABASE_UNAVAILABLE,
                                        "the reference purchase is not known yet");
            return;
        }
        call->op.command = health->reference;
        call->op.command.effect = PAYMENT_EVALUATE;
    }
    payment_api_submit(call, form);
}

/* Of what needs none, it is only for the log. */
static bool payment_api_hash_key(struct payment_call *call, struct span key,
                                 enum payment_key_use use)
{
    struct payment_op *op = &call->op;
    if (payment_store_hash_key(call->api->store, key, &op->key_hash)) {
        op->has_key = true;
        payment_note_key(access_note_of(call->exchange), &op->key_hash);
        return true;
    }
    if (use == PAYMENT_KEY_NOTED)
        return true;
    call->api->stats.shed_total[PAYMENT_SHED_DOWN]++;
    payment_call_refuse_because(call, PROBLEM_DATABASE_UNAVAILABLE, "nothing was sent");
    return false;
}

bool payment_api_read_key(struct payment_call *call, const struct http_request *request,
                          enum payment_key_use use)
{
    char key[PAYMENT_KEY_MAX];
    uint8_t key_len;
    const enum payment_key_form form = payment_head_idempotency_key(request, key, &key_len);
    if (form == PAYMENT_KEY_VALID) {
        const bool hashed = payment_api_hash_key(call, (struct span){key, key_len}, use);
        secret_wipe(key, key_len);
        return hashed;
    }
    if (form == PAYMENT_KEY_ABSENT) {
        if (use != PAYMENT_KEY_REQUIRED)
            return true;
        payment_call_refuse_because(call, PROBLEM_IDEMPOTENCY_KEY_MISSING,
                                    "what moves money is known by its Idempotency-Key");
        return false;
    }
    payment_call_refuse_because(call, PROBLEM_IDEMPOTENCY_KEY_INVALID,
                                "one field of 1 to 255 visible ASCII characters, quoted or not");
    return false;
}

bool payment_api_check_media_type(struct payment_call *call, const struct http_request *request)
{
    if (payment_head_is_json(request))
        return true;
    payment_call_refuse_because(call, PROBLEM_UNSUPPORTED_MEDIA_TYPE,
                                "Content-Type must be application/json, its charset, if any, "
                                "utf-8, and no Content-Encoding may be applied");
    return false;
}

static void payment_api_post(struct payment_call *call, const struct http_request *request)
{
    if (!payment_api_check_media_type(call, request))
        return;
    struct payment_refusal refusal;
    if (!payment_body_read(request->body, &call->op.command, &refusal)) {
        payment_call_refuse(call, refusal.problem, &refusal.details);
        return;
    }
    const bool evaluates = call->op.command.effect == PAYMENT_EVALUATE;
    if (!payment_api_read_key(call, request, evaluates ? PAYMENT_KEY_NOTED : PAYMENT_KEY_REQUIRED))
        return;
    call->op.txn_id = uuid7_next(&call->api->ids);
    if (evaluates) {
        payment_api_submit(call, PAYMENT_FORM_EVALUATE);
        return;
    }
    call->op.fingerprint = payment_call_fingerprint(&call->op.command);
    payment_api_submit(call, PAYMENT_FORM_HOLD);
}

static void payment_api_on_simulate(void *app, struct http_exchange *exchange)
{
    struct payment_call *call = payment_api_take_call(app, exchange);
    if (call == NULL)
        return;
    const struct http_request *request = http_exchange_request(exchange);
    if (request->method == HTTP_POST)
        payment_api_post(call, request);
    else
        payment_api_get(call, request);
}

bool payment_api_read_id(struct payment_call *call, struct uuid7 *id)
{
    if (payment_id_parse(http_exchange_param(call->exchange), id))
        return true;
    payment_call_refuse_because(call, PROBLEM_NOT_FOUND, "no such transaction");
    return false;
}

static bool payment_api_on_abandon(void *app, struct http_exchange *exchange)
{
    struct payment_api *api = app;
    struct payment_call *call = &api->calls[http_exchange_index(exchange)];
    CHECK(call->exchange == exchange);
    if (payment_store_cancel(api->store, &call->op)) {
        call->exchange = NULL;
        return true;
    }
    call->orphan = true;
    return false;
}

/* ---- life ---- */

enum err payment_api_create(struct payment_api **api, struct payment_store *store,
                            struct api_keys *keys, struct auth_throttle *throttle,
                            const struct config *config, uint32_t exchange_max)
{
    struct payment_api *made =
        calloc(1, sizeof(*made) + (size_t)exchange_max * sizeof(made->calls[0]));
    if (made == NULL)
        return ERR_SYSTEM;
    if (payment_answer_style_init(&made->style, span_of(config->region)) != ERR_OK) {
        free(made);
        return ERR_INVALID;
    }
    CHECK(PAYMENT_CODE_COUNT <= PAYMENT_STATS_CODES_MAX);
    made->store = store;
    made->keys = keys;
    made->throttle = throttle;
    made->budget_us_max = (uint64_t)config->request_budget_ms * CLOCK_US_PER_MS;
    made->call_count = exchange_max;
    *api = made;
    return ERR_OK;
}

void payment_api_destroy(struct payment_api *api)
{
    free(api);
}

static enum http_class payment_api_classify(void *app, const struct http_request *request)
{
    const struct payment_api *api = app;
    const struct span presented = http_request_header(request, SPAN("X-API-Key"), NULL);
    return api_keys_know(api->keys, presented) ? HTTP_CLASS_RESERVED : HTTP_CLASS_COMMON;
}

uint32_t payment_api_routes(struct payment_api *api, struct http_route *routes, uint32_t room)
{
    const struct http_route ours[] = {
        {.path = PAYMENT_API_PATH,
         .methods = 1u << HTTP_GET | 1u << HTTP_POST,
         .on_request = payment_api_on_simulate},
        {.path = PAYMENT_API_PATH "/{id}",
         .methods = 1u << HTTP_GET,
         .on_request = payment_read_call_on_find},
        /* Before those that end in a word: any word may be a key. */
        {.path = PAYMENT_API_PATH PAYMENT_READ_KEY_SEGMENT "{id}",
         .methods = 1u << HTTP_GET,
         .on_request = payment_read_call_on_find_key},
        {.path = PAYMENT_API_PATH "/{id}/capture",
         .methods = 1u << HTTP_POST,
         .body_optional = true,
         .on_request = payment_step_call_on_capture},
        {.path = PAYMENT_API_PATH "/{id}/void",
         .methods = 1u << HTTP_POST,
         .body_optional = true,
         .on_request = payment_step_call_on_void},
        {.path = PAYMENT_API_PATH "/{id}/increment",
         .methods = 1u << HTTP_POST,
         .body_optional = true,
         .on_request = payment_step_call_on_increment},
        {.path = PAYMENT_API_PATH "/{id}/refund",
         .methods = 1u << HTTP_POST,
         .body_optional = true,
         .on_request = payment_step_call_on_refund},
        {.path = PAYMENT_WALLETS_PATH "/{id}",
         .methods = 1u << HTTP_GET,
         .on_request = payment_read_call_on_wallet},
        {.path = PAYMENT_WALLETS_PATH "/{id}/transactions",
         .methods = 1u << HTTP_GET,
         .on_request = payment_read_call_on_transactions},
    };
    const uint32_t count = sizeof(ours) / sizeof(ours[0]);
    CHECK(count <= room);
    for (uint32_t i = 0; i < count; i++) {
        routes[i] = ours[i];
        routes[i].app = api;
        routes[i].on_abandon = payment_api_on_abandon;
        routes[i].classify = payment_api_classify;
    }
    return count;
}

const struct payment_stats *payment_api_stats(const struct payment_api *api)
{
    return &api->stats;
}
