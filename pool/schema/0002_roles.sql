-- pay_app: exactly what the service may do. A role belongs to the cluster, not to this database, so it may
-- be there already; whoever migrates needs CREATEROLE only where it is not.
-- Give it to a login role (GRANT pay_app TO name), or make pay_app itself one. Settings of a role are not
-- inherited by its members: a login role of another name needs the ALTER ROLE below, too.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pay_app') THEN
    CREATE ROLE pay_app NOLOGIN;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
  NULL;  -- another database of the cluster migrated at the same moment
END $$;

-- Every statement relies on READ COMMITTED: under the stricter levels two holds of one wallet would end
-- in a serialization failure instead of waiting for each other.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pay_app'
                    AND 'default_transaction_isolation=read committed' = ANY (rolconfig)) THEN
    ALTER ROLE pay_app SET default_transaction_isolation = 'read committed';
  END IF;
END $$;

REVOKE ALL ON SCHEMA pay FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA pay FROM PUBLIC, pay_app;
GRANT USAGE ON SCHEMA pay TO pay_app;
GRANT SELECT ON pay.region, pay.schema_migration, pay.program, pay.program_mcc, pay.wallet, pay.simulation,
                pay.transfer TO pay_app;
GRANT INSERT ON pay.simulation, pay.transfer TO pay_app;
GRANT UPDATE (replays) ON pay.simulation TO pay_app;
GRANT UPDATE (balance, version, day, day_spent, day_count, month_spent) ON pay.wallet TO pay_app;
