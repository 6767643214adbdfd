"""The machine under the tests: how slow it is, which ports are free, waiting for a condition."""

import os
import random
import socket
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUT = Path(os.environ.get("PLA_TEST_DIR", ROOT / "out" / "test"))
BINARY = Path(os.environ.get("PLA_BINARY", ROOT / "out" / "debug" / "payment-latency-api"))
BUILD = Path(os.environ.get("PLA_BUILD", BINARY.parent))
"""The build directory the binary is from."""
SLOW = float(os.environ.get("PLA_SLOW", "1"))
"""Every time limit is multiplied by this: 3 suits a sanitized binary or a loaded machine."""

_PAUSE_S = 0.005
_pause = threading.Event()


def seconds(limit):
    return limit * SLOW


def wait_until(condition, limit=5.0, what="the condition"):
    """Returns the first true value of condition(), asked again and again for `limit` seconds."""
    end = time.monotonic() + seconds(limit)
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not come true within {seconds(limit):.1f} s"
        _pause.wait(_PAUSE_S)


def free_port():
    """A free TCP port, below the ephemeral range: no outgoing connection takes it meanwhile."""
    for _ in range(1000):
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port between 20000 and 32000")


def in_threads(count, work, limit=60):
    """Runs work(index) in `count` threads that start together; returns the results in order."""
    gate = threading.Barrier(count)
    results = [None] * count
    failures = []

    def run(index):
        try:
            gate.wait()
            results[index] = work(index)
        except BaseException as failure:  # handed to the caller below
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds(limit))
        assert not thread.is_alive(), "a client thread hangs"
    if failures:
        raise failures[0]
    return results
