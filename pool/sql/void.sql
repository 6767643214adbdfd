-- Resolves a hold at most once by a reversing transfer; the unique index on pending_id makes every later or
-- concurrent void a no-op. Gives back the day's and month's counters where they are still those of the hold.
-- $1 the void's txn uuid $2 the hold's txn uuid $3 client int4. One row: outcome, balance after.
WITH h AS MATERIALIZED (
  SELECT t.* FROM pay.transfer t JOIN pay.simulation s USING (txn_id)
   WHERE t.txn_id = $2 AND t.kind = 'H' AND s.client_id = $3
), w AS MATERIALIZED (
  SELECT w.* FROM pay.wallet w
   WHERE w.wallet_id = (SELECT debit_account FROM h)
     AND NOT EXISTS (SELECT 1 FROM pay.transfer v WHERE v.pending_id = $2) FOR NO KEY UPDATE
), led AS (
  INSERT INTO pay.transfer (txn_id, debit_account, credit_account, amount, kind, wallet_version,
                            balance_after, created_at, pending_id)
  SELECT $1, h.credit_account, h.debit_account, h.amount, 'V', w.version + 1, w.balance + h.amount,
         statement_timestamp(), $2 FROM h, w
  ON CONFLICT (pending_id) WHERE pending_id IS NOT NULL DO NOTHING
  RETURNING *
), upd AS (
  UPDATE pay.wallet x SET balance = x.balance + led.amount, version = x.version + 1,
    day_spent = CASE WHEN x.day = b.day THEN x.day_spent - led.amount ELSE x.day_spent END,
    day_count = CASE WHEN x.day = b.day THEN x.day_count - 1 ELSE x.day_count END,
    month_spent = CASE WHEN date_trunc('month', x.day) = date_trunc('month', b.day)
                       THEN x.month_spent - led.amount ELSE x.month_spent END
  FROM led, h, pay.program p,
       LATERAL (SELECT (h.created_at AT TIME ZONE p.tz)::date AS day) b
  WHERE x.wallet_id = led.credit_account AND p.program_id = x.program_id
  RETURNING x.balance
)
SELECT (CASE WHEN NOT EXISTS (SELECT 1 FROM h) THEN 'not_found'
             WHEN EXISTS (SELECT 1 FROM led) THEN 'voided'
             ELSE 'already_resolved' END)::text AS outcome, (SELECT balance FROM upd) AS balance_after
