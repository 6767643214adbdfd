/*
 * payment: the domain. What a payment command is, what a decision is, and what the codes mean.
 *
 * Pure functions over caller's storage; knows nothing of HTTP, JSON or PostgreSQL. The decision
 * itself is taken by the database on the locked row (pool/sql/decision.inc.sql); the table here
 * gives each code its reason, its advice and its place in the order of precedence.
 */
#ifndef CORE_PAYMENT_H
#define CORE_PAYMENT_H

#include "core/buf.h"
#include "core/check.h"
#include "core/secret.h"
#include "core/uuid7.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    PAYMENT_CURRENCY_LEN = 3,
    PAYMENT_COUNTRY_LEN = 2,
    PAYMENT_MCC_MAX = 9999,
    PAYMENT_KEY_MAX = 255,      /* Idempotency-Key, bytes */
    PAYMENT_WALLET_DIGITS = 12, /* fewer than the shortest PAN, so a card number cannot be one */
    PAYMENT_CODE_LEN = 2,
    PAYMENT_SCOPE_MAX = 48, /* of a fingerprint, bytes */
};
enum { PAYMENT_EXPIRES_IN_S_MAX = 31 * 24 * 3600 };
#define PAYMENT_AMOUNT_MAX INT64_C(999999999999) /* ISO 8583 DE4: 12 digits of minor units */

/* To tell what would be decided, or to decide and reserve the money. */
enum payment_effect { PAYMENT_EVALUATE, PAYMENT_HOLD };
/* "evaluate" "hold"; static text. */
const char *payment_effect_name(enum payment_effect effect);

/* What a caller asks for. Validated fields only. */
struct payment_command {
    enum payment_effect effect;
    int64_t wallet_id;    /* 1..999999999999 */
    int64_t amount_minor; /* 0..PAYMENT_AMOUNT_MAX; 0 only to evaluate (balance inquiry) */
    char currency[PAYMENT_CURRENCY_LEN + 1];
    char merchant_country[PAYMENT_COUNTRY_LEN + 1];
    uint16_t mcc;
    int32_t expires_in_s; /* HOLD: at most, 1..PAYMENT_EXPIRES_IN_S_MAX; 0: as its program says */
};

/* Which field of a command is wrong, or differs. */
enum payment_field {
    PAYMENT_FIELD_NONE,
    PAYMENT_FIELD_WALLET_ID,
    PAYMENT_FIELD_AMOUNT,
    PAYMENT_FIELD_CURRENCY,
    PAYMENT_FIELD_MCC,
    PAYMENT_FIELD_MERCHANT_COUNTRY,
    PAYMENT_FIELD_EFFECT,
    PAYMENT_FIELD_EXPIRES_IN,
};
/* Static texts, "" for NONE: its JSON pointer ("/merchant/mcc"), its name where fields differ
 * ("merchant.mcc"), and its rule in words for error answers. */
const char *payment_field_pointer(enum payment_field field);
const char *payment_field_name(enum payment_field field);
const char *payment_field_rule(enum payment_field field);

/* Each parses one field from text into the command; false: it breaks payment_field_rule(), and the
 * command is left alone. A wallet is wal_[1-9][0-9]{0,11}; an amount is in minor units. */
MUST_USE bool payment_set_wallet(struct payment_command *command, struct span text);
MUST_USE bool payment_set_amount(struct payment_command *command, struct span digits);
MUST_USE bool payment_set_currency(struct payment_command *command, struct span text);
MUST_USE bool payment_set_mcc(struct payment_command *command, struct span text);
MUST_USE bool payment_set_country(struct payment_command *command, struct span text);
MUST_USE bool payment_set_effect(struct payment_command *command, struct span text);
MUST_USE bool payment_set_expires_in(struct payment_command *command, struct span digits);
/* Rules across fields (amount 0 only to evaluate). PAYMENT_FIELD_NONE: fine. */
enum payment_field payment_command_check(const struct payment_command *command);

