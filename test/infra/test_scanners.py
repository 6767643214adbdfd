"""checkov and tflint over infra/: clean, or each exception has its reason, here or beside the code.

Part of `build/test infra`. The first run makes out/tools/checkov (pip) and out/tools/bin/tflint (go
install). They see what infra/ says itself; what the public modules make of it is not at hand here.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "emulator"))

from control import OUT, ROOT, make_venv  # noqa: E402

pytestmark = pytest.mark.infra

HERE = Path(__file__).resolve().parent
INFRA = ROOT / "infra"
TFLINT = OUT / "tools" / "bin" / "tflint"
TFLINT_VERSION = "v0.64.0"
# Where the aws ruleset's program tflint-ruleset-aws lies, if someone built it: its rules run too.
TFLINT_PLUGINS = Path(os.environ.get("TFLINT_PLUGIN_DIR", OUT / "tools" / "tflint-plugins"))
ENVIRONMENT = os.environ | {"TFLINT_PLUGIN_DIR": str(TFLINT_PLUGINS), "NO_COLOR": "1"}

# checkov's findings that stay: (check, address as a regular expression) -> why.
# An exception that matches nothing is stale, and fails.
EXCEPTIONS = {
    ("CKV_TF_1", r"module\..*"): (
        "public modules are named by registry source and exact version, which is what the"
        " registry offers; a commit hash would mean git sources"
    ),
    ("CKV_AWS_394", r"module\.platform\.aws_availability_zones\.available"): (
        "an account's zone names are its own and differ per region; exactly three are taken"
    ),
    ("CKV2_AWS_5", r"module\.platform\.module\.rds\.aws_security_group\.(database|proxy)"): (
        "attached through the arguments of a public module, which checkov does not read"
    ),
}


def terraform_folders():
    found = {file.parent for file in INFRA.rglob("*.tf") if ".terraform" not in file.parts}
    return sorted(found)


# --- checkov ---


@pytest.fixture(scope="module")
def checkov_report():
    try:
        python = make_venv(OUT / "tools" / "checkov", HERE / "checkov-requirements.txt")
    except subprocess.CalledProcessError as failure:
        pytest.skip(f"SKIPPED: checkov cannot be installed: {failure}")
    words = ["-d", str(INFRA), "--framework", "terraform", "--skip-download", "-o", "json"]
    done = subprocess.run(
        [str(python.parent / "checkov"), *words, "--soft-fail"],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT | {"LOG_LEVEL": "ERROR"},
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    report = json.loads(done.stdout)
    assert not report["results"]["parsing_errors"]
    return report


def reason_for(finding):
    for (check, address), reason in EXCEPTIONS.items():
        if finding["check_id"] == check and re.fullmatch(address, finding["resource"]):
            return reason
    return None


def test_checkov_finds_nothing_without_a_reason(checkov_report):
    left = [
        f"{one['check_id']} {one['resource']} ({one['file_path']}): {one['check_name']}"
        for one in checkov_report["results"]["failed_checks"]
        if not reason_for(one)
    ]
    assert not left, "\n".join(left)


def test_checkov_looked_at_the_code(checkov_report):
    """A scan of nothing is clean too."""
    assert checkov_report["summary"]["resource_count"] > 50


def test_no_exception_is_stale(checkov_report):
    failed = checkov_report["results"]["failed_checks"]
    for check, address in EXCEPTIONS:
        matching = [one for one in failed if one["check_id"] == check]
        assert any(re.fullmatch(address, one["resource"]) for one in matching), f"{check} {address}"


def test_every_skip_in_the_code_says_why():
    for file in INFRA.rglob("*.tf"):
        for line in file.read_text().splitlines():
            if "checkov:skip" in line:
                assert re.search(r"#checkov:skip=CKV2?_[A-Z]+_\d+:\S.{15,}", line), (
                    f"{file}: {line}"
                )


# --- tflint ---


def install_tflint():
    if TFLINT.exists() and TFLINT_VERSION[1:] in run_tflint("--version").stdout:
        return
    if not shutil.which("go"):
        pytest.skip("SKIPPED: there is no Go to build tflint")
    package = f"github.com/terraform-linters/tflint@{TFLINT_VERSION}"
    environment = os.environ | {"GOBIN": str(TFLINT.parent)}
    done = subprocess.run(
        ["go", "install", package], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"SKIPPED: tflint cannot be built: {done.stderr[-500:]}")


def run_tflint(*words):
    return subprocess.run(
        [str(TFLINT), *words], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def tflint(tmp_path_factory):
    """Lints one folder; the aws ruleset joins when it is at hand."""
    install_tflint()
    config = tmp_path_factory.mktemp("tflint") / "tflint.hcl"
    text = (HERE / "tflint.hcl").read_text()
    aws = (TFLINT_PLUGINS / "tflint-ruleset-aws").exists()
    if aws:
        text += 'plugin "aws" {\n  enabled = true\n}\n'
    config.write_text(text)

    def lint(folder):
        return run_tflint(f"--chdir={folder}", f"--config={config}", "--format=compact")

    lint.rulesets = (
        "terraform and aws rules" if aws else "terraform rules (the aws ruleset is not at hand)"
    )
    return lint


def test_tflint_is_clean(tflint, capsys):
    said = {str(folder): tflint(folder) for folder in terraform_folders()}
    left = [
        f"{folder}:\n{one.stdout}{one.stderr}" for folder, one in said.items() if one.returncode
    ]
    with capsys.disabled():
        print(f"\n   tflint {TFLINT_VERSION}: {len(said)} folders, {tflint.rulesets}")
    assert said
    assert not left, "\n".join(left)


def test_tflint_sees_a_breach(tflint, tmp_path):
    """So that a silent tflint is not taken for a clean tree."""
    (tmp_path / "main.tf").write_text('variable "Wrong" {}\n')
    done = tflint(tmp_path)
    assert done.returncode == 2
    for rule in ("terraform_naming_convention", "terraform_documented_variables"):
        assert rule in done.stdout
