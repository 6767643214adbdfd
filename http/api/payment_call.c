#include "http/api/payment_call_private.h"

#include "core/clock.h"
#include "http/api/payment_note.h"
#include "http/api/payment_read_call_private.h"
#include "http/api/payment_reply_private.h"
#include "http/api/payment_step_call_private.h"

#include <string.h>

struct payment_timing payment_call_timing(const struct payment_call *call, uint64_t now_us)
{
    return (struct payment_timing){
        .auth_us = call->auth_us,
        .queue_us = call->op.queue_us,
        .db_us = call->op.db_us,
        .total_us = now_us - http_exchange_received_us(call->exchange),
    };
}

struct http_exchange *payment_call_end(struct payment_call *call)
{
    struct http_exchange *exchange = call->exchange;
    struct access_note *note = access_note_of(exchange);
    note->queue_us = call->op.queue_us;
    note->db_us = call->op.db_us;
    call->exchange = NULL;
    return exchange;
}

void payment_call_refuse(struct payment_call *call, enum problem problem,
                         const struct problem_details *details)
{
    const struct payment_timing timing = payment_call_timing(call, clock_mono_us());
    char storage[PAYMENT_ANSWER_HEADER_BYTES];
    struct buf headers;
    buf_init(&headers, storage, sizeof(storage));
    payment_answer_write_headers(&headers, &timing);
    struct problem_details all = *details;
    all.headers = buf_span(&headers);
    problem_respond(payment_call_end(call), problem, &all);
}

void payment_call_refuse_because(struct payment_call *call, enum problem problem,
                                 const char *detail)
{
    payment_call_refuse(call, problem, &(struct problem_details){.detail = detail});
}

/* ---- decisions ---- */

static uint64_t payment_api_next_number(struct payment_api *api, uint64_t wall_us)
{
    const uint64_t wall_ns = wall_us * 1000;
    api->last_number = wall_ns > api->last_number ? wall_ns : api->last_number + 1;
    return api->last_number;
}

static void payment_call_answer_evaluated(struct payment_call *call)
{
    struct payment_api *api = call->api;
    const struct payment_op *op = &call->op;
    struct payment_reply reply;
    payment_reply_begin(&reply, call, 200);
    struct payment_answer answer = {
        .code_index = op->decision.code_index,
        .processing_us = reply.timing.total_us,
        .wall_us = clock_wall_us(),
        .command = &op->command,
        .has_balance = op->decision.has_balance,
        .balance_after_minor = op->decision.balance_after_minor,
    };
    struct access_note *note = access_note_of(call->exchange);
    if (call->form->numbered) {
        answer.number = payment_api_next_number(api, answer.wall_us);
    } else {
        answer.txn_id = op->txn_id;
        payment_note_txn(note, &op->txn_id);
    }
    call->form->write(&reply.body, &api->style, &answer);

    payment_note_decision(note, &op->command, op->decision.code_index);
    if (call->form->of_reference)
        payment_note_reference(note, &api->reference_tag, op->command.wallet_id);
    else
        payment_note_wallet(note, op->command.wallet_id);
    payment_stats_decision(&api->stats, &op->command, &op->decision);
    api->stats.idempotency_total[PAYMENT_IDEMPOTENCY_NONE]++;
    histogram_record(&api->stats.processing_time, reply.timing.total_us);
    payment_reply_send(&reply, call);
}

static void payment_call_write_recorded(struct payment_call *call, struct payment_reply *reply)
{
    const struct payment_decision *decision = &call->op.decision;
    const struct payment_answer answer = {
        .txn_id = decision->txn_id,
        .code_index = decision->code_index,
        .processing_us = decision->processing_us,
        .wall_us = decision->created_wall_us,
        .command = &decision->command,
        .has_balance = decision->has_balance,
        .balance_after_minor = decision->balance_after_minor,
    };
    call->form->write(&reply->body, &call->api->style, &answer);

    struct access_note *note = access_note_of(call->exchange);
    payment_note_decision(note, &decision->command, decision->code_index);
    payment_note_wallet(note, decision->command.wallet_id);
    payment_note_txn(note, &decision->txn_id);
}

struct secret_digest payment_call_fingerprint(const struct payment_command *command)
{
    return payment_fingerprint(command, SPAN("POST " PAYMENT_API_PATH));
}

/* A record has the merchant's country and the time to live in its fingerprint only: which of the
 * two differs is known where leaving the latter out gives what is recorded. */
static void payment_call_tell_mismatch(const struct payment_call *call,
                                       struct problem_details *details)
{
    const struct payment_op *op = &call->op;
    const enum payment_field field =
        payment_mismatch(&op->command, &op->fingerprint, &op->decision);
    details->mismatch = payment_field_name(field);
    if (field != PAYMENT_FIELD_MERCHANT_COUNTRY)
        return;
    const char *expires_in = payment_field_name(PAYMENT_FIELD_EXPIRES_IN);
    struct payment_command lasting = op->command;
    lasting.expires_in_s = 0;
    const struct secret_digest fingerprint = payment_call_fingerprint(&lasting);
    if (secret_digest_equal(&fingerprint, &op->decision.fingerprint))
        details->mismatch = expires_in;
    else
        details->mismatch_or = expires_in;
}

