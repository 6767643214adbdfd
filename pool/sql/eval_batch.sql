-- Many evaluations, one read-only statement; moves and records nothing.
-- $1 wallet int8[] $2 amount int8[] $3 currency text[] $4 mcc int4[] $5 country text[], all of one
-- length; $6 region text. One row per request, matched by n (1-based); none where the database is another
-- region's.
-- The region stands beside each row and not in a materialized CTE around them: that would cost what the
-- guard costs, 3 % of the statement.
SELECT r.n, {{decision}} AS code, w.balance
  FROM (SELECT u.*, $6::text AS region
          FROM unnest($1::int8[], $2::int8[], $3::text[], $4::int4[], $5::text[])
               WITH ORDINALITY AS u(wallet_id, amount, currency, mcc, country, n)) r
  LEFT JOIN pay.wallet w ON w.wallet_id = r.wallet_id
  {{counters}}
 WHERE {{region}} = $6
