-- Many holds, some of the same wallet, one statement, one commit. Those of one wallet are decided one after
-- another in order of n, each on what the one before left, with the answers they would get alone.
-- Parameters, columns, rows and waits are those of hold_batch.sql; the caller guarantees that all
-- (client, key) differ. The plain statement is cheaper where all wallets differ.
-- A chain cannot lose a link: where somebody else claimed the key of an approved member meanwhile, the
-- balances behind it would be wrong, so the statement fails with 22012. Nothing is written; sent again,
-- that member is a replay.
WITH RECURSIVE req AS MATERIALIZED (
  SELECT r.*, $12::text AS region
    FROM unnest($1::uuid[], $2::int4[], $3::bytea[], $4::bytea[], $5::int8[], $6::int8[], $7::text[], $8::int4[],
                $9::text[], $10::int4[], $11::int4[], $13::int4[])
         WITH ORDINALITY AS r(txn_id, client_id, idem_hash, fingerprint, wallet_id, amount, currency, mcc,
                              country, elapsed_us, budget_us, expires_in_s, n)
   WHERE {{region}} = $12
), prev AS MATERIALIZED (
  -- OFFSET 0: see hold_batch.sql.
  SELECT r.n, s.* FROM req r
   CROSS JOIN LATERAL (SELECT x.* FROM pay.simulation x
                        WHERE x.client_id = r.client_id AND x.idem_hash = r.idem_hash OFFSET 0) s
), todo AS MATERIALIZED (
  SELECT r.*, row_number() OVER (PARTITION BY r.wallet_id ORDER BY r.n) AS place
    FROM req r WHERE NOT EXISTS (SELECT 1 FROM prev WHERE prev.n = r.n)
), w AS MATERIALIZED (
  SELECT w.* FROM pay.wallet w
   WHERE w.wallet_id = ANY (ARRAY(SELECT r.wallet_id FROM todo r WHERE r.place = 1))
   ORDER BY w.wallet_id FOR NO KEY UPDATE SKIP LOCKED
), head AS MATERIALIZED (
  -- One row per wallet: where its chain starts, and all that stays the same along it.
  SELECT r.wallet_id AS chain, w.wallet_id, w.status, w.valid_thru, w.balance, w.version,
         p.program_id, p.region, p.currency, p.country, p.txn_max, p.day_max, p.month_max,
         p.day_count_max, p.clearing_account, p.hold_ttl_s, t.today, c.day_spent, c.day_count, c.month_spent,
         w.wallet_id IS NULL AND EXISTS (SELECT 1 FROM pay.wallet x WHERE x.wallet_id = r.wallet_id) AS busy
    FROM todo r LEFT JOIN w ON w.wallet_id = r.wallet_id
    {{counters}}
   WHERE r.place = 1
), fold AS (
  -- One row per member: the state it was decided on, its amount if that moves, and its code.
  SELECT h.chain, 0::int8 AS place, NULL::int8 AS n, h.balance, h.version, h.day_spent, h.day_count,
         h.month_spent, 0::int8 AS amount, ''::text AS code
    FROM head h
  UNION ALL
  SELECT r.wallet_id, r.place, r.n, w.balance, w.version, c.day_spent, c.day_count, c.month_spent, r.amount,
    CASE WHEN clock_timestamp() - transaction_timestamp() > r.budget_us * interval '1 microsecond' THEN '68'
         WHEN h.busy THEN '-1'
         ELSE {{decision}} END
    FROM fold f
    JOIN todo r ON r.wallet_id = f.chain AND r.place = f.place + 1
    JOIN head h ON h.chain = f.chain
    CROSS JOIN LATERAL (SELECT (f.code = '00')::int AS moved) m
    CROSS JOIN LATERAL (SELECT h.wallet_id, h.status, h.valid_thru, f.balance - m.moved * f.amount AS balance,
                               f.version + m.moved AS version) w
    CROSS JOIN LATERAL (SELECT h.program_id, h.region, h.currency, h.country, h.txn_max, h.day_max,
                               h.month_max, h.day_count_max) p
    CROSS JOIN LATERAL (SELECT h.today) t
    CROSS JOIN LATERAL (SELECT f.day_spent + m.moved * f.amount AS day_spent, f.day_count + m.moved AS day_count,
                               f.month_spent + m.moved * f.amount AS month_spent) c
), d AS MATERIALIZED (
  SELECT r.n, r.txn_id, r.client_id, r.idem_hash, r.fingerprint, r.wallet_id, r.amount, r.currency, r.mcc,
         r.elapsed_us, r.place, f.balance, f.version, h.clearing_account, h.today, f.day_spent, f.day_count,
         f.month_spent,
         statement_timestamp() + least(h.hold_ttl_s, r.expires_in_s) * interval '1 second' AS expires_at,
         f.code::char(2) AS code
    FROM fold f JOIN todo r ON r.n = f.n JOIN head h ON h.chain = f.chain
), ins AS (
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
  -- What each approved member leaves. A row of ins that is not ours divides by zero.
  SELECT d.txn_id, d.wallet_id, d.clearing_account, d.amount, d.today, d.place,
         d.balance - d.amount AS balance, (d.version + 1) / (ins.txn_id = d.txn_id)::int AS version,
         d.day_spent + d.amount AS day_spent, d.day_count + 1 AS day_count,
         d.month_spent + d.amount AS month_spent
    FROM d JOIN ins ON ins.client_id = d.client_id AND ins.idem_hash = d.idem_hash WHERE d.code = '00'
), upd AS (
  UPDATE pay.wallet w
     SET balance = m.balance, version = m.version, day = m.today, day_spent = m.day_spent,
         day_count = m.day_count, month_spent = m.month_spent
    FROM (SELECT DISTINCT ON (wallet_id) * FROM mine ORDER BY wallet_id, place DESC) m
   WHERE w.wallet_id = m.wallet_id
), led AS (
  INSERT INTO pay.transfer (txn_id, debit_account, credit_account, amount, kind, wallet_version,
                            balance_after, created_at)
  SELECT m.txn_id, m.wallet_id, m.clearing_account, m.amount, 'H', m.version, m.balance,
         statement_timestamp() FROM mine m
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
