"""What follows a hold: captures and voids of 64 clients, beside the same one by one; and what a hold costs now.

Every hold is made before the clock runs and gets one step, so nothing measured is a refusal or a replay.
"""

import statistics

import fresh
from before import SHORT_ROUNDS
from expiry import Expiry
from harness.load import Kind, step_lines
from hot import CONNECTIONS, PAUSE_MS, holds, uniform
from servers import PATIENT
from turns import Turns

STEPS = {"captures": ("capture", {}), "voids": ("void", None)}
"""Which step, and its body."""
STEPS_MIN, HOLDS_MIN, CPU_MAX = 4, 0.97, 1.03
MADE_PER_S, MADE_PER_S_ALONE = 20000, 6000
"""Holds that lie ready for each second of a turn: more than there will be steps. If not, the turn ends early."""
NOT_DONE = ("replayed", "already_resolved", "exceeds_open", "too_many_steps", "not_found")
"""Results that no step of a hold of its own may have."""
MAKING_MAX = 10
"""Times a turn's length that it may take to make them."""


class Ledger:
    def __init__(self, bench):
        self.bench = bench

    def run(self):
        if self.bench.before_binary is not None:
            Holds(self.bench).run()
        Steps(self.bench).run()
        Expiry(self.bench).run()


class Steps:
    def __init__(self, bench):
        self.bench = bench
        self.turns = Turns(bench, "ledger")
        self.maker = None

    def run(self):
        bench, add = self.bench, self.turns.add
        self.maker = bench.servers.service("maker", bench.url)
        service = bench.servers.service("service", bench.url)
        alone = bench.servers.service("alone", bench.url, {"LANE_BATCH_MAX": "1", **PATIENT})
        for name in STEPS:
            add(name, self.steps(service, name, MADE_PER_S))
            add(f"{name} alone", self.steps(alone, name, MADE_PER_S_ALONE))
        self.turns.run(bench.rounds, bench.seconds)
        self.judge_results(service, alone)
        bench.servers.stop_all()
        for name in STEPS:
            self.turns.judge_ratio(f"{name}, 64 clients / same with LANE_BATCH_MAX=1", name, f"{name} alone",
                                   "good_per_s", ">=", STEPS_MIN)
        tell(self.turns, "steps")

    def judge_results(self, *servers):
        found = sum(server.metric(f'payment_steps_total{{step="{step}",result="{result}"}}')
                    for server in servers for step, _ in STEPS.values() for result in NOT_DONE)
        self.bench.report.add("ledger, steps: answered, and not done now", found, compare="==", limit=0)

    def steps(self, server, name, made_per_s):
        """A function that makes holds, and the load in which each of them gets its step."""
        step, body = STEPS[name]

        def kinds():
            lines = step_lines(step, self.made(made_per_s * self.bench.seconds), body)
            return [Kind(name, server.port, lines, connections=CONNECTIONS, pause_ms=PAUSE_MS, once=True)]

        return kinds

    def made(self, count):
        """Transaction ids of so many new holds, fewer where some were refused. Neither of those that are compared has
        seen them made, so neither knows their wallets."""
        kind = holds(self.maker, uniform(count), name="made")
        kind.once = True
        return self.bench.clients.transactions(kind, MAKING_MAX * self.bench.seconds)


class Holds:
    """Three databases, filled alike: this binary's, that of the binary before with the schema it came with, from
    which an upgrade starts, and that binary with this schema, as in a rollout. Between the last two lies what the
    schema's change costs a hold."""

    def __init__(self, bench):
        self.bench = bench
        self.turns = Turns(bench, "ledger holds")

    def run(self):
        bench, turns = self.bench, self.turns
        now, before = bench.release / "payment-latency-api", bench.before_binary
        for name, binary, migrator in (("now", now, now), ("before", before, before), ("rollout", before, now)):
            url = fresh.create(f"pay_{name}", migrator, bench.url, bench.servers.region)
            server = bench.servers.service(name, url, binary=binary)
            turns.add(f"holds {name}", lambda one=server: [holds(one, uniform())])
        turns.run(SHORT_ROUNDS * bench.rounds, max(1, bench.seconds / SHORT_ROUNDS))
        bench.servers.stop_all()
        judge = turns.judge_ratio
        judge("holds/s now / before", "holds now", "holds before", "good_per_s", ">=", HOLDS_MIN)
        judge("CPU of PostgreSQL per hold now / before", "holds now", "holds before", "postgresql_us", "<=", CPU_MAX)
        judge("  the same, with the schema alone", "holds rollout", "holds before", "postgresql_us", None, None)
        tell(turns, "holds")


def tell(turns, what):
    """Whether anything else was answered, and each load's own figures. A 409 asks to come again, like a 503: two
    statements of ours met on a wallet that neither knew, or it would be among the steps that were not done."""
    add = turns.bench.report.add
    lost = sum(sum(turns.values(name, "lost")) - busy(turns, name) for name, _ in turns.loads)
    add(f"ledger, {what}: other answers, or none", lost, compare="==", limit=0)
    add(f"  {what}: told that their wallet is busy, and not counted above",
        sum(busy(turns, name) for name, _ in turns.loads))
    for name, _ in turns.loads:
        turns.tell(name)
        turns.tell(name, "p99_us", "ms", 1000)
        turns.tell(name, "postgresql_us", "us", 1)
        refused = turns.values(name, "refused")
        add(f"  {name}: refused, and not counted above", statistics.median(refused),
            spread=(min(refused), max(refused)))


def busy(turns, name):
    return sum(counted["statuses"].get("409", {"count": 0})["count"]
               for classes in turns.values(name, "classes") for counted in classes.values())
