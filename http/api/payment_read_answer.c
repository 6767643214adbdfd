#include "http/api/payment_read_answer.h"

#include "core/clock.h"
#include "http/api/payment_id.h"

static void add_number(struct buf *out, const char *name, int64_t value)
{
    buf_add(out, SPAN(",\""));
    buf_add_text(out, name);
    buf_add(out, SPAN("\":"));
    buf_add_i64(out, value);
}

static void add_text(struct buf *out, const char *name, const char *value)
{
    buf_add(out, SPAN(",\""));
    buf_add_text(out, name);
    buf_add(out, SPAN("\":\""));
    buf_add_text(out, value);
    buf_add_char(out, '"');
}

static void add_id(struct buf *out, const struct uuid7 *id)
{
    buf_add_char(out, '"');
    payment_id_add(out, id);
    buf_add_char(out, '"');
}

static void add_time(struct buf *out, const char *name, uint64_t wall_us)
{
    buf_add(out, SPAN(",\""));
    buf_add_text(out, name);
    buf_add(out, SPAN("\":\""));
    clock_add_rfc3339(out, wall_us);
    buf_add_char(out, '"');
}

/* A row of the ledger, the object still open. */
static void open_entry(struct buf *out, const struct payment_entry *entry)
{
    buf_add(out, SPAN("{\"id\":"));
    add_id(out, &entry->txn_id);
    add_text(out, "type", payment_entry_name(entry->kind));
}

static void close_entry(struct buf *out, const struct payment_entry *entry)
{
    add_number(out, "amount", entry->amount_minor);
    add_number(out, "balance_after", entry->balance_after_minor);
    add_time(out, "timestamp", entry->created_wall_us);
    buf_add_char(out, '}');
}

/* ---- a payment ---- */

static void add_amounts(struct buf *out, const struct payment_amounts *amounts)
{
    add_number(out, "authorised", amounts->authorised_minor);
    add_number(out, "captured", amounts->captured_minor);
    add_number(out, "released", amounts->released_minor);
    add_number(out, "expired", amounts->expired_minor);
    add_number(out, "refunded", amounts->refunded_minor);
    add_number(out, "open", payment_amounts_open_minor(amounts));
}

static void add_steps(struct buf *out, const struct payment_read *read)
{
    buf_add(out, SPAN(",\"steps\":["));
    for (uint32_t i = 0; i < read->entry_count; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        open_entry(out, &read->entries[i]);
        close_entry(out, &read->entries[i]);
    }
    buf_add_char(out, ']');
}

static void add_mcc(struct buf *out, uint16_t mcc)
{
    buf_add(out, SPAN(",\"merchant\":{\"mcc\":\""));
    for (uint32_t place = 1000; place > 0; place /= 10)
        buf_add_char(out, (char)('0' + mcc / place % 10));
    buf_add(out, SPAN("\"}"));
}

static void add_life(struct buf *out, const struct payment_read *read)
{
    const struct payment_view *view = &read->view;
    const enum payment_state state = payment_state_of(&view->amounts);

    add_text(out, "state", payment_state_name(state));
    if (state == PAYMENT_OPEN && view->has_expiry)
        add_time(out, "expires_at", view->expires_wall_us);
    add_amounts(out, &view->amounts);
    add_steps(out, read);
}

void payment_read_answer_write_payment(struct buf *out, const struct payment_answer_style *style,
                                       const struct payment_answer *answer,
                                       const struct payment_read *read)
{
    const struct payment_view *view = &read->view;
    const bool voided = view->has_amounts && payment_state_of(&view->amounts) == PAYMENT_VOIDED;

    payment_answer_open_recorded(out, style, answer);
    buf_add(out, voided ? SPAN(",\"voided\":true") : SPAN(",\"voided\":false"));
    buf_add(out, SPAN(",\"wallet_id\":\"wal_"));
    buf_add_i64(out, answer->command->wallet_id);
    buf_add_char(out, '"');
    add_mcc(out, answer->command->mcc);
    if (view->has_amounts)
        add_life(out, read);
    buf_add(out, SPAN("}\n"));
}

/* ---- a wallet ---- */

static void add_open_holds(struct buf *out, const struct payment_wallet *wallet)
{
    buf_add(out, SPAN(",\"open_holds\":{\"count\":"));
    buf_add_i64(out, wallet->open_count);
    add_number(out, "amount", wallet->open_minor);
    if (wallet->open_cut)
        buf_add(out, SPAN(",\"at_least\":true"));
    buf_add_char(out, '}');
}

static void add_limits(struct buf *out, const struct payment_wallet *wallet)
{
    buf_add(out, SPAN(",\"limits\":{\"txn_max\":"));
    buf_add_i64(out, wallet->txn_max_minor);
    add_number(out, "day_max", wallet->day_max_minor);
    add_number(out, "month_max", wallet->month_max_minor);
    add_number(out, "day_count_max", wallet->day_count_max);
    buf_add_char(out, '}');
}

void payment_read_answer_write_wallet(struct buf *out, const struct payment_answer_style *style,
                                      const struct payment_wallet *wallet, uint64_t wall_us)
{
    buf_add(out, SPAN("{\"wallet_id\":\"wal_"));
    buf_add_i64(out, wallet->wallet_id);
    buf_add_char(out, '"');
    add_text(out, "status", payment_wallet_status_name(wallet->status));
    add_text(out, "currency", wallet->currency);
    add_number(out, "balance", wallet->balance_minor);
    add_number(out, "version", wallet->version);
    add_open_holds(out, wallet);
    add_text(out, "day", wallet->day);
    add_number(out, "day_spent", wallet->day_spent_minor);
    add_number(out, "day_count", wallet->day_count);
    add_number(out, "month_spent", wallet->month_spent_minor);
    add_limits(out, wallet);
    /* The style's text first ends the string before it, and there is none. */
    buf_add(out, (struct span){style->region.ptr + 1, style->region.len - 1});
    clock_add_rfc3339(out, wall_us);
    buf_add(out, SPAN("\"}\n"));
}

/* ---- a page ---- */

static void add_transaction(struct buf *out, const struct payment_entry *entry)
{
    open_entry(out, entry);
    if (entry->kind != PAYMENT_ENTRY_HOLD) {
        buf_add(out, SPAN(",\"hold\":"));
        add_id(out, &entry->hold_id);
    }
    add_number(out, "version", entry->version);
    close_entry(out, entry);
}

void payment_read_answer_write_page(struct buf *out, const struct payment_read *read)
{
    buf_add(out, SPAN("{\"transactions\":["));
    for (uint32_t i = 0; i < read->entry_count; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        add_transaction(out, &read->entries[i]);
    }
    buf_add_char(out, ']');
    if (read->page.next_version != 0)
        add_number(out, "next_before", read->page.next_version);
    buf_add(out, SPAN("}\n"));
}
