"""What everybody wanting one wallet gets, beside what as many clients of distinct wallets get."""

import random
import statistics

from harness.load import Kind, evaluate_lines, hold_lines
from turns import Turns

CONNECTIONS, CROWD = 64, 200
WALLETS = 100000
HOT_WALLET = 7
SKEWED_WALLETS, SKEWED_SHARE = WALLETS // 100, 0.8
LINES = 20000
"""Of a script; it is gone through again and again, each time with other keys."""
PAUSE_MS = 10
"""What a client waits after a refusal: one that does not wait measures how fast it is refused."""


def uniform(count=LINES):
    return [random.randint(1, WALLETS) for _ in range(count)]


def skewed():
    return [random.randint(1, SKEWED_WALLETS if random.random() < SKEWED_SHARE else WALLETS) for _ in range(LINES)]


def holds(server, wallets, connections=CONNECTIONS, name="holds"):
    return Kind(name, server.port, hold_lines(wallets, amount=1), connections=connections, pause_ms=PAUSE_MS)


def evaluates(server):
    return Kind("evaluates", server.port, evaluate_lines(uniform()), connections=CONNECTIONS, pause_ms=PAUSE_MS)


class Hot:
    def __init__(self, bench):
        self.bench = bench
        self.turns = Turns(bench, "hot")

    def run(self):
        servers, url, before = self.bench.servers, self.bench.url, self.bench.before_binary
        one, other = servers.service("one", url), servers.service("other", url)
        add = self.turns.add
        if before is not None:
            old = servers.service("before", url, binary=before)
            add("evaluates", lambda: [evaluates(one)])
            add("evaluates before", lambda: [evaluates(old)])
            add("distinct wallets before", lambda: [holds(old, uniform())])
        add("distinct wallets", lambda: [holds(one, uniform())])
        add("one wallet", lambda: [holds(one, [HOT_WALLET])])
        add("one wallet, 200 clients", lambda: [holds(one, [HOT_WALLET], CROWD)])
        add("one wallet, two instances", lambda: [holds(one, [HOT_WALLET], CONNECTIONS // 2, "one"),
                                                  holds(other, [HOT_WALLET], CONNECTIONS // 2, "other")])
        add("80 % on 1 % of wallets", lambda: [holds(one, skewed())])
        self.turns.run(self.bench.rounds, self.bench.seconds)
        servers.stop_all()
        self.judge()
        if before is not None:
            self.judge_before()

    def judge(self):
        turns, add = self.turns, self.bench.report.add
        turns.judge_ratio("one wallet / distinct wallets, 64 clients", "one wallet", "distinct wallets",
                          "good_per_s", ">=", 0.75)
        refused = turns.values("one wallet", "refused")
        add("one wallet, 64 clients: refused", statistics.median(refused), compare="==", limit=0,
            spread=(min(refused), max(refused)))
        turns.judge_ratio("one wallet: 200 clients / 64", "one wallet, 200 clients", "one wallet", "good_per_s",
                          ">=", 1)
        refusals = turns.values("one wallet, 200 clients", "refused_p99_us")
        add("one wallet, 200 clients: p99 of refusals", statistics.median(refusals) / 1000, "ms", compare="<", limit=5,
            spread=(min(refusals) / 1000, max(refusals) / 1000))
        turns.judge_ratio("one wallet: two instances / one", "one wallet, two instances", "one wallet", "good_per_s",
                          ">=", 0.8)
        turns.judge_ratio("80 % of holds on 1 % of wallets / uniform", "80 % on 1 % of wallets", "distinct wallets",
                          "good_per_s", ">=", 0.8)
        lost = sum(sum(turns.values(name, "lost")) for name, _ in turns.loads)
        add("hot: other answers, or none", lost, compare="==", limit=0)
        for name, _ in turns.loads:
            turns.tell(name)
            turns.tell(name, "p99_us", "ms", 1000)
        turns.tell("one wallet, 200 clients", "refused", "")

    def judge_before(self):
        turns = self.turns
        turns.judge_ratio("distinct wallets' holds / before", "distinct wallets", "distinct wallets before",
                          "good_per_s", ">=", 0.97)
        turns.judge_ratio("evaluates / before", "evaluates", "evaluates before", "good_per_s", ">=", 0.97)
        turns.judge_ratio("CPU of PostgreSQL per distinct hold / before", "distinct wallets",
                          "distinct wallets before", "postgresql_us", "<=", 1.03)
        for name in ("distinct wallets", "distinct wallets before"):
            turns.tell(name, "postgresql_us", "us", 1)
