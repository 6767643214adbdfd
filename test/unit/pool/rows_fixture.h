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
/* <recorded> voided; one row */
PGresult *rows_find(const struct payment_decision *decision, int32_t voided);
/* outcome balance wallet */
enum { ROWS_VOID_WALLET = 4242 };
PGresult *rows_void(const char *outcome, int64_t balance_minor);
/* region wallet amount currency mcc country schema_version isolation ROWS_IDEMPOTENCY_KEY */
extern const uint8_t ROWS_IDEMPOTENCY_KEY[SECRET_MAC_KEY_BYTES];
PGresult *rows_probe(const char *region, int32_t schema_version, const char *isolation);

/* The result as pool/ sees it. */
const struct pg_rows *rows_of(PGresult *result);

#endif
