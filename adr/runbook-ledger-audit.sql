-- The ledger's audit: is every invariant I1 to I10 true? One line an invariant; exit status 3 when one is broken.
--
--   psql -X -f adr/runbook-ledger-audit.sql "$DATABASE_URL"
--
-- Reads only (READ ONLY, one snapshot for all ten), so it may run against the serving database and needs no more
-- than the rights of pay_app. It reads every row of pay.transfer and pay.simulation: on a large ledger restore a
-- snapshot and audit that. The tests check the same rules after every case: test/harness/invariants.py.
\set ON_ERROR_STOP on
\set QUIET on
\pset pager off
BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL statement_timeout = '15min';
SET LOCAL lock_timeout = '5s';

WITH ledger AS (   -- money in and out of each wallet, and the version it must have come to
  SELECT account, sum(amount) AS balance, count(*) AS entries, max(version) AS newest
    FROM (SELECT debit_account AS account, -amount AS amount, wallet_version AS version
            FROM pay.transfer WHERE debit_account > 0
          UNION ALL
          SELECT credit_account, amount, wallet_version FROM pay.transfer WHERE credit_account > 0) leg
   GROUP BY account
), counted AS (    -- holds that count against a wallet's limits: not voided, on their business day there
  SELECT h.debit_account AS wallet_id, h.amount, (h.created_at AT TIME ZONE p.tz)::date AS day
    FROM pay.transfer h JOIN pay.wallet w ON w.wallet_id = h.debit_account
    JOIN pay.program p ON p.program_id = w.program_id
   WHERE h.kind = 'H' AND NOT EXISTS (
     SELECT 1 FROM pay.transfer v WHERE v.pending_id = h.txn_id AND v.kind = 'V')
), entry AS (      -- each ledger entry beside the one before it
  SELECT account, wallet_version, signed,
         balance_after - coalesce(lag(balance_after) OVER history, 0) AS moved,
         wallet_version - coalesce(lag(wallet_version) OVER history, 0) AS step
    FROM (SELECT greatest(debit_account, credit_account) AS account, wallet_version,
                 CASE WHEN debit_account > 0 THEN -amount ELSE amount END AS signed, balance_after
            FROM pay.transfer) leg
  WINDOW history AS (PARTITION BY account ORDER BY wallet_version)
), offender AS (
  SELECT 1 AS i, 'wal_' || w.wallet_id AS who FROM pay.wallet w LEFT JOIN ledger l ON l.account = w.wallet_id
   WHERE w.balance <> coalesce(l.balance, 0) OR w.version <> coalesce(l.entries, 0)
      OR w.version <> coalesce(l.newest, 0)
  UNION ALL
  SELECT 2, 'txn ' || s.txn_id FROM pay.simulation s
    LEFT JOIN pay.transfer t ON t.txn_id = s.txn_id AND t.kind = 'H'
   GROUP BY s.txn_id, s.code, s.effect
  HAVING count(t.txn_id) <> (CASE WHEN s.code = '00' AND s.effect = 'H' THEN 1 ELSE 0 END)
  UNION ALL
  SELECT 3, 'txn ' || t.txn_id FROM pay.transfer t
   WHERE t.kind = 'H' AND NOT EXISTS (SELECT 1 FROM pay.simulation s WHERE s.txn_id = t.txn_id)
  UNION ALL
  SELECT 4, 'txn ' || min(txn_id::text) FROM pay.simulation WHERE idem_hash IS NOT NULL
   GROUP BY client_id, idem_hash HAVING count(*) > 1
  UNION ALL
  SELECT 5, 'wal_' || account || ' version ' || wallet_version FROM entry WHERE moved <> signed OR step <> 1
  UNION ALL
  SELECT 6, 'txn ' || s.txn_id FROM pay.simulation s JOIN pay.transfer t USING (txn_id)
   WHERE s.amount <> t.amount OR s.wallet_id <> t.debit_account OR s.balance_after <> t.balance_after
  UNION ALL
  SELECT 7, 'wal_' || wallet_id FROM pay.wallet WHERE balance < 0
  UNION ALL
  SELECT 8, 'wal_' || w.wallet_id FROM pay.wallet w CROSS JOIN LATERAL (
    SELECT coalesce(sum(h.amount) FILTER (WHERE h.day = w.day), 0) AS day_spent,
           count(*) FILTER (WHERE h.day = w.day) AS day_count,
           coalesce(sum(h.amount) FILTER (
             WHERE date_trunc('month', h.day) = date_trunc('month', w.day)), 0) AS month_spent
      FROM counted h WHERE h.wallet_id = w.wallet_id) c
   WHERE w.version > 1
     AND (w.day_spent, w.day_count, w.month_spent) IS DISTINCT FROM (c.day_spent, c.day_count, c.month_spent)
  UNION ALL
  SELECT 9, 'wallets ' || wallets || ', other accounts ' || others
    FROM (SELECT coalesce(sum(balance), 0) AS wallets FROM pay.wallet) w,
         (SELECT coalesce(sum(CASE WHEN debit_account < 0 THEN -amount ELSE amount END), 0) AS others
            FROM pay.transfer WHERE least(debit_account, credit_account) < 0) o
   WHERE wallets + others <> 0
  UNION ALL
  SELECT 10, 'txn ' || v.pending_id FROM pay.transfer v
    LEFT JOIN pay.transfer h ON h.txn_id = v.pending_id AND h.kind = 'H'
   WHERE v.pending_id IS NOT NULL
   GROUP BY v.pending_id
  HAVING count(*) > 1 OR bool_or(h.txn_id IS NULL OR v.amount <> h.amount
      OR v.debit_account <> h.credit_account OR v.credit_account <> h.debit_account)
)
SELECT string_agg(format('%-3s %-66s %s', 'I' || i, rule, CASE WHEN violations = 0 THEN 'kept'
                         ELSE violations || ' violations, the first: ' || first END), E'\n' ORDER BY i) AS report,
       sum(violations)::bigint AS violations, sum(violations) > 0 AS broken
  FROM (SELECT r.i, r.rule, count(o.who) AS violations, min(o.who) AS first
          FROM (VALUES
            (1, 'balance and version of a wallet are those of its ledger'),
            (2, 'an approved hold has exactly one transfer, a declined one none'),
            (3, 'no hold without a decision'),
            (4, 'one decision per client and key'),
            (5, 'each ledger entry starts where the one before ended, without gaps'),
            (6, 'decision and ledger tell the same story'),
            (7, 'no negative balance'),
            (8, 'the limit counters are those of the ledger'),
            (9, 'the sum over all accounts is zero'),
            (10, 'a hold is resolved at most once, by its exact reverse')) r (i, rule)
          LEFT JOIN offender o USING (i) GROUP BY r.i, r.rule) audit
\gset
SELECT format('ledger of %s: %s wallets, %s decisions, %s transfers', (SELECT region FROM pay.region),
              (SELECT count(*) FROM pay.wallet), (SELECT count(*) FROM pay.simulation),
              (SELECT count(*) FROM pay.transfer)) AS title \gset
COMMIT;

\echo :title
\echo :report
\if :broken
  -- An error is the only way psql ends with another status than 0.
  \set VERBOSITY terse
  DO $$ BEGIN RAISE EXCEPTION 'the ledger is broken: see the lines above'; END $$;
\endif
\echo 'the ledger is whole'
