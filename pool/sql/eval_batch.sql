-- Many evaluations, one read-only statement; moves and records nothing.
-- $1 wallet int8[] $2 amount int8[] $3 currency text[] $4 mcc int4[] $5 country text[], all of one
-- length; $6 region text. One row per request, matched by n (1-based); none where the database is another
-- region's.
WITH req AS MATERIALIZED (
  SELECT r.*, $6::text AS region
    FROM unnest($1::int8[], $2::int8[], $3::text[], $4::int4[], $5::text[])
         WITH ORDINALITY AS r(wallet_id, amount, currency, mcc, country, n)
   WHERE {{region}} = $6
)
SELECT r.n, {{decision}} AS code, w.balance
  FROM req r LEFT JOIN pay.wallet w ON w.wallet_id = r.wallet_id
  {{counters}}
