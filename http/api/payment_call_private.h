/*
 * payment_call (private to payment_api): one request of the payment API on its way, and its
 * answers.
 *
 * payment_api asks: it takes a call, fills the operation and submits it. This answers: every way
 * out of a call ends it, so that its slot is free again before http_respond() can bring the next
 * request.
 *
 *   free --payment_api--> taken --submit--> at the store --payment_call_done--> free
 *                           '-- payment_call_refuse, payment_call_answer_head --> free
 */
#ifndef HTTP_API_PAYMENT_CALL_PRIVATE_H
#define HTTP_API_PAYMENT_CALL_PRIVATE_H

#include "http/api/payment_answer.h"
#include "http/api/payment_api.h"
#include "http/api/payment_note.h"
#include "http/api/problem.h"

#define PAYMENT_API_PATH "/api/payment/simulate"

/* What is asked and how it is answered: a row each in PAYMENT_FORMS. */
enum payment_form_index {
    PAYMENT_FORM_LEGACY,
    PAYMENT_FORM_QUERY,
    PAYMENT_FORM_EVALUATE,
    PAYMENT_FORM_HOLD,
    PAYMENT_FORM_CAPTURE,
    PAYMENT_FORM_VOID,
    PAYMENT_FORM_VOID_KEYLESS,
    PAYMENT_FORM_INCREMENT,
    PAYMENT_FORM_REFUND,
    PAYMENT_FORM_FIND,
    PAYMENT_FORM_FIND_KEY,
    PAYMENT_FORM_WALLET,
    PAYMENT_FORM_TRANSACTIONS
};
enum { PAYMENT_FORM_COUNT = PAYMENT_FORM_TRANSACTIONS + 1 };

struct payment_call;

struct payment_form {
    enum payment_op_kind op;
    bool writes;         /* the database may keep something: an orphan of it counts */
    bool numbered;       /* shows the Go service's number, since no id was made */
    bool of_reference;   /* of the reference wallet, whose tag is kept */
    const char *late;    /* detail where the time was over and nothing moved */
    const char *unknown; /* where it writes: detail of an answer that did not come */
    payment_answer_fn *write;
    void (*answer)(struct payment_call *call); /* the operation is done */
};
extern const struct payment_form PAYMENT_FORMS[PAYMENT_FORM_COUNT];

/* One per exchange. exchange is NULL while the call is free. */
struct payment_call {
    struct payment_op op;
    struct payment_api *api;
    struct http_exchange *exchange;
    const struct payment_form *form; /* of an operation at the store */
    uint64_t auth_us;
    bool orphan; /* its client has left; the operation is sent and finishes */
};

struct payment_api {
    struct payment_store *store;
    struct api_keys *keys;
    struct auth_throttle *throttle;
    uint64_t budget_us_max;
    struct payment_answer_style style;
    struct uuid7_generator ids;
    uint64_t last_number; /* of the legacy "txn_<digits>" */
    struct payment_wallet_tag reference_tag;
    struct payment_stats stats;
    uint32_t call_count;
    struct payment_call calls[];
};

/* The fingerprint of a command that asks for a hold. */
struct secret_digest payment_call_fingerprint(const struct payment_command *command);
/* Where its time went so far. */
struct payment_timing payment_call_timing(const struct payment_call *call, uint64_t now_us);
/* Ends the call: its slot is free, and may be used again inside http_respond(). */
struct http_exchange *payment_call_end(struct payment_call *call);
/* Answers a problem and ends the call. */
void payment_call_refuse(struct payment_call *call, enum problem problem,
                         const struct problem_details *details);
void payment_call_refuse_because(struct payment_call *call, enum problem problem,
                                 const char *detail);
/* It was sent, or its turn was over, and the database has kept nothing of it. */
void payment_call_refuse_late(struct payment_call *call);
/* The answer a GET would have, without deciding: a HEAD moves nothing and asks nobody. How long the
 * body of the decision would be is not known then, so it is not said (RFC 9110 section 8.6). */
void payment_call_answer_head(struct payment_call *call);
/* Another session has the wallet and does not let go of it in time. */
void payment_call_refuse_busy(struct payment_call *call);
/* The operation's on_done: turns outcome and decision into the answer and ends the call. */
void payment_call_done(struct payment_op *op, enum pg_outcome outcome);

#endif
