#!/usr/bin/env python3
"""A copy of infra/ in out/infra/quick in which one folder is initialised, and terraform in it.

usage: working_copy.py FOLDER COMMAND..      as: environments/spain validate, modules/kms test

The provider comes from a local mirror where there is one, else from its registry. The public
modules are contract stubs (test/infra/stubs), or their own code where $TF_MODULES_DIR/NAME/VERSION
holds it; that code needs further providers, for which stand-ins are built (test/infra/providers).
The backend is left out: nothing is applied here.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "emulator"))

from modules import NotFound, Seeder  # noqa: E402
from terraform import (  # noqa: E402
    Failed,
    Missing,
    Terraform,
    plugin_mirrors,
    registry_host,
    stand_ins,
)

ROOT = HERE.parents[1]
INFRA = ROOT / "infra"
WORK = ROOT / "out" / "infra" / "quick"
STUBS = HERE / "stubs"

__all__ = ["INFRA", "STUBS", "Copy", "Failed", "Missing", "folders", "plugin_mirrors"]


def folders():
    """Every root and module of ours, by its path in infra/."""
    found = {file.parent for file in INFRA.rglob("*.tf") if ".terraform" not in file.parts}
    return sorted(str(folder.relative_to(INFRA)) for folder in found)


class Copy:
    """A copy of infra/ of its own, in which one folder is initialised."""

    def __init__(self, name, store=STUBS):
        home = WORK / name.replace("/", "-")
        shutil.rmtree(home, ignore_errors=True)
        leave = shutil.ignore_patterns(".terraform", "*.tfstate*", "*.tfplan")
        shutil.copytree(INFRA, home / "infra", ignore=leave)
        self.logs, self.root = home, home / "infra" / name
        nobody = {
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self.terraform = Terraform(self.root, self.logs, nobody)
        host = registry_host(INFRA / "environments" / "spain", self.terraform.mirrors)
        Seeder(self.root, store, host).seed()
        mirrors = self.terraform.mirrors
        if store != STUBS:  # the lock file names aws only
            (self.root / ".terraform.lock.hcl").unlink(missing_ok=True)
            mirrors = [stand_ins(host), *mirrors]
        self.initialise(mirrors)

    def initialise(self, mirrors):
        """As Terraform.init, without the backend: no bucket is needed to validate."""
        words = ["init", "-no-color", "-input=false", "-backend=false"]
        words += [f"-plugin-dir={mirror}" for mirror in mirrors]
        try:
            self.terraform.run("init", *words, loopback_only=bool(self.terraform.mirrors))
        except Failed as failure:
            if self.terraform.mirrors:
                raise
            raise Missing(f"hashicorp/aws cannot be had\n{failure}") from failure

    def said(self, step):
        return (self.logs / f"{step}.log").read_text(errors="replace")


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in folders():
        sys.exit(f"{__doc__}\nfolders: {' '.join(folders())}")
    try:
        copy = Copy(sys.argv[1], Path(os.environ.get("TF_MODULES_DIR") or STUBS))
    except Missing as missing:
        print(f"SKIPPED: {missing}", file=sys.stderr)
        return 3
    except (Failed, NotFound) as failure:
        print(failure, file=sys.stderr)
        return 1
    print(f"== terraform {' '.join(sys.argv[2:])} in {copy.root.relative_to(ROOT)}", flush=True)
    done = subprocess.run(
        [copy.terraform.binary, *sys.argv[2:]],
        cwd=copy.root,
        env=copy.terraform.environment,
        check=False,
    )
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
