"""The bench of issue "speed and memory": runs every measurement and judges it. Started by build/bench.

Whatever is compared is measured in the same run, in turn (A B C A B C ...), and compared by medians, so
that a noisy machine shifts both sides alike.
"""

import argparse
import os
import signal
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import allocations  # noqa: E402  (the harness of the tests lies beside this folder)
import slow  # noqa: E402
from before import Before  # noqa: E402
from clients import Clients  # noqa: E402
from hostile import Hostile  # noqa: E402
from hot import Hot  # noqa: E402
from ledger import Ledger  # noqa: E402
from report import Report, first_line, machine, versions  # noqa: E402
from servers import PATIENT, Postgres, Servers, settle  # noqa: E402

CONNECTIONS = 64
IDLE_CONNECTIONS = 5000
OVERLOAD = 5
OPEN_CONNECTIONS = 4000
SLEEP_S = 0.02
LATENCY_S = 0.5
LATENCY_ROUNDS = 3  # for each round of --rounds: the shorter the turn, the more alike its noise
LOSSES = ("connect_errors", "read_errors", "write_errors", "timeouts")
PHASES = ("saturation", "latency", "memory", "allocations", "overload", "hot", "hostile", "ledger")
CAPACITY_CONNECTIONS = (64, 96, 128)  # two full batches in flight, with none, one and two full ones behind


def options():
    parser = argparse.ArgumentParser(prog="build/bench", description="Measures what the service promises.")
    parser.add_argument("--rounds", type=int, default=5, help="of each measurement, in turn (default 5)")
    parser.add_argument("--seconds", type=int, default=3, help="of each wrk run (default 3)")
    parser.add_argument("--only", choices=(*PHASES, "before"), action="append",
                        help="one phase; may be repeated (default: all but before)")
    parser.add_argument("--before", metavar="PATH", type=Path,
                        help="another binary of this service, to be measured in turn with this one")
    chosen = parser.parse_args()
    if chosen.before is None and "before" in (chosen.only or ()):
        parser.error("--only before needs --before PATH")
    if chosen.before is not None and not os.access(chosen.before, os.X_OK):
        parser.error(f"{chosen.before} cannot be run")
    if chosen.rounds < 1 or chosen.seconds < 1:
        parser.error("--rounds and --seconds are at least 1")
    return chosen


def say(text):
    print(f"== {text}", flush=True)