/* SHA-256 over the scope and the canonical fields: the same for the same meaning, whatever the form
 * it came in. scope names the operation that was asked for, at most PAYMENT_SCOPE_MAX bytes without
 * a line feed. The digest is stored: neither scope nor form may change while keys are kept. */
struct secret_digest payment_fingerprint(const struct payment_command *command, struct span scope);
/* For free text. True when it holds what may be a card number: 13 to 19 digits that begin as a
 * known issuer's numbers do and pass the Luhn check, in groups of any size with a single space or
 * hyphen between them. Other whole groups may stand beside it ("order 7-<number>"). */
bool payment_has_card_number(struct span text);

/* Places in PAYMENT_CODES. */
enum payment_code_index {
    PAYMENT_CODE_LATE,           /* 68; not a recorded decline: the request is answered 504 */
    PAYMENT_CODE_UNKNOWN_WALLET, /* 14 */
    PAYMENT_CODE_OTHER_REGION,   /* 93 */
    PAYMENT_CODE_WALLET_CLOSED,  /* 46 */
    PAYMENT_CODE_WALLET_BLOCKED, /* 62 */
    PAYMENT_CODE_WALLET_EXPIRED, /* 54 */
    PAYMENT_CODE_CURRENCY,       /* 12 */
    PAYMENT_CODE_MERCHANT,       /* 57 */
    PAYMENT_CODE_COUNT_LIMIT,    /* 65 */
    PAYMENT_CODE_AMOUNT_LIMIT,   /* 61 */
    PAYMENT_CODE_FUNDS,          /* 51 */
    PAYMENT_CODE_APPROVED,       /* 00 */
};

/* An ISO 8583 DE39 code as we use it. */
struct payment_code {
    char code[PAYMENT_CODE_LEN + 1];
    const char *reason; /* "insufficient_funds" */
    const char *advice; /* none do_not_retry retry_later fix_data */
};
/* In order of precedence, first match wins; "00" is last. By enum payment_code_index. */
extern const struct payment_code PAYMENT_CODES[];
extern const uint32_t PAYMENT_CODE_COUNT;
/* Index into PAYMENT_CODES; -1 for a code that is not ours. */
int payment_code_find(const char code[PAYMENT_CODE_LEN]);

/* How the database came to its answer. */
enum payment_how {
    PAYMENT_NEW,    /* decided and, for a hold, recorded now */
    PAYMENT_REPLAY, /* this (client, key) was decided before */
    PAYMENT_RACE,   /* another request with the same key won while ours waited */
    PAYMENT_LATE,   /* the budget was over when the wallet was locked: nothing moved */
};

/* A decision as recorded; every field but how and fingerprint is the same at every replay. */
struct payment_decision {
    enum payment_how how;
    uint8_t code_index; /* into PAYMENT_CODES */
    bool has_balance;   /* false for an unknown wallet */
    int64_t balance_after_minor;
    struct uuid7 txn_id;
    uint32_t processing_us;
    uint64_t created_wall_us;
    struct secret_digest fingerprint;
    struct payment_command command; /* the recorded one (merchant_country is not recorded: empty) */
};
/* True for code "00" only. */
bool payment_approved(const struct payment_decision *decision);

/* Which recorded field differs from the asked one; MERCHANT_COUNTRY if only the fingerprints do,
 * NONE if they agree. fingerprint is the asked command's. */
enum payment_field payment_mismatch(const struct payment_command *asked,
                                    const struct secret_digest *fingerprint,
                                    const struct payment_decision *stored);

/* ---- steps: what happens to a hold after it was approved ---- */

enum payment_step_kind { PAYMENT_CAPTURE, PAYMENT_VOID, PAYMENT_INCREMENT, PAYMENT_REFUND };
enum { PAYMENT_STEP_KINDS = PAYMENT_REFUND + 1 };
/* "capture" "void" "increment" "refund"; static text. */
const char *payment_step_name(enum payment_step_kind kind);

