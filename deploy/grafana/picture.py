#!/usr/bin/python3
"""deploy/grafana/picture.py [OUT.svg] - makes dashboard.svg anew, from a run of one minute.

build/run starts the release and its PostgreSQL; callers, wrk and an outage of the database keep it
busy; Prometheus scrapes it every second and then answers the queries of the dashboard's JSON;
matplotlib draws the answers. All on the loopback. Let nothing else run: it would be in the picture.

Needs Debian's prometheus (or its binary in out/tools/bin), wrk and python3-matplotlib.
"""

import contextlib
import importlib.util
import io
import itertools
import json
import math
import os
import pwd
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DASHBOARD = HERE.parent / "helm/payment-latency-api/dashboards/payment-latency.json"
SIMULATE = "/api/payment/simulate"
PANELS = [
    "Latency heat map",
    "Latency p50, p99, p99.9",
    "Requests by status",
    "Refusals by reason",
    "Batch size",
    "Waiting and in flight",
    "Statement p99 by kind",
    "Pool slots by state",
    "Connections ended, by reason",
    "Decisions by response code",
    "Idempotency",
    "CPU and loop",
]
RATE_S = 5  # of $__rate_interval
CALLERS = 8
START_S = 30
PAUSE_S = 0.05  # at most, between two requests of a caller
UNITS = {"s": "s", "reqps": "1/s", "percentunit": "share of one core"}
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
COLORS = {"yellow": "goldenrod", "lightpurple": "plum", "purple": "darkviolet"}


def tool(name):
    path = shutil.which(name, path=f"{os.environ['PATH']}:{ROOT / 'out/tools/bin'}")
    return path or sys.exit(f"picture: {name} is missing: apt-get install {name}")