static void payment_call_refuse_reused(struct payment_call *call)
{
    struct problem_details details = {.detail = "the key was used before with other fields"};
    call->api->stats.idempotency_total[PAYMENT_IDEMPOTENCY_MISMATCH]++;
    access_note_of(call->exchange)->idempotency =
        payment_idempotency_name(PAYMENT_IDEMPOTENCY_MISMATCH);
    payment_call_tell_mismatch(call, &details);
    payment_call_refuse(call, PROBLEM_IDEMPOTENCY_KEY_REUSED, &details);
}

void payment_call_refuse_late(struct payment_call *call)
{
    call->api->stats.deadline_exceeded_total[PAYMENT_OVERDUE_DATABASE]++;
    payment_call_refuse_because(call, PROBLEM_DEADLINE_EXCEEDED, call->form->late);
}

static void payment_call_answer_hold(struct payment_call *call)
{
    struct payment_api *api = call->api;
    const struct payment_decision *decision = &call->op.decision;
    if (decision->how == PAYMENT_LATE) {
        payment_call_refuse_late(call);
        return;
    }
    if (!secret_digest_equal(&decision->fingerprint, &call->op.fingerprint)) {
        payment_call_refuse_reused(call);
        return;
    }
    struct payment_reply reply;
    payment_reply_begin(&reply, call, 201);
    payment_reply_add_location(&reply, &decision->txn_id);
    if (decision->how != PAYMENT_NEW)
        buf_add(&reply.headers, SPAN("Idempotent-Replayed: true\r\n"));
    payment_call_write_recorded(call, &reply);

    const enum payment_idempotency result = decision->how == PAYMENT_NEW ? PAYMENT_IDEMPOTENCY_NEW
                                            : decision->how == PAYMENT_REPLAY
                                                ? PAYMENT_IDEMPOTENCY_REPLAY
                                                : PAYMENT_IDEMPOTENCY_RACE;
    access_note_of(call->exchange)->idempotency = payment_idempotency_name(result);
    api->stats.idempotency_total[result]++;
    if (result == PAYMENT_IDEMPOTENCY_NEW)
        payment_stats_decision(&api->stats, &call->op.command, decision);
    histogram_record(&api->stats.processing_time, reply.timing.total_us);
    payment_reply_send(&reply, call);
}

#define EVALUATE_LATE "the time was over before the evaluation, which moves nothing"
#define READ_LATE "the time was over before the record was read"
#define STEP_LATE(name)                                                                            \
    "the time was over before the " name "; nothing was moved; repeat with the same "              \
    "Idempotency-Key"
#define STEP_UNKNOWN(name)                                                                         \
    "the " name " was sent and may have been applied; repeat with the same Idempotency-Key until " \
    "it is decided"

const struct payment_form PAYMENT_FORMS[PAYMENT_FORM_COUNT] = {
    [PAYMENT_FORM_LEGACY] = {.op = PAYMENT_OP_EVALUATE,
                             .numbered = true,
                             .of_reference = true,
                             .late = EVALUATE_LATE,
                             .write = payment_answer_write_legacy,
                             .answer = payment_call_answer_evaluated},
    [PAYMENT_FORM_QUERY] = {.op = PAYMENT_OP_EVALUATE,
                            .numbered = true,
                            .late = EVALUATE_LATE,
                            .write = payment_answer_write,
                            .answer = payment_call_answer_evaluated},
    [PAYMENT_FORM_EVALUATE] = {.op = PAYMENT_OP_EVALUATE,
                               .late = EVALUATE_LATE,
                               .write = payment_answer_write,
                               .answer = payment_call_answer_evaluated},
    [PAYMENT_FORM_HOLD] = {.op = PAYMENT_OP_HOLD,
                           .writes = true,
                           .late = "the time was over before the decision; nothing was moved; "
                                   "repeat with the same Idempotency-Key",
                           .unknown = "the hold was sent and may have been applied; repeat with "
                                      "the same Idempotency-Key until it is decided",
                           .write = payment_answer_write,
                           .answer = payment_call_answer_hold},
    [PAYMENT_FORM_CAPTURE] = {.op = PAYMENT_OP_CAPTURE,
                              .writes = true,
                              .late = STEP_LATE("capture"),
                              .unknown = STEP_UNKNOWN("capture"),
                              .answer = payment_step_call_answer},
    [PAYMENT_FORM_VOID] = {.op = PAYMENT_OP_VOID,
                           .writes = true,
                           .late = STEP_LATE("void"),
                           .unknown = STEP_UNKNOWN("void"),
                           .answer = payment_step_call_answer},
    [PAYMENT_FORM_VOID_KEYLESS] = {.op = PAYMENT_OP_VOID,
                                   .writes = true,
                                   .late = "the time was over before the void; nothing was moved; "
                                           "repeat it",
                                   .unknown = "the void was sent and may have been applied; repeat "
                                              "it: a hold is voided at most once",
                                   .answer = payment_step_call_answer},
    [PAYMENT_FORM_INCREMENT] = {.op = PAYMENT_OP_INCREMENT,
                                .writes = true,
                                .late = STEP_LATE("increment"),
                                .unknown = STEP_UNKNOWN("increment"),
                                .answer = payment_step_call_answer},
    [PAYMENT_FORM_REFUND] = {.op = PAYMENT_OP_REFUND,
                             .writes = true,
                             .late = STEP_LATE("refund"),
                             .unknown = STEP_UNKNOWN("refund"),
                             .answer = payment_step_call_answer},
    [PAYMENT_FORM_FIND] = {.op = PAYMENT_OP_FIND,
                           .late = READ_LATE,
                           .answer = payment_read_call_answer_payment},
    [PAYMENT_FORM_FIND_KEY] = {.op = PAYMENT_OP_FIND_KEY,
                               .late = READ_LATE,
                               .answer = payment_read_call_answer_payment},
    [PAYMENT_FORM_WALLET] = {.op = PAYMENT_OP_WALLET,
                             .late = READ_LATE,
                             .answer = payment_read_call_answer_wallet},
    [PAYMENT_FORM_TRANSACTIONS] = {.op = PAYMENT_OP_TRANSACTIONS,
                                   .late = READ_LATE,
                                   .answer = payment_read_call_answer_transactions},
};

