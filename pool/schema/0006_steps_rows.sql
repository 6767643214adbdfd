-- Open holds from before expire, too. Nobody told their callers, so the week counts from now. Locks no table that a
-- payment writes to, only those rows, which nothing but a replay's counter touches.
UPDATE pay.simulation s SET expires_at = now() + interval '7 days'
 WHERE s.effect = 'H' AND s.code = '00' AND s.expires_at IS NULL
   AND NOT EXISTS (SELECT FROM pay.transfer v WHERE v.pending_id = s.txn_id);
ALTER TABLE pay.simulation VALIDATE CONSTRAINT simulation_effect_check;
ALTER TABLE pay.simulation VALIDATE CONSTRAINT simulation_amounts_check;
ALTER TABLE pay.transfer VALIDATE CONSTRAINT transfer_kind_check;
