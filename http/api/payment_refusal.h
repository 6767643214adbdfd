/*
 * payment_refusal: why a request is not taken, while it is read: the problem and its details.
 *
 * Every wrong field is collected, not only the first. What is said never contains input.
 */
#ifndef HTTP_API_PAYMENT_REFUSAL_H
#define HTTP_API_PAYMENT_REFUSAL_H

#include "core/buf.h"
#include "http/api/json.h"
#include "http/api/problem.h"

#include <stdbool.h>

/* Zeroed: nothing is wrong so far. */
struct payment_refusal {
    enum problem problem;
    struct problem_details details;
};

/* False, always, so that who refuses can return it. detail: a literal, NULL: the fields say it. */
bool payment_refusal_set(struct payment_refusal *refusal, enum problem problem, const char *detail);
/* One more wrong field; those past PROBLEM_ERRORS_MAX are left out. */
void payment_refusal_add(struct payment_refusal *refusal, struct problem_error error);
void payment_refusal_add_field(struct payment_refusal *refusal, const char *pointer,
                               const char *detail);
/* A member that is not there, or of another type than what it must be. */
void payment_refusal_add_type(struct payment_refusal *refusal, const char *pointer,
                              const char *expected, enum json_type found);

/* The JSON object of a body without card numbers; false: refused. */
MUST_USE bool payment_refusal_read_json(struct payment_refusal *refusal, struct span body,
                                        const struct json_value **root);

#endif
