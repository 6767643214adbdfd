/* payment_read_work: the reads among payment_work_private.h. Each goes alone: what it brings is put
 * into the store's one payment_read, which the answer is written from before the next one comes. */
#include "pool/payment_read_sql_private.h"
#include "pool/payment_work_private.h"

static struct payment_op *op_of(const struct pg_member *member)
{
    return container_of((struct pg_member *)(uintptr_t)member, struct payment_op, member);
}

static struct payment_read_sql_asker asker_of(const struct payment_op *op)
{
    return (struct payment_read_sql_asker){.client_id = op->client_id,
                                           .region = payment_store_region(op->store)};
}

/* The operation whose rows these are; NULL: it was answered meanwhile, or the database is another
 * region's, and it is told so. */
static struct payment_op *op_to_decode(struct pg_member **members, uint32_t count,
                                       const struct pg_rows *rows)
{
    CHECK(count == 1);
    if (members[0] == NULL)
        return NULL;
    if (payment_sql_is_elsewhere(rows)) {
        members[0]->verdict = PG_VERDICT_ELSEWHERE;
        return NULL;
    }
    struct payment_op *op = op_of(members[0]);
    op->read = payment_store_read(op->store);
    return op;
}

static void find_encode(struct pg_member *const *members, uint32_t count, struct pg_params *params,
                        struct buf *storage)
{
    CHECK(count == 1);
    const struct payment_op *op = op_of(members[0]);
    const struct payment_read_sql_asker asker = asker_of(op);
    payment_read_sql_encode_find(&op->txn_id, &asker, params, storage);
}

static void find_key_encode(struct pg_member *const *members, uint32_t count,
                            struct pg_params *params, struct buf *storage)
{
    CHECK(count == 1);
    const struct payment_op *op = op_of(members[0]);
    const struct payment_read_sql_asker asker = asker_of(op);
    payment_read_sql_encode_find_key(&op->key_hash, &asker, params, storage);
}

static void payment_decode(struct pg_member **members, uint32_t count, const struct pg_rows *rows)
{
    struct payment_op *op = op_to_decode(members, count, rows);
    if (op != NULL && payment_read_sql_decode_payment(rows, &op->found, &op->decision,
                                                      payment_store_read(op->store)))
        members[0]->verdict = PG_VERDICT_DONE;
}

static void wallet_encode(struct pg_member *const *members, uint32_t count,
                          struct pg_params *params, struct buf *storage)
{
    CHECK(count == 1);
    const struct payment_op *op = op_of(members[0]);
    const struct payment_read_sql_asker asker = asker_of(op);
    payment_read_sql_encode_wallet(op->command.wallet_id, &asker, params, storage);
}

static void wallet_decode(struct pg_member **members, uint32_t count, const struct pg_rows *rows)
{
    struct payment_op *op = op_to_decode(members, count, rows);
    if (op != NULL &&
        payment_read_sql_decode_wallet(rows, &op->found, &payment_store_read(op->store)->wallet))
        members[0]->verdict = PG_VERDICT_DONE;
}

static void transactions_encode(struct pg_member *const *members, uint32_t count,
                                struct pg_params *params, struct buf *storage)
{
    CHECK(count == 1);
    const struct payment_op *op = op_of(members[0]);
    const struct payment_read_sql_asker asker = asker_of(op);
    payment_read_sql_encode_page(op->command.wallet_id, &op->page, &asker, params, storage);
}

static void transactions_decode(struct pg_member **members, uint32_t count,
                                const struct pg_rows *rows)
{
    struct payment_op *op = op_to_decode(members, count, rows);
    if (op != NULL && payment_read_sql_decode_page(rows, op->page.limit, &op->found,
                                                   payment_store_read(op->store)))
        members[0]->verdict = PG_VERDICT_DONE;
}

const struct pg_work PAYMENT_WORK_FIND = {
    .name = "find",
    .read_only = true,
    .member_bytes_max = PAYMENT_READ_SQL_FIND_BYTES_MAX,
    .encode = find_encode,
    .decode = payment_decode,
};

const struct pg_work PAYMENT_WORK_FIND_KEY = {
    .name = "find_key",
    .read_only = true,
    .member_bytes_max = PAYMENT_READ_SQL_FIND_KEY_BYTES_MAX,
    .encode = find_key_encode,
    .decode = payment_decode,
};

const struct pg_work PAYMENT_WORK_WALLET = {
    .name = "wallet",
    .read_only = true,
    .member_bytes_max = PAYMENT_READ_SQL_WALLET_BYTES_MAX,
    .encode = wallet_encode,
    .decode = wallet_decode,
};

const struct pg_work PAYMENT_WORK_TRANSACTIONS = {
    .name = "transactions",
    .read_only = true,
    .member_bytes_max = PAYMENT_READ_SQL_PAGE_BYTES_MAX,
    .encode = transactions_encode,
    .decode = transactions_decode,
};
