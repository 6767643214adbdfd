-- A wallet as it is now, and what one client holds open there.
-- $1 wallet int8 $2 client int4 $3 region text. One row, all NULL where the wallet is unknown or another region's; no
-- row where the database is another region's.
-- What is open is summed over the newest 1000 versions of the wallet: no index leads from a wallet to its open holds,
-- and one would cost every hold. open_cut: an older hold, too, may still be open, for 1000 versions reach back less than
-- the longest life of a hold (31 days) and a day for the expiry lane.
SELECT CASE WHEN p.region = r.region THEN w.wallet_id END AS wallet_id, w.status::text, p.currency::text, w.balance,
       w.version, o.count AS open_count, o.amount AS open_amount, o.cut::int4 AS open_cut,
       to_char(t.today, 'YYYY-MM-DD') AS day, c.day_spent, c.day_count, c.month_spent,
       p.txn_max, p.day_max, p.month_max, p.day_count_max
  FROM (SELECT $1::int8 AS wallet_id, $2::int4 AS client_id, $3::text AS region) r
  LEFT JOIN pay.wallet w ON w.wallet_id = r.wallet_id
  {{counters}}
  LEFT JOIN LATERAL (
    -- Everything that happened to a hold is newer than the hold, so a hold in reach is in reach whole.
    SELECT count(*) FILTER (WHERE f.is_open) AS count,
           coalesce(sum(f.open) FILTER (WHERE f.is_open), 0)::int8 AS amount,
           w.version > 1000 AND min(f.oldest) > statement_timestamp() - interval '32 days' AS cut
      FROM (SELECT g.oldest, g.open,
                   CASE WHEN g.has_hold AND g.open > 0
                        THEN (SELECT s.client_id FROM pay.simulation s WHERE s.txn_id = g.hold_id) = r.client_id
                        ELSE false END AS is_open
              FROM (SELECT coalesce(x.hold_id, x.pending_id, x.txn_id) AS hold_id, min(x.created_at) AS oldest,
                           bool_or(x.kind = 'H') AS has_hold,
                           sum(CASE WHEN x.kind IN ('H', 'I', 'O') THEN x.amount
                                    WHEN x.kind IN ('C', 'V', 'X') THEN -x.amount ELSE 0 END) AS open
                      FROM pay.transfer x
                     WHERE (CASE WHEN x.debit_account > 0 THEN x.debit_account ELSE x.credit_account END) = w.wallet_id
                       AND x.wallet_version > w.version - 1000
                     GROUP BY 1) g OFFSET 0) f) o ON true
 WHERE {{region}} = $3
