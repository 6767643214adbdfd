#include "pool/payment_read_sql_private.h"

#include "pool/payment_row_private.h"

#include <string.h>

/* ---- parameters ---- */

static void encode_asker(const struct payment_read_sql_asker *asker, struct pg_params *params,
                         struct buf *storage)
{
    pg_param_int4(params, storage, asker->client_id);
    pg_param_bytes(params, storage, asker->region);
}

void payment_read_sql_encode_find(const struct uuid7 *id,
                                  const struct payment_read_sql_asker *asker,
                                  struct pg_params *params, struct buf *storage)
{
    params->statement = PAYMENT_SQL_FIND;
    pg_param_bytes(params, storage, uuid7_span(id));
    encode_asker(asker, params, storage);
}

void payment_read_sql_encode_find_key(const struct secret_mac *key_hash,
                                      const struct payment_read_sql_asker *asker,
                                      struct pg_params *params, struct buf *storage)
{
    params->statement = PAYMENT_SQL_FIND_KEY;
    pg_param_bytes(params, storage, (struct span){(const char *)key_hash->bytes, SECRET_MAC_BYTES});
    encode_asker(asker, params, storage);
}

void payment_read_sql_encode_wallet(int64_t wallet_id, const struct payment_read_sql_asker *asker,
                                    struct pg_params *params, struct buf *storage)
{
    params->statement = PAYMENT_SQL_WALLET;
    pg_param_int8(params, storage, wallet_id);
    encode_asker(asker, params, storage);
}

void payment_read_sql_encode_page(int64_t wallet_id, const struct payment_page_ask *ask,
                                  const struct payment_read_sql_asker *asker,
                                  struct pg_params *params, struct buf *storage)
{
    params->statement = PAYMENT_SQL_TRANSACTIONS;
    pg_param_int8(params, storage, wallet_id);
    pg_param_int4(params, storage, asker->client_id);
    pg_param_int8(params, storage, ask->before_version);
    pg_param_bytes(params, storage, uuid7_span(&ask->before_id));
    pg_param_int4(params, storage, ask->limit);
    pg_param_bytes(params, storage, asker->region);
}

/* ---- rows ---- */

static bool is_null(const struct pg_rows *rows, uint32_t row, uint32_t column)
{
    struct span bytes;

    return !pg_row_bytes(rows, row, column, &bytes);
}

/* pay.transfer.kind; F has no client and is nobody's to see. */
static bool decode_kind(const struct pg_rows *rows, uint32_t row, uint32_t column,
                        enum payment_entry_kind *kind)
{
    static const char LETTERS[] = {
        [PAYMENT_ENTRY_HOLD] = 'H',         [PAYMENT_ENTRY_CAPTURE] = 'C',
        [PAYMENT_ENTRY_VOID] = 'V',         [PAYMENT_ENTRY_INCREMENT] = 'I',
        [PAYMENT_ENTRY_OVER_CAPTURE] = 'O', [PAYMENT_ENTRY_REFUND] = 'R',
        [PAYMENT_ENTRY_EXPIRY] = 'X',
    };
    struct span letter;

    if (!pg_row_bytes(rows, row, column, &letter) || letter.len != 1)
        return false;
    const char *found = memchr(LETTERS, letter.ptr[0], sizeof(LETTERS));
    if (found == NULL)
        return false;
    *kind = (enum payment_entry_kind)(found - LETTERS);
    return true;
}

/* ---- a payment ---- */

/* Columns of payment_view.inc.sql after the recorded decision. */
enum {
    VIEW_EXPIRES = 10,
    VIEW_AMOUNTS,
    VIEW_STEP_ID = VIEW_AMOUNTS + 5,
    VIEW_STEP_KIND,
    VIEW_STEP_AMOUNT,
    VIEW_STEP_CREATED,
    VIEW_STEP_BALANCE
};

