#!/usr/bin/env python3
"""Applies, plans again and destroys infra/ for real, against an AWS emulator on loopback.

usage: apply.py [--modules stubs|real] [spain | mexico | mexico-central]..

They run side by side, each with an emulator of its own: most of the time is the provider's waiting.

The genuine terraform and hashicorp/aws provider act on a scratch copy in out/infra; an override
file there points the provider at the emulator. A country is its three roots, in the order of a
real start: bootstrap (bucket and key of the state), the environment, secret-values; the last two
keep their state in that bucket. Public modules: contract stubs of our own (`stubs`), or, where
$TF_MODULES_DIR/NAME/VERSION holds their code, those (`real`, then the default).

What must hold: each apply succeeds; every ARN in the state and every call names the country's
region; no secret's value is in a state, a plan or a log; a second plan differs only where
emulator/known_gaps.toml says that the emulator, not the code, is the reason; the destroy takes
all of it away. It proves order, wiring and arguments, not what AWS would say.

exit: 0 all of that held; 1 it did not; 2 wrong words; 3 SKIPPED, terraform or a provider is
missing.
"""

import argparse
import json
import os
import re
import shutil
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "emulator"))

from control import OUT, ROOT, Emulator, make_tools  # noqa: E402
from modules import NotFound  # noqa: E402
from stage import Stage, values_of  # noqa: E402
from terraform import STAND_IN_VERSION, Failed, Missing  # noqa: E402

SKIPPED = 3
KINDS = ("stubs", "real")
STUBS = HERE / "stubs"
# Services with one endpoint for the whole partition: it is in us-east-1, whatever the region.
GLOBAL_SERVICES = {"iam", "organizations"}
ARN = re.compile(r"arn:aws:([a-z0-9-]+):([a-z0-9-]+):(?:\d{12}|aws)?:")


@dataclass(frozen=True)
class Environment:
    name: str
    country: str
    region: str
    variables: dict = field(default_factory=dict)


ENVIRONMENTS = {
    "spain": Environment("spain", "spain", "eu-south-2"),
    "mexico": Environment("mexico", "mexico", "us-east-1"),
    "mexico-central": Environment(
        "mexico-central", "mexico", "mx-central-1", {"aws_region": "mx-central-1"}
    ),
}


@dataclass
class Result:
    environment: str
    region: str
    modules: str
    lines: list
    added: int
    changed: int
    destroyed: int

    def text(self):
        head = f"== {self.environment} ({self.region}), public modules: {self.modules}"
        return "\n".join([head, *self.lines])


