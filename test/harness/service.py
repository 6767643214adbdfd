"""The real binary as a child: started with given settings, its log collected, stopped with care."""

import json
import os
import secrets
import signal
import subprocess
import threading
import time

from harness import http
from harness.machine import BINARY, free_port, seconds, wait_until
from harness.metrics import Metrics

SIMULATE = "/api/payment/simulate"
WALLET_PATH = "/api/payment/wallets"
REGION = "eu-south-2"
API_KEY = secrets.token_hex(32)
API_KEY_PREVIOUS = secrets.token_hex(32)

# Far away from every deadline, for tests that are not about deadlines and run on a noisy machine.
PATIENT = {
    "REQUEST_BUDGET_MS": "5000",
    "QUEUE_WAIT_MAX_MS": "4000",
    "STATEMENT_TIMEOUT_MS": "4500",
    "LOCK_TIMEOUT_MS": "4000",
}
SANITIZER_MARKS = (
    "AddressSanitizer",
    "LeakSanitizer",
    "UndefinedBehaviorSanitizer",
    "runtime error:",
)


def environment(settings):
    """A clean environment with these settings; a setting of None is left out."""
    env = {
        name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ
    }
    env["ASAN_OPTIONS"] = "detect_leaks=1:abort_on_error=0"
    env["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1"
    env.update({name: str(value) for name, value in settings.items() if value is not None})
    return env


def run_command(*arguments, settings=None, limit=20.0):
    """A subcommand, to its end."""
    done = subprocess.run(
        [str(BINARY), *arguments],
        env=environment(settings or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds(limit),
        check=False,
    )
    assert not any(mark in done.stderr for mark in SANITIZER_MARKS), done.stderr
    return done


def migrate(database, region=REGION):
    """Brings the schema of this database up to date, as its superuser."""
    done = run_command(
        "migrate",
        settings={"DATABASE_URL": database.url("postgres"), "REGION": region, "ENVIRONMENT": "dev"},
    )
    assert done.returncode == 0, done.stderr


class Service:
    def __init__(self, database_url, settings=None):
        self.port = free_port()
        self.ops_port = free_port()
        self.settings = {
            "DATABASE_URL": database_url,
            "API_SECRET_KEY": API_KEY,
            "API_SECRET_KEY_PREVIOUS": API_KEY_PREVIOUS,
            "REGION": REGION,
            "ENVIRONMENT": "dev",
            "BIND_ADDRESS": "127.0.0.1",
            "PORT": self.port,
            "OPS_PORT": self.ops_port,
            "DRAIN_DELAY_MS": "0",
            "AUTH_FAILURES_PER_S": "0",  # all tests come from one address
            # Tests put holds back in time and lock tables: who wants holds released says when.
            "EXPIRY_INTERVAL_MS": "3600000",
            **(settings or {}),
        }
        self.lines = []
        self.errors = []
        self.process = None
        self.end_was_expected = False
        self.readers = []
        self.reading = threading.Event()
        self.reading.set()

    def start(self, ready=True):
        self.process = subprocess.Popen(
            [str(BINARY)],
            env=environment(self.settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.readers = [
            self._reader(self.process.stdout, self.lines),
            self._reader(self.process.stderr, self.errors),
        ]
        wait_until(self.ready if ready else self.alive, 15, "the service's first answer")
        return self

    def _reader(self, pipe, lines):
        def read():
            for line in pipe:
                self.reading.wait()
                lines.append(line.decode("utf-8", "backslashreplace").rstrip("\n"))

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread

    # asking

    def call(self, method, target, headers=None, body=None, key=API_KEY, limit=10.0):
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
        if key is not None:
            pairs.insert(0, ("X-API-Key", key))
        return http.call(self.port, method, target, pairs, body, limit)

    def connect(self, limit=10.0):
        return http.Connection(self.port, limit)

    def probe(self, path):
        """The status of a GET, None while nobody listens."""
        assert self.process.poll() is None, (
            f"the service ended: {self.process.returncode} {self.errors}"
        )
        try:
            return http.call(self.port, "GET", path, limit=5).status
        except (OSError, http.Closed):
            return None

    def alive(self):
        return self.probe("/livez") == 200

    def ready(self):
        return self.probe("/readyz") == 200

    def scrape(self):
        """The page as it is given now: some milliseconds old, when it was made for another."""
        answer = http.call(self.ops_port, "GET", "/metrics")
        assert answer.status == 200
        return Metrics(answer.text)

    def metrics(self):
        """A page that was made after this call."""
        asked = time.time()

        def fresh():
            page = self.scrape()
            return page if page.value("metrics_page_timestamp_seconds") >= asked else None

        return wait_until(fresh, 5, "a fresh page of metrics")

    def descriptors(self):
        """Open descriptors, that of the asking connection included."""
        return self.metrics().value("process_open_fds")

    # its log

    def events(self, body=None, **fields):
        """The log lines as objects, those with this body and these fields (dots written as __)."""
        wanted = {name.replace("__", "."): value for name, value in fields.items()}
        if body is not None:
            wanted["body"] = body
        return [
            event
            for event in map(json.loads, list(self.lines))
            if all(event.get(name) == value for name, value in wanted.items())
        ]

    def pause_reading(self):
        """Its output is left in the pipe from now on."""
        self.reading.clear()

    def resume_reading(self):
        self.reading.set()

    # its end

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, limit=20.0):
        """Its exit status, which is now the test's to judge."""
        status = self.process.wait(seconds(limit))
        self.end_was_expected = True
        for reader in self.readers:
            reader.join(seconds(5))
        return status

    def kill(self):
        self.signal(signal.SIGKILL)
        assert self.wait() == -signal.SIGKILL

    def stop(self):
        """A clean end is part of every test that started a service."""
        self.resume_reading()
        if self.process is not None and not self.end_was_expected:
            if self.process.poll() is None:
                self.signal(signal.SIGTERM)
            try:
                status = self.wait()
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise AssertionError(f"no end after SIGTERM: {self.lines[-5:]}") from None
            assert status == 0, f"exit {status}: {self.errors} {self.lines[-3:]}"
        self.check_errors()

    def check_errors(self):
        report = [line for line in self.errors if any(mark in line for mark in SANITIZER_MARKS)]
        assert report == [], "\n".join(self.errors)
