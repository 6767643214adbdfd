-- The audit of wallets: I1, I7, I8. $1 the wallet to go on behind $2 how many.
-- A wallet and its newest ledger row are written by one transaction, so one snapshot sees both as they belong together.
WITH batch AS MATERIALIZED (
  SELECT w.wallet_id AS place, w.*, p.tz, coalesce(l.wallet_version, 0) AS newest, coalesce(l.balance_after, 0) AS came_to
    FROM (SELECT w.* FROM pay.wallet w WHERE w.wallet_id > $1::int8 ORDER BY w.wallet_id LIMIT $2::int8) w
    JOIN pay.program p ON p.program_id = w.program_id
    LEFT JOIN LATERAL (
      SELECT t.wallet_version, t.balance_after FROM pay.transfer t
       WHERE {{ops/wallet_of_t}} = w.wallet_id ORDER BY t.wallet_version DESC LIMIT 1) l ON true
), entry AS (
  -- The ledger rows that the counters may speak of: from two days before their month on, for clocks are not all alike.
  SELECT b.wallet_id, b.day AS today, date_trunc('month', b.day)::date AS month, r.hold, r.kind, r.amount, r.day,
         r.wallet_version,
         r.day < max(r.day) OVER (PARTITION BY b.wallet_id ORDER BY r.wallet_version) AS back
    FROM batch b
   CROSS JOIN LATERAL (
     SELECT t.wallet_version, t.kind, t.amount, (t.created_at AT TIME ZONE b.tz)::date AS day,
            CASE t.kind WHEN 'H' THEN t.txn_id ELSE coalesce(t.hold_id, t.pending_id) END AS hold
       FROM pay.transfer t
      WHERE {{ops/wallet_of_t}} = b.wallet_id AND t.kind <> 'F'
        AND t.wallet_version > coalesce((
          SELECT t.wallet_version FROM pay.transfer t
           WHERE {{ops/wallet_of_t}} = b.wallet_id
             AND t.created_at < (date_trunc('month', b.day) - interval '2 days') AT TIME ZONE b.tz
           ORDER BY t.wallet_version DESC LIMIT 1), 0)) r
   WHERE b.version > 1 AND isfinite(b.day)
), told AS (
  -- What each row changed the counters by. A release gives back what of its hold still counts at that place, so the order
  -- matters: what was given back of an earlier day's amount is not owed by a later increment. Rows behind the counters'
  -- day are voids of the version before, which left the day as it was.
  SELECT e.*, e.taken - (least(e.day_given, e.day_taken) - least(e.day_given - e.given, e.day_taken)) AS by_day,
         e.taken - (least(e.month_given, e.month_taken) - least(e.month_given - e.given, e.month_taken)) AS by_month
    FROM (SELECT e.*, sum(e.taken) OVER same_day AS day_taken, sum(e.given) OVER same_day AS day_given,
                 sum(e.taken) OVER same_month AS month_taken, sum(e.given) OVER same_month AS month_given
            FROM (SELECT e.*, CASE WHEN e.kind IN ('H', 'I', 'O') THEN e.amount ELSE 0 END AS taken,
                         CASE WHEN e.kind IN ('V', 'X') THEN e.amount ELSE 0 END AS given FROM entry e) e
          WINDOW same_day AS (PARTITION BY e.wallet_id, e.hold, e.day >= e.today ORDER BY e.wallet_version),
                 same_month AS (PARTITION BY e.wallet_id, e.hold, e.day >= e.month ORDER BY e.wallet_version)) e
), hold AS (
  SELECT e.wallet_id, bool_or(e.back) AS back, max(e.day) AS newest,
         coalesce(sum(e.by_day) FILTER (WHERE e.day >= e.today), 0) AS day_spent,
         coalesce(sum(e.by_month) FILTER (WHERE e.day >= e.month), 0) AS month_spent,
         count(*) FILTER (WHERE e.kind IN ('H', 'I') AND e.day = e.today)
           -- A hold of the day that was given back whole does not count any more.
           - (bool_or(e.kind = 'H' AND e.day = e.today) AND NOT bool_or(e.kind = 'C')
              AND sum(e.taken - e.given) = 0)::int AS counted
    FROM told e GROUP BY e.wallet_id, e.hold
), counter AS (
  SELECT h.wallet_id, bool_or(h.back) AS back, max(h.newest) AS newest, sum(h.day_spent) AS day_spent,
         sum(h.counted) AS day_count, sum(h.month_spent) AS month_spent
    FROM hold h GROUP BY h.wallet_id
), offender (invariant, who) AS (
  SELECT 1, 'wal_' || b.wallet_id FROM batch b WHERE b.version <> b.newest OR b.balance <> b.came_to
  UNION ALL
  SELECT 7, 'wal_' || b.wallet_id FROM batch b WHERE b.balance < 0
  UNION ALL
  -- Days only move forward: where a clock was set back, or the day lies ahead of the ledger, which day a row counted for
  -- is not in it, and the counters cannot be judged.
  SELECT 8, 'wal_' || b.wallet_id FROM batch b LEFT JOIN counter c ON c.wallet_id = b.wallet_id
   WHERE b.version > 1 AND NOT coalesce(c.back OR b.day > c.newest, false)
     AND (b.day_spent, b.day_count, b.month_spent)
         <> (coalesce(c.day_spent, 0), coalesce(c.day_count, 0), coalesce(c.month_spent, 0))
)
{{ops/audit_found}}
