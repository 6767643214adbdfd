-- The background probe: whose data this is, the region's reference purchase, how far the schema is,
-- the isolation every decision relies on, what Idempotency-Keys are hashed with, and how the last audits ended: of the
-- whole ledger, and the most that one of newer rows has found since. NULL times: there was none.
SELECT g.region, g.reference_wallet_id, g.reference_amount_minor, g.reference_currency::text,
       g.reference_mcc::int4, g.reference_country::text,
       (SELECT max(version) FROM pay.schema_migration)::int4,
       current_setting('transaction_isolation'), k.key,
       extract(epoch FROM whole.finished_at)::int8, whole.breaches,
       extract(epoch FROM recent.finished_at)::int8, recent.breaches
  FROM pay.region g CROSS JOIN pay.idempotency_secret k
  LEFT JOIN LATERAL (SELECT a.finished_at, a.breaches FROM pay.audit_run a
                      WHERE a.finished_at IS NOT NULL AND (a.since IS NULL)
                      ORDER BY a.finished_at DESC LIMIT 1) whole ON true
  LEFT JOIN LATERAL (SELECT max(a.finished_at) AS finished_at, max(a.breaches) AS breaches FROM pay.audit_run a
                      WHERE a.finished_at > coalesce(whole.finished_at, '-infinity') AND NOT (a.since IS NULL)) recent
    ON true
