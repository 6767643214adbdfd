"""Loads that are measured in turn and compared round by round, so that a noisy machine shifts all alike."""

import statistics

from servers import settle


class Turns:
    """Named loads, each run once a round; every second round goes backwards, so that none is always first."""

    def __init__(self, bench, phase):
        self.bench, self.phase = bench, phase
        self.loads = []

    def add(self, name, kinds):
        """kinds: a function that makes the kinds of load of one run."""
        self.loads.append((name, kinds))

    def run(self, rounds, seconds):
        for _, kinds in self.loads:
            self.bench.clients.mixed(kinds(), 1)
        for round_ in range(rounds):
            print(f"== {self.phase}, round {round_ + 1} of {rounds}", flush=True)
            for name, kinds in self.loads[:: -1 if round_ % 2 else 1]:
                self._measure(name, kinds(), round_, seconds)

    def _measure(self, name, kinds, round_, seconds):
        settle()
        before = self.bench.postgres.cpu_seconds()
        classes = self.bench.clients.mixed(kinds, seconds)
        cpu_s = self.bench.postgres.cpu_seconds() - before
        total = {field: sum(counted[field] for counted in classes.values())
                 for field in ("good", "good_per_s", "refused", "lost", "offered")}
        for field in ("p50_us", "p99_us", "refused_p99_us"):
            total[field] = max(counted[field] for counted in classes.values())
        total["postgresql_us"] = cpu_s * 1e6 / max(total["good"], 1)
        self.bench.report.add_run(self.phase, name, round_, {**total, "classes": classes})
        print(f"   {name:24} {total['good_per_s']:9.0f}/s  p50 {total['p50_us'] / 1000:6.2f} ms  "
              f"p99 {total['p99_us'] / 1000:6.2f} ms  refused {total['refused']} "
              f"(p99 {total['refused_p99_us'] / 1000:.2f} ms)  lost {total['lost']}  "
              f"postgresql {total['postgresql_us']:.1f} us each", flush=True)

    def values(self, name, field):
        """One a round, in the order of the rounds."""
        return self.bench.report.values(self.phase, name, field)

    def judge_ratio(self, text, above, below, field, compare, limit):
        """The median of above / below of each round."""
        ratios = [one / other for one, other in zip(self.values(above, field), self.values(below, field))]
        self.bench.report.add(text, statistics.median(ratios), compare=compare, limit=limit,
                              spread=(min(ratios), max(ratios)))

    def tell(self, name, field="good_per_s", unit="/s", scale=1):
        values = [value / scale for value in self.values(name, field)]
        self.bench.report.add(f"  {name}" + ("" if unit == "/s" else f": {field.rpartition('_')[0] or field}"),
                              statistics.median(values), unit, spread=(min(values), max(values)))
