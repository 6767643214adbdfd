"""Runs Terraform, off the network where it can be, and finds the providers for it."""

import json
import os
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path

PROVIDER = "hashicorp/aws"
SOURCE = Path(__file__).resolve().parents[1] / "providers"
MIRROR = Path(__file__).resolve().parents[3] / "out" / "tools" / "providers"
STAND_INS = ("cloudinit", "null", "random", "time", "tls")
# No release has this number, so that nobody takes a stand-in for the thing itself.
STAND_IN_VERSION = "99.0.0"
# What init says when a provider cannot be had; anything else it says is a fault of ours.
NOT_TO_BE_HAD = re.compile(
    r"Failed to (query available provider packages|install provider)|"
    r"Failed to resolve provider packages|could not connect to|no available releases match"
)


class Missing(Exception):
    """Terraform or a provider is not at hand: a loud SKIPPED, neither green nor red."""


class Failed(Exception):
    """A step of Terraform failed; the text is what it said."""


def plugin_mirrors(provider=PROVIDER):
    """Local mirrors that hold it: $TF_PLUGIN_DIR, Terraform's own folders, the usual prefixes."""
    home = Path(os.environ.get("HOME", "/"))
    data = os.environ.get("XDG_DATA_HOME") or home / ".local/share"
    shared = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    folders = [Path(d) for d in os.environ.get("TF_PLUGIN_DIR", "").split(":") if d]
    folders += [home / ".terraform.d/plugins", Path(data) / "terraform/plugins"]
    folders += [Path(d) / "terraform/plugins" for d in shared.split(":") if d]
    for prefix in map(Path, ("/opt", "/usr/local", "/usr/share")):
        for depth in ("*", "*/*", "*/*/*"):  # MIRROR/HOST/NAMESPACE/TYPE
            folders += [
                p.parents[2] for p in prefix.glob(f"{depth}/{provider}") if "." in p.parts[-3]
            ]
    found = []
    for folder in folders:
        packages = [
            *folder.glob(f"*.*/{provider}/*/*/terraform-provider-*_v*"),
            *folder.glob(f"*.*/{provider}/terraform-provider-*.zip"),
        ]
        if packages and folder.resolve() not in found:
            found.append(folder.resolve())
    return found


def registry_host(root, mirrors):
    """The registry that sources without a host mean: a mirror names it, or the lock file."""
    hosts = [host.name for mirror in mirrors[:1] for host in sorted(mirror.glob("*.*"))]
    lock = Path(root) / ".terraform.lock.hcl"
    if not hosts and lock.exists():
        hosts = re.findall(r'^provider "([^/"]+)/', lock.read_text(), re.M)
    if not hosts:
        raise Missing(
            "neither a local mirror nor a lock file says which registry serves the providers"
        )
    return hosts[0]


BUILDING = threading.Lock()


def stand_ins(host):
    """A mirror of the stand-in providers, built by the Go compiler when their source is newer."""
    with BUILDING:
        return build_stand_ins(host)


