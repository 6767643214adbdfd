-- The audit of wallets: I1, I7, I8. $1 the wallet to go on behind $2 how many.
-- A wallet and its newest ledger row are written by one transaction, so one snapshot sees both as they belong together.
WITH batch AS MATERIALIZED (
  SELECT w.wallet_id AS place, w.*, p.tz, coalesce(l.wallet_version, 0) AS newest, coalesce(l.balance_after, 0) AS came_to
    FROM (SELECT w.* FROM pay.wallet w WHERE w.wallet_id > $1::int8 ORDER BY w.wallet_id LIMIT $2::int8) w
    JOIN pay.program p ON p.program_id = w.program_id
    LEFT JOIN LATERAL (
      SELECT t.wallet_version, t.balance_after FROM pay.transfer t
       WHERE {{ops/wallet_of_t}} = w.wallet_id ORDER BY t.wallet_version DESC LIMIT 1) l ON true
), counter AS (
  -- What the ledger says of the counters: of each wallet the holds, of each hold the rows, from two days before the
  -- counters' month on, for clocks are not all alike.
  SELECT b.wallet_id, b.day, b.day_spent AS has_spent, b.day_count AS has_count, b.month_spent AS has_month, c.*
    FROM batch b
   CROSS JOIN LATERAL (SELECT date_trunc('month', b.day::timestamp)::date AS month) m
   CROSS JOIN LATERAL (
     SELECT bool_or(h.back) AS back, max(h.newest) AS newest,
            coalesce(sum(h.day_spent), 0) AS day_spent, coalesce(sum(h.counted), 0) AS day_count,
            coalesce(sum(h.month_spent), 0) AS month_spent
       FROM (
         SELECT bool_or(e.back) AS back, max(e.day) AS newest,
                coalesce(sum(e.by_day) FILTER (WHERE e.day >= b.day), 0) AS day_spent,
                coalesce(sum(e.by_month) FILTER (WHERE e.day >= m.month), 0) AS month_spent,
                count(*) FILTER (WHERE e.kind IN ('H', 'I') AND e.day = b.day)
                  -- A hold of the day that was given back whole does not count any more.
                  - (bool_or(e.kind = 'H' AND e.day = b.day) AND NOT bool_or(e.kind = 'C')
                     AND sum(e.taken - e.given) = 0)::int AS counted
           FROM (
             -- What each row changed the counters by. A release gives back what of its hold still counts at that place, so
             -- the order matters: what was given back of an earlier day's amount is not owed by a later increment. Rows
             -- behind the counters' day are voids of the version before, which left the day as it was.
             SELECT e.*, e.taken - (least(e.day_given, e.day_taken) - least(e.day_given - e.given, e.day_taken)) AS by_day,
                    e.taken - (least(e.month_given, e.month_taken) - least(e.month_given - e.given, e.month_taken)) AS by_month
               FROM (
                 SELECT e.*, sum(e.taken) OVER same_day AS day_taken, sum(e.given) OVER same_day AS day_given,
                        sum(e.taken) OVER same_month AS month_taken, sum(e.given) OVER same_month AS month_given
                   FROM (
                    SELECT r.hold, r.kind, r.day, r.wallet_version, r.day < max(r.day) OVER (ORDER BY r.wallet_version) AS back,
                           CASE WHEN r.kind IN ('H', 'I', 'O') THEN r.amount ELSE 0 END AS taken,
                           CASE WHEN r.kind IN ('V', 'X') THEN r.amount ELSE 0 END AS given
                      FROM (
                        SELECT t.wallet_version, t.kind, t.amount, (t.created_at AT TIME ZONE b.tz)::date AS day,
                               CASE t.kind WHEN 'H' THEN t.txn_id ELSE coalesce(t.hold_id, t.pending_id) END AS hold
                          FROM pay.transfer t
                         WHERE {{ops/wallet_of_t}} = b.wallet_id AND t.kind <> 'F'
                           AND t.wallet_version > coalesce((
                             SELECT t.wallet_version FROM pay.transfer t
                              WHERE {{ops/wallet_of_t}} = b.wallet_id
                                AND t.created_at < (m.month - interval '2 days') AT TIME ZONE b.tz
                              ORDER BY t.wallet_version DESC LIMIT 1), 0)) r) e
                 WINDOW same_day AS (PARTITION BY e.hold, e.day >= b.day ORDER BY e.wallet_version),
                        same_month AS (PARTITION BY e.hold, e.day >= m.month ORDER BY e.wallet_version)) e) e
          GROUP BY e.hold) h) c
   WHERE b.version > 1 AND isfinite(b.day)
), offender (invariant, who) AS (
  SELECT 1, 'wal_' || b.wallet_id FROM batch b WHERE b.version <> b.newest OR b.balance <> b.came_to
  UNION ALL
  SELECT 7, 'wal_' || b.wallet_id FROM batch b WHERE b.balance < 0
  UNION ALL
  -- Days only move forward: where a clock was set back, or the day lies ahead of the ledger, which day a row counted for
  -- is not in it, and the counters cannot be judged.
  SELECT 8, 'wal_' || c.wallet_id FROM counter c
   WHERE NOT coalesce(c.back OR c.day > c.newest, false)
     AND (c.has_spent, c.has_count, c.has_month) <> (c.day_spent, c.day_count, c.month_spent)
  UNION ALL
  SELECT 8, 'wal_' || b.wallet_id FROM batch b
   WHERE b.version > 1 AND NOT isfinite(b.day) AND (b.day_spent, b.day_count, b.month_spent) <> (0, 0, 0)
)
{{ops/audit_found}}
