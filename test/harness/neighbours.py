"""Everybody else: the load that must not notice what happens to one wallet, one key, one lane.

The quiet figures and those under the fault are measured in turn in one test, so that a noisy
machine shifts both alike. What is asked of everybody else:
    holds, evaluates    2xx at least 0.95 of the quiet share; p99 below 10 ms, or below three times
                        the quiet p99 where the machine itself is that slow
    finds, voids        at least 99 % answered 2xx
    readiness           every poll 200
"""

from contextlib import nullcontext

from harness.load import (
    READY_LINES,
    Counted,
    Kind,
    evaluate_lines,
    find_lines,
    hold_lines,
    run_load,
    send_all,
    void_lines,
)
from harness.machine import seconds, wait_until

EAGER = {"DB_PROBE_INTERVAL_MS": "100"}
"""A service whose readiness notices within a round."""
WALLETS = range(101, 601)
"""Of the seed, with money for every test."""
RATES = {"holds": 300, "evaluates": 300, "finds": 50, "voids": 20, "ready": 20}
CONNECTIONS = {"holds": 64, "evaluates": 64, "finds": 32, "voids": 32, "ready": 4}
GOODPUT_MIN, ANSWERED_MIN = 0.95, 0.99
P99_MS, REFUSAL_P99_MS, NOISE = 10, 5, 3


def transaction_ids(counted):
    return [answer.json()["transaction_id"] for answer in counted.every if answer.status == 201]


def hold_ids(service, wallets, count, amount=100):
    """The transactions of `count` holds made now, one that is refused sent again."""
    made = []

    def all_made():
        missing = [wallets[index % len(wallets)] for index in range(len(made), count)]
        if missing:
            made.extend(transaction_ids(send_all(service.port, hold_lines(missing, amount), 4)))
        return len(made) == count

    wait_until(all_made, 10, f"{count} holds")
    return made


def at_rest(service):
    metrics = service.metrics()
    return (
        metrics.value("http_requests_in_flight") == 0
        and metrics.value("db_queue_depth") == 0
        and metrics.value("lane_in_flight") == 0
    )


def add(sums, results):
    for name, counted in results.items():
        what = name.partition("@")[0]
        sums.setdefault(what, Counted())
        sums[what] += counted


class Neighbours:
    """Asks all of these services, each for its part of the load."""

    def __init__(self, services, lasting_s=1.2, rounds=2, rates=None):
        self.services = services
        self.lasting_s = lasting_s
        self.rounds = rounds
        self.rates = {**RATES, **(rates or {})}
        self.found = hold_ids(services[0], WALLETS, 100)

    def kinds(self):
        return [kind for service in self.services for kind in self._kinds_at(service)]

    def _kinds_at(self, service):
        share = 1 / len(self.services)
        rates = {what: rate * share for what, rate in self.rates.items()}
        rates["ready"] = self.rates["ready"]
        voids = int(rates["voids"] * (self.lasting_s + 1) * 1.5) + 10
        lines = {
            "holds": hold_lines(WALLETS),
            "evaluates": evaluate_lines(WALLETS),
            "finds": find_lines(self.found),
            "voids": void_lines(hold_ids(service, WALLETS, voids)),
            "ready": READY_LINES,
        }
        return [
            Kind(
                f"{what}@{service.port}",
                service.port,
                lines[what],
                rate=rates[what],
                connections=CONNECTIONS[what],
                once=what == "voids",
            )
            for what in lines
            if rates[what] > 0
        ]

    def compare(self, kinds, fault=nullcontext):
        """Rounds without and with the load of kinds() under `fault`, in turn: (quiet, hurt), each
        {what: Counted}."""
        quiet, hurt = {}, {}
        for _ in range(self.rounds):
            add(quiet, run_load(self.kinds(), self.lasting_s))
            own, more = self.kinds(), kinds()
            with fault():
                add(hurt, run_load(own + more, self.lasting_s))
            for service in self.services:
                wait_until(lambda one=service: at_rest(one), 5, "rest after the fault")
        for title, sums in (("quiet", quiet), ("hurt", hurt)):
            for what, counted in sums.items():
                print(f"   {title} {what:10} {counted}")
        return quiet, hurt


def complaints(quiet, hurt):
    """What everybody else noticed, as texts; empty: nothing."""
    found = []
    for what in ("holds", "evaluates"):
        if what not in quiet:
            continue
        before, after = quiet[what].share(2), hurt[what].share(2)
        if after < GOODPUT_MIN * before:
            found.append(f"{what}: goodput {after / before:.3f} of quiet, {hurt[what].statuses()}")
        limit = max(seconds(P99_MS), NOISE * quiet[what].percentile_ms(99))
        p99 = hurt[what].percentile_ms(99)
        if p99 >= limit:
            found.append(f"{what}: p99 {p99:.1f} ms, limit {limit:.1f} ms")
    for what in ("finds", "voids"):
        if what in hurt and hurt[what].share(2) < ANSWERED_MIN:
            found.append(
                f"{what}: {100 * hurt[what].share(2):.1f} % answered, {hurt[what].statuses()}"
            )
    if set(hurt["ready"].statuses()) != {200}:
        found.append(f"readiness: {hurt['ready'].statuses()}")
    return found


def assert_unnoticed(quiet, hurt, more=()):
    """Nobody else noticed; `more`: what a test has to complain of besides."""
    found = complaints(quiet, hurt) + list(more)
    assert not found, "; ".join(found)


def late_refusals(quiet, counted, status=503, percent=99):
    """Whether refusals took longer than one that is given at once may: a text, or none."""
    limit = max(seconds(REFUSAL_P99_MS), NOISE * quiet["ready"].percentile_ms(99))
    took = counted.percentile_ms(percent, lambda answer: answer.status == status)
    late = f"refusals {status}: p{percent} {took:.1f} ms, limit {limit:.1f} ms"
    return [late] if took >= limit else []