class Bench:
    def __init__(self, chosen, env):
        directory = Path(env["BENCH_DIR"])
        release = Path(env["RELEASE_DIR"])
        self.rounds, self.seconds = chosen.rounds, chosen.seconds
        self.phases = chosen.only or PHASES
        self.before_binary = chosen.before
        self.directory, self.release = directory, release
        self.url = env["DATABASE_URL"]
        self.servers = Servers(release, directory, env["REGION"])
        self.clients = Clients(release, directory, {name: env[name] for name in ("CURRENCY", "MCC", "COUNTRY")})
        self.postgres = Postgres(env["PGDATA"])
        self.report = Report(directory / "report.json",
                             {**vars(chosen), "before": chosen.before and chosen.before.name})
        self.about = {"machine": machine(), "versions": versions(release / "payment-latency-api", env["PGBIN"])}
        if chosen.before is not None:
            self.about["before"] = first_line(str(chosen.before), "version")

    def run(self):
        try:
            if "overload" in self.phases:
                slow.create(SLEEP_S)  # first: a template must have no users
            for phase in self.phases:
                getattr(self, phase)()
        finally:
            self.servers.stop_all()
            self.report.write(self.about)

    # what 64 clients get

    def saturation(self):
        hello = self.servers.hello()
        service = self.servers.service("service", self.url)
        alone = self.servers.service("alone", self.url, {"LANE_BATCH_MAX": "1", **PATIENT})
        turns = [("hello", hello, "report.lua"), ("evaluate", service, "report.lua"),
                 ("evaluate alone", alone, "report.lua"), ("hold", service, "hold.lua"),
                 ("hold alone", alone, "hold.lua")]
        for name, server, script in turns:
            self.clients.wrk(server, CONNECTIONS, 1, script)
        for round_ in range(self.rounds):
            say(f"{CONNECTIONS} clients, round {round_ + 1} of {self.rounds}")
            for name, server, script in turns:
                self.saturate(name, server, script, round_)
        self.servers.stop_all()
        self.judge_saturation()

    def saturate(self, name, server, script, round_):
        settle()
        own, database = server.cpu_seconds(), self.postgres.cpu_seconds()
        result = self.clients.wrk(server, CONNECTIONS, self.seconds, script)
        count = max(result["requests"], 1)
        result["server_us"] = (server.cpu_seconds() - own) * 1e6 / count
        result["postgresql_us"] = (self.postgres.cpu_seconds() - database) * 1e6 / count
        self.report.add_run("saturation", name, round_, result)
        print(f"   {name:15} {result['good_per_s']:9.0f}/s  p50 {result['p50_us'] / 1000:6.2f} ms  "
              f"p99 {result['p99_us'] / 1000:6.2f} ms  cpu us/request: server {result['server_us']:5.1f}, "
              f"postgresql {result['postgresql_us']:6.1f}  not 2xx {result['non_2xx']}", flush=True)

    def median(self, phase, name, field):
        return statistics.median(self.report.values(phase, name, field))

    def judge_saturation(self):
        rate = {name: self.median("saturation", name, "good_per_s")
                for name in ("hello", "evaluate", "evaluate alone", "hold", "hold alone")}
        add = self.report.add
        add("evaluate / hello", rate["evaluate"] / rate["hello"], compare=">=", limit=0.5)
        add("evaluate / same with LANE_BATCH_MAX=1", rate["evaluate"] / rate["evaluate alone"], compare=">=",
            limit=2.5)
        add("hold / same with LANE_BATCH_MAX=1", rate["hold"] / rate["hold alone"], compare=">=", limit=2.5)
        lost = sum(sum(self.report.values("saturation", name, field)) for name in rate for field in LOSSES)
        add("connections lost, requests without an answer", lost, compare="==", limit=0)
        for name in ("evaluate", "hold"):
            share = sum(self.report.values("saturation", name, "non_2xx")) / sum(
                self.report.values("saturation", name, "requests"))
            add(f"  {name}: refused, and not counted above", share * 100, "%")
        for name, value in rate.items():
            add(f"  {name}", value, "/s")
            add(f"  {name}: CPU of the server", self.median("saturation", name, "server_us"), "us/request")
            if name != "hello":
                add(f"  {name}: CPU of PostgreSQL", self.median("saturation", name, "postgresql_us"), "us/request")

    # what one client gets

    def latency(self):
        hello = self.servers.hello()
        service = self.servers.service("service", self.url)
        turns = {"hello": lambda: self.clients.closed_loop(hello, 1, LATENCY_S),
                 "evaluate": lambda: self.clients.closed_loop(service, 1, LATENCY_S),
                 "select 1": lambda: self.clients.select1(self.url, LATENCY_S)}
        for round_ in range(LATENCY_ROUNDS * self.rounds):
            results = {name: measure() for name, measure in turns.items()}
            for name, result in results.items():
                self.report.add_run("latency", name, round_, result)
            print(f"== one client, round {round_ + 1} of {LATENCY_ROUNDS * self.rounds}, p50: "
                  + ", ".join(f"{name} {result['p50_us']:.1f} us" for name, result in results.items()), flush=True)
        self.servers.stop_all()
        p50 = {name: self.median("latency", name, "p50_us") for name in ("hello", "evaluate", "select 1")}
        self.report.add("one client: p50 evaluate - (hello + SELECT 1)",
                        p50["evaluate"] - p50["hello"] - p50["select 1"], "us", compare="<=", limit=60)
        for name, value in p50.items():
            self.report.add(f"  one client: p50 {name}", value, "us")

    # what idle connections cost

    def memory(self):
        say(f"{IDLE_CONNECTIONS} idle connections")
        service = self.servers.service("service", self.url)
        result = self.clients.idle_conns(service, IDLE_CONNECTIONS)
        self.servers.stop(service)
        self.report.add_run("memory", "idle", 0, result)
        self.report.add("resident memory per idle connection", result["bytes_per_connection"], "B", compare="<=",
                        limit=1536)
        self.report.add("  resident memory before them", result["before_bytes"] / 2**20, "MiB")

    # what a request allocates

    def allocations(self):
        say("allocations")
        file = self.directory / "allocations"
        library = self.release / "test" / "bench" / "liballoc_count.so"
        service = self.servers.service("counted", self.url, allocations.settings(library, file))
        self.clients.wrk(service, CONNECTIONS, 2)
        before = allocations.read(file)
        if before["executable"] == 0:
            raise SystemExit("the executable allocated nothing at start: the count does not work")
        result = self.clients.wrk(service, CONNECTIONS, 2)
        counts = allocations.between(before, allocations.read(file))
        self.servers.stop(service)
        self.report.add_run("allocations", "evaluate", 0, {**result, "by_object": counts})
        self.report.add("own allocations per request, GET", allocations.ours(counts) / max(result["requests"], 1),
                        compare="==", limit=0)
        self.report.add("  libpq's allocations per request, GET", counts.get("libpq.so.5", 0) / result["requests"])

    # what everybody wanting one wallet gets, or somebody wanting everything; what follows a hold; and what this
    # binary changes

    def hot(self):
        Hot(self).run()

    def hostile(self):
        Hostile(self).run()

    def ledger(self):
        Ledger(self).run()

    def before(self):
        Before(self).run()

    # what happens at five times too much

    def overload(self):
        service = self.servers.service("slowed", self.url.replace("/pay?", f"/{slow.NAME}?"))
        self.clients.wrk(service, CAPACITY_CONNECTIONS[0], 1)
        for connections in CAPACITY_CONNECTIONS:
            settle()
            result = self.clients.wrk(service, connections, self.seconds)
            self.report.add_run("overload", "capacity", connections, result)
            say(f"slowed to {SLEEP_S * 1000:.0f} ms a statement, {connections} clients: "
                f"{result['good_per_s']:.0f}/s, refused {result['non_2xx']}")
        capacity = max(self.report.values("overload", "capacity", "good_per_s"))
        settle()
        say(f"open loop at {OVERLOAD} x {capacity:.0f}/s")
        result = self.clients.open_loop(service, OVERLOAD * capacity, OPEN_CONNECTIONS, 2 * self.seconds, 2)
        self.report.add_run("overload", "open loop", 0, result)
        self.servers.stop(service)
        slow.drop()
        self.judge_overload(capacity, result)

    def judge_overload(self, capacity, result):
        add = self.report.add
        accepted, refused = result["accepted"], result["refused"]
        add("5 x overload: p99 of accepted", accepted["p99_us"] / 1000, "ms", compare="<", limit=100)
        add("5 x overload: accepted / capacity", accepted["per_s"] / capacity, compare=">=", limit=0.9)
        add("5 x overload: p99 of refusals", refused["p99_us"] / 1000, "ms", compare="<", limit=20)
        lost = result["other"]["count"] + result["broken"] + result["unanswered"]
        add("5 x overload: other answers, or none", lost, compare="==", limit=0)
        add("  capacity", capacity, "/s")
        add("  offered", result["offered"] / result["seconds"], "/s")
        add("  p50 of accepted", accepted["p50_us"] / 1000, "ms")
        late = result["statuses"].get("504", 0) / max(refused["count"], 1)
        add("  refusals that were admitted first (504)", late * 100, "%")
        add("  p50 of refusals", refused["p50_us"] / 1000, "ms")
        add("  sent more than 2 ms late by the client", result["late_sends"] / max(result["offered"], 1) * 100, "%")


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    bench = Bench(options(), os.environ)
    bench.run()
    print()
    bench.report.print_table()
    print(f"\nevery number: {os.path.relpath(bench.report.path)}")
    if not bench.report.passes():
        print("build/bench: a must is missed", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
