"""The judgement of build/coverage: what counts as reached, and when a gate is missed."""

import sys

import pytest

from harness.machine import ROOT

sys.path.append(str(ROOT / "build" / "lib"))
import coverage_rooms as rooms  # noqa: E402  (lies in build/lib)

pytestmark = pytest.mark.delivery

SOURCE = "int a(int x)\n{\n    CHECK(x > 0 &&\n          x < 9);\n    return x ? 1 : 2;\n}\n"


def line(number, count, arms=(), function="a"):
    return {
        "line_number": number,
        "count": count,
        "function_name": function,
        "branches": [{"count": arm} for arm in arms],
    }


def seen(tmp_path, *views):
    """The files of the rooms, when each view is what gcov says of pool/a.c in one object."""
    (tmp_path / "pool").mkdir(exist_ok=True)
    (tmp_path / "pool" / "a.c").write_text(SOURCE, encoding="utf-8")
    file = str(tmp_path / "pool" / "a.c")
    reports = [{"files": [{"file": file, "lines": lines}]} for lines in views]
    return rooms.collect(reports, tmp_path)


def sums(lines=(1, 1), branches=(1, 1), room="pool"):
    everywhere = {name: (1, 1, 1, 1) for name in rooms.ROOMS}
    return everywhere | {room: (*lines, *branches)}


def test_all_gates_passed_says_nothing():
    assert rooms.missed_gates(sums()) == []


@pytest.mark.parametrize("room", ["pool", "http/server"])
@pytest.mark.parametrize(
    "counts, word",
    [({"lines": (849, 1000)}, "lines"), ({"branches": (699, 1000)}, "branches")],
)
def test_a_room_just_under_its_gate_misses_it(room, counts, word):
    missed = rooms.missed_gates(sums(room=room, **counts))
    assert len(missed) == 1
    assert missed[0].startswith(room) and f"of {word}" in missed[0]


def test_a_room_just_at_its_gates_passes():
    assert rooms.missed_gates(sums(lines=(85, 100), branches=(70, 100))) == []


def test_a_room_that_was_not_measured_misses_its_gate():
    assert rooms.missed_gates(sums(lines=(0, 0), branches=(0, 0))) == ["pool: nothing was measured"]


def test_a_room_without_a_gate_may_be_low():
    assert rooms.missed_gates(sums(lines=(0, 9), branches=(0, 9), room="http/main")) == []


def test_objects_add_up(tmp_path):
    files = seen(
        tmp_path,
        [line(1, 1), line(5, 1, arms=(1, 0))],
        [line(1, 0), line(5, 1, arms=(0, 3))],
    )
    assert files["pool/a.c"].counts() == (2, 2, 2, 2)


def test_what_nobody_ran_counts_as_not_reached(tmp_path):
    files = seen(tmp_path, [line(1, 0), line(5, 0, arms=(0, 0))])
    assert files["pool/a.c"].counts() == (0, 2, 0, 2)
    assert rooms.totals(files)["pool"] == (0, 2, 0, 2)


def test_arms_of_a_check_do_not_count(tmp_path):
    files = seen(tmp_path, [line(number, 1, arms=(1, 0)) for number in (3, 4, 5)])
    assert files["pool/a.c"].counts() == (3, 3, 1, 2)


def test_files_outside_the_rooms_do_not_count(tmp_path):
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "b.c").write_text(SOURCE, encoding="utf-8")
    reports = [{"files": [{"file": str(tmp_path / "test" / "b.c"), "lines": [line(1, 1)]}]}]
    reports.append({"files": [{"file": "/usr/include/string.h", "lines": [line(1, 1)]}]})
    assert rooms.collect(reports, tmp_path) == {}
