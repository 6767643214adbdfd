"""Whether this binary is as good as the one before it: both in one run, in turn."""

import statistics

from hot import evaluates, holds, uniform
from turns import Turns

EQUAL = 0.02
IDLE_CONNECTIONS = 1000
LATENCY_S = 0.5
SHORT_ROUNDS = 3  # for each round of --rounds: the shorter the turn, the more alike its noise


class Before:
    def __init__(self, bench):
        self.bench = bench
        self.binaries = {"now": None, "before": bench.before_binary}

    def run(self):
        self.saturation()
        self.latency()
        self.memory()

    def started(self):
        return {name: self.bench.servers.service(name, self.bench.url, binary=binary)
                for name, binary in self.binaries.items()}

    def saturation(self):
        servers, turns = self.started(), Turns(self.bench, "before")
        for name, server in servers.items():
            turns.add(f"evaluate {name}", lambda one=server: [evaluates(one)])
        for name, server in servers.items():
            turns.add(f"hold {name}", lambda one=server: [holds(one, uniform())])
        turns.run(SHORT_ROUNDS * self.bench.rounds, max(1, self.bench.seconds / SHORT_ROUNDS))
        self.bench.servers.stop_all()
        for what in ("evaluate", "hold"):
            turns.judge_ratio(f"{what}s/s now / before", f"{what} now", f"{what} before", "good_per_s", ">=",
                              1 - EQUAL)
        for name, _ in turns.loads:
            turns.tell(name)

    def latency(self):
        servers = self.started()
        for round_ in range(SHORT_ROUNDS * self.bench.rounds):
            print(f"== one client, round {round_ + 1} of {SHORT_ROUNDS * self.bench.rounds}", flush=True)
            for name in list(servers)[:: -1 if round_ % 2 else 1]:
                result = self.bench.clients.closed_loop(servers[name], 1, LATENCY_S)
                self.bench.report.add_run("one client", name, round_, result)
        self.bench.servers.stop_all()
        self.judge("one client: p50 of evaluate now / before", "one client", "p50_us", "us", 1)

    def memory(self):
        for round_ in range(self.bench.rounds):
            for name, server in self.started().items():
                result = self.bench.clients.idle_conns(server, IDLE_CONNECTIONS)
                self.bench.report.add_run("idle memory", name, round_, result)
            self.bench.servers.stop_all()
        self.judge("idle memory now / before", "idle memory", "before_bytes", "MiB", 2**20)
        self.judge("memory per idle connection now / before", "idle memory", "bytes_per_connection", "B", 1)

    def judge(self, text, phase, field, unit, scale):
        """Not more than before: the median of the rounds' ratios."""
        report = self.bench.report
        values = {name: report.values(phase, name, field) for name in self.binaries}
        ratios = [now / before for now, before in zip(values["now"], values["before"])]
        report.add(text, statistics.median(ratios), compare="<=", limit=1 + EQUAL, spread=(min(ratios), max(ratios)))
        for name in values:
            report.add(f"  {text.removesuffix(' now / before')}: {name}", statistics.median(values[name]) / scale, unit)
