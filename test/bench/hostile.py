"""What honest callers get while hostile ones take all they can, beside what they get on a quiet service.

Attack "unread": thousands of connections without a key pipeline GET /info and never read an answer.
Attack "scrapes": pipelined GET /metrics without a key, beside scrapers that never read. Where the service
has an operations port, that port is attacked as well. Everybody has the same address.
"""

import socket
import statistics

from harness.load import READY_LINES, Kind, hold_lines, line
from hot import uniform
from servers import settle

ATTACKED_S = 6  # longer than the life of a silent client, so that each run sees them come back
AHEAD_S = 2  # what attackers have before the first payment, to take what there is
RENEW_S = 5
UNREAD = (2060, 220)  # connections, and requests on each
SCRAPES, SILENT_SCRAPES = (40, 16), (9, 16)
PAYMENTS_PER_S, PAYMENT_CONNECTIONS = 200, 16
PROBES_PER_S, SCRAPES_PER_S = 10, 4
P99_MAX_MS, QUIETS_MAX = 10, 2
SATURATED = 64
SHORT_ROUNDS = 3
EQUAL = 0.02


def listens(port):
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


def flood(port, path, many, *options):
    connections, depth = many
    return ["--port", port, "--path", path, "--connections", connections, "--depth", depth, *options]


def unread(port):
    return [flood(port, "/info", UNREAD, "--silent", "--renew", RENEW_S)]


def scrapes(port):
    return [flood(port, "/metrics", SCRAPES),
            flood(port, "/metrics", SILENT_SCRAPES, "--silent", "--renew", RENEW_S)]


class Hostile:
    def __init__(self, bench):
        self.bench = bench
        self.service = self.ports = None

    def run(self):
        bench = self.bench
        self.service = bench.servers.service("attacked", bench.url)
        ops_port = int(self.service.settings["OPS_PORT"])
        self.ports = [self.service.port] + ([ops_port] if listens(ops_port) else [])
        attacks = {"quiet": [], "unread": self.each_port(unread), "scrapes": self.each_port(scrapes)}
        names = list(attacks)
        bench.clients.mixed(self.honest(), 1)
        for round_ in range(bench.rounds):
            print(f"== hostile, round {round_ + 1} of {bench.rounds}", flush=True)
            for name in names[:: -1 if round_ % 2 else 1]:
                self.measure(name, attacks[name], round_)
        bench.servers.stop_all()
        for name in names:
            self.judge(name)
        if bench.before_binary is not None:
            self.judge_evaluates()

    def each_port(self, attack):
        return [arguments for port in self.ports for arguments in attack(port)]

    def honest(self):
        """Payments, probes and a scraper at a steady rate, each kind on connections of its own."""
        port, scraped = self.service.port, self.ports[-1]
        return [Kind("payments", port, hold_lines(uniform(), amount=1), rate=PAYMENTS_PER_S,
                     connections=PAYMENT_CONNECTIONS),
                Kind("livez", port, [line("GET", "/livez")], rate=PROBES_PER_S, connections=2),
                Kind("readyz", port, READY_LINES, rate=PROBES_PER_S, connections=2),
                Kind("scraper", scraped, [line("GET", "/metrics")], rate=SCRAPES_PER_S, connections=2)]

    def measure(self, name, attack, round_):
        settle(1)
        lasting_s = max(ATTACKED_S, self.bench.seconds)
        with self.bench.clients.floods(attack, lasting_s + AHEAD_S + 1) as attackers:
            settle(AHEAD_S)
            classes = self.bench.clients.mixed(self.honest(), lasting_s)
        self.bench.report.add_run("hostile", name, round_, {"classes": classes, "attackers": attackers})
        told = classes["payments"]
        print(f"   {name:8} payments {told['good']} of {told['offered']}  p50 {told['p50_us'] / 1000:.2f} ms  "
              f"p99 {told['p99_us'] / 1000:.2f} ms;  " + ", ".join(
                  f"{kind} {classes[kind]['good']} of {classes[kind]['offered']}"
                  for kind in ("livez", "readyz", "scraper")), flush=True)

    # what it comes to

    def classes(self, name, kind):
        return [run[kind] for run in self.bench.report.values("hostile", name, "classes")]

    def share(self, name, kind):
        classes = self.classes(name, kind)
        return 100 * sum(told["good"] for told in classes) / max(sum(told["offered"] for told in classes), 1)

    def time_ms(self, name, field):
        values = [told[field] / 1000 for told in self.classes(name, "payments")]
        return statistics.median(values), (min(values), max(values))

    def judge(self, name):
        add, must = self.bench.report.add, name != "quiet"
        add(f"hostile, {name}: payments decided", self.share(name, "payments"), "%", compare=">=" if must else None,
            limit=99)
        p50, spread = self.time_ms(name, "p50_us")
        add(f"  {name}: p50 of payments", p50, "ms", spread=spread)
        p99, spread = self.time_ms(name, "p99_us")
        limit = max(P99_MAX_MS, QUIETS_MAX * self.time_ms("quiet", "p99_us")[0])
        add(f"hostile, {name}: p99 of payments", p99, "ms", compare="<" if must else None, limit=limit, spread=spread)
        for kind in ("livez", "readyz", "scraper"):
            add(f"hostile, {name}: {kind} 200", self.share(name, kind), "%", compare=">=" if must else None, limit=100)

    def judge_evaluates(self):
        """Whether what stops them costs the others something."""
        bench = self.bench
        servers = {"hello": bench.servers.hello(), "now": bench.servers.service("now", bench.url),
                   "before": bench.servers.service("before", bench.url, binary=bench.before_binary)}
        seconds = max(1, bench.seconds // SHORT_ROUNDS)
        for server in servers.values():
            bench.clients.wrk(server, SATURATED, 1)
        rates = {name: [] for name in servers}
        for round_ in range(SHORT_ROUNDS * bench.rounds):
            for name in list(servers)[:: -1 if round_ % 2 else 1]:
                settle()
                result = bench.clients.wrk(servers[name], SATURATED, seconds)
                bench.report.add_run("hostile evaluate", name, round_, result)
                rates[name].append(result["good_per_s"])
            print(f"== evaluate, round {round_ + 1} of {SHORT_ROUNDS * bench.rounds}: "
                  + ", ".join(f"{name} {values[-1]:.0f}/s" for name, values in rates.items()), flush=True)
        bench.servers.stop_all()
        ratios = [now / before for now, before in zip(rates["now"], rates["before"])]
        bench.report.add("evaluate / hello: now / before", statistics.median(ratios), compare=">=", limit=1 - EQUAL,
                         spread=(min(ratios), max(ratios)))
        for name in ("now", "before"):
            shares = [own / hello for own, hello in zip(rates[name], rates["hello"])]
            bench.report.add(f"  evaluate / hello: {name}", statistics.median(shares),
                             spread=(min(shares), max(shares)))
