#include "http/api/payment_answer.h"

#include "core/clock.h"
#include "http/api/payment_id.h"

enum err payment_answer_style_init(struct payment_answer_style *style, struct span region)
{
    struct buf out;
    buf_init(&out, style->region_storage, sizeof(style->region_storage));
    buf_add(&out, SPAN("\",\"region\":"));
    buf_add_json(&out, region);
    buf_add(&out, SPAN(",\"timestamp\":\""));
    style->region = buf_span(&out);
    return out.overflow ? ERR_INVALID : ERR_OK;
}

static bool payment_answer_approved(const struct payment_answer *answer)
{
    const char *code = PAYMENT_CODES[answer->code_index].code;
    return code[0] == '0' && code[1] == '0';
}

/* The Go service's five members, the object still open. */
static void payment_answer_open(struct buf *out, const struct payment_answer_style *style,
                                const struct payment_answer *answer)
{
    buf_add(out, SPAN("{\"transaction_id\":\""));
    if (answer->number != 0)
        payment_id_add_number(out, answer->number);
    else
        payment_id_add(out, &answer->txn_id);
    if (payment_answer_approved(answer))
        buf_add(out, SPAN("\",\"status\":\"approved\",\"processing_time_ms\":\""));
    else
        buf_add(out, SPAN("\",\"status\":\"declined\",\"processing_time_ms\":\""));
    buf_add_milli2(out, answer->processing_us);
    buf_add(out, style->region);
    clock_add_rfc3339(out, answer->wall_us);
    buf_add_char(out, '"');
}

static void payment_answer_add_decision(struct buf *out, const struct payment_answer *answer)
{
    const struct payment_code *code = &PAYMENT_CODES[answer->code_index];
    const struct payment_command *command = answer->command;
    buf_add(out, SPAN(",\"response_code\":\""));
    buf_add(out, (struct span){code->code, PAYMENT_CODE_LEN});
    buf_add(out, SPAN("\",\"reason\":\""));
    buf_add_text(out, code->reason);
    buf_add(out, SPAN("\",\"advice\":\""));
    buf_add_text(out, code->advice);
    buf_add(out, SPAN("\",\"effect\":\""));
    buf_add_text(out, payment_effect_name(command->effect));
    buf_add(out, SPAN("\",\"amount\":"));
    buf_add_i64(out, command->amount_minor);
    buf_add(out, SPAN(",\"currency\":\""));
    buf_add(out, (struct span){command->currency, PAYMENT_CURRENCY_LEN});
    buf_add_char(out, '"');
    if (!answer->has_balance)
        return;
    buf_add(out, SPAN(",\"balance_after\":"));
    buf_add_i64(out, answer->balance_after_minor);
}

void payment_answer_write_legacy(struct buf *out, const struct payment_answer_style *style,
                                 const struct payment_answer *answer)
{
    payment_answer_open(out, style, answer);
    buf_add(out, SPAN("}\n"));
}

void payment_answer_write(struct buf *out, const struct payment_answer_style *style,
                          const struct payment_answer *answer)
{
    payment_answer_open(out, style, answer);
    payment_answer_add_decision(out, answer);
    buf_add(out, SPAN("}\n"));
}

void payment_answer_open_recorded(struct buf *out, const struct payment_answer_style *style,
                                  const struct payment_answer *answer)
{
    payment_answer_open(out, style, answer);
    payment_answer_add_decision(out, answer);
}

void payment_answer_write_headers(struct buf *out, const struct payment_timing *timing)
{
    buf_add(out, SPAN("Server-Timing: auth;dur="));
    buf_add_milli2(out, timing->auth_us);
    buf_add(out, SPAN(", queue;dur="));
    buf_add_milli2(out, timing->queue_us);
    buf_add(out, SPAN(", db;dur="));
    buf_add_milli2(out, timing->db_us);
    buf_add(out, SPAN(", total;dur="));
    buf_add_milli2(out, timing->total_us);
    buf_add(out, SPAN("\r\n"));
}
