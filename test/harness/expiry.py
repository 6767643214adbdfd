"""Holds whose time is over, many at once, and the statement that releases them."""

import uuid
from dataclasses import dataclass
from datetime import datetime

import psycopg

from harness.statements import REGION, SETTINGS, STOP, built

BEGIN = (datetime.min, uuid.UUID(int=0))
"""A place before every hold's."""
TYPES = "uuid[], timestamptz, uuid, int8, text"

# What so many holds by the service would have written, and long due; those of one wallet are due one
# second apart.
_HOLDS = """
WITH made AS MATERIALIZED (
  SELECT gen_random_uuid() AS txn_id, w.wallet_id, p.clearing_account, w.version + i AS version,
         w.balance - i * {amount}::bigint AS balance, p.currency, m.mcc, i
    FROM pay.wallet w JOIN pay.program p USING (program_id), generate_series(1, {each}) i,
         LATERAL (SELECT min(mcc) AS mcc FROM pay.program_mcc m WHERE m.program_id = p.program_id) m
   WHERE {where}
), decided AS (
  INSERT INTO pay.simulation (txn_id, client_id, idem_hash, fingerprint, wallet_id, amount, currency,
                              mcc, effect, code, balance_after, processing_us, created_at,
                              expires_at)
  SELECT txn_id, 1, decode(md5(txn_id::text), 'hex'), sha256(''), wallet_id, {amount}, currency, mcc,
         'H', '00', balance, 1, now(), now() - interval '{since_s} s' + i * interval '1 s' FROM made
), written AS (
  INSERT INTO pay.transfer (txn_id, debit_account, credit_account, amount, kind, wallet_version,
                            balance_after, created_at)
  SELECT txn_id, wallet_id, clearing_account, {amount}, 'H', version, balance, now() FROM made
)
UPDATE pay.wallet w
   SET balance = w.balance - {each} * {amount}::bigint, version = w.version + {each}, day = t.today,
       day_spent = {each} * {amount}::bigint
                 + CASE WHEN w.day = t.today THEN w.day_spent ELSE 0 END,
       day_count = {each} + CASE WHEN w.day = t.today THEN w.day_count ELSE 0 END,
       month_spent = {each} * {amount}::bigint
                   + CASE WHEN w.day >= date_trunc('month', t.today::timestamp)
                          THEN w.month_spent ELSE 0 END
  FROM pay.program p, LATERAL (SELECT (now() AT TIME ZONE p.tz)::date AS today) t
 WHERE p.program_id = w.program_id AND {where}"""


def holds_sql(first, last, each=1, amount=100, since_s=3600):
    """One statement that holds `amount` on each of these wallets, `each` times; due since then."""
    where = f"w.wallet_id BETWEEN {first} AND {last}"
    return _HOLDS.format(where=where, each=each, amount=amount, since_s=since_s)


def hold_overdue(database, wallets, each=1, amount=100, since_s=3600):
    """Of wallets whose numbers follow one another; gives the holds, in the order of their expiry."""
    database.run(holds_sql(wallets[0], wallets[-1], each, amount, since_s))
    return [
        row[0]
        for row in database.rows(
            "SELECT txn_id FROM pay.simulation"
            " WHERE wallet_id = ANY (%s) AND expires_at IS NOT NULL ORDER BY expires_at, txn_id",
            wallets,
        )
    ]


def make_overdue(database, transaction_ids, since_s=60):
    """Holds that were made otherwise."""
    database.run(
        "UPDATE pay.simulation SET expires_at = now() - %s * interval '1 s'"
        " WHERE txn_id = ANY (%s)",
        since_s,
        list(transaction_ids),
    )


def forget_all(database):
    """Nothing is due any more, whoever's it was: a test that counts sees its own holds only."""
    database.run("UPDATE pay.simulation SET expires_at = NULL WHERE expires_at <= now()")


def releases(database, transaction_ids):
    """{hold: [amount of each of its X rows]} of those that have one."""
    found = {}
    for hold, amount in database.rows(
        "SELECT hold_id, amount FROM pay.transfer WHERE kind = 'X' AND hold_id = ANY (%s)",
        list(transaction_ids),
    ):
        found.setdefault(hold, []).append(amount)
    return found


def standing(database, transaction_ids):
    """How many of them the expiry has still to come to."""
    return database.value(
        "SELECT count(*) FROM pay.simulation WHERE expires_at IS NOT NULL AND txn_id = ANY (%s)",
        list(transaction_ids),
    )


@dataclass(frozen=True)
class Expired:
    """The statement's row."""

    looked: int
    released: int
    cleared: int
    last_expires_at: datetime | None
    last_txn_id: uuid.UUID | None
    last_overdue_us: int | None
    left_overdue_us: int | None

    @property
    def left(self):
        return self.looked - self.released - self.cleared

    @property
    def place(self):
        return (self.last_expires_at, self.last_txn_id)


def stopping():
    """The statement with a place to stand still: after its snapshot, before it locks a wallet."""
    before = "ARRAY(SELECT d.wallet_id FROM due d)"
    text = built("expire_batch")
    assert text.count(before) == 1
    lock = f"length(pg_advisory_xact_lock_shared({STOP})::text)"
    return text.replace(before, before.replace("d.wallet_id", f"d.wallet_id + {lock}"))


class Expirer:
    """A session with the service's settings and rights that asks as the service does."""

    def __init__(self, database, text=None):
        self.connection = psycopg.connect(
            database.url(), options=SETTINGS, autocommit=True, cursor_factory=psycopg.ClientCursor
        )
        text = (text or built("expire_batch")).replace("%", "%%")
        self.connection.execute(f"PREPARE expire_batch ({TYPES}) AS {text}")

    def ask(self, count=100, place=BEGIN, pass_over=0, region=REGION):
        """None: the database is another region's."""
        expires_at, txn_id = place
        rows = self.connection.execute(
            "EXECUTE expire_batch (%s, %s, %s, %s, %s)",
            [
                [uuid.uuid4() for _ in range(count)],
                "-infinity" if expires_at == datetime.min else expires_at,
                txn_id,
                pass_over,
                region,
            ],
        ).fetchall()
        return Expired(*rows[0]) if rows else None

    def sweep(self, count=100):
        """Every answer, from the beginning until all that are due were looked at."""
        answers = [self.ask(count)]
        while answers[-1].looked == count:
            answers.append(self.ask(count, answers[-1].place))
        return answers
