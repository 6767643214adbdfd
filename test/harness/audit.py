"""The product's own audit, as operations run it, and what it says."""

import re

from harness.postgres import OPS_ROLE
from harness.service import REGION, run_command

WHOLE, BROKEN, NOT_DONE = 0, 1, 69
LINE = re.compile(r"^(I\d+) +(kept|BROKEN) +(.*)$", re.M)


def ops_settings(database, **changes):
    """What a command of operations needs, with the rights of its own role."""
    return {
        "DATABASE_URL": database.url(OPS_ROLE),
        "REGION": REGION,
        "ENVIRONMENT": "dev",
        **changes,
    }


def audit(database, *words, limit=120.0, **changes):
    return run_command("audit", *words, settings=ops_settings(database, **changes), limit=limit)


def broken(done):
    """The invariants that it found broken, each with the number of times and who is named."""
    found = {}
    for name, state, text in LINE.findall(done.stdout):
        if state == "BROKEN":
            count, first = re.search(r": (\d+) times, first (.*)$", text).groups()
            found[name] = (int(count), first.split(", "))
    return found


def assert_audited(database):
    """The whole ledger, as the product sees it."""
    done = audit(database)
    assert (done.returncode, done.stderr) == (WHOLE, ""), done.stdout + done.stderr
