-- The payment ledger. The schema pay and pay.schema_migration exist already: migrate makes them.
-- Money is bigint in minor units. Account numbers: wallets are positive, clearing and funding negative.

CREATE TABLE pay.region (                    -- whose data this database holds: the residency guard
  singleton              boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  region                 text NOT NULL,
  reference_wallet_id    bigint,             -- the purchase a bare GET evaluates; set by operations
  reference_amount_minor bigint CHECK (reference_amount_minor > 0),
  reference_currency     char(3),
  reference_mcc          smallint CHECK (reference_mcc BETWEEN 0 AND 9999),
  reference_country      char(2),
  CONSTRAINT region_reference_whole CHECK (
    num_nulls(reference_wallet_id, reference_amount_minor, reference_currency, reference_mcc,
              reference_country) IN (0, 5))
);

CREATE TABLE pay.program (                   -- one benefit product in one country
  program_id       int     PRIMARY KEY,
  region           text    NOT NULL,
  country          char(2) NOT NULL CHECK (country IN ('ES', 'MX')),
  product          text    NOT NULL CHECK (product IN ('meal', 'transport', 'childcare', 'food', 'gift')),
  currency         char(3) NOT NULL CHECK (currency IN ('EUR', 'MXN')),
  tz               text    NOT NULL,         -- where the business day begins
  txn_max          bigint  NOT NULL CHECK (txn_max > 0),
  day_max          bigint  NOT NULL CHECK (day_max > 0),
  month_max        bigint  NOT NULL CHECK (month_max > 0),
  day_count_max    int     NOT NULL CHECK (day_count_max > 0),
  clearing_account bigint  NOT NULL CHECK (clearing_account < 0)
);

CREATE TABLE pay.program_mcc (               -- default deny: only listed MCCs (ISO 18245) are allowed
  program_id int      NOT NULL REFERENCES pay.program,
  mcc        smallint NOT NULL CHECK (mcc BETWEEN 0 AND 9999),
  PRIMARY KEY (program_id, mcc)
);

CREATE TABLE pay.wallet (
  wallet_id   bigint PRIMARY KEY CHECK (wallet_id > 0),
  program_id  int    NOT NULL REFERENCES pay.program,
  status      "char" NOT NULL DEFAULT 'A' CHECK (status IN ('A', 'B', 'C')),  -- active blocked closed
  valid_thru  date   NOT NULL,
  balance     bigint NOT NULL CHECK (balance >= 0),   -- the last line of defence against overdraft
  version     bigint NOT NULL DEFAULT 0,              -- one more per ledger row
  day         date   NOT NULL DEFAULT '-infinity',    -- velocity counters live in the locked row
  day_spent   bigint NOT NULL DEFAULT 0 CHECK (day_spent >= 0),
  day_count   int    NOT NULL DEFAULT 0,
  month_spent bigint NOT NULL DEFAULT 0 CHECK (month_spent >= 0)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);  -- room for HOT updates

CREATE TABLE pay.simulation (                -- the decision record is the idempotency record
  txn_id        uuid     PRIMARY KEY,        -- UUIDv7 made by the service before the call
  client_id     int      NOT NULL,           -- owner of the API key
  idem_key      text     CHECK (length(idem_key) BETWEEN 1 AND 255),
  fingerprint   bytea    NOT NULL,           -- SHA-256 of the canonical request
  wallet_id     bigint,                      -- no foreign key: an unknown wallet is a recorded decline
  amount        bigint   NOT NULL CHECK (amount BETWEEN 0 AND 999999999999),
  currency      char(3)  NOT NULL,
  mcc           smallint NOT NULL,
  effect        "char"   NOT NULL CHECK (effect IN ('E', 'H')),  -- evaluate hold
  code          char(2)  NOT NULL,           -- ISO 8583 data element 39
  balance_after bigint,
  processing_us int      NOT NULL,
  replays       int      NOT NULL DEFAULT 0,
  created_at    timestamptz NOT NULL
) WITH (fillfactor = 90);
CREATE UNIQUE INDEX simulation_idem ON pay.simulation (client_id, idem_key) WHERE idem_key IS NOT NULL;

CREATE TABLE pay.transfer (                  -- append-only double entry: one row is one debit and one credit
  txn_id         uuid   PRIMARY KEY,         -- at most one transfer per decision
  debit_account  bigint NOT NULL,
  credit_account bigint NOT NULL CHECK (credit_account <> debit_account),
  amount         bigint NOT NULL CHECK (amount > 0),
  kind           "char" NOT NULL CHECK (kind IN ('F', 'H', 'V', 'P')),  -- fund hold void post
  wallet_version bigint NOT NULL,            -- gapless per wallet
  balance_after  bigint NOT NULL,
  created_at     timestamptz NOT NULL,
  pending_id     uuid                        -- on V and P rows: the hold they resolve
);
-- A hold is resolved at most once.
CREATE UNIQUE INDEX transfer_pending ON pay.transfer (pending_id) WHERE pending_id IS NOT NULL;
-- The wallet leg is the positive account; two writers of one version cannot both commit.
CREATE UNIQUE INDEX transfer_wallet_version ON pay.transfer
  ((CASE WHEN debit_account > 0 THEN debit_account ELSE credit_account END), wallet_version);
