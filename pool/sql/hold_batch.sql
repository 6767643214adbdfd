-- Many holds of different wallets, one statement, one commit. Waits for no wallet: one that somebody else
-- has locked comes back as 'busy'. Where a wallet appears twice, send hold_fold.sql.
-- $1 txn uuid[] $2 client int4[] $3 key hash bytea[] $4 fingerprint bytea[] $5 wallet int8[] $6 amount int8[]
-- $7 currency text[] $8 mcc int4[] $9 country text[] $10 elapsed_us int4[] $11 budget_us int4[], all of one
-- length; $12 region text: no row, and nothing written, where the database is another's; $13 expires_in_s int4[],
-- as long as the others: NULL elements, and more than the program's, leave it to the program.
-- The caller guarantees: all wallets differ, all (client, key) differ.
-- One row per request, matched by n (1-based): how is 'new', 'replay' (decided before), 'race' (decided by
-- somebody else meanwhile), 'busy' or 'late' (the budget was over when the lock was had; nothing written).
-- The one wait left is for somebody else's uncommitted row of the same key. Past the session's
-- lock_timeout it ends in 55P03, and nothing is written.
-- Wallets are locked in id order and keys claimed in key order, so no cycle of waits is possible.
WITH req AS MATERIALIZED (
  SELECT r.*, $12::text AS region
    FROM unnest($1::uuid[], $2::int4[], $3::bytea[], $4::bytea[], $5::int8[], $6::int8[], $7::text[], $8::int4[],
                $9::text[], $10::int4[], $11::int4[], $13::int4[])
         WITH ORDINALITY AS r(txn_id, client_id, idem_hash, fingerprint, wallet_id, amount, currency, mcc,
                              country, elapsed_us, budget_us, expires_in_s, n)
   WHERE {{region}} = $12
), prev AS MATERIALIZED (
  -- OFFSET 0 keeps the planner from a hash join over the whole table, which it takes while the table is
  -- empty and then keeps in the generic plan.
  SELECT r.n, s.* FROM req r
   CROSS JOIN LATERAL (SELECT x.* FROM pay.simulation x
                        WHERE x.client_id = r.client_id AND x.idem_hash = r.idem_hash OFFSET 0) s
), todo AS MATERIALIZED (
  SELECT r.* FROM req r WHERE NOT EXISTS (SELECT 1 FROM prev WHERE prev.n = r.n)
), w AS MATERIALIZED (
  SELECT w.* FROM pay.wallet w
   WHERE w.wallet_id = ANY (ARRAY(SELECT r.wallet_id FROM todo r))
   ORDER BY w.wallet_id FOR NO KEY UPDATE SKIP LOCKED
), d AS MATERIALIZED (
  -- Decided on the locked rows only. '68' is late; '-1' is a wallet that exists but is not ours.
  -- Late counts from the transaction's begin: the statement's own time starts after the tables were had.
  SELECT r.n, r.txn_id, r.client_id, r.idem_hash, r.fingerprint, r.wallet_id, r.amount, r.currency, r.mcc,
         r.elapsed_us, w.balance, w.version, p.clearing_account, t.today, c.day_spent, c.day_count, c.month_spent,
         statement_timestamp() + least(p.hold_ttl_s, r.expires_in_s) * interval '1 second' AS expires_at,
    (CASE WHEN clock_timestamp() - transaction_timestamp() > r.budget_us * interval '1 microsecond' THEN '68'
          WHEN w.wallet_id IS NULL AND EXISTS (SELECT 1 FROM pay.wallet x WHERE x.wallet_id = r.wallet_id)
            THEN '-1'
          ELSE {{decision}} END)::char(2) AS code
  FROM todo r LEFT JOIN w ON w.wallet_id = r.wallet_id
  {{counters}}
), ins AS (
  -- Claims the keys and records the decisions. Only RETURNING carries data on, so the order is fixed.
  INSERT INTO pay.simulation AS s (txn_id, client_id, idem_hash, fingerprint, wallet_id, amount, currency,
                                   mcc, effect, code, balance_after, processing_us, created_at,
                                   expires_at)
  SELECT d.txn_id, d.client_id, d.idem_hash, d.fingerprint, d.wallet_id, d.amount, d.currency, d.mcc, 'H',
         d.code, CASE WHEN d.code = '00' THEN d.balance - d.amount ELSE d.balance END,
         d.elapsed_us + (date_part('epoch', clock_timestamp() - statement_timestamp()) * 1e6)::int,
         statement_timestamp(),
         CASE WHEN d.code = '00' THEN d.expires_at END
    FROM d WHERE d.code NOT IN ('68', '-1') ORDER BY d.client_id, d.idem_hash
  ON CONFLICT (client_id, idem_hash) WHERE idem_hash IS NOT NULL DO UPDATE SET replays = s.replays + 1
  RETURNING s.txn_id, s.client_id, s.idem_hash, s.fingerprint, s.code, s.balance_after, s.processing_us,
            s.created_at, s.wallet_id, s.amount, s.currency, s.mcc
), mine AS MATERIALIZED (
  -- An array, where a join would compare each with each: the planner expects one row.
  SELECT d.txn_id, d.wallet_id, d.amount, d.clearing_account, d.today, d.balance, d.version, d.day_spent,
         d.day_count, d.month_spent
    FROM d WHERE d.code = '00' AND d.txn_id = ANY (ARRAY(SELECT i.txn_id FROM ins i))
), upd AS (
  -- Money moves where our own row went in. The new row comes from the locked one in m, never from w: that
  -- is the statement's snapshot, older than a credit just waited for, and its constraints are checked.
  UPDATE pay.wallet w
     SET balance = m.balance - m.amount, version = m.version + 1, day = m.today,
         day_spent = m.day_spent + m.amount, day_count = m.day_count + 1,
         month_spent = m.month_spent + m.amount
    FROM mine m WHERE w.wallet_id = m.wallet_id
  RETURNING m.txn_id, w.wallet_id, w.balance, w.version, m.clearing_account, m.amount
), led AS (
  INSERT INTO pay.transfer (txn_id, debit_account, credit_account, amount, kind, wallet_version,
                            balance_after, created_at)
  SELECT u.txn_id, u.wallet_id, u.clearing_account, u.amount, 'H', u.version, u.balance,
         statement_timestamp() FROM upd u
  RETURNING 1
)
SELECT n, 'replay'::text AS how, txn_id, fingerprint, code::text, balance_after, processing_us, created_at,
       wallet_id, amount, currency::text, mcc::int4 FROM prev
UNION ALL
SELECT r.n, CASE WHEN i.txn_id = r.txn_id THEN 'new' ELSE 'race' END, i.txn_id, i.fingerprint,
       i.code::text, i.balance_after, i.processing_us, i.created_at, i.wallet_id, i.amount,
       i.currency::text, i.mcc::int4
  FROM ins i JOIN req r ON r.client_id = i.client_id AND r.idem_hash = i.idem_hash
UNION ALL
SELECT d.n, CASE d.code WHEN '68' THEN 'late' ELSE 'busy' END, d.txn_id, NULL, d.code::text, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL FROM d WHERE d.code IN ('68', '-1')
