#include "pool/payment_hold_wallets_private.h"

#include <stdlib.h>
#include <string.h>

_Static_assert((PAYMENT_HOLD_WALLETS_MAX & (PAYMENT_HOLD_WALLETS_MAX - 1)) == 0, "a power of two");

bool payment_hold_wallets_create(struct payment_hold_wallets *wallets)
{
    wallets->places = calloc(PAYMENT_HOLD_WALLETS_MAX, sizeof(wallets->places[0]));
    return wallets->places != NULL;
}

void payment_hold_wallets_destroy(struct payment_hold_wallets *wallets)
{
    free(wallets->places);
    wallets->places = NULL;
}

/* The last bytes of our identifiers are random. Only holds that exist have a place, so nobody can
 * choose whose place he takes. */
static struct payment_hold_wallet *place_of(const struct payment_hold_wallets *wallets,
                                            const struct uuid7 *hold_id)
{
    uint32_t tail;

    memcpy(&tail, hold_id->bytes + UUID7_BYTES - sizeof(tail), sizeof(tail));
    return &wallets->places[tail % PAYMENT_HOLD_WALLETS_MAX];
}

void payment_hold_wallets_note(struct payment_hold_wallets *wallets, const struct uuid7 *hold_id,
                               int32_t client_id, int64_t wallet_id)
{
    *place_of(wallets, hold_id) = (struct payment_hold_wallet){
        .hold_id = *hold_id, .wallet_id = wallet_id, .client_id = client_id};
}

int64_t payment_hold_wallets_find(const struct payment_hold_wallets *wallets,
                                  const struct uuid7 *hold_id, int32_t client_id)
{
    const struct payment_hold_wallet *place = place_of(wallets, hold_id);

    if (place->client_id != client_id ||
        memcmp(place->hold_id.bytes, hold_id->bytes, UUID7_BYTES) != 0)
        return 0;
    return place->wallet_id;
}
