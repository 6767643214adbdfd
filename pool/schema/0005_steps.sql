-- The whole life of a hold: captured, released, incremented, refunded, expired, each a ledger row of its own.
-- Catalogue changes and two scans for indexes with no entry yet; no table is rewritten. Checks are NOT VALID here and
-- validated later. They are as short as can be: every statement that writes to the table reads them anew, and as long
-- expressions (what each kind needs) they cost a hold 6 % of its time; the audit has the rest. Tables are locked in the
-- order in which a hold locks them.
ALTER TABLE pay.program
  ADD COLUMN hold_ttl_s int NOT NULL DEFAULT 604800 CHECK (hold_ttl_s BETWEEN 1 AND 2678400),
  ADD COLUMN over_capture_bps int NOT NULL DEFAULT 0 CHECK (over_capture_bps BETWEEN 0 AND 10000),
  -- Counters stay far from the end of bigint: over-captures add to them without asking the limits.
  ADD CONSTRAINT program_limits_far CHECK (greatest(txn_max, day_max, month_max) <= 1000000000000000000);

-- What a process of two versions ago needed; the last version writes the hash itself. Whoever still runs the former
-- is refused by name, rather than deciding a key again.
DROP TRIGGER simulation_hash_key ON pay.simulation;
DROP TRIGGER simulation_forget_key ON pay.simulation;
DROP FUNCTION pay.simulation_hash_key();
DROP FUNCTION pay.simulation_forget_key();

-- A step is a decision with a key like a hold's, in the same namespace, and records what the hold came to by it, so
-- that a replay gives the same bytes. An increment may be declined; every other step on record has moved something.
ALTER TABLE pay.simulation
  DROP COLUMN idem_key,                          -- and with it its unique index
  ADD COLUMN hold_id    uuid,                    -- of a step: its hold
  ADD COLUMN authorised bigint,                  -- of a step: the hold's amounts after it
  ADD COLUMN captured   bigint,
  ADD COLUMN released   bigint,
  ADD COLUMN expired    bigint,
  ADD COLUMN refunded   bigint,
  ADD COLUMN expires_at timestamptz,             -- of an approved hold, until the expiry lane has been there
  DROP CONSTRAINT simulation_effect_check,
  ADD CONSTRAINT simulation_effect_check
    CHECK (effect = ANY ('{E,H,C,V,I,R}')) NOT VALID,  -- evaluate hold; capture void increment refund
  ADD CONSTRAINT simulation_amounts_check              -- nothing to say where they are NULL
    CHECK (refunded <= captured AND captured <= authorised - released - expired) NOT VALID;
-- For the rows of processes that know nothing of expiry. Set apart from ADD COLUMN, which would date all old rows.
ALTER TABLE pay.simulation ALTER COLUMN expires_at SET DEFAULT now() + interval '7 days';
CREATE INDEX simulation_expires ON pay.simulation (expires_at, txn_id) WHERE expires_at IS NOT NULL;

-- Kinds: F fund, H hold, C capture, V release, I increment, O over-capture, R refund, X expiry. H I O debit the wallet,
-- V X R credit it. C turns reserved money into captured money: a posting, it debits no balance, and its balance_after
-- is the balance as it was. Every row, C too, takes its wallet's next version.
-- pending_id is on a hold's first row after H only. A process of the version before takes such a hold for resolved, and
-- its own rows, V with a pending_id and no hold_id, belong to the hold coalesce(hold_id, pending_id).
ALTER TABLE pay.transfer
  ADD COLUMN hold_id uuid,
  DROP CONSTRAINT transfer_kind_check,
  ADD CONSTRAINT transfer_kind_check CHECK (kind = ANY ('{F,H,C,V,I,O,R,X}')) NOT VALID;
CREATE INDEX transfer_hold ON pay.transfer (hold_id) WHERE hold_id IS NOT NULL;

GRANT UPDATE (expires_at) ON pay.simulation TO pay_app;
