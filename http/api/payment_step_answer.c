#include "http/api/payment_step_answer.h"

#include "core/clock.h"
#include "http/api/payment_id.h"

/* What a step of each kind is called in its answer. */
static const struct {
    const char *member; /* the hold it belongs to */
    const char *status; /* once it is done */
} WORDS[PAYMENT_STEP_KINDS] = {
    [PAYMENT_CAPTURE] = {.member = "captures", .status = "captured"},
    [PAYMENT_VOID] = {.member = "voids", .status = "voided"},
    [PAYMENT_INCREMENT] = {.member = "increments", .status = "approved"},
    [PAYMENT_REFUND] = {.member = "refunds", .status = "refunded"},
};

const char *payment_step_member(enum payment_step_kind kind)
{
    return WORDS[kind].member;
}

static void add_number(struct buf *out, struct span name, int64_t number)
{
    buf_add(out, SPAN(",\""));
    buf_add(out, name);
    buf_add(out, SPAN("\":"));
    buf_add_i64(out, number);
}

static void add_text(struct buf *out, struct span name, const char *text)
{
    buf_add(out, SPAN(",\""));
    buf_add(out, name);
    buf_add(out, SPAN("\":\""));
    buf_add_text(out, text);
    buf_add_char(out, '"');
}

/* Whose step it is and how it ended, up to its time; the object still open. */
static void payment_step_answer_open(struct buf *out, const struct payment_answer_style *style,
                                     const struct payment_step_decision *decision)
{
    const bool done = decision->code_index == PAYMENT_CODE_APPROVED;
    buf_add(out, SPAN("{\"transaction_id\":\""));
    payment_id_add(out, &decision->txn_id);
    buf_add(out, SPAN("\",\""));
    buf_add_text(out, WORDS[decision->kind].member);
    buf_add(out, SPAN("\":\""));
    payment_id_add(out, &decision->hold_id);
    buf_add(out, SPAN("\",\"status\":\""));
    buf_add_text(out, done ? WORDS[decision->kind].status : "declined");
    buf_add(out, style->region);
    clock_add_rfc3339(out, decision->created_wall_us);
    buf_add_char(out, '"');
}

static void payment_step_answer_add_decision(struct buf *out,
                                             const struct payment_step_decision *decision)
{
    const struct payment_code *code = &PAYMENT_CODES[decision->code_index];
    add_text(out, SPAN("response_code"), code->code);
    add_text(out, SPAN("reason"), code->reason);
    add_text(out, SPAN("advice"), code->advice);
}

void payment_step_answer_add_amounts(struct buf *out, const struct payment_amounts *amounts)
{
    add_number(out, SPAN("authorised"), amounts->authorised_minor);
    add_number(out, SPAN("captured"), amounts->captured_minor);
    add_number(out, SPAN("released"), amounts->released_minor);
    add_number(out, SPAN("expired"), amounts->expired_minor);
    add_number(out, SPAN("refunded"), amounts->refunded_minor);
    add_number(out, SPAN("open"), payment_amounts_open_minor(amounts));
}

void payment_step_answer_write(struct buf *out, const struct payment_answer_style *style,
                               const struct payment_step_decision *decision)
{
    payment_step_answer_open(out, style, decision);
    if (decision->kind == PAYMENT_VOID)
        add_number(out, SPAN("balance_after"), decision->balance_after_minor);
    buf_add(out, SPAN(",\"processing_time_ms\":\""));
    buf_add_milli2(out, decision->processing_us);
    buf_add_char(out, '"');
    if (decision->kind == PAYMENT_INCREMENT)
        payment_step_answer_add_decision(out, decision);
    add_number(out, SPAN("amount"), decision->amount_minor);
    add_text(out, SPAN("currency"), decision->currency);
    payment_step_answer_add_amounts(out, &decision->amounts);
    if (decision->kind != PAYMENT_VOID)
        add_number(out, SPAN("balance_after"), decision->balance_after_minor);
    buf_add(out, SPAN("}\n"));
}
