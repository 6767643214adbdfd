"""What a bench run ends with: the table, and out/bench/report.json with every raw number."""

import json
import os
import platform
import subprocess
import time
from pathlib import Path


def first_line(*command):
    """The first line a command says about itself; empty when it cannot."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return ""
    return (done.stdout + done.stderr).strip().partition("\n")[0]


def machine():
    cpu = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
           if line.startswith("model name")]
    memory = Path("/proc/meminfo").read_text(encoding="ascii").partition("\n")[0].split()[1]
    return {"cpu": cpu[0] if cpu else "", "cpus": os.cpu_count(), "memory_kib": int(memory),
            "kernel": platform.release()}


def versions(binary, pg_bin):
    return {"service": first_line(str(binary), "version"), "postgresql": first_line(f"{pg_bin}/postgres", "--version"),
            "wrk": first_line("wrk", "-v"), "compiler": first_line("cc", "--version"),
            "python": platform.python_version()}


class Measure:
    """One line of the table. compare is '>=', '<=', '<' or '==' with the limit; None: information.
    spread: the lowest and the highest of the rounds whose median the value is."""

    def __init__(self, name, value, unit="", compare=None, limit=None, spread=None):
        self.name, self.value, self.unit, self.compare, self.limit = name, value, unit, compare, limit
        self.spread = spread

    def passes(self):
        if self.compare is None:
            return None
        return {">=": self.value >= self.limit, "<=": self.value <= self.limit, "<": self.value < self.limit,
                "==": self.value == self.limit}[self.compare]

    def row(self):
        must = "" if self.compare is None else f"{self.compare} {self.limit:g} {self.unit}".strip()
        verdict = {None: "", True: "yes", False: "NO"}[self.passes()]
        value = f"{number(self.value)} {self.unit}".strip()
        if self.spread is not None:
            value += " ({} to {})".format(*map(number, self.spread))
        return self.name, value, must, verdict

    def record(self):
        return {"name": self.name, "value": self.value, "unit": self.unit, "compare": self.compare,
                "limit": self.limit, "spread": self.spread, "pass": self.passes()}


def number(value):
    if value != value:  # no number: nothing was measured
        return "none"
    if value == int(value) or abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"


class Report:
    def __init__(self, path, options):
        self.path = Path(path)
        self.options = options
        self.runs = []
        self.measures = []
        self.started = time.time()

    def add_run(self, phase, name, round_, result):
        """A raw result, with the machine's load as it is when the run ends."""
        self.runs.append({"phase": phase, "name": name, "round": round_, "at_s": round(time.time() - self.started, 1),
                          "load_1min": os.getloadavg()[0], **result})

    def values(self, phase, name, field):
        return [run[field] for run in self.runs if run["phase"] == phase and run["name"] == name]

    def add(self, *arguments, **options):
        self.measures.append(Measure(*arguments, **options))

    def passes(self):
        return all(measure.passes() is not False for measure in self.measures)

    def write(self, about):
        content = {"started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started)),
                   "took_s": round(time.time() - self.started, 1), "pass": self.passes(), "options": self.options,
                   **about, "measures": [measure.record() for measure in self.measures], "runs": self.runs}
        self.path.write_text(json.dumps(content, indent=1) + "\n", encoding="ascii")

    def print_table(self):
        rows = [("measure", "value", "must", "pass")] + [measure.row() for measure in self.measures]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        for index, row in enumerate(rows):
            print(" | ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip())
            if index == 0:
                print("-|-".join("-" * width for width in widths))
