/* Rows as the payment statements answer, built column by column, one of them broken on demand. */
#ifndef TEST_UNIT_POOL_ROWS_FIXTURE_H
#define TEST_UNIT_POOL_ROWS_FIXTURE_H

#include "core/payment.h"
#include "pool/pg_query.h"
#include "test/fake/fake_pq.h"

enum rows_damage { ROWS_WHOLE, ROWS_NULL, ROWS_SHORT, ROWS_LONG };

/* Column `column` of the rows added from now on is damaged so; -1: none. */
void rows_damage(int column, enum rows_damage damage);

/* A decision with every recorded field set; n varies it. */
struct payment_decision rows_decision(int n);
/* txn_id fingerprint code balance_after processing_us created_at wallet_id amount currency mcc */
enum { ROWS_RECORDED_COLUMNS = 10 };

/* n how <recorded> */
PGresult *rows_hold(void);
void rows_add_hold(PGresult *rows, int n, const char *how, const struct payment_decision *decision);
/* n code balance */
PGresult *rows_evaluate(void);
void rows_add_evaluate(PGresult *rows, int n, const char *code, int64_t balance_minor);
/* <recorded> expires_at authorised captured released expired refunded step_id step_kind step_amount
 * step_created_at step_balance_after: a row for each step, the n-th of them a capture of n; without
 * steps one row */
enum { ROWS_FIND_COLUMNS = ROWS_RECORDED_COLUMNS + 11, ROWS_EXPIRES_AFTER_US = 1000000 };
PGresult *rows_find(const struct payment_decision *decision, uint32_t steps);
/* wallet_id status currency balance version open_count open_amount open_cut day day_spent day_count
 * month_spent txn_max day_max month_max day_count_max: 1 to 16 where they are numbers */
enum { ROWS_WALLET_COLUMNS = 16 };
PGresult *rows_wallet(const char *status);
/* known floor txn_id kind hold_id amount balance_after version created_at: a row for each
 * transaction, its version counting down from the newest; without any one row */
enum { ROWS_PAGE_COLUMNS = 9 };
PGresult *rows_page(int64_t floor, int64_t newest, uint32_t transactions);
/* What is on record of a step, all of it set; n varies it. RESOLVED and EXCEEDS read parts of it.
 * */
struct payment_step_decision rows_step_decision(int n);
/* n how txn_id fingerprint kind hold_id code amount balance_after processing_us created_at
 * wallet_id currency mcc authorised captured released expired refunded limit state */
enum { ROWS_STEP_COLUMNS = 21, ROWS_BUSY_WALLET = 4242 };
PGresult *rows_step(void);
/* With what this `how` promises, and NULL for the rest. "busy" is that of ROWS_BUSY_WALLET. */
void rows_add_step(PGresult *rows, int n, const char *how,
                   const struct payment_step_decision *decision);
/* A replay of what is on record of a hold. */
void rows_add_step_of_hold(PGresult *rows, int n, const struct secret_digest *fingerprint);
/* region wallet amount currency mcc country schema_version isolation ROWS_IDEMPOTENCY_KEY */
extern const uint8_t ROWS_IDEMPOTENCY_KEY[SECRET_MAC_KEY_BYTES];
enum { ROWS_AUDIT_FINISHED_S = 1764000000, ROWS_AUDIT_BREACHES = 3 }; /* the second: one more */
PGresult *rows_probe(const char *region, int32_t schema_version, const char *isolation);

/* The result as pool/ sees it. */
const struct pg_rows *rows_of(PGresult *result);

#endif
