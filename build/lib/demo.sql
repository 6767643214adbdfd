-- Demo data for build/run and the tests; never in the binary, never in production.
-- psql -v ON_ERROR_STOP=1 -v region=eu-south-2 -f build/lib/demo.sql, after migrate, as the owner.
-- Does nothing when wallets are there. us-east-1 and mx-central-1 get Mexico's program, every other
-- region Spain's, under its own name. Limits are far away, so that load runs into none of them.
\set QUIET on
SELECT :'region' IN ('us-east-1', 'mx-central-1') AS mexico,
       EXISTS (SELECT FROM pay.wallet) AS filled \gset
\if :filled
  \echo 'demo data: there already'
  \quit
\endif

BEGIN;
\if :mexico
  INSERT INTO pay.program VALUES
    (3, :'region', 'MX', 'food', 'MXN', 'America/Mexico_City', 500000, 1000000000, 10000000000, 1000000000, -3);
  INSERT INTO pay.program_mcc SELECT 3, unnest('{5411,5422,5451,5499,5912}'::smallint[]);
  \set program 3
  \set currency MXN
  \set mcc 5411
  \set country MX
\else
  INSERT INTO pay.program VALUES
    (1, :'region', 'ES', 'meal',      'EUR', 'Europe/Madrid',  2000, 1000000000, 10000000000, 1000000000, -1),
    (2, :'region', 'ES', 'transport', 'EUR', 'Europe/Madrid', 13636, 1000000000, 10000000000, 1000000000, -2);
  INSERT INTO pay.program_mcc SELECT 1, unnest('{5811,5812,5813,5814}'::smallint[]);
  INSERT INTO pay.program_mcc SELECT 2, unnest('{4111,4112,4131}'::smallint[]);
  \set program 1
  \set currency EUR
  \set mcc 5812
  \set country ES
\endif

INSERT INTO pay.wallet (wallet_id, program_id, valid_thru, balance, version)
  SELECT i, :program, '2099-12-31', 100000000000, 1 FROM generate_series(1, 100000) i;
INSERT INTO pay.transfer (txn_id, debit_account, credit_account, amount, kind, wallet_version,
                          balance_after, created_at)
  SELECT gen_random_uuid(), -1000, i, 100000000000, 'F', 1, 100000000000, now()
    FROM generate_series(1, 100000) i;

-- Wallet 1 buys a lunch: what a bare GET evaluates.
UPDATE pay.region
   SET reference_wallet_id = 1, reference_amount_minor = 1250, reference_currency = :'currency',
       reference_mcc = :mcc, reference_country = :'country';
COMMIT;
VACUUM ANALYZE pay.program, pay.program_mcc, pay.wallet, pay.transfer;
\echo 'demo data: 100,000 wallets'
