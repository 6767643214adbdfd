"""No secret is in Git: neither in a file of the project, nor in what the chart renders."""

import re
import subprocess

import pytest

from harness.chart import SETS, manifests, rendered
from harness.machine import ROOT

pytestmark = pytest.mark.delivery

BINARY_SUFFIXES = {".png", ".jpg", ".gz", ".tgz"}
ANYWHERE = {
    "private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    "AWS access key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "token of a forge": re.compile(r"\b(?:ghp_[A-Za-z0-9]{36}|glpat-[A-Za-z0-9_-]{20})\b"),
}
# Where the tests of the service need no made-up logins: what is deployed, and how.
DEPLOYED = {
    "password in a URL": re.compile(r"postgres(?:ql)?://[^\s:@/{]+:(?![<{$*])[^\s@/]+@"),
    "64 characters of a key": re.compile(
        r"(?<![0-9A-Za-z:/@=])(?:[0-9a-f]{64}|[0-9A-F]{64})(?![0-9A-Za-z])"
    ),
    "value of a secret setting": re.compile(
        r"(?i)\b(?:api_secret_key(?:_previous)?|password|passwd|secret_key)[\"']?\s*[:=]\s*[\"']?"
        r"(?![\"'\s{$<|]|\"\"|null\b|var\.|local\.|data\.|module\.|ephemeral\.|random_|each\.|true\b|false\b|string\b)"
        r"[A-Za-z0-9+/_-]{8,}"
    ),
}
DEPLOYED_ROOTS = ("deploy/", "infra/", "Dockerfile", ".gitlab-ci.yml")
NOT_OURS = re.compile(r"\.terraform\.lock\.hcl$")


def breaches(path, text):
    rules = dict(ANYWHERE)
    if path.startswith(DEPLOYED_ROOTS) and not NOT_OURS.search(path):
        rules |= DEPLOYED
    return [
        f"{path}:{number}: {what}"
        for number, line in enumerate(text.splitlines(), 1)
        for what, pattern in rules.items()
        if pattern.search(line)
    ]


def project_files():
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("NOT CHECKED: this tree is no Git repository")
    for name in listed.stdout.split("\0"):
        path = ROOT / name
        if name and path.is_file() and path.suffix not in BINARY_SUFFIXES:
            yield name, path.read_text(errors="replace")


def test_no_file_of_the_project_holds_a_secret():
    files = list(project_files())
    assert len(files) > 100
    assert [one for name, text in files for one in breaches(name, text)] == []


def test_the_scan_sees_what_it_is_for():
    planted = {
        "private key": "-----BEGIN RSA " + "PRIVATE KEY-----",
        "AWS access key": "key: AKIA" + "ABCDEFGHIJKLMNOP",
        "password in a URL": "url: postgresql://pay:hunter22@db:5432/pay",
        "64 characters of a key": "key: " + "0123456789abcdef" * 4,
        "value of a secret setting": "API_SECRET_KEY: hunter22hunter22",
    }
    for what, line in planted.items():
        assert what in "".join(breaches("deploy/helm/values.yaml", line)), what
    for fine in (
        "image@sha256:" + "ab" * 32,
        "password: ''",
        "postgresql://{{ .username | urlquery }}:{{ .password | urlquery }}@host:5432/pay",
        "API_SECRET_KEY_FILE",
        "secretKey: password",
    ):
        assert breaches("deploy/helm/values.yaml", fine) == [], fine


@pytest.mark.parametrize("name", SETS)
def test_no_manifest_holds_a_secret(name):
    text = re.sub(r"(checksum/config: )[0-9a-f]{64}", r"\1", rendered(name))
    assert breaches(f"deploy/{name}.yaml", text) == []
    assert manifests(name).all("Secret") == []
