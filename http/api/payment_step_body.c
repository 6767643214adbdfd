#include "http/api/payment_step_body.h"

#include <assert.h>

#define STEP_AMOUNT_RULE "must be a whole number of minor units from 1 to 999999999999"
static_assert(PAYMENT_AMOUNT_MAX == INT64_C(999999999999), "as STEP_AMOUNT_RULE says");

/* What a body of each kind may and must have. */
static const struct {
    const char *const members[3]; /* NULL-terminated */
    const char *others;           /* where it has more */
    bool needs_amount;
} SHAPES[PAYMENT_STEP_KINDS] = {
    [PAYMENT_CAPTURE] = {.members = {"amount", "final", NULL},
                         .others = "the object has members other than amount, final"},
    [PAYMENT_VOID] = {.members = {"amount", NULL},
                      .others = "the object has members other than amount"},
    [PAYMENT_INCREMENT] = {.members = {"amount", NULL},
                           .others = "the object has members other than amount",
                           .needs_amount = true},
    [PAYMENT_REFUND] = {.members = {"amount", NULL},
                        .others = "the object has members other than amount"},
};

static void payment_step_body_amount(const struct json_value *value, struct payment_step *step,
                                     struct payment_refusal *refusal)
{
    const enum json_type type = json_type_of(value);
    if (type == JSON_ABSENT && !SHAPES[step->kind].needs_amount)
        return;
    if (type != JSON_INTEGER_TYPE) {
        payment_refusal_add_type(refusal, "/amount", STEP_AMOUNT_RULE, type);
        return;
    }
    const int64_t amount = json_integer_of(value);
    if (amount < 1 || amount > PAYMENT_AMOUNT_MAX) {
        payment_refusal_add_field(refusal, "/amount", STEP_AMOUNT_RULE);
        return;
    }
    step->has_amount = true;
    step->amount_minor = amount;
}

static void payment_step_body_final(const struct json_value *value, struct payment_step *step,
                                    struct payment_refusal *refusal)
{
    const enum json_type type = json_type_of(value);
    if (type == JSON_BOOLEAN_TYPE)
        step->final = json_boolean_of(value);
    else if (type != JSON_ABSENT)
        payment_refusal_add_type(refusal, "/final", "must be true or false", type);
}

bool payment_step_body_read(struct span body, struct payment_step *step,
                            struct payment_refusal *refusal)
{
    *refusal = (struct payment_refusal){0};
    step->has_amount = step->final = false;
    step->amount_minor = 0;
    const struct json_value *root = NULL;
    if (!payment_refusal_read_json(refusal, body.len > 0 ? body : SPAN("{}"), &root))
        return false;
    if (!json_only_members(root, SHAPES[step->kind].members))
        payment_refusal_add_field(refusal, "", SHAPES[step->kind].others);
    payment_step_body_amount(json_member(root, "amount"), step, refusal);
    if (step->kind == PAYMENT_CAPTURE)
        payment_step_body_final(json_member(root, "final"), step, refusal);
    if (refusal->details.error_count > 0)
        return payment_refusal_set(refusal, PROBLEM_INVALID_PARAMETER, NULL);
    return true;
}
