#include "http/api/payment_refusal.h"

#include "core/payment.h"

bool payment_refusal_set(struct payment_refusal *refusal, enum problem problem, const char *detail)
{
    refusal->problem = problem;
    refusal->details.detail = detail;
    return false;
}

void payment_refusal_add(struct payment_refusal *refusal, struct problem_error error)
{
    struct problem_details *details = &refusal->details;
    if (details->error_count < PROBLEM_ERRORS_MAX)
        details->errors[details->error_count++] = error;
}

void payment_refusal_add_field(struct payment_refusal *refusal, const char *pointer,
                               const char *detail)
{
    payment_refusal_add(refusal, (struct problem_error){.pointer = pointer, .detail = detail});
}

void payment_refusal_add_type(struct payment_refusal *refusal, const char *pointer,
                              const char *expected, enum json_type found)
{
    if (found == JSON_ABSENT)
        payment_refusal_add_field(refusal, pointer, "is required");
    else
        payment_refusal_add(refusal, (struct problem_error){.pointer = pointer,
                                                            .detail = expected,
                                                            .instead = json_type_name(found)});
}

bool payment_refusal_read_json(struct payment_refusal *refusal, struct span body,
                               const struct json_value **root)
{
    if (payment_has_card_number(body))
        return payment_refusal_set(refusal, PROBLEM_PAN_DETECTED,
                                   "the body holds digits that may be a card number");
    struct json_fault fault;
    if (json_read(body, root, &fault) == ERR_OK)
        return true;
    refusal->details.has_offset = true;
    refusal->details.offset = fault.offset;
    return payment_refusal_set(refusal, PROBLEM_INVALID_JSON, fault.why);
}
