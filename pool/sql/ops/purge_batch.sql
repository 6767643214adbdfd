-- One batch of records past their retention. $1 the run $2 the identifier to go on behind $3 the one to stop before
-- $4 the time before which a record was made $5 how many. One row: how many were looked at, the key to go on behind,
-- how many were deleted, how many lost their key.
-- A record with ledger rows stays, without its key: the ledger is nothing without the decision. One that was approved and
-- has no ledger row stays, too: that is a breach, and the audit's to find.
WITH due AS MATERIALIZED (
  SELECT s.txn_id, s.code, s.idem_hash, EXISTS (SELECT 1 FROM pay.transfer t WHERE t.txn_id = s.txn_id) AS moved
    FROM pay.simulation s
   WHERE s.txn_id > $2::uuid AND s.txn_id < $3::uuid AND s.created_at < $4::timestamptz
   ORDER BY s.txn_id LIMIT $5::int8
), gone AS (
  DELETE FROM pay.simulation s USING due d
   WHERE s.txn_id = d.txn_id AND NOT d.moved AND d.code <> '00' RETURNING 1
), forgotten AS (
  UPDATE pay.simulation s SET idem_hash = NULL FROM due d
   WHERE s.txn_id = d.txn_id AND (d.moved OR d.code = '00') AND d.idem_hash IS NOT NULL RETURNING 1
), told AS (
  SELECT (SELECT count(*) FROM due) AS looked, (SELECT count(*) FROM gone) AS deleted,
         (SELECT count(*) FROM forgotten) AS forgotten,
         coalesce((SELECT d.txn_id FROM due d ORDER BY d.txn_id DESC LIMIT 1), $2::uuid) AS through
), run AS (
  UPDATE pay.purge_run p
     SET through = t.through, deleted = p.deleted + t.deleted, forgotten = p.forgotten + t.forgotten,
         finished_at = CASE WHEN t.looked < $5::int8 THEN statement_timestamp() END
    FROM told t WHERE p.purge_run_id = $1::int8
)
SELECT t.looked, t.through, t.deleted, t.forgotten FROM told t