/* What a caller asks to be done with a hold. Validated fields only. */
struct payment_step {
    enum payment_step_kind kind;
    bool has_amount;      /* false: all that is open, or all that may be refunded */
    bool final;           /* CAPTURE: what stays open is released */
    int64_t amount_minor; /* 1..PAYMENT_AMOUNT_MAX */
    struct uuid7 hold_id;
};
/* As payment_fingerprint(), of a step; no scope of a hold gives the same. */
struct secret_digest payment_step_fingerprint(const struct payment_step *step);

/* A hold's money. authorised, with increments, = captured + released + expired + what is open; all
 * >= 0, and refunded <= captured. */
struct payment_amounts {
    int64_t authorised_minor, captured_minor, released_minor, expired_minor, refunded_minor;
};
/* What is neither captured nor given back yet, of amounts that are sound. */
int64_t payment_amounts_open_minor(const struct payment_amounts *amounts);
/* The rule above. Nothing overflows where it is broken. */
bool payment_amounts_are_sound(const struct payment_amounts *amounts);

/* Where a hold is in its life.
 *
 *   OPEN --capture of all, final--> CAPTURED --refund of all--> REFUNDED
 *     |--void of all, none captured--> VOIDED
 *     '--expiry, none captured--> EXPIRED
 *
 * A hold of which a part was captured is CAPTURED as soon as nothing is open, however that came. */
enum payment_state {
    PAYMENT_OPEN,
    PAYMENT_CAPTURED,
    PAYMENT_VOIDED,
    PAYMENT_EXPIRED,
    PAYMENT_REFUNDED
};
/* Of an approved hold, by its amounts alone. */
enum payment_state payment_state_of(const struct payment_amounts *amounts);
/* "open" "captured" "voided" "expired" "refunded"; static text. */
const char *payment_state_name(enum payment_state state);

/* How the database answered a step. */
enum payment_step_how {
    PAYMENT_STEP_NEW,       /* done now, or an increment declined now: on record */
    PAYMENT_STEP_REPLAY,    /* this (client, key) was answered before */
    PAYMENT_STEP_RACE,      /* another request with the same key won while ours waited */
    PAYMENT_STEP_LATE,      /* the budget was over when the wallet was locked: nothing moved */
    PAYMENT_STEP_NOT_FOUND, /* no approved hold of this client; nothing else is set */
    PAYMENT_STEP_RESOLVED,  /* wrong state: amounts and state are as they are, nothing moved */
    PAYMENT_STEP_EXCEEDS,   /* more than limit_minor; amounts are as they are, nothing moved */
    PAYMENT_STEP_TOO_MANY,  /* the hold has PAYMENT_STEPS_MAX already; nothing moved */
};
enum { PAYMENT_STEPS_MAX = 100 };

/* A step as recorded; every field but how and fingerprint is the same at every replay. */
struct payment_step_decision {
    enum payment_step_how how;
    enum payment_step_kind kind;    /* NEW, REPLAY, RACE */
    uint8_t code_index;             /* into PAYMENT_CODES; "00" but for a declined increment */
    struct uuid7 txn_id, hold_id;   /* the step's own id, and its hold's */
    int64_t amount_minor;           /* what it moved, or was declined to move */
    int64_t balance_after_minor;    /* of the wallet */
    int64_t limit_minor;            /* EXCEEDS: the most that could have been asked for */
    struct payment_amounts amounts; /* after the step; RESOLVED, EXCEEDS: now */
    enum payment_state state; /* RESOLVED: EXPIRED also when its time is over but not released */
    uint32_t processing_us;
    uint64_t created_wall_us;
    int64_t wallet_id;
    char currency[PAYMENT_CURRENCY_LEN + 1];
    struct secret_digest fingerprint;
};

#endif