static bool decode_step(const struct pg_rows *rows, uint32_t row, struct payment_entry *entry)
{
    *entry = (struct payment_entry){0};
    return payment_row_uuid(rows, row, VIEW_STEP_ID, &entry->txn_id) &&
           decode_kind(rows, row, VIEW_STEP_KIND, &entry->kind) &&
           pg_row_int8(rows, row, VIEW_STEP_AMOUNT, &entry->amount_minor) &&
           pg_row_time(rows, row, VIEW_STEP_CREATED, &entry->created_wall_us) &&
           pg_row_int8(rows, row, VIEW_STEP_BALANCE, &entry->balance_after_minor);
}

static bool decode_steps(const struct pg_rows *rows, struct payment_read *read)
{
    const uint32_t count = pg_rows_count(rows);

    read->entry_count = 0;
    if (count == 1 && is_null(rows, 0, VIEW_STEP_ID)) /* nothing has happened to it yet */
        return true;
    if (count > PAYMENT_ENTRIES_MAX)
        return false;
    for (uint32_t row = 0; row < count; row++)
        if (!decode_step(rows, row, &read->entries[read->entry_count++]))
            return false;
    return true;
}

bool payment_read_sql_decode_payment(const struct pg_rows *rows, bool *found,
                                     struct payment_decision *decision, struct payment_read *read)
{
    struct payment_view *view = &read->view;

    *decision = (struct payment_decision){.how = PAYMENT_REPLAY};
    *view = (struct payment_view){0};
    *found = !is_null(rows, 0, 0);
    if (!*found)
        return pg_rows_count(rows) == 1;
    if (!payment_sql_decode_recorded(rows, 0, 0, decision))
        return false;
    view->has_amounts = payment_approved(decision);
    view->has_expiry = pg_row_time(rows, 0, VIEW_EXPIRES, &view->expires_wall_us);
    if (view->has_amounts && !payment_row_amounts(rows, 0, VIEW_AMOUNTS, &view->amounts))
        return false;
    return decode_steps(rows, read);
}

/* ---- a wallet ---- */

static bool decode_status(const struct pg_rows *rows, uint32_t column,
                          enum payment_wallet_status *status)
{
    static const char LETTERS[] = {[PAYMENT_WALLET_ACTIVE] = 'A',
                                   [PAYMENT_WALLET_BLOCKED] = 'B',
                                   [PAYMENT_WALLET_CLOSED] = 'C'};
    struct span letter;

    if (!pg_row_bytes(rows, 0, column, &letter) || letter.len != 1)
        return false;
    const char *found = memchr(LETTERS, letter.ptr[0], sizeof(LETTERS));
    if (found == NULL)
        return false;
    *status = (enum payment_wallet_status)(found - LETTERS);
    return true;
}

static bool decode_day(const struct pg_rows *rows, uint32_t column, char day[PAYMENT_DATE_LEN + 1])
{
    struct span text;

    if (!pg_row_bytes(rows, 0, column, &text) || text.len != PAYMENT_DATE_LEN)
        return false;
    memcpy(day, text.ptr, PAYMENT_DATE_LEN);
    day[PAYMENT_DATE_LEN] = '\0';
    return true;
}

/* What changes with every payment, and the holds that are open: columns 0 to 7. */
static bool decode_money(const struct pg_rows *rows, struct payment_wallet *wallet)
{
    int32_t cut;

    if (!pg_row_int8(rows, 0, 0, &wallet->wallet_id) || !decode_status(rows, 1, &wallet->status) ||
        !payment_row_currency(rows, 0, 2, wallet->currency) ||
        !pg_row_int8(rows, 0, 3, &wallet->balance_minor) ||
        !pg_row_int8(rows, 0, 4, &wallet->version) ||
        !pg_row_int8(rows, 0, 5, &wallet->open_count) ||
        !pg_row_int8(rows, 0, 6, &wallet->open_minor) || !pg_row_int4(rows, 0, 7, &cut))
        return false;
    wallet->open_cut = cut != 0;
    return true;
}

