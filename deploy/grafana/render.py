#!/usr/bin/env python3
"""Draws the dashboard's main panels from real scrapes of /metrics, as one SVG. Needs only Python.

    render.py SCRAPES -o OUT.svg                     from a directory of EPOCH_SECONDS.prom files
    render.py SCRAPES --url URL --seconds 60 -o ..   first scrapes URL into it, once a second

It starts nothing. The queries are those of the Grafana dashboard, read from its JSON and evaluated
by promql.py as Prometheus would. A file marks.txt among the scrapes (lines of EPOCH_SECONDS TEXT)
names what happened when; the text is drawn above every panel.
"""

import argparse
import json
import math
import sys
import time
import urllib.request
from pathlib import Path

import promql
from picture import Panel, draw

HERE = Path(__file__).resolve().parent
DASHBOARD = HERE.parent / "helm/payment-latency-api/dashboards/payment-latency.json"
SCRAPE_TIMEOUT_S = 5
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


def scrape(url, seconds, directory):
    directory.mkdir(parents=True, exist_ok=True)
    following = time.time()
    end = following + seconds
    while following < end:
        time.sleep(max(0.0, following - time.time()))
        following += 1.0
        try:
            with urllib.request.urlopen(url, timeout=SCRAPE_TIMEOUT_S) as answer:
                text = answer.read()
        except OSError as failure:
            print(f"render.py: a scrape failed: {failure}", file=sys.stderr)
            continue
        (directory / f"{time.time():.3f}.prom").write_bytes(text)


class Recording:
    """What was scraped, and the moments (seconds from its start) at which it is looked at."""

    def __init__(self, series, times, step):
        self.series = series
        self.start = times[0]
        self.span = times[-1] - times[0]
        first = min(step, self.span)
        self.moments = [first + i * step for i in range(int((self.span - first) / step) + 1)]

    def at(self, node, moment):
        return promql.evaluate(node, self.series, self.start + moment).items()


def load(directory):
    series, times = promql.Series(), []
    for path in sorted(directory.glob("*.prom"), key=lambda path: float(path.stem)):
        times.append(float(path.stem))
        text = path.read_text(encoding="utf-8")
        series.add_scrape(times[-1], text, job="payment-latency-api", instance="127.0.0.1")
    if len(times) < 3:
        raise SystemExit(f"render.py: fewer than three scrapes in {directory}")
    return series, times


def load_marks(directory, start):
    path = directory / "marks.txt"
    if not path.exists():
        return []
    lines = (line.split(" ", 1) for line in path.read_text(encoding="utf-8").splitlines())
    return [(float(when) - start, text) for when, text in lines]


def expression(target, window, span, constants):
    """The query with Grafana's variables and the dashboard's constants filled in."""
    values = {
        **{f"${name}": value for name, value in constants.items()},
        "$__rate_interval": f"{window}s",
        "$__range": f"{math.ceil(span)}s",
        "$region": ".*",
        "$environment": ".*",
    }
    text = target["expr"]
    for name, value in values.items():
        text = text.replace(name, value)
    return promql.parse(text)


def legend(template, labels):
    for label, value in labels:
        template = template.replace("{{" + label + "}}", value)
    return template


def constants_of(dashboard):
    variables = dashboard["templating"]["list"]
    return {one["name"]: one["query"] for one in variables if one["type"] == "constant"}


def query(panel, recording, window, constants):
    """{legend: [number or None at each moment]} of all targets, in order of appearance."""
    lines = {}
    moments = recording.moments
    for target in panel["targets"]:
        node = expression(target, window, moments[-1] - moments[0], constants)
        for index, moment in enumerate(moments):
            for labels, number in recording.at(node, moment):
                name = legend(target["legendFormat"], labels)
                line = lines.setdefault(name, [None] * len(moments))
                line[index] = None if math.isnan(number) else number
    return lines


def fixed_colors(panel):
    found = {}
    for override in panel["fieldConfig"]["overrides"]:
        for one in override["properties"]:
            if one["id"] == "color":
                found[override["matcher"]["options"]] = one["value"]["fixedColor"]
    return found


def threshold(panel):
    steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
    custom = panel["fieldConfig"]["defaults"].get("custom", {})
    if custom.get("thresholdsStyle", {}).get("mode") != "line":
        return None
    return next((step["value"] for step in reversed(steps) if step["value"]), None)


def make_panel(panel, lines):
    defaults = panel["fieldConfig"]["defaults"]
    custom = defaults.get("custom", {})
    return Panel(
        kind=panel["type"] if panel["type"] == "heatmap" else custom["drawStyle"],
        title=panel["title"],
        unit=defaults["unit"],
        lines=lines,
        stacked=custom.get("stacking", {}).get("mode") == "normal",
        stepped=custom.get("lineInterpolation") == "stepAfter",
        log=custom.get("scaleDistribution", {}).get("type") == "log",
        colors=fixed_colors(panel),
        threshold=threshold(panel),
    )


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("scrapes", type=Path, help="directory of EPOCH_SECONDS.prom files")
    options.add_argument("-o", "--output", type=Path, default=HERE / "dashboard.svg")
    options.add_argument("--url", help="scrape this /metrics first")
    options.add_argument("--seconds", type=float, default=60, help="how long to scrape")
    options.add_argument("--step", type=float, default=2, help="seconds between two points")
    options.add_argument("--window", type=int, default=5, help="seconds of $__rate_interval")
    options.add_argument("--dashboard", type=Path, default=DASHBOARD)
    options.add_argument("--caption", default="", help="a line under the title")
    chosen = options.parse_args()

    if chosen.url:
        scrape(chosen.url, chosen.seconds, chosen.scrapes)
    series, times = load(chosen.scrapes)
    recording = Recording(series, times, chosen.step)
    dashboard = json.loads(chosen.dashboard.read_text(encoding="utf-8"))
    by_title = {panel["title"]: panel for panel in dashboard["panels"]}
    constants = constants_of(dashboard)
    panels = []
    for title in PANELS:
        lines = query(by_title[title], recording, chosen.window, constants)
        panels.append(make_panel(by_title[title], lines))
    marks = load_marks(chosen.scrapes, recording.start)
    svg = draw(dashboard["title"], chosen.caption, panels, recording.moments, marks)
    chosen.output.write_text(svg, encoding="utf-8")
    print(f"{chosen.output}: {len(svg.encode())} bytes from {len(times)} scrapes")


if __name__ == "__main__":
    main()
