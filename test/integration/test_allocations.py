"""No allocation of ours per request on the GET path, once everything is warm.

The library that counts is build/bench's; what libpq allocates for a result is libpq's.
"""

import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.machine import BUILD
from harness.service import API_KEY, PATIENT, SIMULATE, Service

sys.path.append(str(Path(__file__).resolve().parents[1] / "bench"))
import allocations  # noqa: E402  (lies in test/bench)

LIBRARY = BUILD / "test" / "bench" / "liballoc_count.so"
CONNECTIONS = 8
WARM_REQUESTS = 200
REQUESTS = 1000


@pytest.fixture
def counted(database, tmp_path):
    """A service whose allocations are counted, and the file with the counts."""
    if not LIBRARY.exists():
        pytest.skip("a sanitized build has an allocator of its own")
    file = tmp_path / "allocations"
    service = Service(database.url(), {**PATIENT, **allocations.settings(LIBRARY, file)})
    try:
        yield service.start(), file
    finally:
        service.stop()


def ask(connections, count):
    for index in range(count):
        answer = connections[index % CONNECTIONS].request("GET", SIMULATE, [("X-API-Key", API_KEY)])
        assert answer.status == 200


def test_get_allocates_nothing(counted):
    service, file = counted
    with ExitStack() as stack:
        connections = [stack.enter_context(service.connect()) for _ in range(CONNECTIONS)]
        ask(connections, WARM_REQUESTS)
        before = allocations.read(file)

        ask(connections, REQUESTS)

        made = allocations.between(before, allocations.read(file))
    assert allocations.ours(made) == 0, made
