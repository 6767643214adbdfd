-- The recorded decision of one transaction of one client, and whether a void has resolved it.
-- $1 txn uuid $2 client int4; no row: unknown, or another client's.
SELECT s.txn_id, s.fingerprint, s.code::text, s.balance_after, s.processing_us, s.created_at, s.wallet_id,
       s.amount, s.currency::text, s.mcc::int4,
       EXISTS (SELECT 1 FROM pay.transfer v WHERE v.pending_id = s.txn_id AND v.kind = 'V')::int4 AS voided
  FROM pay.simulation s WHERE s.txn_id = $1 AND s.client_id = $2
