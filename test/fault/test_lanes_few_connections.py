"""Fewer connections than there are kinds of work: every kind still gets its share of them."""

import pytest

from harness.load import Kind, evaluate_lines, wallet_lines
from harness.neighbours import EAGER, WALLETS, Neighbours, add, assert_unnoticed

pytestmark = pytest.mark.measured

ENOUGH = 16
"""Connections for every track of every lane."""
ROUNDS = 2


def crowded(service, lines, rates):
    """What everybody else gets beside a crowd that asks as fast as it is answered."""
    neighbours = Neighbours([service], lasting_s=1, rounds=1, rates=rates)
    crowd = Kind("crowd", service.port, lines, connections=200, think_ms=1, pause_ms=50)
    return neighbours.compare(lambda: [crowd])[1]


def assert_starves_nobody(start_service, connections, lines, rates=None):
    """The crowd takes the processor in any case: the measure is the same crowd at a service that has
    connections for everybody."""
    enough = start_service({**EAGER, "POOL_SIZE": ENOUGH})
    few = start_service({**EAGER, "POOL_SIZE": connections})
    with_enough, with_few = {}, {}

    for _ in range(ROUNDS):
        add(with_enough, crowded(enough, lines, rates))
        add(with_few, crowded(few, lines, rates))

    assert_unnoticed(with_enough, with_few)


@pytest.mark.parametrize("connections", [1, 2, 3, 4, 5])
def test_a_crowd_that_evaluates_starves_nobody(durable, start_service, connections):
    lines = evaluate_lines(WALLETS)

    assert_starves_nobody(start_service, connections, lines, rates={"evaluates": 0})


@pytest.mark.parametrize("connections", [1, 3])
def test_a_crowd_that_reads_wallets_starves_nobody(durable, start_service, connections):
    assert_starves_nobody(start_service, connections, wallet_lines(WALLETS))
