-- The background probe: whose data this is, the region's reference purchase, how far the schema is, and
-- the isolation every decision relies on, and what Idempotency-Keys are hashed with.
SELECT g.region, g.reference_wallet_id, g.reference_amount_minor, g.reference_currency::text,
       g.reference_mcc::int4, g.reference_country::text,
       (SELECT max(version) FROM pay.schema_migration)::int4,
       current_setting('transaction_isolation'), k.key
  FROM pay.region g CROSS JOIN pay.idempotency_secret k
