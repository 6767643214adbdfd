#include "http/api/payment_step_call_private.h"

#include "core/log.h"
#include "http/api/payment_api_private.h"
#include "http/api/payment_id.h"
#include "http/api/payment_note.h"
#include "http/api/payment_reply_private.h"
#include "http/api/payment_step_answer.h"
#include "http/api/payment_step_body.h"

#include <string.h>

/* What tells the kinds apart here. */
static const struct {
    enum payment_form_index form;   /* with a key */
    uint16_t status;                /* of its answer; 201 has a Location */
    const char *audit_hold;         /* the audit line's field with the hold's id */
    const char *resolved, *exceeds; /* details where it is refused */
} STEPS[PAYMENT_STEP_KINDS] = {
    [PAYMENT_CAPTURE] = {.form = PAYMENT_FORM_CAPTURE,
                         .status = 201,
                         .audit_hold = "payment.captures",
                         .resolved = "nothing of the hold can be captured any more",
                         .exceeds = "more than can be captured of the hold"},
    [PAYMENT_VOID] = {.form = PAYMENT_FORM_VOID,
                      .status = 200,
                      .audit_hold = "payment.voids",
                      .resolved = "nothing of the hold is open any more",
                      .exceeds = "more than is open of the hold"},
    [PAYMENT_INCREMENT] = {.form = PAYMENT_FORM_INCREMENT,
                           .status = 201,
                           .audit_hold = "payment.increments",
                           .resolved = "the hold is not open any more",
                           .exceeds = "more than the hold may come to"},
    [PAYMENT_REFUND] = {.form = PAYMENT_FORM_REFUND,
                        .status = 201,
                        .audit_hold = "payment.refunds",
                        .resolved = "nothing of the hold was captured that is not refunded",
                        .exceeds = "more than was captured of the hold and is not refunded"},
};

/* ---- asking ---- */

/* A void of all that is open needs no key: repeated, it finds nothing to give back. */
static enum payment_key_use key_use_of(const struct payment_step *step)
{
    return step->kind == PAYMENT_VOID && !step->has_amount ? PAYMENT_KEY_OPTIONAL
                                                           : PAYMENT_KEY_REQUIRED;
}

static void payment_step_call_ask(struct payment_api *api, struct http_exchange *exchange,
                                  enum payment_step_kind kind)
{
    struct payment_call *call = payment_api_take_call(api, exchange);
    if (call == NULL)
        return;
    const struct http_request *request = http_exchange_request(exchange);
    struct payment_op *op = &call->op;
    op->step.kind = kind;
    if (!payment_api_read_id(call, &op->step.hold_id))
        return;
    if (request->body.len > 0 && !payment_api_check_media_type(call, request))
        return;
    struct payment_refusal refusal;
    if (!payment_step_body_read(request->body, &op->step, &refusal)) {
        payment_call_refuse(call, refusal.problem, &refusal.details);
        return;
    }
    if (!payment_api_read_key(call, request, key_use_of(&op->step)))
        return;
    op->txn_id = uuid7_next(&api->ids);
    op->spare_id = uuid7_next(&api->ids);
    op->fingerprint = payment_step_fingerprint(&op->step);
    payment_api_submit(call, op->has_key ? STEPS[kind].form : PAYMENT_FORM_VOID_KEYLESS);
}

void payment_step_call_on_capture(void *app, struct http_exchange *exchange)
{
    payment_step_call_ask(app, exchange, PAYMENT_CAPTURE);
}

void payment_step_call_on_void(void *app, struct http_exchange *exchange)
{
    payment_step_call_ask(app, exchange, PAYMENT_VOID);
}

void payment_step_call_on_increment(void *app, struct http_exchange *exchange)
{
    payment_step_call_ask(app, exchange, PAYMENT_INCREMENT);
}

void payment_step_call_on_refund(void *app, struct http_exchange *exchange)
{
    payment_step_call_ask(app, exchange, PAYMENT_REFUND);
}

/* ---- answering ---- */

static void payment_step_call_count(struct payment_call *call, enum payment_step_result result)
{
    call->api->stats.steps_total[call->op.step.kind][result]++;
}

/* Who moved what, in the log that nothing else can fill. */
static void payment_step_call_audit(const struct payment_call *call)
{
    const struct payment_step_decision *decision = &call->op.step_decision;
    char storage[2 * PAYMENT_ID_LEN];
    struct buf ids;
    buf_init(&ids, storage, sizeof(storage));
    payment_id_add(&ids, &decision->txn_id);
    payment_id_add(&ids, &decision->hold_id);
    const struct access_note *note = access_note_of(call->exchange);
    log_audit(payment_step_name(decision->kind),
              LOG_SPAN("payment.transaction_id", ((struct span){ids.data, PAYMENT_ID_LEN})),
              LOG_SPAN(STEPS[decision->kind].audit_hold,
                       ((struct span){ids.data + PAYMENT_ID_LEN, PAYMENT_ID_LEN})),
              LOG_I64("payment.amount", decision->amount_minor),
              LOG_I64("client.id", call->op.client_id), LOG_TEXT("api_key.id", note->key_id),
              LOG_TEXT("request_id", http_exchange_request_id(call->exchange)));
}

/* What differs from what is recorded: an amount that was asked for, or that was left to us, is not
 * told apart there, and final is in the fingerprint only. */
