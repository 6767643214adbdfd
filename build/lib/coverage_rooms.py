"""Line and branch coverage by room, from what gcov says of a build of the `coverage` preset.

A source file is compiled into several programs, and a header into many: a line is reached when any
of them reached it, and so is each arm of a branch. The arms of CHECK are not counted: a test cannot
see the one that ends the process. A file that no test links counts, as not reached.
"""

import argparse
import json
import re
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

ROOMS = ("core", "pool", "http/server", "http/api", "http/main")
GATES = {"pool": (85.0, 70.0), "http/server": (85.0, 70.0)}
"""Room to the least per cent of lines and of branches."""
CHECK = re.compile(r"\bD?CHECK\w*\(")


@dataclass
class File:
    """lines: number to runs. branches: (function, line) to runs of each arm."""

    lines: dict = field(default_factory=lambda: defaultdict(int))
    branches: dict = field(default_factory=dict)

    def add(self, report, checks):
        for line in report["lines"]:
            number = line["line_number"]
            self.lines[number] += line["count"]
            arms = [arm["count"] for arm in line["branches"]]
            if arms and number not in checks:
                self.add_arms((line.get("function_name"), number), arms)

    def add_arms(self, key, arms):
        """Two compilers' views of one line may differ in their arms; the better one then stands."""
        known = self.branches.get(key, [0] * len(arms))
        if len(known) == len(arms):
            self.branches[key] = [a + b for a, b in zip(known, arms)]
        else:
            self.branches[key] = max(known, arms, key=lambda arms: sum(map(bool, arms)) / len(arms))

    def counts(self):
        """Lines reached, lines, arms reached, arms."""
        arms = [arm for branch in self.branches.values() for arm in branch]
        return (
            sum(map(bool, self.lines.values())),
            len(self.lines),
            sum(map(bool, arms)),
            len(arms),
        )


def check_lines(text):
    """The numbers of the lines that a CHECK stands on, to its closing parenthesis."""
    found = set()
    for start in CHECK.finditer(text):
        depth, end = 1, start.end()
        while depth and end < len(text):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        first = text.count("\n", 0, start.start()) + 1
        found.update(range(first, first + text.count("\n", start.start(), end) + 1))
    return found


def room_of(path):
    return next((room for room in ROOMS if path.startswith(room + "/")), None)


def reports(build):
    """What gcov says of every object of the build, each a dict with "files"."""
    objects = sorted(str(path.resolve()) for path in build.rglob("*.gcno"))
    for at in range(0, len(objects), 50):
        words = ["gcov", "--json-format", "--stdout", "--branch-probabilities"]
        done = subprocess.run(
            words + objects[at : at + 50], cwd=build, capture_output=True, text=True, check=True
        )
        yield from map(json.loads, done.stdout.splitlines())


def collect(found, root):
    """The files of the rooms by their path below the root."""
    files, checks = {}, {}
    for report in found:
        for part in report["files"]:
            path = Path(part["file"])
            if not path.is_relative_to(root):
                continue
            name = path.relative_to(root).as_posix()
            if room_of(name) is None or not path.exists():
                continue
            if name not in files:
                files[name] = File()
                checks[name] = check_lines(path.read_text(encoding="utf-8"))
            files[name].add(part, checks[name])
    return files


def percent(part, whole):
    return 100.0 * part / whole if whole else 100.0


def totals(files):
    """Room to the sums of its files' counts; every room is there."""
    sums = {room: (0, 0, 0, 0) for room in ROOMS}
    for name, file in files.items():
        room = room_of(name)
        sums[room] = tuple(a + b for a, b in zip(sums[room], file.counts()))
    return sums


def missed_gates(sums, gates=None):
    """A sentence for each gate that is missed; a room without a line has not been measured."""
    missed = []
    for room, (lines_min, branches_min) in (GATES if gates is None else gates).items():
        lines, lines_all, arms, arms_all = sums[room]
        if not lines_all:
            missed.append(f"{room}: nothing was measured")
            continue
        for word, got, least in (
            ("lines", percent(lines, lines_all), lines_min),
            ("branches", percent(arms, arms_all), branches_min),
        ):
            if got < least:
                missed.append(f"{room}: {got:.1f} % of {word}, at least {least:.0f} % are wanted")
    return missed


def row(name, counts):
    lines, lines_all, arms, arms_all = counts
    return (
        f"{name:<34}{percent(lines, lines_all):6.1f} % {f'{lines}/{lines_all}':>12}"
        f"{percent(arms, arms_all):8.1f} % {f'{arms}/{arms_all}':>12}"
    )


def table(files, sums):
    yield f"{'':<34}{'lines':>21}{'branches':>23}"
    for room in ROOMS:
        yield row(room, sums[room])
        for name in sorted(files, key=lambda name: (not name.endswith(".c"), name)):
            if room_of(name) == room:
                yield row("    " + name.removeprefix(room + "/"), files[name].counts())


def ranges(numbers):
    """[1, 2, 3, 7] is "1-3, 7"."""
    parts = []
    for number in sorted(numbers):
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in parts)


def show(files, names):
    for name in names or sorted(files):
        file = files[name]
        half = {line for (_, line), arms in file.branches.items() if any(arms) and not all(arms)}
        print(f"{name}")
        print(f"    never reached: {ranges(n for n, count in file.lines.items() if not count)}")
        print(f"    one way only:  {ranges(half)}")


def write_json(path, files, sums, missed):
    keys = ("lines", "lines_all", "branches", "branches_all")
    report = {
        "rooms": {room: dict(zip(keys, counts)) for room, counts in sums.items()},
        "files": {name: dict(zip(keys, files[name].counts())) for name in sorted(files)},
        "missed": missed,
    }
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(prog="build/coverage")
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--list", nargs="*", metavar="FILE")
    words = parser.parse_args()
    files = collect(reports(words.build), words.root.resolve())
    if words.list is not None:
        show(files, words.list)
        return 0
    sums = totals(files)
    missed = missed_gates(sums)
    print("\n".join(table(files, sums)))
    write_json(words.build / "coverage.json", files, sums, missed)
    for sentence in missed:
        print(f"build/coverage: {sentence}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
