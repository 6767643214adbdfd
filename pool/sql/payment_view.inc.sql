-- The rest of a statement that shows one payment whole. In scope: named, one row with hold_id and client_id, no row where
-- the database is another region's.
-- Rows: the recorded decision (txn_id fingerprint code balance_after processing_us created_at wallet_id amount currency
-- mcc), expires_at, the hold's amounts (authorised captured released expired refunded, NULL of a declined one), and one
-- ledger row that moved or posted its money (txn_id kind amount created_at balance_after), in the order of the ledger.
-- One row at least: NULLs for the ledger's where nothing has happened yet, all NULL where the hold is unknown or another
-- client's. The sums are of all the ledger has; its rows are the first 129 at most, one more than is shown.
, hold AS MATERIALIZED (
  -- OFFSET 0: see hold_batch.sql.
  SELECT s.* FROM named n
   CROSS JOIN LATERAL (SELECT x.* FROM pay.simulation x
                        WHERE x.txn_id = n.hold_id AND x.client_id = n.client_id OFFSET 0) s
), entry AS MATERIALIZED (
  -- A void of the version before names its hold in pending_id only.
  SELECT t.* FROM hold h CROSS JOIN LATERAL (
    SELECT x.txn_id, x.kind, x.amount, x.created_at, x.balance_after, x.wallet_version
      FROM pay.transfer x WHERE x.hold_id = h.txn_id
    UNION ALL
    SELECT x.txn_id, x.kind, x.amount, x.created_at, x.balance_after, x.wallet_version
      FROM pay.transfer x WHERE x.pending_id = h.txn_id AND x.hold_id IS NULL) t
), total AS (
  SELECT coalesce(sum(e.amount) FILTER (WHERE e.kind IN ('I', 'O')), 0)::int8 AS added,
         coalesce(sum(e.amount) FILTER (WHERE e.kind = 'C'), 0)::int8 AS captured,
         coalesce(sum(e.amount) FILTER (WHERE e.kind = 'V'), 0)::int8 AS released,
         coalesce(sum(e.amount) FILTER (WHERE e.kind = 'X'), 0)::int8 AS expired,
         coalesce(sum(e.amount) FILTER (WHERE e.kind = 'R'), 0)::int8 AS refunded
    FROM entry e
)
SELECT h.txn_id, h.fingerprint, h.code::text, h.balance_after, h.processing_us, h.created_at, h.wallet_id, h.amount,
       h.currency::text, h.mcc::int4, h.expires_at, h.amount + a.added AS authorised, a.captured, a.released, a.expired,
       a.refunded, e.txn_id AS step_id, e.kind::text AS step_kind, e.amount AS step_amount,
       e.created_at AS step_created_at, e.balance_after AS step_balance_after
  FROM named n LEFT JOIN hold h ON true LEFT JOIN total a ON h.code = '00' LEFT JOIN entry e ON true
 ORDER BY e.wallet_version LIMIT 129
