-- Begins a run. $1 the retention in days. One row: the run's number, the time before which records go, the identifier
-- to go on behind and the one to stop before.
-- Runs before have been through everything up to where the last one came: what it left there stays, and is not read again.
WITH run AS (
  INSERT INTO pay.purge_run (before, through)
  SELECT statement_timestamp() - $1::int4 * interval '1 day',
         coalesce((SELECT p.through FROM pay.purge_run p ORDER BY p.purge_run_id DESC LIMIT 1),
                  '00000000-0000-0000-0000-000000000000')
  RETURNING purge_run_id, before, through
)
SELECT run.purge_run_id, run.before, run.through, {{ops/id_floor}} FROM run, LATERAL (SELECT run.before AS at) floored
