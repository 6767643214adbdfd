-- The rows from before get their hash and lose the text; their decisions stay as they are. Locks no table that a
-- payment writes to, only those rows, which nothing but a replay's counter touches.
UPDATE pay.simulation SET idem_hash = pay.idempotency_hash(idem_key), idem_key = NULL WHERE idem_key IS NOT NULL;
ALTER TABLE pay.simulation VALIDATE CONSTRAINT simulation_idem_hash_size;
