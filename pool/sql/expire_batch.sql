-- Gives back what is still open of holds whose time is over, each once, by an X row; one that has nothing open any more
-- only loses its expires_at. Looks at the next holds that are due behind a place in their order, so that what cannot be
-- had now stands in nobody's way: the caller goes on behind it, and comes back.
-- Waits for no wallet: the holds of one that somebody else has locked are left for later, and so are those of one that
-- changed after the statement's snapshot, by which everything about a hold is read.
-- $1 ids of the new rows uuid[]: as many as holds to look at; $2 expires_at timestamptz and $3 txn uuid of the last
-- hold looked at before ('-infinity' to begin); $4 holds to pass over behind it int8; $5 region text: no row, and
-- nothing written, where the database is another's.
-- One row: looked, released, cleared (only expires_at); of the last hold looked at expires_at, txn_id and overdue
-- microseconds, NULL without one; overdue microseconds of the oldest hold that was left, NULL without one.
WITH due AS MATERIALIZED (
  -- OFFSET 0 and = ANY keep the planner on the indexes, whatever the tables were like when the plan was made: it takes a
  -- LIMIT that it does not know for a tenth of the table.
  SELECT d.*, x.version AS seen_version
    FROM (SELECT s.txn_id, s.wallet_id, s.expires_at
            FROM pay.simulation s
           WHERE s.expires_at IS NOT NULL AND (s.expires_at, s.txn_id) > ($2::timestamptz, $3::uuid)
             AND s.expires_at <= statement_timestamp() AND {{region}} = $5
           ORDER BY s.expires_at, s.txn_id LIMIT cardinality($1::uuid[]) OFFSET $4::int8) d
    LEFT JOIN LATERAL (SELECT y.version FROM pay.wallet y WHERE y.wallet_id = d.wallet_id OFFSET 0) x ON true
), w AS MATERIALIZED (
  SELECT w.* FROM pay.wallet w
   WHERE w.wallet_id = ANY (ARRAY(SELECT d.wallet_id FROM due d))
   ORDER BY w.wallet_id FOR NO KEY UPDATE SKIP LOCKED
), head AS MATERIALIZED (
  -- The locked wallets as they are today, with their counters.
  SELECT w.wallet_id, w.balance, w.version, p.tz, t.today, date_trunc('month', t.today::timestamp)::date AS month,
         c.day_spent, c.day_count, c.month_spent
    FROM w
    {{counters}}
), h AS MATERIALIZED (
  -- What each of their holds has come to: sums over its ledger rows, and over those of the wallet's day and month. Rows
  -- of the version before have no hold_id.
  SELECT d.txn_id, d.expires_at, b.wallet_id, b.version = d.seen_version AS is_current, a.clearing_account, a.is_first,
         a.open, least(a.day_given + a.open, a.day_taken) - least(a.day_given, a.day_taken) AS day_back,
         least(a.month_given + a.open, a.month_taken) - least(a.month_given, a.month_taken) AS month_back,
         (a.is_of_today AND a.captured = 0)::int AS count_back
    FROM due d JOIN head b ON b.wallet_id = d.wallet_id
   CROSS JOIN LATERAL (
     SELECT max(x.credit_account) FILTER (WHERE x.kind = 'H') AS clearing_account, count(*) = 1 AS is_first,
            coalesce(sum(x.taken - x.given - x.captured), 0)::int8 AS open, sum(x.captured)::int8 AS captured,
            coalesce(sum(x.taken) FILTER (WHERE x.day = b.today), 0)::int8 AS day_taken,
            coalesce(sum(x.given) FILTER (WHERE x.day = b.today), 0)::int8 AS day_given,
            coalesce(sum(x.taken) FILTER (WHERE x.day >= b.month), 0)::int8 AS month_taken,
            coalesce(sum(x.given) FILTER (WHERE x.day >= b.month), 0)::int8 AS month_given,
            coalesce(bool_or(x.kind = 'H' AND x.day = b.today), false) AS is_of_today
       FROM (SELECT t.kind, t.credit_account, (t.created_at AT TIME ZONE b.tz)::date AS day,
                    CASE WHEN t.kind IN ('H', 'I', 'O') THEN t.amount ELSE 0 END AS taken,
                    CASE WHEN t.kind IN ('V', 'X') THEN t.amount ELSE 0 END AS given,
                    CASE WHEN t.kind = 'C' THEN t.amount ELSE 0 END AS captured
               FROM (SELECT t.* FROM pay.transfer t WHERE t.txn_id = d.txn_id AND t.kind = 'H'
                     UNION ALL
                     SELECT t.* FROM pay.transfer t WHERE t.hold_id = d.txn_id
                     UNION ALL
                     SELECT t.* FROM pay.transfer t WHERE t.pending_id = d.txn_id AND t.hold_id IS NULL) t) x
      OFFSET 0) a
), x AS MATERIALIZED (
  -- The new rows, computed from the locked wallet; those of one wallet one behind another.
  SELECT h.*, row_number() OVER (ORDER BY h.wallet_id, h.expires_at, h.txn_id) AS n,
         b.balance + (sum(h.open) OVER chain)::int8 AS balance, b.version + row_number() OVER chain AS version
    FROM h JOIN head b ON b.wallet_id = h.wallet_id WHERE h.open > 0 AND h.is_current
  WINDOW chain AS (PARTITION BY h.wallet_id ORDER BY h.expires_at, h.txn_id)
), upd AS (
  -- Giving back never fails on a counter: operations may have reset it.
  UPDATE pay.wallet w
     SET balance = m.balance, version = m.version, day = b.today, day_spent = greatest(0, b.day_spent - m.day_back),
         day_count = greatest(0, b.day_count - m.count_back), month_spent = greatest(0, b.month_spent - m.month_back)
    FROM (SELECT x.wallet_id, max(x.balance) AS balance, max(x.version) AS version, sum(x.day_back)::int8 AS day_back,
                 sum(x.month_back)::int8 AS month_back, sum(x.count_back)::int AS count_back
            FROM x GROUP BY x.wallet_id) m
    JOIN head b ON b.wallet_id = m.wallet_id
   WHERE w.wallet_id = m.wallet_id
), led AS (
  INSERT INTO pay.transfer (txn_id, debit_account, credit_account, amount, kind, wallet_version, balance_after,
                            created_at, pending_id, hold_id)
  SELECT ($1::uuid[])[x.n], x.clearing_account, x.wallet_id, x.open, 'X', x.version, x.balance,
         statement_timestamp(), CASE WHEN x.is_first THEN x.txn_id END, x.txn_id
    FROM x
), clr AS (
  -- A closed hold stays closed, so an old look at it is as good. Where no wallet is, nothing was held.
  UPDATE pay.simulation s SET expires_at = NULL
   WHERE s.txn_id = ANY (ARRAY(SELECT x.txn_id FROM x
                               UNION ALL SELECT h.txn_id FROM h WHERE h.open <= 0
                               UNION ALL SELECT d.txn_id FROM due d WHERE d.seen_version IS NULL))
     AND s.expires_at IS NOT NULL
  RETURNING s.txn_id
), last AS (
  SELECT d.* FROM due d ORDER BY d.expires_at DESC, d.txn_id DESC LIMIT 1
)
SELECT (SELECT count(*) FROM due) AS looked, (SELECT count(*) FROM x) AS released,
       (SELECT count(*) FROM clr) - (SELECT count(*) FROM x) AS cleared,
       (SELECT expires_at FROM last) AS last_expires_at, (SELECT txn_id FROM last) AS last_txn_id,
       (SELECT extract(epoch FROM statement_timestamp() - expires_at) * 1000000 FROM last)::int8 AS last_overdue_us,
       (SELECT extract(epoch FROM statement_timestamp() - min(d.expires_at)) * 1000000 FROM due d
         WHERE NOT EXISTS (SELECT 1 FROM clr WHERE clr.txn_id = d.txn_id))::int8 AS left_overdue_us
 WHERE {{region}} = $5
