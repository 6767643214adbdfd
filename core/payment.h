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

/* What became of the wish to void a hold. */
enum payment_void_result { PAYMENT_VOIDED, PAYMENT_ALREADY_RESOLVED, PAYMENT_VOID_NOT_FOUND };

#endif
