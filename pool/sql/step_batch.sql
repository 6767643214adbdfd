-- Many steps of holds (captures, voids, increments, refunds), one statement, one commit. Those of one wallet are
-- decided one after another, those of one hold in order of n, each on what the one before left, with the answers they
-- would get alone. Waits for no wallet: one that somebody else has locked comes back as 'busy', and so does one that
-- changed after this statement's snapshot, by which the holds are read: of a wallet the newest row can be had, of a sum
-- it cannot.
-- $1 step uuid[] $2 spare uuid[] (of a second ledger row: what a final capture releases, or takes beyond what was open)
-- $3 client int4[] $4 key hash bytea[] (NULL: a void without a key) $5 fingerprint bytea[] $6 kind text[] ('C' 'V' 'I'
-- 'R') $7 hold uuid[] $8 amount int8[] (NULL: all there is; never of 'I') $9 final int4[] (0 1) $10 elapsed_us int4[]
-- $11 budget_us int4[], all of one length; $12 region text: no row, and nothing written, where the database is
-- another's. The caller guarantees that all (client, key) differ.
-- One row per request, matched by n (1-based): how is 'new', 'replay' (answered before), 'race' (by somebody else
-- meanwhile), 'busy', 'late' (the budget was over when the lock was had), 'not_found' (no approved hold of this
-- client), 'resolved' (state tells why not), 'too_many' (ledger rows of one hold) or 'exceeds' (limit tells what could
-- be had). Only 'new' has written something. An increment is decided as a hold of its amount; a declined one is on
-- record and leaves the hold as it was.
-- Waits for a key, their limit and 22012 are those of hold_fold.sql: where somebody else has answered a step meanwhile,
-- those behind it were decided on what did not happen.
WITH RECURSIVE req AS MATERIALIZED (
  SELECT r.*, $12::text AS region
    FROM unnest($1::uuid[], $2::uuid[], $3::int4[], $4::bytea[], $5::bytea[], $6::text[], $7::uuid[], $8::int8[],
                $9::int4[], $10::int4[], $11::int4[])
         WITH ORDINALITY AS r(txn_id, spare_id, client_id, idem_hash, fingerprint, kind, hold_id, amount, final,
                              elapsed_us, budget_us, n)
   WHERE {{region}} = $12
), prev AS MATERIALIZED (
  -- OFFSET 0: see hold_batch.sql.
  SELECT r.n, s.* FROM req r
   CROSS JOIN LATERAL (SELECT x.* FROM pay.simulation x
                        WHERE x.client_id = r.client_id AND x.idem_hash = r.idem_hash OFFSET 0) s
), hold AS MATERIALIZED (
  -- The holds, and the version of their wallets in the same snapshot. Here and in turn coalesce and <> ALL, not NOT
  -- EXISTS: of that the planner expects one row, and has everything behind it compared with everything.
  SELECT s.*, x.version AS seen
    FROM (SELECT DISTINCT r.hold_id, r.client_id FROM req r
           WHERE coalesce(r.n <> ALL (ARRAY(SELECT p.n FROM prev p)), true)) r
   CROSS JOIN LATERAL (SELECT s.txn_id AS hold_id, s.client_id, s.wallet_id, s.currency, s.mcc, s.expires_at,
                              t.credit_account AS clearing_account, t.kind, t.amount, t.created_at
                         FROM pay.simulation s JOIN pay.transfer t ON t.txn_id = s.txn_id
                        WHERE s.txn_id = r.hold_id AND s.client_id = r.client_id AND t.kind = 'H' OFFSET 0) s
   CROSS JOIN LATERAL (SELECT x.version FROM pay.wallet x WHERE x.wallet_id = s.wallet_id OFFSET 0) x
), w AS MATERIALIZED (
  SELECT w.* FROM pay.wallet w
   WHERE w.wallet_id = ANY (ARRAY(SELECT o.wallet_id FROM hold o))
   ORDER BY w.wallet_id FOR NO KEY UPDATE SKIP LOCKED
), head AS MATERIALIZED (
  -- One row per wallet: where its chain starts, and all that stays the same along it.
  SELECT o.wallet_id, w.status, w.valid_thru, w.balance, w.version, p.program_id, p.region, p.currency, p.country,
         p.tz, p.txn_max, p.day_max, p.month_max, p.day_count_max, p.over_capture_bps, t.today,
         date_trunc('month', t.today::timestamp)::date AS month, c.day_spent, c.day_count, c.month_spent,
         w.version IS DISTINCT FROM o.seen AS busy
    FROM (SELECT DISTINCT o.wallet_id, o.seen FROM hold o) o LEFT JOIN w ON w.wallet_id = o.wallet_id
    {{counters}}
), book AS MATERIALIZED (
  -- What each hold has come to: sums over its ledger rows, and over those of the wallet's day and month. Rows of the
  -- version before have no hold_id.
  SELECT o.hold_id, o.client_id, o.wallet_id, o.currency, o.mcc, o.clearing_account,
         coalesce(o.expires_at <= statement_timestamp(), false) AS past, x.*, h.status, h.valid_thru, h.program_id,
         h.region AS program_region, h.currency AS program_currency, h.country AS program_country, h.txn_max, h.day_max,
         h.month_max, h.day_count_max, h.over_capture_bps, h.today, h.busy
    FROM hold o JOIN head h ON h.wallet_id = o.wallet_id
   CROSS JOIN LATERAL (
     SELECT coalesce(sum(x.amount) FILTER (WHERE x.kind IN ('H', 'I', 'O')), 0)::int8 AS authorised,
            coalesce(sum(x.amount) FILTER (WHERE x.kind = 'O'), 0)::int8 AS beyond,
            coalesce(sum(x.amount) FILTER (WHERE x.kind = 'C'), 0)::int8 AS captured,
            coalesce(sum(x.amount) FILTER (WHERE x.kind = 'V'), 0)::int8 AS released,
            coalesce(sum(x.amount) FILTER (WHERE x.kind = 'X'), 0)::int8 AS expired,
            coalesce(sum(x.amount) FILTER (WHERE x.kind = 'R'), 0)::int8 AS refunded,
            count(*) - 1 AS steps,
            coalesce(sum(x.amount) FILTER (WHERE x.kind IN ('H', 'I', 'O') AND x.day = h.today), 0)::int8
              AS day_taken,
            coalesce(sum(x.amount) FILTER (WHERE x.kind IN ('V', 'X') AND x.day = h.today), 0)::int8 AS day_given,
            coalesce(sum(x.amount) FILTER (WHERE x.kind IN ('H', 'I', 'O') AND x.day >= h.month), 0)::int8
              AS month_taken,
            coalesce(sum(x.amount) FILTER (WHERE x.kind IN ('V', 'X') AND x.day >= h.month), 0)::int8 AS month_given,
            coalesce(bool_or(x.kind = 'H' AND x.day = h.today), false) AS of_today
       FROM (SELECT t.kind, t.amount, (t.created_at AT TIME ZONE h.tz)::date AS day FROM (
               SELECT o.kind, o.amount, o.created_at
               UNION ALL
               SELECT t.kind, t.amount, t.created_at FROM pay.transfer t WHERE t.hold_id = o.hold_id
               UNION ALL
               SELECT t.kind, t.amount, t.created_at FROM pay.transfer t
                WHERE t.pending_id = o.hold_id AND t.hold_id IS NULL) t) x OFFSET 0) x
), turn AS MATERIALIZED (
  -- The steps in the order in which they are decided, each with all that stays the same meanwhile. The merchant's
  -- country was right at the hold: NULL asks nothing.
  SELECT r.*, o.wallet_id, o.currency, o.mcc, NULL::text AS country, o.clearing_account, o.past, o.authorised, o.beyond,
         o.captured, o.released, o.expired, o.refunded, o.steps, o.day_taken, o.day_given, o.month_taken,
         o.month_given, o.of_today, o.status, o.valid_thru, o.program_id, o.program_region, o.program_currency,
         o.program_country, o.txn_max, o.day_max, o.month_max, o.day_count_max, o.over_capture_bps, o.today, o.busy,
         row_number() OVER (PARTITION BY o.wallet_id ORDER BY r.hold_id, r.n) AS place
    FROM req r JOIN book o ON o.hold_id = r.hold_id
   WHERE coalesce(o.client_id = r.client_id, false) AND coalesce(r.n <> ALL (ARRAY(SELECT p.n FROM prev p)), true)
), fold AS (
  -- One row per member: how it came out, and what wallet and hold were after it. OFFSET 0 keeps each stage a stage: as
  -- one expression, everything would be computed as often as it is named.
  SELECT h.wallet_id, 0::int8 AS place, NULL::int8 AS n, NULL::uuid AS hold_id, h.balance, h.version, h.day_spent,
         h.day_count, h.month_spent, 0::int8 AS authorised, 0::int8 AS beyond, 0::int8 AS captured,
         0::int8 AS released, 0::int8 AS expired, 0::int8 AS refunded, 0::int8 AS steps, 0::int8 AS day_taken,
         0::int8 AS day_given, 0::int8 AS month_taken, 0::int8 AS month_given, ''::text AS how, ''::text AS code,
         0::int8 AS amount, 0::int8 AS most, 0::int8 AS over, 0::int8 AS rest, false AS first
    FROM head h
  UNION ALL
  SELECT r.wallet_id, r.place, r.n, r.hold_id, f.balance - a.taken + a.given + a.refunded, f.version + a.steps,
         greatest(0, f.day_spent - g.day) + a.taken, greatest(0, f.day_count - g.hold) + a.holds,
         greatest(0, f.month_spent - g.month) + a.taken, b.authorised + a.taken, b.beyond + a.over,
         b.captured + a.captured, b.released + a.given, r.expired, b.refunded + a.refunded, b.steps + a.steps,
         b.day_taken + a.taken, b.day_given + a.given, b.month_taken + a.taken, b.month_given + a.given, v.how, k.code,
         q.amount, q.most, a.over, a.rest, b.steps = 0
    FROM fold f
    JOIN turn r ON r.wallet_id = f.wallet_id AND r.place = f.place + 1
    CROSS JOIN LATERAL (  -- the hold before
      SELECT CASE WHEN s.same THEN f.authorised ELSE r.authorised END AS authorised,
             CASE WHEN s.same THEN f.beyond ELSE r.beyond END AS beyond,
             CASE WHEN s.same THEN f.captured ELSE r.captured END AS captured,
             CASE WHEN s.same THEN f.released ELSE r.released END AS released,
             CASE WHEN s.same THEN f.refunded ELSE r.refunded END AS refunded,
             CASE WHEN s.same THEN f.steps ELSE r.steps END AS steps,
             CASE WHEN s.same THEN f.day_taken ELSE r.day_taken END AS day_taken,
             CASE WHEN s.same THEN f.day_given ELSE r.day_given END AS day_given,
             CASE WHEN s.same THEN f.month_taken ELSE r.month_taken END AS month_taken,
             CASE WHEN s.same THEN f.month_given ELSE r.month_given END AS month_given
        FROM (SELECT f.hold_id IS NOT DISTINCT FROM r.hold_id AS same OFFSET 0) s OFFSET 0) b
    CROSS JOIN LATERAL (SELECT b.authorised - b.captured - b.released - r.expired AS open OFFSET 0) u
    CROSS JOIN LATERAL (  -- what is asked for, and the most that could be: an amount has twelve digits
      SELECT CASE r.kind WHEN 'R' THEN coalesce(r.amount, b.captured - b.refunded)
                         ELSE coalesce(r.amount, u.open) END AS amount,
             CASE r.kind
               WHEN 'C' THEN u.open + greatest(0, least(
                 (b.authorised - b.beyond - b.released - r.expired) * r.over_capture_bps / 10000 - b.beyond,
                 f.balance, 999999999999 - b.authorised))
               WHEN 'V' THEN u.open
               WHEN 'I' THEN 999999999999 - b.authorised
               ELSE b.captured - b.refunded END AS most OFFSET 0) q
    CROSS JOIN LATERAL (
      -- A hold has at most 100 rows after its first (PAYMENT_STEPS_MAX); all that is open can always be voided.
      SELECT CASE
        WHEN clock_timestamp() - transaction_timestamp() > r.budget_us * interval '1 microsecond' THEN 'late'
        WHEN r.busy THEN 'busy'
        WHEN CASE r.kind WHEN 'R' THEN b.captured = b.refunded
                         WHEN 'V' THEN u.open = 0
                         ELSE u.open = 0 OR r.past END THEN 'resolved'
        WHEN b.steps >= 100 AND (r.kind <> 'V' OR q.amount < u.open) THEN 'too_many'
        WHEN q.amount > q.most THEN 'exceeds'
        ELSE 'new' END AS how OFFSET 0) v
    CROSS JOIN LATERAL (SELECT r.wallet_id, r.status, r.valid_thru, f.balance) w
    CROSS JOIN LATERAL (SELECT r.program_id, r.program_region AS region, r.program_currency AS currency,
                               r.program_country AS country, r.txn_max, r.day_max, r.month_max, r.day_count_max) p
    CROSS JOIN LATERAL (SELECT r.today) t
    CROSS JOIN LATERAL (SELECT f.day_spent, f.day_count, f.month_spent) c
    CROSS JOIN LATERAL (
      SELECT CASE WHEN v.how <> 'new' THEN NULL WHEN r.kind <> 'I' THEN '00' ELSE {{decision}} END AS code OFFSET 0) k
    CROSS JOIN LATERAL (  -- what it moves
      SELECT m.over, m.rest, CASE WHEN m.kind = 'I' THEN q.amount ELSE m.over END AS taken,
             CASE WHEN m.kind = 'V' THEN q.amount ELSE m.rest END AS given,
             CASE WHEN m.kind = 'C' THEN q.amount ELSE 0 END AS captured,
             CASE WHEN m.kind = 'R' THEN q.amount ELSE 0 END AS refunded,
             (m.kind <> '')::int + (m.over + m.rest > 0)::int AS steps, (m.kind = 'I')::int AS holds
        FROM (SELECT y.kind, CASE WHEN y.kind = 'C' THEN greatest(0, q.amount - u.open) ELSE 0 END AS over,
                     CASE WHEN y.kind = 'C' AND r.final = 1 THEN greatest(0, u.open - q.amount) ELSE 0 END AS rest
                FROM (SELECT CASE WHEN k.code = '00' THEN r.kind ELSE '' END AS kind OFFSET 0) y OFFSET 0) m OFFSET 0) a
    CROSS JOIN LATERAL (  -- what the limits get back: never more than the hold has taken from them
      SELECT least(b.day_given + a.given, b.day_taken) - least(b.day_given, b.day_taken) AS day,
             least(b.month_given + a.given, b.month_taken) - least(b.month_given, b.month_taken) AS month,
             (r.of_today AND a.given = u.open AND a.given > 0 AND b.captured = 0)::int AS hold OFFSET 0) g
), d AS MATERIALIZED (
  -- A step without a key is told by its own id: as long as a key's hash, and nobody else's.
  SELECT r.n, r.txn_id, r.spare_id, r.client_id, r.idem_hash, coalesce(r.idem_hash, uuid_send(r.txn_id)) AS claim,
         r.fingerprint, r.kind, r.hold_id, r.wallet_id, r.currency, r.mcc, r.elapsed_us, r.place, r.today,
         r.clearing_account, r.past, f.balance, f.version, f.day_spent, f.day_count, f.month_spent, f.authorised,
         f.captured, f.released, f.expired, f.refunded, f.how, f.code, f.amount, f.most, f.over, f.rest, f.first
    FROM fold f JOIN turn r ON r.n = f.n
), ins AS (
  -- Claims the keys and records the steps. Only RETURNING carries data on, so the order is fixed. A step has nothing
  -- that expires.
  INSERT INTO pay.simulation AS s (txn_id, client_id, idem_hash, fingerprint, wallet_id, amount, currency, mcc, effect,
                                   code, balance_after, processing_us, created_at, hold_id, authorised, captured,
                                   released, expired, refunded, expires_at)
  SELECT d.txn_id, d.client_id, d.idem_hash, d.fingerprint, d.wallet_id, d.amount, d.currency, d.mcc, d.kind::"char",
         d.code, d.balance, d.elapsed_us + (date_part('epoch', clock_timestamp() - statement_timestamp()) * 1e6)::int,
         statement_timestamp(), d.hold_id, d.authorised, d.captured, d.released, d.expired, d.refunded, NULL
    FROM d WHERE d.how = 'new' ORDER BY d.client_id, d.idem_hash
  ON CONFLICT (client_id, idem_hash) WHERE idem_hash IS NOT NULL DO UPDATE SET replays = s.replays + 1
  RETURNING s.*, coalesce(s.idem_hash, uuid_send(s.txn_id)) AS claim
), mine AS MATERIALIZED (
  -- What each step that moves something leaves. One whose row did not go in divides by zero.
  SELECT d.txn_id, d.spare_id, d.kind, d.hold_id, d.wallet_id, d.clearing_account, d.amount, d.over, d.rest, d.first,
         d.place, d.today, d.balance, d.version / (d.txn_id = ANY (ARRAY(SELECT i.txn_id FROM ins i)))::int AS version,
         d.day_spent, d.day_count, d.month_spent
    FROM d WHERE d.code = '00'
), upd AS (
  UPDATE pay.wallet w
     SET balance = m.balance, version = m.version, day = m.today, day_spent = m.day_spent,
         day_count = m.day_count, month_spent = m.month_spent
    FROM (SELECT DISTINCT ON (wallet_id) * FROM mine ORDER BY wallet_id, place DESC) m
   WHERE w.wallet_id = m.wallet_id
), led AS (
  -- An over-capture stands before its capture, what a final capture releases after it. A capture moves no balance.
  INSERT INTO pay.transfer (txn_id, debit_account, credit_account, amount, kind, wallet_version, balance_after,
                            created_at, hold_id, pending_id)
  SELECT l.txn_id, CASE WHEN l.kind IN ('C', 'I', 'O') THEN l.wallet_id ELSE l.clearing_account END,
         CASE WHEN l.kind IN ('C', 'I', 'O') THEN l.clearing_account ELSE l.wallet_id END, l.amount, l.kind::"char",
         l.version, l.balance, statement_timestamp(), l.hold_id, CASE WHEN l.first THEN l.hold_id END
    FROM (SELECT m.txn_id, m.kind, m.amount, m.version - (m.rest > 0)::int AS version, m.balance - m.rest AS balance,
                 m.first AND m.over = 0 AS first, m.wallet_id, m.clearing_account, m.hold_id FROM mine m
          UNION ALL
          SELECT m.spare_id, 'O', m.over, m.version - 1, m.balance, m.first, m.wallet_id, m.clearing_account, m.hold_id
            FROM mine m WHERE m.over > 0
          UNION ALL
          SELECT m.spare_id, 'V', m.rest, m.version, m.balance, false, m.wallet_id, m.clearing_account, m.hold_id
            FROM mine m WHERE m.rest > 0) l
)
SELECT p.n, 'replay'::text AS how, p.txn_id, p.fingerprint, p.effect::text AS kind, p.hold_id, p.code::text, p.amount,
       p.balance_after, p.processing_us, p.created_at, p.wallet_id, p.currency::text, p.mcc::int4, p.authorised,
       p.captured, p.released, p.expired, p.refunded, NULL::int8 AS most, NULL::text AS state FROM prev p
