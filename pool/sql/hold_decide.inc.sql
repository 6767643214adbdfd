-- Second half of a hold: decide on the locked rows only, claim the keys and record the decisions, move
-- money where our own row went in, write the ledger. Only RETURNING carries data from step to step, so
-- the order is fixed. '-1' is a wallet that exists but was locked by somebody else: come back alone.
-- '68' is a budget that was over when the lock was had: nothing is written.
), d AS MATERIALIZED (
  SELECT r.*, w.balance, w.version, p.clearing_account, t.today, c.day_spent, c.day_count, c.month_spent,
    (CASE WHEN clock_timestamp() - statement_timestamp() > r.budget_us * interval '1 microsecond' THEN '68'
          WHEN w.wallet_id IS NULL AND EXISTS (SELECT 1 FROM pay.wallet x WHERE x.wallet_id = r.wallet_id)
            THEN '-1'
          ELSE {{decision}} END)::char(2) AS code
  FROM req r LEFT JOIN w ON w.wallet_id = r.wallet_id
  {{counters}}
  WHERE NOT EXISTS (SELECT 1 FROM prev WHERE prev.n = r.n)
), ins AS (
  INSERT INTO pay.simulation AS s (txn_id, client_id, idem_key, fingerprint, wallet_id, amount, currency,
                                   mcc, effect, code, balance_after, processing_us, created_at)
  SELECT d.txn_id, d.client_id, d.idem_key, d.fingerprint, d.wallet_id, d.amount, d.currency, d.mcc, 'H',
         d.code, CASE WHEN d.code = '00' THEN d.balance - d.amount ELSE d.balance END,
         d.elapsed_us + (extract(epoch FROM clock_timestamp() - statement_timestamp()) * 1e6)::int,
         statement_timestamp()
    FROM d WHERE d.code NOT IN ('68', '-1') ORDER BY d.client_id, d.idem_key
  ON CONFLICT (client_id, idem_key) WHERE idem_key IS NOT NULL DO UPDATE SET replays = s.replays + 1
  RETURNING s.*
), mine AS MATERIALIZED (
  SELECT d.* FROM d JOIN ins ON ins.txn_id = d.txn_id WHERE ins.code = '00'
), upd AS (
  UPDATE pay.wallet w
     SET balance = w.balance - m.amount, version = w.version + 1, day = m.today,
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
  FROM ins i JOIN req r ON r.client_id = i.client_id AND r.idem_key = i.idem_key
UNION ALL
SELECT d.n, CASE d.code WHEN '68' THEN 'late' ELSE 'busy' END, d.txn_id, NULL, d.code::text, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL FROM d WHERE d.code IN ('68', '-1')