void payment_call_answer_head(struct payment_call *call)
{
    struct payment_reply reply;
    payment_reply_begin(&reply, call, 200);
    reply.length_unknown = true;
    payment_reply_send(&reply, call);
}

/* Nothing was sent. With budget left it is the queue's limit that ended it: overload, come again;
 * without, the caller's time is over. */
static void payment_call_refuse_expired(struct payment_call *call)
{
    struct payment_stats *stats = &call->api->stats;

    if (clock_mono_us() < call->op.due_us) {
        stats->shed_total[PAYMENT_SHED_QUEUE]++;
        payment_call_refuse_because(call, PROBLEM_OVERLOADED, "it would have had to wait too long");
        return;
    }
    stats->deadline_exceeded_total[PAYMENT_OVERDUE_QUEUE]++;
    payment_call_refuse_because(call, PROBLEM_DEADLINE_EXCEEDED,
                                "the time was over in the queue; nothing was done");
}

/* Another session holds the key and has not committed. */
static void payment_call_refuse_locked(struct payment_call *call)
{
    call->api->stats.idempotency_total[PAYMENT_IDEMPOTENCY_IN_FLIGHT]++;
    access_note_of(call->exchange)->idempotency =
        payment_idempotency_name(PAYMENT_IDEMPOTENCY_IN_FLIGHT);
    payment_call_refuse_because(call, PROBLEM_IDEMPOTENCY_IN_FLIGHT, NULL);
}

void payment_call_refuse_busy(struct payment_call *call)
{
    call->api->stats.shed_total[PAYMENT_SHED_BUSY]++;
    payment_call_refuse_because(call, PROBLEM_WALLET_BUSY,
                                "the wallet is being changed by somebody else; nothing was moved");
}

/* What only reads has moved nothing, with or without an answer. */
static void payment_call_refuse_unanswered(struct payment_call *call)
{
    if (call->form->writes)
        payment_call_refuse_because(call, PROBLEM_OUTCOME_UNKNOWN, call->form->unknown);
    else
        payment_call_refuse_late(call);
}

void payment_call_done(struct payment_op *op, enum pg_outcome outcome)
{
    struct payment_call *call = container_of(op, struct payment_call, op);
    struct payment_stats *stats = &call->api->stats;
    CHECK(call->exchange != NULL);
    stats->outcomes_total[outcome]++;
    if (call->orphan && call->form->writes)
        stats->orphans_finished_total++;
    switch (outcome) {
    case PG_DONE:
        call->form->answer(call);
        return;
    case PG_EXPIRED:
        payment_call_refuse_expired(call);
        return;
    case PG_UNAVAILABLE:
        stats->shed_total[PAYMENT_SHED_DOWN]++;
        payment_call_refuse_because(call, PROBLEM_DATABASE_UNAVAILABLE, "nothing was moved");
        return;
    case PG_TIMED_OUT:
        payment_call_refuse_late(call);
        return;
    case PG_BUSY:
        payment_call_refuse_busy(call);
        return;
    case PG_LOCKED:
        payment_call_refuse_locked(call);
        return;
    case PG_POISONED:
        stats->shed_total[PAYMENT_SHED_WALLET]++;
        payment_call_refuse_because(call, PROBLEM_WALLET_UNAVAILABLE, "nothing was moved");
        return;
    case PG_ELSEWHERE:
        stats->shed_total[PAYMENT_SHED_REGION]++;
        payment_call_refuse_because(call, PROBLEM_WRONG_REGION, "nothing was read or moved");
        return;
    case PG_UNKNOWN:
        payment_call_refuse_unanswered(call);
        return;
    case PG_FAILED:
        access_note_of(call->exchange)->sqlstate = op->sqlstate;
        payment_call_refuse_because(call, PROBLEM_INTERNAL, NULL);
        return;
    }
}
