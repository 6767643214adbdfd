"""The statement that releases expired holds, asked as the service asks."""

import uuid
from dataclasses import dataclass
from datetime import datetime

import psycopg

from harness.statements import REGION, SETTINGS, STOP, built

BEGIN = (datetime.min, uuid.UUID(int=0))
"""A place before every hold's."""
TYPES = "uuid[], timestamptz, uuid, int8, text"


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
