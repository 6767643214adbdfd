#!/usr/bin/env python3
"""Starts and stops the AWS emulator on loopback.

usage: control.py start [ACCOUNT]     prints what to export; the process goes on in the background
       control.py stop

The first start makes the environment out/tools/moto from requirements.txt. The tests use the class.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT / "test"))

from harness.machine import free_port  # noqa: E402

OUT = ROOT / "out"
VENV = OUT / "tools" / "moto"
REQUIREMENTS = HERE / "requirements.txt"
ACCOUNT = "111122223333"
START_LIMIT_S = 90


def make_venv(folder, requirements):
    """An environment of its own for one tool; made again only when its requirements change."""
    stamp, wanted = folder / ".stamp", hashlib.sha256(requirements.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return folder / "bin" / "python"
    print(f"== making {folder.relative_to(ROOT)} from {requirements.relative_to(ROOT)}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    base = sys.executable if sys.prefix == sys.base_prefix else sys._base_executable
    subprocess.run([base, "-m", "venv", str(folder)], check=True)
    pip = [folder / "bin" / "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", requirements], check=True)
    stamp.write_text(wanted)
    return folder / "bin" / "python"


def make_tools():
    """The emulator's own environment; returns its Python."""
    return make_venv(VENV, REQUIREMENTS)


class Emulator:
    """One emulated account. `folder` gets its log files."""

    running = set()

    def __init__(self, folder, account=ACCOUNT):
        self.folder, self.account = Path(folder), account
        self.calls = self.folder / "emulator-calls.jsonl"
        self.output = self.folder / "emulator.log"
        self.port = self.process = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self):
        """What an AWS client needs to talk to it, and to nothing else."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "3",
        }

    def start(self):
        python = make_tools()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.calls.unlink(missing_ok=True)
        self.port = free_port()
        command = [str(python), str(HERE / "server.py"), str(self.port), str(self.calls)]
        keep = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        keep |= {"MOTO_ACCOUNT_ID": self.account, "PYTHONDONTWRITEBYTECODE": "1"}
        with open(self.output, "wb") as log:
            self.process = subprocess.Popen(
                command, env=keep, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/"
            )
        Emulator.running.add(self)
        end = time.monotonic() + START_LIMIT_S
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError(f"the emulator does not start: see {self.output}")
            time.sleep(0.1)
        return self

    def answers(self):
        try:
            with urllib.request.urlopen(self.url + "/moto-api/", timeout=5):
                return True
        except OSError:
            return False

    @classmethod
    def stop_all(cls):
        for emulator in list(cls.running):
            emulator.stop()

    def stop(self):
        Emulator.running.discard(self)
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def call(self, service, target, body, region="us-east-1"):
        """One call of the JSON protocol, for what must be there before Terraform comes."""
        scope = f"Credential=testing/20000101/{region}/{service}/aws4_request"
        headers = {
            "X-Amz-Target": target,
            "Content-Type": "application/x-amz-json-1.1",
            "Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0",
        }
        request = urllib.request.Request(self.url, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read() or b"{}")

    def call_log(self):
        with open(self.calls, encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    def not_by_moto(self):
        """How often our own code answered, or corrected moto's answer, by who and operation."""
        return Counter(
            (call["by"], f"{call['service']} {call['operation']}")
            for call in self.call_log()
            if call["by"] != "moto"
        )


def main():
    state = OUT / "emulator"
    pid_file = state / "pid"
    if sys.argv[1:2] == ["start"] and len(sys.argv) <= 3:
        emulator = Emulator(state, *sys.argv[2:]).start()
        pid_file.write_text(str(emulator.process.pid))
        for name, value in emulator.environment.items():
            print(f"export {name}={value}")
    elif sys.argv[1:] == ["stop"]:
        pid = int(pid_file.read_text())
        command = Path(f"/proc/{pid}/cmdline")
        if command.exists() and str(HERE / "server.py").encode() in command.read_bytes():
            os.kill(pid, signal.SIGTERM)
        pid_file.unlink()
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