def build_stand_ins(host):
    if not shutil.which("go"):
        raise Missing(
            "the public modules need small providers, and there is no Go to build stand-ins"
        )
    program = MIRROR.parent / "stand-in"
    source = [SOURCE / name for name in ("main.go", "go.mod", "go.sum")]
    newest = max(file.stat().st_mtime for file in source)
    if not program.exists() or program.stat().st_mtime < newest:
        MIRROR.parent.mkdir(parents=True, exist_ok=True)
        words = ["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", str(program), "."]
        done = subprocess.run(words, cwd=SOURCE, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Missing(f"the stand-in providers cannot be built:\n{done.stderr}")
    machine = subprocess.run(
        ["go", "env", "GOOS", "GOARCH"], capture_output=True, text=True, check=True
    )
    for name in STAND_INS:
        folder = (
            MIRROR / host / "hashicorp" / name / STAND_IN_VERSION / "_".join(machine.stdout.split())
        )
        folder.mkdir(parents=True, exist_ok=True)
        copy = folder / f"terraform-provider-{name}_v{STAND_IN_VERSION}"
        if not copy.exists() or copy.stat().st_mtime < program.stat().st_mtime:
            copy.unlink(missing_ok=True)
            os.link(program, copy)
    return MIRROR


class Terraform:
    """Runs steps in one root; each step's output goes to `logs`."""

    def __init__(self, root, logs, environment):
        self.root, self.logs = Path(root), Path(logs)
        self.seconds = {}
        self.binary = shutil.which("terraform")
        if not self.binary:
            raise Missing("terraform is not in PATH")
        self.mirrors = plugin_mirrors()
        config = os.environ.get("TF_CLI_CONFIG_FILE", "")
        ours = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("AWS_", "TF_VAR_", "TF_CLI_ARGS"))
        }
        ours |= {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "TF_INPUT": "0"}
        if self.mirrors or (config and not Path(config).exists()):
            ours["TF_CLI_CONFIG_FILE"] = os.devnull
        self.environment = ours | environment

    def version(self):
        return json.loads(self.read("version", "-json"))["terraform_version"]

    def run(self, step, *words, fine=(0,), loopback_only=True):
        """One step; returns its exit status. Its proxies lead nowhere: only loopback is left."""
        environment = dict(self.environment)
        if loopback_only:
            nowhere = "http://127.0.0.1:9"
            environment |= {
                "HTTP_PROXY": nowhere,
                "HTTPS_PROXY": nowhere,
                "NO_PROXY": "127.0.0.1,localhost",
            }
        began = time.monotonic()
        log = self.logs / f"{step}.log"
        with open(log, "wb") as output:
            done = subprocess.run(
                [self.binary, *words],
                cwd=self.root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        self.seconds[step] = time.monotonic() - began
        if done.returncode not in fine:
            raise Failed(
                f"terraform {step} failed (exit {done.returncode}):\n{said(log)}\n    see {log}"
            )
        return done.returncode

    def init(self, extra_mirrors=(), more=()):
        words = ["init", "-no-color", "-input=false", *more]
        words += [
            f"-plugin-dir={mirror}"
            for mirror in [*extra_mirrors, *self.mirrors]
            if Path(mirror).is_dir()
        ]
        try:
            self.run("init", *words, loopback_only=bool(self.mirrors))
        except Failed as failure:
            if NOT_TO_BE_HAD.search((self.logs / "init.log").read_text(errors="replace")):
                raise Missing(f"a provider is not at hand\n{failure}") from failure
            raise
        log = (self.logs / "init.log").read_text(errors="replace")
        return re.findall(r"^- (?:Installed|Using previously-installed) (\S+ v\S+)", log, re.M)

    def plan(self, step, *words):
        """Returns the plan as Terraform's own JSON."""
        plan = self.logs / f"{step}.tfplan"
        self.run(step, "plan", "-no-color", f"-out={plan}", *words)
        text = self.read("show", "-json", str(plan))
        (self.logs / f"{step}.json").write_text(text)
        return json.loads(text)

    def summary(self, step):
        """Counts of an apply or a destroy that ran with -json: {add, change, remove}."""
        for event in events(self.logs / f"{step}.log"):
            if event.get("type") == "change_summary" and event["changes"]["operation"] != "plan":
                return event["changes"]
        raise Failed(f"terraform {step} printed no summary")

    def read(self, *words):
        """What a reading command prints."""
        done = subprocess.run(
            [self.binary, *words],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def state(self):
        return json.loads(self.read("show", "-json"))

    def pull_state(self):
        """The state as it is stored."""
        return self.read("state", "pull")


def events(log):
    for line in log.read_text(errors="replace").splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def said(log, limit=6000):
    """The errors in a log, whichever way it was written."""
    text = log.read_text(errors="replace")
    errors = []
    for event in events(log):
        if event.get("@level") == "error":
            diagnostic = event.get("diagnostic", {})
            where = diagnostic.get("address", "")
            errors.append(f"{where}: {event['@message']}: {diagnostic.get('detail', '')}")
    if not errors:
        errors = ["Error:" + part for part in text.split("Error:")[1:]] or [text[-limit:]]
    return "\n".join(errors)[:limit]
