-- Resolves a hold at most once by a reversing transfer; the unique index on pending_id makes every later or
-- concurrent void a no-op. Gives back the day's and month's counters where they are still those of the hold.
-- Waits for no wallet: one that somebody else has locked answers 'busy', and nothing is written.
-- $1 the void's txn uuid $2 the hold's txn uuid $3 client int4 $4 region text. No row, and nothing written,
-- where the database is another region's. Else one row: outcome ('voided',
-- 'already_resolved', 'not_found', 'busy'), balance_after (of 'voided'), wallet_id (NULL when not found).
WITH h AS MATERIALIZED (
  SELECT t.*, EXISTS (SELECT 1 FROM pay.transfer v WHERE v.pending_id = $2) AS resolved
    FROM pay.transfer t JOIN pay.simulation s USING (txn_id)
   WHERE t.txn_id = $2 AND t.kind = 'H' AND s.client_id = $3 AND {{region}} = $4
), w AS MATERIALIZED (
  SELECT w.* FROM pay.wallet w
   WHERE w.wallet_id = (SELECT h.debit_account FROM h WHERE NOT h.resolved)
     FOR NO KEY UPDATE SKIP LOCKED
), m AS MATERIALIZED (
  -- The new row, from the locked one: the UPDATE would read the snapshot's, which may be older.
  SELECT w.wallet_id, w.balance + h.amount AS balance, w.version + 1 AS version,
         CASE WHEN w.day = b.day THEN w.day_spent - h.amount ELSE w.day_spent END AS day_spent,
         CASE WHEN w.day = b.day THEN w.day_count - 1 ELSE w.day_count END AS day_count,
         CASE WHEN date_trunc('month', w.day::timestamp) = date_trunc('month', b.day::timestamp)
              THEN w.month_spent - h.amount ELSE w.month_spent END AS month_spent
    FROM h, w JOIN pay.program p ON p.program_id = w.program_id,
         LATERAL (SELECT (h.created_at AT TIME ZONE p.tz)::date AS day OFFSET 0) b
), led AS (
  INSERT INTO pay.transfer (txn_id, debit_account, credit_account, amount, kind, wallet_version,
                            balance_after, created_at, pending_id)
  SELECT $1, h.credit_account, h.debit_account, h.amount, 'V', m.version, m.balance,
         statement_timestamp(), $2 FROM h, m
  ON CONFLICT (pending_id) WHERE pending_id IS NOT NULL DO NOTHING
  RETURNING credit_account
), upd AS (
  UPDATE pay.wallet x SET balance = m.balance, version = m.version, day_spent = m.day_spent,
                          day_count = m.day_count, month_spent = m.month_spent
    FROM led JOIN m ON m.wallet_id = led.credit_account WHERE x.wallet_id = m.wallet_id
  RETURNING x.balance
)
SELECT (CASE WHEN NOT EXISTS (SELECT 1 FROM h) THEN 'not_found'
             WHEN EXISTS (SELECT 1 FROM led) THEN 'voided'
             WHEN (SELECT resolved FROM h) OR EXISTS (SELECT 1 FROM w) THEN 'already_resolved'
             ELSE 'busy' END)::text AS outcome,
       (SELECT balance FROM upd) AS balance_after, (SELECT debit_account FROM h) AS wallet_id
 WHERE {{region}} = $4
