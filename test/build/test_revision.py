"""The revision is asked for on every build, and written only when it is another."""

import os
import shutil
import subprocess

import pytest

from harness.machine import ROOT

pytestmark = pytest.mark.delivery


@pytest.fixture
def git(tmp_path):
    """git(words..): in a repository of its own."""
    quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    who = ["-c", "user.name=x", "-c", "user.email=x@example.com"]

    def run(*words):
        done = subprocess.run(
            ["git", *who, *words],
            cwd=tmp_path,
            env=os.environ | quiet,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    run("init", "-q")
    return run


def build_step(source, **environment):
    """What the build step leaves in revision.h."""
    header = source / "out" / "revision.h"
    clean = {key: value for key, value in os.environ.items() if key != "REVISION"}
    subprocess.run(
        [
            "cmake",
            f"-DOUTPUT={header}",
            f"-DSOURCE={source}",
            f"-DGIT={shutil.which('git')}",
            "-DVERSION=1.2.3",
            "-DCOMPILER=gcc",
            "-P",
            ROOT / "build" / "cmake" / "revision.cmake",
        ],
        env=clean | environment,
        check=True,
    )
    return header


def commit(git, message):
    git("commit", "-q", "--allow-empty", "-m", message)
    return git("describe", "--always", "--abbrev=12")


def test_a_new_commit_shows_and_the_same_one_leaves_the_file_alone(git, tmp_path):
    first = commit(git, "one")
    header = build_step(tmp_path)
    assert f'PROJECT_REVISION "{first}' in header.read_text()
    os.utime(header, ns=(0, 0))

    build_step(tmp_path)
    assert header.stat().st_mtime_ns == 0

    second = commit(git, "two")
    assert second != first
    assert f'PROJECT_REVISION "{second}' in build_step(tmp_path).read_text()


def test_the_environment_wins_over_git(git, tmp_path):
    commit(git, "one")
    header = build_step(tmp_path, REVISION="from-outside")
    assert 'PROJECT_REVISION "from-outside"' in header.read_text()


def test_without_a_history_it_is_unknown(tmp_path):
    assert 'PROJECT_REVISION "unknown"' in build_step(tmp_path).read_text()
