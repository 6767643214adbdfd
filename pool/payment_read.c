#include "pool/payment_read.h"

const char *payment_entry_name(enum payment_entry_kind kind)
{
    static const char *const NAMES[] = {
        [PAYMENT_ENTRY_HOLD] = "hold",
        [PAYMENT_ENTRY_CAPTURE] = "capture",
        [PAYMENT_ENTRY_VOID] = "void",
        [PAYMENT_ENTRY_INCREMENT] = "increment",
        [PAYMENT_ENTRY_OVER_CAPTURE] = "over_capture",
        [PAYMENT_ENTRY_REFUND] = "refund",
        [PAYMENT_ENTRY_EXPIRY] = "expiry",
    };
    return NAMES[kind];
}

const char *payment_wallet_status_name(enum payment_wallet_status status)
{
    static const char *const NAMES[] = {
        [PAYMENT_WALLET_ACTIVE] = "active",
        [PAYMENT_WALLET_BLOCKED] = "blocked",
        [PAYMENT_WALLET_CLOSED] = "closed",
    };
    return NAMES[status];
}