class Service:
    """build/run's service: its address, its key, and the switch of its database."""

    def __init__(self):
        subprocess.run(
            [ROOT / "build/run", "--detach", "--fresh"],
            env={**os.environ, "PORT": "0", "BIND_ADDRESS": "127.0.0.1"},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        lines = shlex.split((ROOT / "out/run/env").read_text(encoding="utf-8"))
        env = dict(line.split("=", 1) for line in lines)
        self.url, self.key, self.data = env["BASE_URL"], env["API_SECRET_KEY"], Path(env["PGDATA"])

    def kill_database(self):
        pid = int((self.data / "postmaster.pid").read_text(encoding="utf-8").split()[0])
        os.kill(pid, signal.SIGQUIT)  # PostgreSQL's immediate shutdown

    def revive_database(self):
        """As it was started, so at the address it had; build/run --stop ends it."""
        command = shlex.split((self.data / "postmaster.opts").read_text(encoding="utf-8"))
        as_owner = {}
        if os.geteuid() == 0:
            owner = pwd.getpwnam(self.data.owner())
            as_owner = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        subprocess.Popen(command, cwd="/", start_new_session=True, **QUIET, **as_owner)

    def wrk(self, seconds, callers, *words):
        command = [tool("wrk"), "-t1", f"-c{callers}", f"-d{seconds}s", *words]
        command += ["-H", f"X-API-Key: {self.key}", self.url + SIMULATE]
        return subprocess.Popen(command, **QUIET)


def call_until(end, service, seed):
    """A caller: holds, repeats, reused keys, declines, errors. Failures are part of the run."""
    chance = random.Random(seed)

    def call(query="", body=None, **headers):
        fields = {"X-API-Key": service.key, "Content-Type": "application/json", **headers}
        request = urllib.request.Request(service.url + SIMULATE + query, body, fields)
        with contextlib.suppress(OSError):
            urllib.request.urlopen(request, timeout=2).close()

    def hold(*amounts, wallet=None, mcc="5812"):
        """One hold for each amount, all with the same key."""
        key, wallet = uuid.uuid4().hex, wallet or chance.randrange(2, 100_000)
        for amount in amounts:
            body = {"wallet_id": f"wal_{wallet}", "amount": amount, "currency": "EUR"}
            body["merchant"] = {"mcc": mcc, "country": "ES"}
            call(body=json.dumps(body).encode(), **{"Idempotency-Key": key})

    steps = [
        (50, lambda: hold(chance.randrange(300, 1990))),
        (15, lambda: hold(750, 750)),
        (3, lambda: hold(750, 751)),  # a key used for another hold
        (8, lambda: hold(500, mcc="7995")),  # a merchant the program does not permit
        (7, lambda: hold(9_000_000)),  # over the limit
        (3, lambda: hold(500, wallet=1_000_000)),  # unknown
        (10, call),
        (1, lambda: call(**{"X-API-Key": "wrong"})),
        (1, lambda: call("?amount=red")),
    ]
    weights, actions = zip(*steps)
    while time.time() < end:
        chance.choices(actions, weights)[0]()
        time.sleep(chance.random() * PAUSE_S)


def run_phases(service):
    """[(epoch seconds, what began)], and the end; the callers go on through all of it."""
    hold = ["-s", ROOT / "test/bench/hold.lua"]
    phases = [
        ("light", 9, lambda: []),
        ("evaluate", 9, lambda: [service.wrk(7, 32)]),
        ("hold", 9, lambda: [service.wrk(7, 32, *hold)]),
        ("overload", 10, lambda: [service.wrk(7, 64), service.wrk(7, 500, *hold)]),
        ("database off", 7, lambda: [service.kill_database()]),
        ("on", 9, lambda: [service.revive_database()]),
    ]
    marks, following = [], time.time()
    end = following + sum(seconds for _, seconds, _ in phases)
    for seed in range(CALLERS):
        threading.Thread(target=call_until, args=(end, service, seed), daemon=True).start()
    for name, seconds, begin in phases:
        marks.append((time.time(), name))
        print(f"== {name}", flush=True)
        begun = begin()
        following += seconds
        time.sleep(max(0.0, following - time.time()))
        for process in filter(None, begun):
            process.wait()
    return marks, time.time()


class Prometheus:
    def __init__(self, binary, service, stack):
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        config = Path(directory, "prometheus.yml")
        targets = [{"targets": [service.url.removeprefix("http://")]}]
        job = {"job_name": "payment-latency-api", "static_configs": targets}
        every = {"scrape_interval": "1s", "scrape_timeout": "1s"}
        config.write_text(json.dumps({"global": every, "scrape_configs": [job]}), encoding="utf-8")
        with socket.create_server(("127.0.0.1", 0)) as one:
            address = f"127.0.0.1:{one.getsockname()[1]}"
        command = [binary, f"--config.file={config}", f"--storage.tsdb.path={directory}/data"]
        command += [f"--web.listen-address={address}", "--log.level=error"]
        process = stack.enter_context(subprocess.Popen(command))
        stack.callback(process.terminate)
        self.url = f"http://{address}"
        end = time.time() + START_S
        while not self.has_scraped():
            if time.time() > end:
                sys.exit(f"picture: Prometheus has scraped nothing after {START_S} s")
            time.sleep(0.2)

    def has_scraped(self):
        with contextlib.suppress(OSError):
            return self.query_range("up == 1", time.time(), time.time())

    def query_range(self, query, start, end):
        """[(labels, {epoch seconds: number})], a point a second."""
        asked = {"query": query, "start": start, "end": end, "step": 1}
        url = f"{self.url}/api/v1/query_range?{urllib.parse.urlencode(asked)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            result = json.load(answer)["data"]["result"]
        return [(one["metric"], {t: float(v) for t, v in one["values"]}) for one in result]


def constants_of(dashboard):
    variables = dashboard["templating"]["list"]
    return {one["name"]: one["query"] for one in variables if one["type"] == "constant"}


def expression(target, dashboard, window=f"{RATE_S}s"):
    """The query with Grafana's variables and the dashboard's constants filled in."""
    values = {**constants_of(dashboard), "region": ".*", "environment": ".*"}
    text = target["expr"].replace("$__rate_interval", window).replace("$__range", window)
    for name, value in values.items():
        text = text.replace(f"${name}", value)
    return text


def lines_of(panel, dashboard, prometheus, start, end):
    """{legend: [number at each second]}, in order of appearance, without what is always zero."""
    lines = {}
    for target in panel["targets"]:
        answer = prometheus.query_range(expression(target, dashboard), start, end)
        for labels, values in answer:
            name = target["legendFormat"]
            for label, value in labels.items():
                name = name.replace("{{" + label + "}}", value)
            if any(value > 0 for value in values.values()):
                lines[name] = [values.get(at, math.nan) for at in range(start, end + 1)]
    return lines


def draw_heat(axes, seconds, lines):
    edges, counts = zip(*sorted((float(le), counts) for le, counts in lines.items()))
    cells = [[b - a or math.nan for a, b in zip(*pair)] for pair in zip(counts, counts[1:])]
    sides = [*seconds, seconds[-1] + 1], [*edges[:-1], 2 * edges[-2]]
    axes.pcolormesh(*sides, cells, norm="log", cmap="turbo", rasterized=True)


def draw_panel(axes, panel, seconds, lines):
    defaults = panel["fieldConfig"]["defaults"]
    custom = defaults["custom"]
    colors = {
        override["matcher"]["options"]: one["value"]["fixedColor"].replace("-", "")
        for override in panel["fieldConfig"]["overrides"]
        for one in override["properties"]
        if one["id"] == "color"
    }
    rest = itertools.count()
    palette = [COLORS.get(c, c) for c in (colors.get(n) or f"C{next(rest)}" for n in lines)]
    if panel["type"] == "heatmap":
        draw_heat(axes, seconds, lines)
    elif custom.get("stacking", {}).get("mode") == "normal":
        filled = [[0 if math.isnan(v) else v for v in values] for values in lines.values()]
        axes.stackplot(seconds, filled, labels=list(lines), colors=palette, alpha=0.8)
    else:
        for (name, values), color in zip(lines.items(), palette):
            axes.plot(seconds, values, label=name, color=color, linewidth=1.3)
    if panel["type"] == "heatmap" or custom["scaleDistribution"]["type"] == "log":
        axes.set_yscale("log")
    if custom.get("thresholdsStyle", {}).get("mode") == "line":
        limit = defaults["thresholds"]["steps"][-1]["value"]
        axes.axhline(limit, color="red", linewidth=0.8, linestyle="--")
    if panel["type"] != "heatmap":
        axes.legend(fontsize=7, ncol=3, loc="upper left", framealpha=0.7)
    axes.set_ylabel(UNITS.get(defaults["unit"], ""))


def draw(output, dashboard, prometheus, marks, end):
    from matplotlib import pyplot

    pyplot.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "dashboard", "font.size": 8})
    pyplot.rcParams["font.sans-serif"] = ["DejaVu Sans"]
    by_title = {panel["title"]: panel for panel in dashboard["panels"]}
    figure, grid = pyplot.subplots(len(PANELS) // 2, 2, figsize=(12, 17), layout="constrained")
    start = int(marks[0][0])
    seconds = range(int(end) - start + 1)
    for axes, title in zip(grid.flat, PANELS):
        lines = lines_of(by_title[title], dashboard, prometheus, start, int(end))
        draw_panel(axes, by_title[title], seconds, lines)
        axes.set_title(title, loc="left", fontsize=10, fontweight="bold", pad=14)
        axes.set_xlim(0, seconds[-1])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        for at, name in marks:
            axes.axvline(at - start, color="grey", linewidth=0.6, linestyle=":")
            place = (at - start + 0.2, 1.02)
            axes.text(*place, name, transform=axes.get_xaxis_transform(), fontsize=7, color="grey")
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Title": dashboard["title"], "Date": None})
    short = re.sub(r"\s*\n\s*", "\n", re.sub(r"(\d\.\d)\d{3,}", r"\1", text.getvalue()))
    output.write_text(short, encoding="utf-8")


def main():
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "dashboard.svg"
    if not importlib.util.find_spec("matplotlib"):
        sys.exit("picture: matplotlib is missing: apt-get install python3-matplotlib")
    tool("wrk")
    binary = tool("prometheus")
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    with contextlib.ExitStack() as stack:
        stack.callback(subprocess.run, [ROOT / "build/run", "--stop"], check=False)
        service = Service()
        prometheus = Prometheus(binary, service, stack)
        draw(output, dashboard, prometheus, *run_phases(service))


if __name__ == "__main__":
    main()
