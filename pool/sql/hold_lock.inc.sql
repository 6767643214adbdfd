-- First half of a hold: what was decided before, and the lock on the wallets of the rest.
-- $1 txn uuid[] $2 client int4[] $3 key text[] $4 fingerprint bytea[] $5 wallet int8[] $6 amount int8[]
-- $7 currency text[] $8 mcc int4[] $9 country text[] $10 elapsed_us int4[] $11 budget_us int4[], all of one
-- length; $12 region text. The caller guarantees: all wallets differ, all (client, key) differ.
-- Wallets are locked in id order and keys claimed in key order, so no cycle of waits is possible.
WITH req AS MATERIALIZED (
  SELECT r.*, $12::text AS region
    FROM unnest($1::uuid[], $2::int4[], $3::text[], $4::bytea[], $5::int8[], $6::int8[], $7::text[], $8::int4[],
                $9::text[], $10::int4[], $11::int4[])
         WITH ORDINALITY AS r(txn_id, client_id, idem_key, fingerprint, wallet_id, amount, currency, mcc,
                              country, elapsed_us, budget_us, n)
), prev AS MATERIALIZED (
  -- OFFSET 0 keeps the planner from a hash join over the whole table, which it takes while the table is
  -- empty and then keeps in the generic plan.
  SELECT r.n, s.* FROM req r
   CROSS JOIN LATERAL (SELECT x.* FROM pay.simulation x
                        WHERE x.client_id = r.client_id AND x.idem_key = r.idem_key OFFSET 0) s
), w AS MATERIALIZED (
  SELECT w.* FROM pay.wallet w
   WHERE w.wallet_id = ANY (ARRAY(SELECT r.wallet_id FROM req r
                                   WHERE NOT EXISTS (SELECT 1 FROM prev WHERE prev.n = r.n)))
   ORDER BY w.wallet_id FOR NO KEY UPDATE
