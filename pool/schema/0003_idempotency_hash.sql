-- An Idempotency-Key is its caller's secret. What is kept of it is a keyed hash: HMAC-SHA-256, cut to 16 bytes, which
-- the service computes before anything is sent, and PostgreSQL can compute for what still arrives as text.
-- The hash key lives beside the rows that it names: a service with another one would take a retry for a new payment.
CREATE TABLE pay.idempotency_secret (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  key       bytea NOT NULL CHECK (octet_length(key) = 32),
  inner_pad bytea NOT NULL CHECK (octet_length(inner_pad) = 64),  -- the key's two blocks as RFC 2104 wants them
  outer_pad bytea NOT NULL CHECK (octet_length(outer_pad) = 64)
);
-- Four random UUIDs hold 488 random bits.
WITH made AS MATERIALIZED (
  SELECT sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
                || uuid_send(gen_random_uuid())) AS key
)
INSERT INTO pay.idempotency_secret (key, inner_pad, outer_pad)
SELECT m.key,
       (SELECT string_agg(set_byte('\x00', 0, get_byte(m.key, i) # 54), '' ORDER BY i)
          FROM generate_series(0, 31) i) || decode(repeat('36', 32), 'hex'),
       (SELECT string_agg(set_byte('\x00', 0, get_byte(m.key, i) # 92), '' ORDER BY i)
          FROM generate_series(0, 31) i) || decode(repeat('5c', 32), 'hex')
  FROM made m;
REVOKE ALL ON pay.idempotency_secret FROM PUBLIC;
GRANT SELECT ON pay.idempotency_secret TO pay_app;

CREATE FUNCTION pay.idempotency_hash(idem_key text) RETURNS bytea LANGUAGE sql STABLE
  RETURN (SELECT substr(sha256(s.outer_pad || sha256(s.inner_pad || convert_to(idem_key, 'UTF8'))), 1, 16)
            FROM pay.idempotency_secret s);

-- NOT VALID and validated later: the table is locked for one scan only, that of the index.
ALTER TABLE pay.simulation ADD COLUMN idem_hash bytea;
ALTER TABLE pay.simulation ADD CONSTRAINT simulation_idem_hash_size CHECK (octet_length(idem_hash) = 16) NOT VALID;
CREATE UNIQUE INDEX simulation_idem_hash ON pay.simulation (client_id, idem_hash) WHERE idem_hash IS NOT NULL;

-- A process of the version before knows idem_key only. Its row gets the hash, and loses the text when its statement
-- ends. It cannot see what was decided under the same key by others, so it is told to come again (55P03: it answers
-- 409 and nothing moves); the version after replays.
CREATE FUNCTION pay.simulation_hash_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.idem_hash := pay.idempotency_hash(NEW.idem_key);
  IF EXISTS (SELECT FROM pay.simulation s WHERE s.client_id = NEW.client_id AND s.idem_hash = NEW.idem_hash) THEN
    RAISE EXCEPTION 'this idempotency key was used before' USING ERRCODE = '55P03';
  END IF;
  RETURN NEW;
END $$;
CREATE FUNCTION pay.simulation_forget_key() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  UPDATE pay.simulation SET idem_key = NULL WHERE txn_id = NEW.txn_id;
  RETURN NULL;
END $$;
CREATE TRIGGER simulation_hash_key BEFORE INSERT ON pay.simulation
  FOR EACH ROW WHEN (NEW.idem_key IS NOT NULL) EXECUTE FUNCTION pay.simulation_hash_key();
CREATE TRIGGER simulation_forget_key AFTER INSERT ON pay.simulation
  FOR EACH ROW WHEN (NEW.idem_key IS NOT NULL) EXECUTE FUNCTION pay.simulation_forget_key();
