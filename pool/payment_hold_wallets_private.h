/*
 * payment_hold_wallets (private to pool/): which wallet a hold is of, as far as this process has
 * seen.
 *
 * A step names a hold, and only the database knows every hold's wallet. But most steps follow a
 * hold that was made here a while ago; knowing its wallet, a step waits in that wallet's line and
 * shares its statements, instead of finding out that a statement of our own has the wallet. A table
 * of fixed size in which a later hold takes an earlier one's place: what is not in it is no error.
 */
#ifndef POOL_PAYMENT_HOLD_WALLETS_PRIVATE_H
#define POOL_PAYMENT_HOLD_WALLETS_PRIVATE_H

#include "core/check.h"
#include "core/uuid7.h"

#include <stdbool.h>
#include <stdint.h>

enum { PAYMENT_HOLD_WALLETS_MAX = 32768 };

/* A hold is only its client's: another one learns nothing from how its step is queued. */
struct payment_hold_wallet {
    struct uuid7 hold_id;
    int64_t wallet_id; /* 0: empty */
    int32_t client_id;
};

struct payment_hold_wallets {
    struct payment_hold_wallet *places;
};

/* False: no memory. */
MUST_USE bool payment_hold_wallets_create(struct payment_hold_wallets *wallets);
void payment_hold_wallets_destroy(struct payment_hold_wallets *wallets);
void payment_hold_wallets_note(struct payment_hold_wallets *wallets, const struct uuid7 *hold_id,
                               int32_t client_id, int64_t wallet_id);
/* 0: not known. */
int64_t payment_hold_wallets_find(const struct payment_hold_wallets *wallets,
                                  const struct uuid7 *hold_id, int32_t client_id);

#endif
