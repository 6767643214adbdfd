-- One payment of one client by an id: its hold's, or that of anything that happened to the hold.
-- $1 id uuid $2 client int4 $3 region text. Rows: payment_view.inc.sql.
-- What a service did beside what it was asked for (the release of what a final capture leaves, an expiry) has an id in
-- the ledger only.
WITH named AS MATERIALIZED (
  SELECT coalesce((SELECT coalesce(s.hold_id, s.txn_id) FROM pay.simulation s WHERE s.txn_id = $1),
                  (SELECT coalesce(t.hold_id, t.pending_id) FROM pay.transfer t WHERE t.txn_id = $1)) AS hold_id,
         $2::int4 AS client_id
   WHERE {{region}} = $3
) {{payment_view}}
