-- One evaluation; the same columns as eval_batch.sql. Scalars spare the executor the array's nodes
-- when nothing waits behind this request.
-- $1 wallet int8 $2 amount int8 $3 currency text $4 mcc int4 $5 country text $6 region text
SELECT 1::int8 AS n, {{decision}} AS code, w.balance
  FROM (SELECT $1::int8 AS wallet_id, $2::int8 AS amount, $3::text AS currency, $4::int4 AS mcc,
               $5::text AS country, $6::text AS region) r
  LEFT JOIN pay.wallet w ON w.wallet_id = r.wallet_id
  {{counters}}
 WHERE {{region}} = $6
