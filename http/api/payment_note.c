#include "http/api/payment_note.h"

#include <string.h>

void payment_note_decision(struct access_note *note, const struct payment_command *command,
                           uint8_t code_index)
{
    note->has_payment = true;
    note->effect = payment_effect_name(command->effect);
    note->response_code = PAYMENT_CODES[code_index].code;
    memcpy(note->currency, command->currency, sizeof(note->currency));
    note->amount_minor = command->amount_minor;
}

void payment_note_wallet(struct access_note *note, int64_t wallet_id)
{
    secret_tag((struct span){(const char *)&wallet_id, sizeof(wallet_id)}, note->wallet_tag);
}

void payment_note_reference(struct access_note *note, struct payment_wallet_tag *last,
                            int64_t wallet_id)
{
    if (last->wallet_id != wallet_id) {
        payment_note_wallet(note, wallet_id);
        memcpy(last->tag, note->wallet_tag, sizeof(last->tag));
        last->wallet_id = wallet_id;
        return;
    }
    memcpy(note->wallet_tag, last->tag, sizeof(last->tag));
}

void payment_note_txn(struct access_note *note, const struct uuid7 *txn_id)
{
    note->has_txn = true;
    note->txn_id = *txn_id;
}

void payment_note_step(struct access_note *note, const struct payment_step_decision *decision)
{
    note->has_payment = true;
    note->effect = payment_step_name(decision->kind);
    note->response_code = PAYMENT_CODES[decision->code_index].code;
    memcpy(note->currency, decision->currency, sizeof(note->currency));
    note->amount_minor = decision->amount_minor;
    payment_note_wallet(note, decision->wallet_id);
    payment_note_txn(note, &decision->txn_id);
}

void payment_note_key(struct access_note *note, const struct secret_mac *key_hash)
{
    note->has_key_tag = true;
    memcpy(note->key_tag, key_hash->bytes, sizeof(note->key_tag));
}
