-- What the commands audit and purge leave behind, and the role that they run as.

CREATE TABLE pay.audit_run (                 -- one row a run; finished_at is NULL of one that did not come to its end
  audit_run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  since        timestamptz,                  -- what it went back to; NULL: the whole ledger
  started_at   timestamptz NOT NULL DEFAULT statement_timestamp(),
  finished_at  timestamptz,
  wallets      bigint NOT NULL DEFAULT 0 CHECK (wallets >= 0),
  decisions    bigint NOT NULL DEFAULT 0 CHECK (decisions >= 0),
  entries      bigint NOT NULL DEFAULT 0 CHECK (entries >= 0),
  breaches     bigint NOT NULL DEFAULT 0 CHECK (breaches >= 0),
  report       text                          -- what it printed of the invariants
);
-- The probe asks every second how the last runs ended.
CREATE INDEX audit_run_finished ON pay.audit_run ((since IS NULL), finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE pay.purge_run (
  purge_run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  before       timestamptz NOT NULL,         -- records made before this
  through      uuid NOT NULL,                -- how far it came: the last record that it looked at
  started_at   timestamptz NOT NULL DEFAULT statement_timestamp(),
  finished_at  timestamptz,
  deleted      bigint NOT NULL DEFAULT 0 CHECK (deleted >= 0),
  forgotten    bigint NOT NULL DEFAULT 0 CHECK (forgotten >= 0)
);

-- pay_ops: reads the books and may change nothing in them but forget a key. See 0002 for what a role is here.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pay_ops') THEN
    CREATE ROLE pay_ops NOLOGIN;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
  NULL;  -- another database of the cluster migrated at the same moment
END $$;
REVOKE ALL ON pay.audit_run, pay.purge_run FROM PUBLIC;
GRANT USAGE ON SCHEMA pay TO pay_ops;
GRANT SELECT ON pay.region, pay.schema_migration, pay.program, pay.wallet, pay.simulation, pay.transfer,
                pay.audit_run, pay.purge_run TO pay_ops;
GRANT INSERT, UPDATE ON pay.audit_run, pay.purge_run TO pay_ops;
GRANT DELETE, UPDATE (idem_hash) ON pay.simulation TO pay_ops;
GRANT SELECT ON pay.audit_run TO pay_app;
