"""Where the public modules come from: their own code, or contract stubs.

Terraform takes a registry module from the folder that .terraform/modules/modules.json names, if
that is written before `init`. So a root is used unchanged, and only the folder decides what
stands behind `source = "terraform-aws-modules/vpc/aws"`: $TF_MODULES_DIR/NAME/VERSION, or
test/infra/stubs/NAME/VERSION.
"""

import json
import os
import re
from pathlib import Path

# `terraform fmt` puts a block's first and last line in the first column; an argument of it is two
# deep.
MODULE = re.compile(r'^module "([^"]+)" \{\n(.*?)^\}', re.M | re.S)
ARGUMENT = re.compile(r'^  (source|version)\s*=\s*"([^"]*)"', re.M)


class NotFound(Exception):
    """A module's code is in none of the folders."""


def calls(folder):
    """(name, source, version) of every module block of the folder."""
    for file in sorted(Path(folder).glob("*.tf")):
        for name, body in MODULE.findall(file.read_text()):
            arguments = dict(ARGUMENT.findall(body))
            yield name, arguments["source"], arguments.get("version", "")


def is_local(source):
    return source.startswith(("./", "../"))


class Seeder:
    """Walks a root and the modules below it, and notes the folder of each."""

    def __init__(self, root, store, host):
        self.root, self.store, self.host = Path(root).resolve(), Path(store).resolve(), host
        self.entries = [{"Key": "", "Source": "", "Dir": "."}]
        self.taken = {}  # "NAME VERSION" -> True: from the store
        self.missing = []

    def seed(self):
        self.walk(self.root, "")
        if self.missing:
            raise NotFound(
                "no code for these modules:\n    " + "\n    ".join(sorted(set(self.missing)))
            )
        folder = self.root / ".terraform" / "modules"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "modules.json").write_text(json.dumps({"Modules": self.entries}, indent=1))
        return sorted(self.taken)

    def walk(self, folder, prefix):
        for name, source, version in calls(folder):
            key = prefix + name
            entry = {"Key": key, "Source": source}
            if is_local(source):
                target = (Path(folder) / source).resolve()
            else:
                target = self.from_store(entry, source, version)
            if not target or not target.is_dir():
                self.missing.append(f"{source} {version} (called {key})")
                continue
            entry["Dir"] = os.path.relpath(target, self.root)
            self.entries.append(entry)
            self.walk(target, key + ".")

    def from_store(self, entry, source, version):
        package, _, below = source.partition("//")
        parts = [part for part in package.split("/") if part != self.host]
        if len(parts) != 3:
            return None
        name, exact = parts[1], re.sub(r"^=\s*", "", version)
        if not re.fullmatch(
            r"[\d.]+", exact
        ):  # a range inside a public module: the newest that is there
            there = [p.name for p in (self.store / name).glob("*") if p.is_dir()]
            exact = max(there, key=lambda v: [int(n) for n in re.findall(r"\d+", v)], default="")
        entry["Source"] = "/".join([self.host, *parts]) + ("//" + below if below else "")
        entry["Version"] = exact
        self.taken[f"{name} {exact}"] = True
        return self.store / name / exact / below
