"""Migrations: once, in order, one at a time, never over a surprise; and what the role may do."""

import itertools
import subprocess

import psycopg
import pytest

from harness.machine import BINARY, seconds
from harness.payments import SEED
from harness.postgres import APP_ROLE, Database
from harness.service import REGION, environment, run_command

numbers = itertools.count(1)


@pytest.fixture
def empty_database(cluster, binary):
    own = Database(cluster, f"migrate_{next(numbers)}")
    own.create()
    return own


def settings_for(database, region=REGION):
    return {"DATABASE_URL": database.url("postgres"), "REGION": region, "ENVIRONMENT": "dev"}


def migrate(database, region=REGION):
    return run_command("migrate", settings=settings_for(database, region))


def schema_of(database):
    return database.rows(
        "SELECT table_name, column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = 'pay' ORDER BY 1, 2"
    )


def record_of(database):
    return database.rows("SELECT * FROM pay.schema_migration ORDER BY version")


def test_migrate_makes_the_schema_and_tells_each_step(empty_database):
    done = migrate(empty_database)

    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len(record_of(empty_database)) > 0
    assert empty_database.value("SELECT region FROM pay.region") == REGION


def test_migrate_again_changes_nothing(empty_database):
    migrate(empty_database)
    before = record_of(empty_database), schema_of(empty_database)

    done = migrate(empty_database)

    assert done.returncode == 0
    assert (record_of(empty_database), schema_of(empty_database)) == before


def test_two_migrations_at_once_apply_each_file_once(empty_database):
    processes = [
        subprocess.Popen(
            [str(BINARY), "migrate"],
            env=environment(settings_for(empty_database)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]

    outputs = [process.communicate(timeout=seconds(30)) for process in processes]

    assert [process.returncode for process in processes] == [0] * 4, outputs
    applied = [
        line for output, _ in outputs for line in output.splitlines() if line.startswith("applied")
    ]
    assert len(applied) == len(record_of(empty_database))


def test_changed_migration_is_refused(empty_database):
    migrate(empty_database)
    empty_database.run("UPDATE pay.schema_migration SET sha256 = repeat('0', 64) WHERE version = 1")

    done = migrate(empty_database)

    assert done.returncode == 1
    assert "changed" in done.stderr


def test_database_ahead_of_the_binary_is_refused(empty_database):
    migrate(empty_database)
    newest = empty_database.value("SELECT max(version) FROM pay.schema_migration")
    empty_database.run(
        "INSERT INTO pay.schema_migration (version, name, sha256) VALUES (%s, 'later', '')",
        newest + 1,
    )

    done = migrate(empty_database)

    assert done.returncode == 1
    assert "ahead" in done.stderr


def test_database_of_another_region_is_refused(empty_database):
    migrate(empty_database)

    done = migrate(empty_database, "mx-central-1")

    assert done.returncode == 1
    assert REGION in done.stderr and "mx-central-1" in done.stderr
    assert empty_database.value("SELECT region FROM pay.region") == REGION


def test_unreachable_database_is_explained_without_its_secrets():
    done = run_command(
        "migrate",
        settings={
            "DATABASE_URL": "postgresql://owner:open-sesame@127.0.0.1:1/pay",
            "REGION": REGION,
            "ENVIRONMENT": "dev",
        },
    )

    assert done.returncode == 1
    assert done.stderr.startswith("migrate: ")
    assert "open-sesame" not in done.stderr


def test_service_is_not_ready_on_a_database_without_the_schema(empty_database, start_service):
    service = start_service(url=empty_database.url(), ready=False)

    assert (service.probe("/livez"), service.probe("/readyz")) == (200, 503)


# What the role pay_app may do and may not, and what the schema refuses from anybody.

ALLOWED = [
    "SELECT 1 FROM pay.wallet",
    "SELECT 1 FROM pay.transfer",
    "SELECT 1 FROM pay.simulation",
    "SELECT 1 FROM pay.region",
    "SELECT 1 FROM pay.program_mcc",
    "SELECT 1 FROM pay.schema_migration",
    "UPDATE pay.wallet SET balance = balance, version = version, day = day WHERE wallet_id = 1",
    "UPDATE pay.simulation SET replays = replays + 1 WHERE false",
]
REFUSED = [
    "UPDATE pay.transfer SET amount = 1",
    "UPDATE pay.transfer SET created_at = now() WHERE false",
    "DELETE FROM pay.transfer",
    "TRUNCATE pay.transfer",
    "DELETE FROM pay.simulation",
    "UPDATE pay.simulation SET code = '00'",
    "UPDATE pay.simulation SET fingerprint = ''",
    "DELETE FROM pay.wallet",
    "INSERT INTO pay.wallet SELECT * FROM pay.wallet LIMIT 1",
    "UPDATE pay.wallet SET status = 'A'",
    "UPDATE pay.wallet SET program_id = 1",
    "UPDATE pay.program SET txn_max = 1",
    "INSERT INTO pay.program_mcc VALUES (1, 1)",
    "UPDATE pay.region SET region = 'x'",
    "DELETE FROM pay.schema_migration",
    "DROP TABLE pay.transfer",
    "CREATE TABLE pay.mine (x int)",
    "ALTER TABLE pay.wallet DROP CONSTRAINT wallet_balance_check",
]


@pytest.mark.parametrize("statement", ALLOWED)
def test_service_role_may(database, statement):
    with database.connect(APP_ROLE) as connection:
        connection.execute(statement)


@pytest.mark.parametrize("statement", REFUSED)
def test_service_role_may_not(database, statement):
    with database.connect(APP_ROLE) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


def test_service_role_decides_under_read_committed(database):
    with database.connect(APP_ROLE) as connection:
        assert connection.execute("SHOW transaction_isolation").fetchone() == ("read committed",)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO pay.transfer SELECT gen_random_uuid(), -1000, 1, 1, 'F', 1, 1, now()",
        "INSERT INTO pay.transfer SELECT txn_id, -1000, 1, 1, 'F', 9, 1, now() FROM pay.transfer",
        "INSERT INTO pay.transfer SELECT gen_random_uuid(), 1, 1, 1, 'F', 9, 1, now()",
        "INSERT INTO pay.transfer SELECT gen_random_uuid(), -1000, 1, 0, 'F', 9, 1, now()",
        "UPDATE pay.wallet SET balance = -1 WHERE wallet_id = 1",
    ],
    ids=["version-twice", "transaction-twice", "to-itself", "nothing", "negative"],
)
def test_schema_turns_a_wrong_ledger_entry_into_an_error(empty_database, statement):
    migrate(empty_database)
    empty_database.run(SEED)

    with pytest.raises(psycopg.errors.IntegrityError):
        empty_database.run(statement)
