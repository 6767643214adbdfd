"""What is put under load: hello and the service, as child processes; and what they and PostgreSQL use."""

import http.client
import os
import re
import signal
import subprocess
import time
from pathlib import Path

from harness.machine import free_port, wait_until

TICKS = os.sysconf("SC_CLK_TCK")
API_KEY = os.urandom(32).hex()

# So patient that nothing is refused: the competitor that must not lose by refusing.
PATIENT = {"REQUEST_BUDGET_MS": "5000", "QUEUE_WAIT_MAX_MS": "4000", "STATEMENT_TIMEOUT_MS": "4500",
           "LOCK_TIMEOUT_MS": "4000", "LANE_QUEUE_MAX": "1024"}


class Server:
    """One listening child process on a free port of 127.0.0.1."""

    def __init__(self, name, arguments, settings, log):
        self.name = name
        self.log = log
        self.process = None
        self.arguments = arguments
        self.settings = settings
        self.port = free_port()

    def start(self, path):
        env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **self.settings, "PORT": str(self.port),
               "OPS_PORT": str(free_port())}
        arguments = [text.replace("{port}", str(self.port)) for text in self.arguments]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(arguments, env=env, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)
        wait_until(lambda: self._answers(path), 20, f"{self.name}: the first answer (see {self.log})")
        return self

    def _answers(self, path):
        if self.process.poll() is not None:
            raise SystemExit(f"{self.name} ended with status {self.process.returncode}: see {self.log}")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request("GET", path, headers={"X-API-Key": API_KEY})
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, body

    def metric(self, line_start):
        """The value of the one line of /metrics that starts so."""
        found = re.findall("^" + re.escape(line_start) + r" (\S+)", self.get("/metrics")[1], re.MULTILINE)
        return float(found[0]) if len(found) == 1 else None

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Servers:
    """Starts them, and stops whatever was started."""

    def __init__(self, release, directory, region):
        self.release = Path(release)
        self.directory = Path(directory)
        self.region = region
        self.running = []

    def hello(self):
        program = self.release / "test" / "bench" / "hello"
        return self._start(Server("hello", [str(program), "{port}"], {}, self.directory / "hello.log"), "/")

    def service(self, name, database_url, settings=None, binary=None):
        """The release, or another binary of this service."""
        binary = binary or self.release / "payment-latency-api"
        every = {"DATABASE_URL": database_url, "API_SECRET_KEY": API_KEY, "REGION": self.region,
                 "ENVIRONMENT": "dev", "BIND_ADDRESS": "127.0.0.1", "DRAIN_DELAY_MS": "0", **(settings or {})}
        every.setdefault("OPS_PORT", str(free_port()))
        log = self.directory / f"{name}.log"
        return self._start(Server(name, [str(binary), "serve"], every, log), "/readyz")

    def _start(self, server, path):
        self.running.append(server)
        return server.start(path)

    def stop(self, server):
        server.stop()
        self.running.remove(server)

    def stop_all(self):
        for server in reversed(self.running):
            server.stop()
        self.running.clear()


def _stat(pid):
    """The fields of /proc/PID/stat behind the name, which may hold spaces."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()


def cpu_seconds(pid, reaped=False):
    fields = _stat(pid)
    return sum(map(int, fields[11:15 if reaped else 13])) / TICKS


class Postgres:
    """The CPU time of a whole cluster: postmaster, backends, and those that have ended."""

    def __init__(self, data):
        self.pid = int(Path(data, "postmaster.pid").read_text(encoding="ascii").split("\n", 1)[0])

    def cpu_seconds(self):
        total = cpu_seconds(self.pid, reaped=True)
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                if int(_stat(entry)[1]) == self.pid:
                    total += cpu_seconds(entry)
            except (FileNotFoundError, ProcessLookupError):
                continue
        return total


def settle(seconds=0.2):
    """Lets what the last run left behind (closing connections, answers in flight) come to rest."""
    time.sleep(seconds)
