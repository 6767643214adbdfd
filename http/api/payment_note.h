/*
 * payment_note: the payment's part of the access note. No wallet id and no idempotency key goes
 * there, only keyed tags of them.
 */
#ifndef HTTP_API_PAYMENT_NOTE_H
#define HTTP_API_PAYMENT_NOTE_H

#include "core/payment.h"
#include "http/api/access_note.h"

/* The tag of the last wallet it was asked for: the reference wallet is the same for every bare GET.
 */
struct payment_wallet_tag {
    int64_t wallet_id;
    uint8_t tag[SECRET_TAG_BYTES];
};

void payment_note_decision(struct access_note *note, const struct payment_command *command,
                           uint8_t code_index);
void payment_note_wallet(struct access_note *note, int64_t wallet_id);
void payment_note_reference(struct access_note *note, struct payment_wallet_tag *last,
                            int64_t wallet_id);
void payment_note_txn(struct access_note *note, const struct uuid7 *txn_id);
/* A step that is on record: its amount, its wallet, its own id. */
void payment_note_step(struct access_note *note, const struct payment_step_decision *decision);
/* The first bytes of what is stored of it: a log line leads to its row. */
void payment_note_key(struct access_note *note, const struct secret_mac *key_hash);

#endif
