/*
 * api_fixture: the payment API between a fake server with one exchange and a fake store that keeps
 * what was submitted. Each test has a fresh one (TEST).
 */
#ifndef TEST_API_FIXTURE_H
#define TEST_API_FIXTURE_H

#include "http/api/access_note.h"
#include "http/api/payment_api.h"

#include <stdbool.h>
#include <stdint.h>

enum { FAILURES_PER_S = 5 }; /* that an address may have */

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
/* The body of a hold. */
#define HOLD                                                                                       \
    "{\"wallet_id\":\"wal_1\",\"amount\":1250,\"currency\":\"EUR\","                               \
    "\"merchant\":{\"mcc\":\"5812\",\"country\":\"ES\"}}"

/* ---- the fake server ---- */

struct http_exchange {
    struct http_request request;
    struct access_note note;
    struct span param;
    int answers;
    uint16_t status;
    bool length_unknown;
    char headers[1024], body[4096];
};
extern struct http_exchange given; /* the one there is */

/* ---- the fake store ---- */

extern struct payment_op *submitted; /* the last; NULL: none */
extern enum err submit_err;          /* what submitting says */
extern bool cancel_answer;
extern bool knows_hash_key;
extern unsigned keys_hashed;
extern struct payment_store_health health;

/* ---- arrange, act, assert ---- */

extern struct payment_api *api;
extern struct http_route routes[HTTP_ROUTES_MAX]; /* that the API has; the others have no path */

int set_up(void **state);
int tear_down(void **state);
/* A new request in the exchange; with a valid key, or without. */
void request(enum http_method method);
void request_without_key(enum http_method method);
/* One more field of it; both are borrowed. */
void header(const char *name, const char *value);
/* Hands the request to the route with this template. */
void handle(const char *path);
/* A whole hold, handed over. */
void hold_with_key(const char *key);
/* As the store would after a decision of its own or an older one. */
void decide(enum payment_how how, const char *code);
/* Ends the operation that was submitted; it must be answered then. */
void finish(enum pg_outcome outcome);
/* In the answer. */
bool body_has(const char *text);
bool headers_have(const char *text);

#endif