UNION ALL
SELECT d.n, CASE WHEN i.txn_id = d.txn_id THEN 'new' ELSE 'race' END, i.txn_id, i.fingerprint, i.effect::text,
       i.hold_id, i.code::text, i.amount, i.balance_after, i.processing_us, i.created_at, i.wallet_id, i.currency::text,
       i.mcc::int4, i.authorised, i.captured, i.released, i.expired, i.refunded, NULL, NULL
  FROM ins i JOIN d ON d.claim = i.claim AND d.client_id = i.client_id
UNION ALL
SELECT d.n, d.how, d.txn_id, NULL, d.kind, d.hold_id, NULL, d.amount, NULL, NULL, NULL, d.wallet_id, d.currency::text,
       d.mcc::int4, d.authorised, d.captured, d.released, d.expired, d.refunded,
       CASE WHEN d.how = 'exceeds' THEN d.most END,
       CASE WHEN d.how <> 'resolved' THEN NULL
            WHEN d.kind = 'R' AND d.captured > 0 THEN 'refunded'
            WHEN d.authorised > d.captured + d.released + d.expired
            THEN CASE WHEN d.past AND d.kind <> 'R' THEN 'expired' ELSE 'open' END
            WHEN d.captured > 0 THEN CASE WHEN d.captured = d.refunded THEN 'refunded' ELSE 'captured' END
            WHEN d.expired > 0 THEN 'expired'
            ELSE 'voided' END
  FROM d WHERE d.how <> 'new'
UNION ALL
SELECT r.n, 'not_found', r.txn_id, NULL, r.kind, r.hold_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL
  FROM req r WHERE r.n <> ALL (ARRAY(SELECT p.n FROM prev p UNION ALL SELECT d.n FROM d))
