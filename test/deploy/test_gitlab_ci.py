"""Continuous integration calls the scripts of build/, and they are there."""

import os
import re
from fnmatch import fnmatch

import pytest
import yaml

from harness.machine import ROOT

pytestmark = pytest.mark.delivery

STAGES = ["lint", "test", "image", "chart", "infra"]
KEYWORDS = {"stages", "variables", "workflow", "default", "include"}
COMMANDS = {
    "build/lint",
    "build/test",
    "build/test asan",
    "build/image",
    "build/test deploy",
    "build/test infra",
}

pipeline = yaml.safe_load((ROOT / ".gitlab-ci.yml").read_text(encoding="utf-8"))
jobs = {
    name: job for name, job in pipeline.items() if name not in KEYWORDS and not name.startswith(".")
}
calls = [
    (name, line)
    for name, job in jobs.items()
    for line in job["script"]
    if line.startswith("build/")
]
each_call = pytest.mark.parametrize("line", [line for _, line in calls])
each_job = pytest.mark.parametrize("name", jobs)


def test_stages():
    assert pipeline["stages"] == STAGES
    assert [stage for stage in STAGES if stage not in {job["stage"] for job in jobs.values()}] == []


def test_every_command_is_called():
    assert {line for _, line in calls} >= COMMANDS


@each_call
def test_script_exists_and_is_executable(line):
    script = ROOT / line.split()[0]

    assert script.is_file()
    assert os.access(script, os.X_OK)


@each_call
def test_script_knows_its_word(line):
    script, *words = line.split()
    if words and words[0].isalpha():
        branch = rf"^ +(?:\w+ \| )*{words[0]}(?: \| \w+)*\)"  # of the script's case
        assert re.search(branch, script_of(script), re.MULTILINE)


@each_job
def test_job_has_its_rules_and_a_limit(name):
    assert jobs[name]["stage"] in STAGES
    assert jobs[name]["rules"]
    assert "timeout" in jobs[name] or name == "terraform"


@each_job
def test_job_needs_jobs_that_exist_and_run_before_it(name):
    for other in jobs[name].get("needs", []):
        assert STAGES.index(jobs[other]["stage"]) <= STAGES.index(jobs[name]["stage"])


@each_job
def test_image_is_debian_13_or_pinned(name):
    image = jobs[name].get("image", pipeline["default"]["image"])
    image = image if isinstance(image, str) else image["name"]

    assert image == "debian:trixie" or re.search(r":\d+\.\d+\.\d+$", image)


@pytest.mark.parametrize("name", ["test", "test asan", "chart", "infra"])
def test_reports_of_the_tests_are_kept(name):
    patterns = jobs[name]["artifacts"]["reports"]["junit"]
    written = re.findall(r'(?:--output-junit |--junitxml=)"\$OUT/([^"]+)"', script_of("build/test"))

    assert jobs[name]["artifacts"]["when"] == "always"
    assert written
    for report in written:
        assert any(fnmatch("out/" + report, pattern) for pattern in patterns)


def script_of(path):
    return (ROOT / path).read_text(encoding="utf-8")


@each_job
def test_caches_and_artifacts_are_below_out(name):
    caches = jobs[name].get("cache", pipeline["default"]["cache"])
    caches = caches if isinstance(caches, list) else [caches]
    paths = [path for cache in caches for path in cache["paths"]]
    paths += jobs[name].get("artifacts", {}).get("paths", [])

    assert [path for path in paths if not path.startswith("out/")] == []


@each_job
def test_cache_keys_name_files_that_exist(name):
    caches = jobs[name].get("cache", pipeline["default"]["cache"])
    for cache in caches if isinstance(caches, list) else [caches]:
        if isinstance(cache["key"], dict):
            assert [file for file in cache["key"]["files"] if not (ROOT / file).is_file()] == []


def test_the_night_runs_the_fuzzer_alone():
    schedule = '$CI_PIPELINE_SOURCE == "schedule"'
    nightly = [name for name, job in jobs.items() if job["rules"] == [{"if": schedule}]]

    assert nightly == ["fuzz nightly"]
    assert any(line.startswith("build/fuzz ") for line in jobs["fuzz nightly"]["script"])
    for name in set(jobs) - set(nightly):
        assert jobs[name]["rules"][0] == {"if": schedule, "when": "never"}


def test_no_job_is_given_a_secret():
    text = script_of(".gitlab-ci.yml")

    assert not re.search(r"(?i)(password|secret|token|private_key)\s*:", text)
