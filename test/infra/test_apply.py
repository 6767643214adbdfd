"""apply.py for each environment: applied, planned again and destroyed for real, on the emulator.

Only `build/test infra` runs this: minutes. The whole roots with the public modules' own code run as
well where $TF_MODULES_DIR names it.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "emulator")]

from control import Emulator, make_tools  # noqa: E402

from apply import ENVIRONMENTS, KINDS, Missing, Run, store_of  # noqa: E402

pytestmark = pytest.mark.infra


@pytest.fixture(scope="module")
def runs():
    """The environments of one kind side by side: most of the time is the provider's waiting."""
    started = {}
    executor = ThreadPoolExecutor(len(ENVIRONMENTS))

    def run(name, kind):
        return Run(ENVIRONMENTS[name], kind, store_of(kind)).go()

    def result(name, kind):
        if kind not in started:
            make_tools()
            started[kind] = {each: executor.submit(run, each, kind) for each in ENVIRONMENTS}
        return started[kind][name].result()

    yield result
    executor.shutdown(wait=False, cancel_futures=True)
    Emulator.stop_all()


@pytest.mark.parametrize("name", ENVIRONMENTS)
@pytest.mark.parametrize("kind", KINDS)
def test_apply_plan_again_destroy(runs, name, kind, capsys):
    try:
        result = runs(name, kind)
    except Missing as missing:
        with capsys.disabled():
            print(f"\n== SKIPPED {name} ({kind}): nothing was applied: {missing}")
        pytest.skip(f"{name} ({kind}): {str(missing).splitlines()[0]}")
    with capsys.disabled():
        print(f"\n{result.text()}")
    assert result.added == result.destroyed > 60
    assert result.changed == 0