static void payment_step_call_tell_mismatch(const struct payment_step *asked,
                                            const struct payment_step_decision *recorded,
                                            struct problem_details *details)
{
    if (asked->kind != recorded->kind ||
        memcmp(&asked->hold_id, &recorded->hold_id, sizeof(asked->hold_id)) != 0) {
        details->mismatch = "path";
        return;
    }
    const bool other_amount = asked->has_amount && asked->amount_minor != recorded->amount_minor;
    details->mismatch = "amount";
    if (asked->kind == PAYMENT_CAPTURE && !other_amount)
        details->mismatch_or = "final";
}

static void payment_step_call_refuse_reused(struct payment_call *call)
{
    struct problem_details details = {.detail = "the key was used before for another request"};
    call->api->stats.idempotency_total[PAYMENT_IDEMPOTENCY_MISMATCH]++;
    access_note_of(call->exchange)->idempotency =
        payment_idempotency_name(PAYMENT_IDEMPOTENCY_MISMATCH);
    payment_step_call_tell_mismatch(&call->op.step, &call->op.step_decision, &details);
    payment_call_refuse(call, PROBLEM_IDEMPOTENCY_KEY_REUSED, &details);
}

static void payment_step_call_refuse_resolved(struct payment_call *call)
{
    payment_step_call_count(call, PAYMENT_STEP_RESULT_ALREADY_RESOLVED);
    payment_call_refuse(
        call, PROBLEM_ALREADY_RESOLVED,
        &(struct problem_details){.detail = STEPS[call->op.step.kind].resolved,
                                  .state = payment_state_name(call->op.step_decision.state)});
}

static void payment_step_call_refuse_excess(struct payment_call *call)
{
    payment_step_call_count(call, PAYMENT_STEP_RESULT_EXCEEDS_OPEN);
    payment_call_refuse(
        call, PROBLEM_AMOUNT_EXCEEDS_OPEN,
        &(struct problem_details){.detail = STEPS[call->op.step.kind].exceeds,
                                  .has_limit = true,
                                  .asked_minor = call->op.step.amount_minor,
                                  .limit_minor = call->op.step_decision.limit_minor});
}

/* What the key led to, for the counters and the log; without one there is nothing to say. */
static void payment_step_call_note_key(struct payment_call *call)
{
    static const enum payment_idempotency RESULTS[] = {
        [PAYMENT_STEP_NEW] = PAYMENT_IDEMPOTENCY_NEW,
        [PAYMENT_STEP_REPLAY] = PAYMENT_IDEMPOTENCY_REPLAY,
        [PAYMENT_STEP_RACE] = PAYMENT_IDEMPOTENCY_RACE,
    };
    const enum payment_idempotency result =
        call->op.has_key ? RESULTS[call->op.step_decision.how] : PAYMENT_IDEMPOTENCY_NONE;
    call->api->stats.idempotency_total[result]++;
    if (call->op.has_key)
        access_note_of(call->exchange)->idempotency = payment_idempotency_name(result);
}

/* On record, now or before. */
static void payment_step_call_answer_recorded(struct payment_call *call)
{
    const struct payment_step_decision *decision = &call->op.step_decision;
    const bool is_new = decision->how == PAYMENT_STEP_NEW;
    const bool moved = decision->code_index == PAYMENT_CODE_APPROVED;
    if (!is_new && !secret_digest_equal(&decision->fingerprint, &call->op.fingerprint)) {
        payment_step_call_refuse_reused(call);
        return;
    }
    payment_step_call_note_key(call);
    payment_step_call_count(call, !is_new ? PAYMENT_STEP_RESULT_REPLAYED
                                  : moved ? PAYMENT_STEP_RESULT_DONE
                                          : PAYMENT_STEP_RESULT_DECLINED);
    if (is_new && moved)
        payment_step_call_audit(call);
    payment_note_step(access_note_of(call->exchange), decision);
    struct payment_reply reply;
    payment_reply_begin(&reply, call, STEPS[decision->kind].status);
    if (reply.status == 201)
        payment_reply_add_location(&reply, &decision->txn_id);
    if (!is_new)
        buf_add(&reply.headers, SPAN("Idempotent-Replayed: true\r\n"));
    payment_step_answer_write(&reply.body, &call->api->style, decision);
    payment_reply_send(&reply, call);
}

void payment_step_call_answer(struct payment_call *call)
{
    switch (call->op.step_decision.how) {
    case PAYMENT_STEP_NEW:
    case PAYMENT_STEP_REPLAY:
    case PAYMENT_STEP_RACE:
        payment_step_call_answer_recorded(call);
        return;
    case PAYMENT_STEP_LATE:
        payment_call_refuse_late(call);
        return;
    case PAYMENT_STEP_NOT_FOUND:
        payment_step_call_count(call, PAYMENT_STEP_RESULT_NOT_FOUND);
        payment_call_refuse_because(call, PROBLEM_NOT_FOUND, "no such hold");
        return;
    case PAYMENT_STEP_RESOLVED:
        payment_step_call_refuse_resolved(call);
        return;
    case PAYMENT_STEP_EXCEEDS:
        payment_step_call_refuse_excess(call);
        return;
    case PAYMENT_STEP_TOO_MANY:
        payment_step_call_count(call, PAYMENT_STEP_RESULT_TOO_MANY);
        payment_call_refuse_because(call, PROBLEM_TOO_MANY_STEPS,
                                    "what is open can be voided, and expires by itself");
        return;
    }
}
