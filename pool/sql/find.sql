-- The recorded decision of one transaction of one client, and whether a void has resolved it.
-- $1 txn uuid $2 client int4 $3 region text. One row, all NULL where the transaction is unknown or another
-- client's; no row where the database is another region's.
SELECT s.txn_id, s.fingerprint, s.code::text, s.balance_after, s.processing_us, s.created_at, s.wallet_id,
       s.amount, s.currency::text, s.mcc::int4,
       EXISTS (SELECT 1 FROM pay.transfer v WHERE v.pending_id = s.txn_id AND v.kind = 'V')::int4 AS voided
  FROM (SELECT $1::uuid AS txn_id, $2::int4 AS client_id) r
  LEFT JOIN pay.simulation s ON s.txn_id = r.txn_id AND s.client_id = r.client_id
 WHERE {{region}} = $3
