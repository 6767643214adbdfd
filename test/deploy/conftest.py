"""Fixtures of the quick deploy tests."""

import os
from pathlib import Path

import pytest

from harness.machine import ROOT


@pytest.fixture(scope="session")
def kube_schemas():
    """JSON schemas of a real API server's own types; build/test deploy leaves them there."""
    place = Path(os.environ.get("PLA_KUBE_SCHEMAS", ROOT / "out" / "tools" / "kube" / "schemas"))
    if not any(place.glob("deployment-apps-v1.json")):
        pytest.skip(
            "NOT CHECKED: no schemas of a real API server in out/tools/kube/schemas;"
            " build/test deploy makes them"
        )
    return place
