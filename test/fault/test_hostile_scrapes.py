"""Scrapes without a key, by who asks and asks and by who never reads: nobody else notices."""

import selectors
import socket
import threading
import time
from contextlib import contextmanager

import pytest

from harness.machine import wait_until
from harness.neighbours import EAGER, Neighbours, assert_unnoticed

pytestmark = pytest.mark.measured

CONNECTIONS, DEPTH = 40, 16
NON_READERS, UNREAD = 9, 90
"""UNREAD answers are more than sockets hold."""
REQUEST = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
ANSWER = b"HTTP/1.1 "
DECIDED_MIN = 0.99
SCRAPE_PAUSE_S = 0.05
"""Far more often than any Prometheus."""


class Flood:
    """Connections that each have DEPTH scrapes under way at all times and read what they get."""

    def __init__(self, port):
        self.selector = selectors.DefaultSelector()
        self.stopping = False
        self.answers = self.bytes = 0
        for _ in range(CONNECTIONS):
            one = socket.create_connection(("127.0.0.1", port), 10)
            one.sendall(REQUEST * DEPTH)
            one.setblocking(False)
            self.selector.register(one, selectors.EVENT_READ, {"tail": b""})
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        wait_until(lambda: self.answers > CONNECTIONS, 10, "the flood's first answers")
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.thread.join(10)
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()

    def _run(self):
        while not self.stopping:
            for key, _ in self.selector.select(0.1):
                self._read(key.fileobj, key.data)

    def _read(self, one, state):
        """As many requests more as answers began."""
        data = one.recv(1 << 18)
        assert data, "the service ended a connection of the flood"
        text = state["tail"] + data
        begun = text.count(ANSWER)
        state["tail"] = text[-(len(ANSWER) - 1) :]
        self.answers += begun
        self.bytes += len(data)
        if begun:
            one.sendall(REQUEST * begun)


class Reader:
    """A scraper as it should be: asks, reads, asks again; remembers what became of it."""

    def __init__(self, service):
        self.service = service
        self.stopping = threading.Event()
        self.failures, self.took_ms = [], []
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join(20)

    def _run(self):
        while not self.stopping.wait(SCRAPE_PAUSE_S):
            start = time.monotonic()
            try:
                assert self.service.scrape().value("database_up") == 1
            except Exception as failure:  # told by the test
                self.failures.append(repr(failure))
            self.took_ms.append(1000 * (time.monotonic() - start))


@contextmanager
def non_readers(port):
    """They ask for more than sockets hold, and leave it there."""
    held = []
    for _ in range(NON_READERS):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        one.connect(("127.0.0.1", port))
        one.sendall(REQUEST * UNREAD)
        held.append(one)
    try:
        yield
    finally:
        for one in held:
            one.close()


@pytest.mark.parametrize("where", ["port", "ops_port"])
def test_scrapes_of_the_hostile_cost_nobody_else(start_service, book, where):
    """The flood reads, so it has its part of the time; the others hold what they do not read."""
    service = start_service(EAGER)
    port = getattr(service, where)
    neighbours = Neighbours([service], rates={"holds": 200, "evaluates": 200})
    told = []

    @contextmanager
    def attack():
        with non_readers(port), Flood(port) as flood, Reader(service) as reader:
            yield
        told.append((flood, reader))

    quiet, hurt = neighbours.compare(lambda: [], attack)

    failures = [text for _, reader in told for text in reader.failures]
    scrapes = sorted(took for _, reader in told for took in reader.took_ms)
    print(
        f"   flood {sum(flood.answers for flood, _ in told)} answers,"
        f" {sum(flood.bytes for flood, _ in told) / 1e6:.0f} MB;"
        f" {len(scrapes)} scrapes, {len(failures)} failed, p50 {scrapes[len(scrapes) // 2]:.1f} ms,"
        f" longest {scrapes[-1]:.1f} ms"
    )
    found = [f"{len(failures)} scrapes failed: {failures[0]}"] if failures else []
    for what in ("holds", "evaluates"):
        decided = hurt[what].share(2)
        if decided < DECIDED_MIN * quiet[what].share(2):
            found.append(f"{what}: {100 * decided:.1f} % decided")
    assert_unnoticed(quiet, hurt, found)
