"""Fixtures of all suites: one cluster and one patient service per session, wallets per test."""

import pytest

from harness.invariants import assert_invariants
from harness.machine import BINARY, wait_until
from harness.payments import SEED, Book
from harness.postgres import Cluster, Database
from harness.service import PATIENT, Service, migrate


FOLDERS = ("integration", "fault")
MARKERS = ("delivery", "deploy", "infra")


def pytest_collection_modifyitems(config, items):
    """A test that belongs to no part of build/test, or to two, would run never, or by accident."""
    homeless = set()
    for item in items:
        place = item.path.relative_to(config.rootpath)
        marks = [name for name in MARKERS if item.get_closest_marker(name)]
        if len(marks) + (place.parts[0] in FOLDERS) != 1:
            homeless.add(str(place))
    if homeless:
        names = ", ".join(sorted(homeless))
        raise pytest.UsageError(f"not in exactly one of {FOLDERS} and {MARKERS}: {names}")


@pytest.fixture(scope="session")
def cluster():
    own = Cluster()
    try:
        own.create()
        yield own
    finally:
        own.destroy()


@pytest.fixture(scope="session")
def binary():
    assert BINARY.exists(), f"{BINARY} is missing: build it, or name another in PLA_BINARY"
    return BINARY


@pytest.fixture(scope="session")
def database(cluster, binary):
    own = Database(cluster, "pay")
    own.create()
    migrate(own)
    own.run(SEED)
    own.run(
        "UPDATE pay.region SET reference_wallet_id = 1, reference_amount_minor = 100,"
        " reference_currency = 'EUR', reference_mcc = 5812, reference_country = 'ES'"
    )
    own.run("VACUUM ANALYZE")
    return own


@pytest.fixture(scope="session")
def all_wallets(database):
    return Book(database)


@pytest.fixture
def book(all_wallets):
    """Wallets to spend from. The ledger must be whole again when the test is over."""
    yield all_wallets
    assert_invariants(all_wallets.database)


@pytest.fixture(scope="session")
def patient_service(database):
    own = Service(database.url(), PATIENT)
    try:
        yield own.start()
    finally:
        own.stop()


@pytest.fixture
def service(patient_service):
    """The shared service. A test that needs other settings, or breaks things, starts its own."""
    wait_until(patient_service.ready)
    return patient_service


@pytest.fixture
def start_service(database):
    """start_service(settings, ready=True, url=None): services of this test, stopped after it."""
    started = []

    def start(settings=None, ready=True, url=None):
        own = Service(url or database.url(), settings)
        started.append(own)
        return own.start(ready)

    yield start
    failures = []
    for own in started:
        try:
            own.stop()
        except AssertionError as failure:
            failures.append(str(failure))
    assert failures == []