class Run:
    """One environment, once."""

    def __init__(self, environment, kind, store):
        self.environment, self.kind, self.store = environment, kind, store
        self.folder = OUT / "infra" / f"{environment.name}-{kind}"
        self.infra = self.folder / "infra"
        self.values = values_of(environment.name)
        self.stages, self.lines = [], []

    def go(self):
        self.copy()
        with Emulator(self.folder, self.values["account_id"]) as emulator:
            if self.values.get("guardrails_enabled"):  # a policy needs an organization
                target = "AWSOrganizationsV20161128.CreateOrganization"
                emulator.call("organizations", target, {"FeatureSet": "ALL"})
            try:
                for stage, values, backend in self.roots(emulator):
                    self.stages.append(stage)
                    stage.prepare(values, self.store, self.kind, backend)
                    stage.apply()
                    stage.plan_again()
                self.name_parts(emulator)
                self.name_applies()
                self.check_regions(emulator)
                self.check_secrets(emulator)
                for stage in reversed(self.stages):
                    stage.destroy()
                self.name_destroys()
            finally:
                self.name_fillers(emulator)
        return self.result()

    def copy(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        leave = [".terraform", "*.tfstate*", "*.tfplan"]
        if self.kind == "real":  # the lock files cannot know the stand-in providers
            leave.append(".terraform.lock.hcl")
        shutil.copytree(ROOT / "infra", self.infra, ignore=shutil.ignore_patterns(*leave))

    def roots(self, emulator):
        """(stage, values, words for the backend) of each root, in the order of a real start."""
        country, region = self.environment.country, self.environment.region
        root = self.infra / "environments" / country
        backend = root / "backend" / f"{region}.s3.tfbackend"
        own = self.values | {"aws_region": region}
        environment = self.values | self.environment.variables
        key = f"key=payments/{country}/secret-values.tfstate"
        for name, folder, values, words in (
            ("bootstrap", self.infra / "bootstrap", own, ()),
            (country, root, environment, (backend,)),
            ("secret-values", self.infra / "secret-values", own, (backend, key)),
        ):
            yield Stage(name, folder, self.folder / name, emulator, region), values, words

    def result(self):
        modules = "contract stubs" if self.kind == "stubs" else "their own code"
        counts = [
            sum(getattr(s, n) for s in self.stages) for n in ("added", "changed", "destroyed")
        ]
        result = Result(
            self.environment.name, self.environment.region, modules, self.lines, *counts
        )
        (self.folder / "result.json").write_text(json.dumps(asdict(result), indent=1))
        return result

    def note(self, line):
        self.lines.append("   " + line)

    def name_parts(self, emulator):
        terraform = self.stages[0].terraform
        providers = sorted({provider for stage in self.stages for provider in stage.providers})
        taken = sorted({module for stage in self.stages for module in stage.taken})
        moto = (HERE / "emulator" / "requirements.txt").read_text().split()[-1]
        self.note(f"genuine: terraform {terraform.version()}; {', '.join(providers)}")
        self.note(f"stands in for AWS: {moto} on loopback, account {emulator.account}")
        if any(STAND_IN_VERSION in provider for provider in providers):
            self.note(f"not genuine: providers v{STAND_IN_VERSION}, from test/infra/providers")
        what = "contract stubs of" if self.kind == "stubs" else "none; their own code:"
        self.note(f"stands in for public modules: {what} {', '.join(taken)}")

    def name_applies(self):
        for stage in self.stages:
            known = f"{len(stage.known)} known emulator gaps" if stage.known else "no changes"
            self.note(
                f"{stage.name}: {stage.added} added, {stage.changed} changed"
                f" ({stage.seconds('apply'):.0f} s); second plan: {known}"
            )
            by_reason = {}
            for change, gap in stage.known:
                by_reason.setdefault(gap.reason, []).append(change["address"])
            for reason, addresses in by_reason.items():
                self.note(f"    {', '.join(addresses)}: {reason}")

    def check_regions(self, emulator):
        """Residency, as far as it shows: ARNs of the state, and each call's signed region."""
        here = self.environment.region
        elsewhere = set()
        for stage in self.stages:
            for service, region in ARN.findall(json.dumps(stage.terraform.state())):
                if region != here:
                    elsewhere.add(f"ARN of {service} in {region}")
        calls = [call for call in emulator.call_log() if call["service"]]
        for call in calls:
            is_global = call["service"] in GLOBAL_SERVICES and call["region"] == "us-east-1"
            if call["region"] != here and not is_global:
                elsewhere.add(f"call {call['service']} {call['operation']} in {call['region']}")
        if elsewhere:
            raise Failed(f"not in {here}: " + "; ".join(sorted(elsewhere)[:20]))
        self.note(f"residency: {len(calls)} calls and every ARN of the states are of {here}")
        failing = sorted({f"{c['service']} {c['operation']}" for c in calls if c["status"] >= 500})
        if failing:
            self.note(f"calls the emulator could not answer: {', '.join(failing)}")

    def check_secrets(self, emulator):
        """What Secrets Manager holds is in no state, no plan and no log."""
        kept = "".join(json.dumps(stage.terraform.state()) for stage in self.stages)
        for stage in self.stages:
            kept += stage.terraform.pull_state()
            kept += "".join(f.read_text(errors="replace") for f in stage.logs.glob("*.[jl][so]*"))
        secrets, values = 0, set()
        for secret in self.ask_secrets(emulator, "ListSecrets", {})["SecretList"]:
            asked = {"SecretId": secret["ARN"]}
            held = self.ask_secrets(emulator, "GetSecretValue", asked)["SecretString"]
            secrets += 1
            values |= {value for value in json.loads(held).values() if len(value) >= 24}
        if not values:
            raise Failed("no secret has a value")
        if any(value in kept for value in values):
            raise Failed("a secret's value is in a state, a plan or a log")
        self.note(
            f"secrets: {secrets}, with {len(values)} generated values; none of these is in a state,"
            " a plan or a log"
        )

    def ask_secrets(self, emulator, operation, body):
        target = "secretsmanager." + operation
        return emulator.call("secretsmanager", target, body, self.environment.region)

    def name_destroys(self):
        counts = ", ".join(
            f"{stage.name} {stage.destroyed} destroyed ({stage.seconds('destroy'):.0f} s)"
            for stage in reversed(self.stages)
        )
        self.note(f"{counts}; nothing left")

    def name_fillers(self, emulator):
        """Which answers were not moto's: path parts that are names are left out."""
        operations = {}
        for who, operation in emulator.not_by_moto():
            short = re.sub(r"(/[a-z-]+)/[^/]+", r"\1/..", operation)
            operations.setdefault(who, set()).add(short)
        for who, names in sorted(operations.items()):
            self.note(f"answered by {who}: {', '.join(sorted(names))}")


def store_of(kind):
    """The folder that stands behind registry sources, or Missing."""
    if kind == "stubs":
        return STUBS
    folder = os.environ.get("TF_MODULES_DIR", "")
    if not folder or not Path(folder).is_dir():
        raise Missing("TF_MODULES_DIR does not name a folder NAME/VERSION of the public modules")
    return Path(folder)


def run_one(name, kind):
    """Prints what happened; returns an exit status."""
    lines = []
    try:
        run = Run(ENVIRONMENTS[name], kind, store_of(kind))
        lines = run.lines
        print(run.go().text(), flush=True)
    except Missing as missing:
        print(f"== SKIPPED {name}: nothing was applied: {missing}", file=sys.stderr, flush=True)
        return SKIPPED
    except (Failed, NotFound, RuntimeError) as failure:
        text = "\n".join([f"== FAILED {name}", *lines, str(failure)])
        print(text, file=sys.stderr, flush=True)
        return 1
    return 0


def stop(*_):
    """Without its emulator each run soon fails, and so ends."""
    Emulator.stop_all()
    sys.exit(143)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = KINDS[bool(os.environ.get("TF_MODULES_DIR"))]
    parser.add_argument("--modules", choices=KINDS, default=default)
    parser.add_argument("environments", nargs="*", metavar="|".join(ENVIRONMENTS))
    words = parser.parse_args()
    wrong = set(words.environments) - set(ENVIRONMENTS)
    if wrong:
        parser.error(f"no such environment: {', '.join(sorted(wrong))}")
    signal.signal(signal.SIGTERM, stop)
    began = time.monotonic()
    names = words.environments or list(ENVIRONMENTS)
    make_tools()
    with ThreadPoolExecutor(len(names)) as side_by_side:
        said = list(side_by_side.map(run_one, names, [words.modules] * len(names)))
    status = 1 if 1 in said else max(said)
    how = {0: "passed", 1: "FAILED", SKIPPED: "SKIPPED"}[status]
    print(f"== apply.py: {how} in {time.monotonic() - began:.0f} s")
    return status


if __name__ == "__main__":
    sys.exit(main())
