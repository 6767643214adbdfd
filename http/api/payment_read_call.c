#include "http/api/payment_read_call_private.h"

#include "core/clock.h"
#include "core/secret.h"
#include "http/api/payment_api_private.h"
#include "http/api/payment_id.h"
#include "http/api/payment_read_answer.h"
#include "http/api/payment_read_key.h"
#include "http/api/payment_read_query.h"
#include "http/api/payment_reply_private.h"

_Static_assert((int)PAYMENT_READ_BODY_BYTES <= (int)HTTP_LARGE_ANSWER_BYTES_MAX, "it can be sent");

/* ---- asking ---- */

void payment_read_call_on_find(void *app, struct http_exchange *exchange)
{
    struct payment_call *call = payment_api_take_call(app, exchange);
    if (call != NULL && payment_api_read_id(call, &call->op.txn_id))
        payment_api_submit(call, PAYMENT_FORM_FIND);
}

/* Puts the key's hash into the operation. False: answered. */
static bool payment_read_call_read_key(struct payment_call *call)
{
    char key[PAYMENT_KEY_MAX];
    uint8_t key_len;
    if (!payment_read_key_decode(http_exchange_param(call->exchange), key, &key_len)) {
        payment_call_refuse_because(call, PROBLEM_IDEMPOTENCY_KEY_INVALID,
                                    "the path ends in 1 to 255 visible ASCII characters, "
                                    "percent-encoded");
        return false;
    }
    const bool hashed =
        payment_store_hash_key(call->api->store, (struct span){key, key_len}, &call->op.key_hash);
    secret_wipe(key, sizeof(key));
    if (hashed) {
        payment_note_key(access_note_of(call->exchange), &call->op.key_hash);
        return true;
    }
    call->api->stats.shed_total[PAYMENT_SHED_DOWN]++;
    payment_call_refuse_because(call, PROBLEM_DATABASE_UNAVAILABLE, "nothing was sent");
    return false;
}

void payment_read_call_on_find_key(void *app, struct http_exchange *exchange)
{
    struct payment_call *call = payment_api_take_call(app, exchange);
    if (call != NULL && payment_read_call_read_key(call))
        payment_api_submit(call, PAYMENT_FORM_FIND_KEY);
}

static void payment_read_call_refuse_wallet(struct payment_call *call)
{
    payment_call_refuse_because(call, PROBLEM_NOT_FOUND, "no such wallet");
}

/* The wallet in the path. False: answered with 404, as for one that is not there. */
static bool payment_read_call_read_wallet(struct payment_call *call)
{
    if (!payment_set_wallet(&call->op.command, http_exchange_param(call->exchange))) {
        payment_read_call_refuse_wallet(call);
        return false;
    }
    struct access_note *note = access_note_of(call->exchange);
    note->has_wallet = true;
    payment_note_wallet(note, call->op.command.wallet_id);
    return true;
}

void payment_read_call_on_wallet(void *app, struct http_exchange *exchange)
{
    struct payment_call *call = payment_api_take_call(app, exchange);
    if (call != NULL && payment_read_call_read_wallet(call))
        payment_api_submit(call, PAYMENT_FORM_WALLET);
}

void payment_read_call_on_transactions(void *app, struct http_exchange *exchange)
{
    struct payment_refusal refusal;
    struct payment_call *call = payment_api_take_call(app, exchange);
    if (call == NULL || !payment_read_call_read_wallet(call))
        return;
    if (!payment_read_query(http_exchange_request(exchange)->query, &call->op.page, &refusal)) {
        payment_call_refuse(call, refusal.problem, &refusal.details);
        return;
    }
    payment_api_submit(call, PAYMENT_FORM_TRANSACTIONS);
}

/* ---- answering ---- */

/* Begins a reply whose body is written into `storage`, which has room for the longest. */
static void payment_read_call_begin(struct payment_call *call, struct payment_reply *reply,
                                    char storage[PAYMENT_READ_BODY_BYTES])
{
    payment_reply_begin(reply, call, 200);
    buf_init(&reply->body, storage, PAYMENT_READ_BODY_BYTES);
}

void payment_read_call_answer_payment(struct payment_call *call)
{
    char storage[PAYMENT_READ_BODY_BYTES];
    struct payment_reply reply;
    const struct payment_decision *decision = &call->op.decision;
    if (!call->op.found) {
        payment_call_refuse_because(call, PROBLEM_NOT_FOUND,
                                    call->op.kind == PAYMENT_OP_FIND
                                        ? "no such transaction"
                                        : "nothing is on record under this key");
        return;
    }
    payment_read_call_begin(call, &reply, storage);
    payment_read_answer_write_payment(&reply.body, &call->api->style,
                                      &(struct payment_answer){
                                          .txn_id = decision->txn_id,
                                          .code_index = decision->code_index,
                                          .processing_us = decision->processing_us,
                                          .wall_us = decision->created_wall_us,
                                          .command = &decision->command,
                                          .has_balance = decision->has_balance,
                                          .balance_after_minor = decision->balance_after_minor,
                                      },
                                      call->op.read);
    struct access_note *note = access_note_of(call->exchange);
    payment_note_decision(note, &decision->command, decision->code_index);
    payment_note_wallet(note, decision->command.wallet_id);
    payment_note_txn(note, &decision->txn_id);
    payment_reply_send(&reply, call);
}

void payment_read_call_answer_wallet(struct payment_call *call)
{
    struct payment_reply reply;
    if (!call->op.found) {
        payment_read_call_refuse_wallet(call);
        return;
    }
    payment_reply_begin(&reply, call, 200);
    payment_read_answer_write_wallet(&reply.body, &call->api->style, &call->op.read->wallet,
                                     clock_wall_us());
    payment_reply_send(&reply, call);
}

void payment_read_call_answer_transactions(struct payment_call *call)
{
    char storage[PAYMENT_READ_BODY_BYTES];
    struct payment_reply reply;
    if (!call->op.found) {
        payment_read_call_refuse_wallet(call);
        return;
    }
    if (!call->op.read->page.before_known) {
        struct payment_refusal refusal = {0};
        payment_refusal_add_field(&refusal, "before", PAYMENT_READ_BEFORE_RULE);
        payment_call_refuse(call, PROBLEM_INVALID_PARAMETER, &refusal.details);
        return;
    }
    payment_read_call_begin(call, &reply, storage);
    payment_read_answer_write_page(&reply.body, call->op.read);
    payment_reply_send(&reply, call);
}
