-- One payment of one client by an Idempotency-Key: of the hold, or of a step of it.
-- $1 key hash bytea $2 client int4 $3 region text. Rows: payment_view.inc.sql.
WITH named AS MATERIALIZED (
  SELECT (SELECT coalesce(s.hold_id, s.txn_id) FROM pay.simulation s
           WHERE s.client_id = $2 AND s.idem_hash = $1) AS hold_id,
         $2::int4 AS client_id
   WHERE {{region}} = $3
) {{payment_view}}
