"""Everybody wants one wallet: it gets what it can, and nobody else notices."""

from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from harness.faults import LOCK_WALLET, NOTICE_S
from harness.http import timed
from harness.load import Kind, hold_lines, void_lines
from harness.machine import seconds, wait_until
from harness.neighbours import EAGER, Neighbours, assert_unnoticed, hold_ids, late_refusals
from harness.payments import new_key, payload, post
from harness.service import PATIENT

FAIR_MIN = 0.3
"""Of two instances on one wallet, the part of the holds that the slower one must get."""


ASKED, SHARE_MAX, BATCH_MAX = 100, 8, 32

pytestmark = [pytest.mark.measured, pytest.mark.usefixtures("durable")]


def hot(service, wallet, clients, think_ms, name="hot"):
    return Kind(
        name,
        service.port,
        hold_lines([wallet], amount=1),
        connections=clients,
        think_ms=think_ms,
        pause_ms=20,
    )


def test_a_hot_wallet_on_two_instances_alternates(start_service, book):
    services = [start_service(EAGER), start_service(EAGER)]
    wallet = book.wallet(balance=10**9)
    neighbours = Neighbours(services)

    quiet, hurt = neighbours.compare(
        lambda: [
            hot(service, wallet, 16, 5, name)
            for service, name in zip(services, ("left", "right"))
        ]
    )

    found = []
    good = {}
    for name in ("left", "right"):
        found += late_refusals(quiet, hurt[name])
        good[name] = hurt[name].share(2) * hurt[name].offered
        if hurt[name].share(2) < 0.95:
            found.append(f"{name}: {hurt[name].statuses()}")
    if min(good.values()) < FAIR_MIN * sum(good.values()):
        found.append(f"not in turn: {good}")
    assert_unnoticed(quiet, hurt, found)


def test_voids_beside_a_hot_wallet(start_service, book):
    """The hot wallet's own voids are answered, too."""
    service, wallet = start_service(EAGER), book.wallet(balance=10**9)
    neighbours = Neighbours([service])

    def voids():
        lines = void_lines(hold_ids(service, [wallet], 50, amount=1))
        return Kind("hot voids", service.port, lines, rate=10, connections=16, once=True)

    quiet, hurt = neighbours.compare(lambda: [hot(service, wallet, 64, 20), voids()])

    found = []
    if hurt["hot voids"].share(2) < 0.9:
        found.append(f"voids of the hot wallet: {hurt['hot voids'].statuses()}")
    if hurt["hot"].share(2) < 0.95:
        found.append(f"hot: {hurt['hot'].statuses()}")
    assert_unnoticed(quiet, hurt, found)


def test_a_crowd_on_one_wallet(start_service, book):
    """What is over the wallet's share of the line is refused at once, and only that."""
    service, wallet = start_service(EAGER), book.wallet(balance=10**9)
    neighbours = Neighbours([service])

    quiet, hurt = neighbours.compare(lambda: [hot(service, wallet, 300, 20)])

    found = late_refusals(quiet, hurt["hot"])
    if not set(hurt["hot"].statuses()) <= {201, 503}:
        found.append(f"hot: {hurt['hot'].statuses()}")
    assert_unnoticed(quiet, hurt, found)


def test_a_wallet_holds_no_more_than_its_share_of_the_line(start_service, database, book):
    """While another session has the wallet so many wait, no more; the rest is refused at once."""
    service = start_service({**EAGER, **PATIENT, "LANE_WALLET_MAX": SHARE_MAX})
    wallet = book.wallet(balance=10**6)
    with database.connect() as other, ThreadPoolExecutor(ASKED) as callers:
        other.execute("BEGIN")
        other.execute(LOCK_WALLET, (wallet,))
        answers = [
            callers.submit(timed, lambda: post(service, payload(wallet, 1), new_key()))
            for _ in range(ASKED)
        ]
        wait_until(lambda: sum(map(Future.done, answers)) >= ASKED - SHARE_MAX - BATCH_MAX)
        other.execute("COMMIT")

    took = {}
    for duration, answer in (future.result() for future in answers):
        took.setdefault(answer.status, []).append(duration)
    print("  ", {status: f"{len(times)}, {max(times):.3f} s" for status, times in took.items()})
    assert set(took) == {201, 503}
    assert len(took[201]) <= SHARE_MAX + BATCH_MAX
    assert max(took[503]) < seconds(NOTICE_S)
    assert book.holds(wallet) == len(took[201])
