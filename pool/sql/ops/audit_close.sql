-- Ends a run. $1 its number $2 wallets $3 decisions $4 ledger rows $5 breaches $6 what was printed.
UPDATE pay.audit_run
   SET finished_at = statement_timestamp(), wallets = $2, decisions = $3, entries = $4, breaches = $5, report = $6
 WHERE audit_run_id = $1::int8
