-- The audit of ledger rows: I3, I5, I9, I10, I11. $1 the identifier to go on behind $2 how many.
-- The ledger only grows, a wallet's rows are committed in the order of their versions and a hold's are all of one wallet:
-- so any snapshot sees each wallet up to some version, whole, and rows that come while the audit runs break nothing.
WITH batch AS MATERIALIZED (
  SELECT t.*, t.txn_id AS place, {{ops/wallet_of_t}} AS wallet_id,
         CASE t.kind WHEN 'H' THEN t.txn_id ELSE coalesce(t.hold_id, t.pending_id) END AS hold,
         CASE WHEN t.kind = 'C' THEN 0 WHEN t.debit_account > 0 THEN -t.amount ELSE t.amount END AS moved
    FROM pay.transfer t WHERE t.txn_id > $1::uuid ORDER BY t.txn_id LIMIT $2::int8
), story AS (
  -- The rows of every hold that the batch has a row of, in order; what each leaves of it, and what its decision says of that.
  SELECT r.*, s.effect, s.authorised, s.captured, s.released, s.expired, s.refunded,
         row_number() OVER life AS place,
         sum(r.amount) FILTER (WHERE r.kind IN ('H', 'I', 'O')) OVER life AS had,
         coalesce(sum(r.amount) FILTER (WHERE r.kind = 'C') OVER life, 0) AS took,
         coalesce(sum(r.amount) FILTER (WHERE r.kind = 'V') OVER life, 0) AS gave,
         coalesce(sum(r.amount) FILTER (WHERE r.kind = 'X') OVER life, 0) AS lapsed,
         coalesce(sum(r.amount) FILTER (WHERE r.kind = 'R') OVER life, 0) AS repaid,
         -- The rest of a final capture is released by the row behind it, which no decision of its own is made for.
         coalesce(lead(CASE WHEN r.kind = 'V' AND s.txn_id IS NULL THEN r.amount END) OVER life, 0) AS rest
    FROM (SELECT DISTINCT b.hold FROM batch b WHERE b.hold IS NOT NULL) h
   CROSS JOIN LATERAL (
     SELECT h.hold, t.* FROM pay.transfer t WHERE t.txn_id = h.hold
     UNION ALL
     SELECT h.hold, t.* FROM pay.transfer t WHERE t.hold_id = h.hold
     UNION ALL
     SELECT h.hold, t.* FROM pay.transfer t WHERE t.pending_id = h.hold AND t.hold_id IS NULL) r
    LEFT JOIN pay.simulation s ON s.txn_id = r.txn_id
  WINDOW life AS (PARTITION BY r.hold ORDER BY r.wallet_version)
), offender (invariant, who) AS (
  -- An expiry has no decision, nor a void from before that had no key. What a capture brings along is the row before it,
  -- an over-capture, or behind it, the rest of a final one.
  SELECT 3, 'txn ' || b.txn_id FROM batch b
   WHERE b.kind NOT IN ('F', 'X') AND NOT (b.kind = 'V' AND b.hold_id IS NULL)
     AND NOT EXISTS (SELECT 1 FROM pay.simulation s WHERE s.txn_id = b.txn_id)
     AND NOT (b.kind IN ('O', 'V') AND EXISTS (
           SELECT 1 FROM pay.transfer t
            WHERE {{ops/wallet_of_t}} = b.wallet_id AND t.kind = 'C' AND t.hold_id = b.hold_id
              AND t.wallet_version = b.wallet_version + CASE b.kind WHEN 'O' THEN 1 ELSE -1 END))
  UNION ALL
  SELECT 5, 'wal_' || b.wallet_id || ' version ' || b.wallet_version FROM batch b
   CROSS JOIN LATERAL (
     SELECT count(*) FILTER (WHERE t.wallet_version = b.wallet_version) AS twins,
            count(*) FILTER (WHERE t.wallet_version < b.wallet_version) AS found,
            max(t.balance_after) FILTER (WHERE t.wallet_version < b.wallet_version) AS balance
       FROM pay.transfer t
      WHERE {{ops/wallet_of_t}} = b.wallet_id
        AND t.wallet_version BETWEEN b.wallet_version - 1 AND b.wallet_version) before
   WHERE before.twins <> 1 OR before.found <> (b.wallet_version <> 1)::int
      OR b.balance_after <> coalesce(before.balance, 0) + b.moved
  UNION ALL
  -- With I1 and I5, that every row takes from one account what it gives to the other makes the sum zero.
  SELECT 9, 'txn ' || b.txn_id FROM batch b
   WHERE (b.debit_account > 0) = (b.credit_account > 0)
      OR NOT EXISTS (SELECT 1 FROM pay.wallet w WHERE w.wallet_id = b.wallet_id)
  UNION ALL
  -- pending_id is on the first row behind the hold and on no other: it is what makes two such rows impossible.
  SELECT 10, 'txn ' || b.txn_id FROM batch b WHERE b.kind <> 'F' AND b.hold IS NULL
  UNION ALL
  SELECT 10, 'txn ' || s.txn_id FROM story s
   WHERE s.kind <> 'H'
     AND ((s.pending_id IS NOT NULL) <> (s.place = 2) OR s.pending_id <> s.hold
          OR NOT EXISTS (
            SELECT 1 FROM pay.transfer h
             WHERE h.txn_id = s.hold AND h.kind = 'H' AND h.wallet_version < s.wallet_version
               AND (h.debit_account, h.credit_account)
                   = CASE WHEN s.kind IN ('V', 'X', 'R') THEN (s.credit_account, s.debit_account)
                          ELSE (s.debit_account, s.credit_account) END))
  UNION ALL
  SELECT 11, 'txn ' || s.txn_id FROM story s
   WHERE s.had - s.took - s.gave - s.lapsed < 0 OR s.repaid > s.took
      OR s.effect <> 'H'
         AND ((s.authorised, s.captured, s.expired, s.refunded)
              IS DISTINCT FROM (s.had, s.took, s.lapsed, s.repaid)
              OR s.released IS DISTINCT FROM s.gave + CASE s.kind WHEN 'C' THEN s.rest ELSE 0 END)
)
{{ops/audit_found}}
