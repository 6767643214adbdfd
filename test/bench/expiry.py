"""100,000 holds expire while evaluates arrive at a steady rate: what the evaluates notice, and whether each hold is
released once.

The evaluates come in slices. One in which holds were released is a busy one, whatever part of it they took; the quiet
ones before and after tell what the machine gives without them.
"""

import statistics

import fresh
from harness.load import Kind, evaluate_lines
from harness.overdue import holds_sql
from hot import WALLETS, uniform
from servers import settle
from slow import psql

NAME = "pay_expiry"
HOLDS, RATE_PER_S, CONNECTIONS = WALLETS, 5000, 256
P99_MAX_MS = 20
QUIET_SLICES, SLICES_MAX = 3, 60
SPARE_S = 1
"""Of a slice: starting the client, and settling."""
POOL_SIZE, SHARE_MAX, EDGE = 6, 10, 1.02
"""The service's defaults: connections, and percent of their time; a slice may begin or end within a statement."""
FIGURES = ("metrics_page_timestamp_seconds", "expiry_released_total", 'lane_connection_seconds_total{lane="expire"}')


class Expiry:
    def __init__(self, bench):
        self.bench = bench
        self.service = None
        self.slices = []

    def run(self):
        bench = self.bench
        url = fresh.create(NAME, bench.release / "payment-latency-api", bench.url, bench.servers.region)
        self.fill()
        self.service = bench.servers.service("expiry", url)
        while len(self.slices) < SLICES_MAX and self.figures()["expiry_released_total"] < HOLDS:
            self.slice()
        for _ in range(QUIET_SLICES):
            self.slice()
        bench.servers.stop_all()
        self.judge()

    def fill(self):
        """Every wallet gets a hold; all of them end at one moment, when the quiet slices are over."""
        psql(holds_sql(1, HOLDS, since_s=-3600), NAME)
        quiet_s = QUIET_SLICES * (self.bench.seconds + SPARE_S)
        psql(f"UPDATE pay.simulation SET expires_at = now() + interval '{quiet_s} s';", NAME)
        psql("VACUUM ANALYZE;", NAME)

    def figures(self):
        """Of one page, which may have been made a moment ago: it says when."""
        lines = (line.rpartition(" ") for line in self.service.get("/metrics")[1].splitlines())
        return {name: float(value) for name, _, value in lines if name in FIGURES}

    def slice(self):
        settle()
        before = self.figures()
        kind = Kind("evaluates", self.service.port, evaluate_lines(uniform()), rate=RATE_PER_S,
                    connections=CONNECTIONS)
        counted = self.bench.clients.mixed([kind], self.bench.seconds)["evaluates"]
        after = self.figures()
        took_s, counted["released"], used_s = (after[name] - before[name] for name in FIGURES)
        counted["share"] = used_s / took_s / POOL_SIZE * 100
        counted["released_per_s"] = counted["released"] / took_s
        counted["name"] = "busy" if counted["released"] > 0 else "quiet"
        self.slices.append(counted)
        self.bench.report.add_run("expiry", counted["name"], len(self.slices), counted)
        print(f"   {counted['name']:6} evaluates {counted['good_per_s']:6.0f}/s  "
              f"p50 {counted['p50_us'] / 1000:6.2f} ms  "
              f"p99 {counted['p99_us'] / 1000:6.2f} ms  refused {counted['refused']}  lost {counted['lost']}  "
              f"released {counted['released']:.0f}, {counted['share']:.1f} % of the connections' time", flush=True)

    def judge(self):
        add = self.bench.report.add
        busy = [counted for counted in self.slices if counted["name"] == "busy"]
        whole = busy[1:-1] or busy
        self.tell("evaluates beside 100,000 expiring holds: p99", busy, "p99_us", "ms", 1000, "<", P99_MAX_MS)
        add("expired holds: not released exactly once", self.not_once(), compare="==", limit=0)
        add("evaluates beside them: other answers, or none", sum(counted["lost"] for counted in busy), compare="==",
            limit=0)
        self.tell("  share of the connections' time that it takes", whole, "share", "%", 1, "<=", SHARE_MAX * EDGE)
        quiet = [counted for counted in self.slices if counted["name"] == "quiet"]
        self.tell("  evaluates without them: p99", quiet, "p99_us", "ms", 1000)
        self.tell("  evaluates beside them: refused", busy, "refused")
        self.tell("  holds released each second", whole, "released_per_s", "/s")

    def tell(self, text, slices, field, unit="", scale=1, compare=None, limit=None):
        values = [counted[field] / scale for counted in slices] or [float("nan")]
        self.bench.report.add(text, statistics.median(values), unit, compare=compare, limit=limit,
                              spread=(min(values), max(values)))

    @staticmethod
    def not_once():
        """Holds with no release or more than one, or with one that is not their amount."""
        return int(psql("""
            SELECT count(*) FROM pay.transfer h LEFT JOIN (
              SELECT hold_id, count(*) AS rows, sum(amount) AS amount FROM pay.transfer WHERE kind = 'X' GROUP BY 1) x
                ON x.hold_id = h.txn_id
             WHERE h.kind = 'H' AND (x.rows IS DISTINCT FROM 1 OR x.amount <> h.amount)""", NAME))
