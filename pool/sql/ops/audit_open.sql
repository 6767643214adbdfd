-- Begins a run. $1 what $2 is: 'whole' (nothing), 'last' (nothing), 'ago' (an interval) or 'at' (a time).
-- One row: the run's number, what it goes back to ('' for the whole ledger) and the identifier that its decisions and
-- ledger rows begin behind. 'last' goes back to the begin of the last run that found nothing, and without one it is
-- whole. A minute more than asked: a row is made before it is committed, and clocks of processes differ.
WITH asked AS (
  SELECT CASE $1::text WHEN 'ago' THEN statement_timestamp() - $2::text::interval
                       WHEN 'at' THEN $2::text::timestamptz
                       WHEN 'last' THEN (SELECT max(a.started_at) FROM pay.audit_run a
                                          WHERE a.finished_at IS NOT NULL AND a.breaches = 0) END AS since
), run AS (
  INSERT INTO pay.audit_run (since) SELECT since FROM asked RETURNING audit_run_id, since
)
SELECT run.audit_run_id, coalesce(run.since::text, ''),
       coalesce({{ops/id_floor}}, '00000000-0000-0000-0000-000000000000'::uuid)
  FROM run, LATERAL (SELECT run.since - interval '1 minute' AS at) floored
