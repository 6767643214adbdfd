"""The load clients as functions: each runs one and returns what it measured."""

import json
import os
import re
import subprocess
from contextlib import contextmanager
from pathlib import Path

from harness.load import words
from servers import API_KEY

HERE = Path(__file__).resolve().parent
SIMULATE = "/api/payment/simulate"
APPROVED = re.compile(r'"transaction_id":"([^"]+)","status":"approved"')
SPARE_S = 60
"""A client that takes that much longer than it should hangs."""


class Clients:
    def __init__(self, release, directory, purchase):
        self.programs = Path(release) / "test" / "bench"
        self.purchase = purchase
        self.scripts = Path(directory) / "scripts"
        self.scripts.mkdir(exist_ok=True)
        # The request lies in a file, because arguments show in ps.
        self.request = Path(directory) / "evaluate.request"
        self.request.touch(mode=0o600)
        self.request.write_bytes(f"GET {SIMULATE} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {API_KEY}\r\n\r\n"
                                 .encode("ascii"))

    def wrk(self, server, connections, seconds, script="report.lua"):
        """As many requests as `connections` get answered, each waiting for its own."""
        output = self._run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s",
                            "-s", str(HERE / script), f"http://127.0.0.1:{server.port}{SIMULATE}"], seconds,
                           {"API_SECRET_KEY": API_KEY, **self.purchase})
        lines = [line for line in output.splitlines() if line.startswith("REPORT ")]
        if len(lines) != 1:
            raise SystemExit(f"wrk gave no report:\n{output}")
        return json.loads(lines[0].removeprefix("REPORT "))

    def closed_loop(self, server, connections, seconds):
        return self._json(["closed_loop", "--connections", connections, "--seconds", seconds, "--warmup", 0.2,
                           *self._target(server)], seconds)

    def open_loop(self, server, rate, connections, seconds, warmup):
        return self._json(["open_loop", "--rate", rate, "--connections", connections, "--seconds", seconds,
                           "--warmup", warmup, *self._target(server)], seconds + warmup)

    def mixed(self, kinds, seconds):
        """Several kinds of load at once: {name: what it got}, 2xx and refusals each as one number."""
        result = self._json(["mixed_load", seconds, 0, *(words(kind, self.scripts, False) for kind in kinds)],
                            seconds, {"API_SECRET_KEY": API_KEY})
        for counted in result["classes"].values():
            statuses = counted["statuses"]
            good = [answers for status, answers in statuses.items() if status.startswith("2")]
            counted["good"] = sum(answers["count"] for answers in good)
            counted["good_per_s"] = counted["good"] / result["seconds"]
            counted["p50_us"] = good[0]["p50_us"] if good else float("nan")
            counted["p99_us"] = good[0]["p99_us"] if good else float("nan")
            counted["refused"] = sum(statuses.get(status, {"count": 0})["count"] for status in ("503", "504", "429"))
            counted["refused_p99_us"] = statuses.get("503", {"p99_us": 0})["p99_us"]
            counted["lost"] = counted["offered"] - counted["good"] - counted["refused"]
        return result["classes"]

    def transactions(self, kind, limit_s):
        """Has each of the kind's holds made once, and returns the ids of those approved, as they were answered."""
        self._json(["mixed_load", limit_s, 0, words(kind, self.scripts, True)], limit_s, {"API_SECRET_KEY": API_KEY})
        return APPROVED.findall((self.scripts / f"{kind.name}.log").read_text(encoding="ascii"))

    def idle_conns(self, server, connections):
        return self._json(["idle_conns", "--pid", server.process.pid, "--connections", connections,
                           *self._target(server)], 30)

    @contextmanager
    def floods(self, every, seconds):
        """Clients that take more than their share, in the background: one process for each of `every`, a row
        of flood's arguments. Ended after `seconds`, and by the end of the block."""
        running = [subprocess.Popen([str(self.programs / "flood"), "--seconds", str(seconds), *map(str, arguments)],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                   for arguments in every]
        told = []
        try:
            yield told
            for process in running:
                out, err = process.communicate(timeout=seconds + SPARE_S)
                if process.returncode != 0:
                    raise SystemExit(f"flood failed with status {process.returncode}: {err.decode()}")
                told.append(json.loads(out))
        finally:
            for process in running:
                process.kill()
                process.wait()

    def select1(self, database_url, seconds):
        return self._json(["select1", seconds], seconds, {"DATABASE_URL": database_url})

    def _target(self, server):
        return ["--port", server.port, "--request", self.request]

    def _json(self, arguments, seconds, settings=None):
        program, *rest = map(str, arguments)
        return json.loads(self._run([str(self.programs / program), *rest], seconds, settings))

    @staticmethod
    def _run(arguments, seconds, settings=None):
        env = {"PATH": os.environ["PATH"], **(settings or {})}
        done = subprocess.run(arguments, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=seconds + SPARE_S, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{arguments[0]} failed with status {done.returncode}: {done.stderr}{done.stdout}")
        return done.stdout
