-- The audit of decisions: I2, I4, I6. $1 the identifier to go on behind $2 how many.
-- A decision and the ledger row of its identifier are written by one statement, so one snapshot sees both or neither.
WITH batch AS MATERIALIZED (
  SELECT s.*, s.txn_id AS place FROM pay.simulation s WHERE s.txn_id > $1::uuid ORDER BY s.txn_id LIMIT $2::int8
), offender (invariant, who) AS (
  SELECT 2, 'txn ' || b.txn_id FROM batch b
   WHERE (b.code = '00' AND b.effect <> 'E')
         <> EXISTS (SELECT 1 FROM pay.transfer t WHERE t.txn_id = b.txn_id AND t.kind = b.effect)
  UNION ALL
  SELECT 4, 'txn ' || b.txn_id FROM batch b
   WHERE EXISTS (SELECT 1 FROM pay.simulation s
                  WHERE s.client_id = b.client_id AND s.idem_hash = b.idem_hash AND s.txn_id <> b.txn_id)
  UNION ALL
  -- The balance of a final capture is the one after the rest was released, by the wallet's next row.
  SELECT 6, 'txn ' || b.txn_id FROM batch b JOIN pay.transfer t USING (txn_id)
   WHERE b.effect <> t.kind OR b.amount <> t.amount OR b.wallet_id <> {{ops/wallet_of_t}}
      OR b.hold_id IS DISTINCT FROM coalesce(t.hold_id, t.pending_id)
      OR b.balance_after <> t.balance_after AND NOT (b.effect = 'C' AND EXISTS (
           SELECT 1 FROM pay.transfer v
            WHERE v.hold_id = b.hold_id AND v.kind = 'V' AND v.wallet_version = t.wallet_version + 1
              AND v.balance_after = b.balance_after))
)
{{ops/audit_found}}