/* The counters, and the limits they count towards: columns 8 to 15. */
static bool decode_limits(const struct pg_rows *rows, struct payment_wallet *wallet)
{
    return decode_day(rows, 8, wallet->day) && pg_row_int8(rows, 0, 9, &wallet->day_spent_minor) &&
           pg_row_int4(rows, 0, 10, &wallet->day_count) &&
           pg_row_int8(rows, 0, 11, &wallet->month_spent_minor) &&
           pg_row_int8(rows, 0, 12, &wallet->txn_max_minor) &&
           pg_row_int8(rows, 0, 13, &wallet->day_max_minor) &&
           pg_row_int8(rows, 0, 14, &wallet->month_max_minor) &&
           pg_row_int4(rows, 0, 15, &wallet->day_count_max);
}

bool payment_read_sql_decode_wallet(const struct pg_rows *rows, bool *found,
                                    struct payment_wallet *wallet)
{
    *wallet = (struct payment_wallet){0};
    if (pg_rows_count(rows) != 1)
        return false;
    *found = !is_null(rows, 0, 0);
    return !*found || (decode_money(rows, wallet) && decode_limits(rows, wallet));
}

/* ---- a page ---- */

/* Columns of transactions.sql. */
enum {
    PAGE_KNOWN,
    PAGE_FLOOR,
    PAGE_ID,
    PAGE_KIND,
    PAGE_HOLD,
    PAGE_AMOUNT,
    PAGE_BALANCE,
    PAGE_VERSION,
    PAGE_CREATED
};

static bool decode_transaction(const struct pg_rows *rows, uint32_t row,
                               struct payment_entry *entry)
{
    return payment_row_uuid(rows, row, PAGE_ID, &entry->txn_id) &&
           decode_kind(rows, row, PAGE_KIND, &entry->kind) &&
           payment_row_uuid(rows, row, PAGE_HOLD, &entry->hold_id) &&
           pg_row_int8(rows, row, PAGE_AMOUNT, &entry->amount_minor) &&
           pg_row_int8(rows, row, PAGE_BALANCE, &entry->balance_after_minor) &&
           pg_row_int8(rows, row, PAGE_VERSION, &entry->version) &&
           pg_row_time(rows, row, PAGE_CREATED, &entry->created_wall_us);
}

/* One row more than was asked for tells that there is more. Without it the statement has looked
 * down to its floor, and what is below that is the next page's. */
static int64_t next_version(const struct payment_read *read, bool more, int64_t floor)
{
    if (more)
        return read->entries[read->entry_count - 1].version;
    return floor > 1 ? floor : 0;
}

bool payment_read_sql_decode_page(const struct pg_rows *rows, int32_t limit, bool *found,
                                  struct payment_read *read)
{
    const uint32_t count = pg_rows_count(rows);
    const bool more = count > (uint32_t)limit;
    int32_t known;
    int64_t floor;

    CHECK(limit >= 1);
    CHECK(limit <= PAYMENT_PAGE_MAX);
    read->entry_count = 0;
    read->page = (struct payment_page){0};
    if (!pg_row_int4(rows, 0, PAGE_KNOWN, &known) || count > (uint32_t)limit + 1)
        return false;
    *found = known != 0;
    if (!*found)
        return true;
    read->page.before_known = !is_null(rows, 0, PAGE_FLOOR);
    if (!read->page.before_known)
        return count == 1;
    if (!pg_row_int8(rows, 0, PAGE_FLOOR, &floor))
        return false;
    if (count > 1 || !is_null(rows, 0, PAGE_ID))
        for (uint32_t row = 0; row < count - more; row++)
            if (!decode_transaction(rows, row, &read->entries[read->entry_count++]))
                return false;
    read->page.next_version = next_version(read, more, floor);
    return true;
}
