"""What a plan would do, and which of it is the emulator's doing (known_gaps.toml)."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

GAPS = Path(__file__).resolve().parent / "known_gaps.toml"


@dataclass(frozen=True)
class Gap:
    """One entry of known_gaps.toml."""

    address: str
    attributes: list
    reason: str
    actions: tuple = ("update",)

    def covers(self, change):
        return (
            change["actions"] == list(self.actions)
            and re.fullmatch(self.address, change["address"]) is not None
            and set(change["attributes"]) <= set(self.attributes)
        )


def known_gaps():
    return [Gap(**gap) for gap in tomllib.loads(GAPS.read_text()).get("gap", [])]


def differences(plan):
    """What a plan would do: address, actions, and the arguments that differ."""
    for change in plan.get("resource_changes", []):
        actions = change["change"]["actions"]
        if actions in (["no-op"], ["read"]):
            continue
        before = change["change"].get("before") or {}
        after = change["change"].get("after") or {}
        unknown = change["change"].get("after_unknown") or {}
        names = {n for n in before.keys() | after.keys() if before.get(n) != after.get(n)}
        # What only follows from another difference is unknown; it counts if nothing else does.
        names = {name for name in names if not unknown.get(name)} or names
        yield {"address": change["address"], "actions": actions, "attributes": sorted(names)}


def sort_out(plan):
    """(differences that no gap explains, those that one does with that gap)."""
    gaps, unknown, known = known_gaps(), [], []
    for change in differences(plan):
        gap = next((gap for gap in gaps if gap.covers(change)), None)
        if gap:
            known.append((change, gap))
        else:
            unknown.append(change)
    return unknown, known
