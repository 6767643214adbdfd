"""Fewer connections than there are kinds of work: every kind still gets its share of them."""

import pytest

from harness.load import Kind, evaluate_lines
from harness.neighbours import EAGER, WALLETS, Neighbours, add, assert_unnoticed

pytestmark = pytest.mark.measured

ENOUGH = 16
"""Connections for every track of every lane."""
ROUNDS = 2


def crowded(service):
    """What everybody else gets beside a crowd that evaluates as fast as it is answered."""
    neighbours = Neighbours([service], lasting_s=1, rounds=1, rates={"evaluates": 0})
    crowd = Kind(
        "crowd", service.port, evaluate_lines(WALLETS), connections=200, think_ms=1, pause_ms=50
    )
    return neighbours.compare(lambda: [crowd])[1]


@pytest.mark.parametrize("connections", [1, 2, 3, 4, 5])
def test_a_crowd_that_evaluates_starves_nobody(durable, start_service, connections):
    """The crowd takes the processor in any case: the measure is the same crowd at a service that has
    connections for everybody."""
    enough = start_service({**EAGER, "POOL_SIZE": ENOUGH})
    few = start_service({**EAGER, "POOL_SIZE": connections})
    with_enough, with_few = {}, {}

    for _ in range(ROUNDS):
        add(with_enough, crowded(enough))
        add(with_few, crowded(few))

    assert_unnoticed(with_enough, with_few)
