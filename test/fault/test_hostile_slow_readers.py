"""Clients that ask and never read: nobody else notices."""

import multiprocessing
import socket
import time
from collections import Counter, deque
from contextlib import contextmanager, suppress

import pytest

from harness.http import Closed, Connection, request_bytes, timed
from harness.payments import hold_bytes, new_key

DEPTH = 500
"""What one connection of theirs asks for without reading a byte; the last one is never whole."""
LIFE_S = 1.0
"""Then it is given up for a new one."""
QUIET_S, HURT_S = 1.5, 3.0
DECIDED_MIN = 0.99
SLOW_S, SLOWER_THAN_QUIET = 0.010, 2.0
"""Of 99 in 100 payments, one of the two."""
ATTACKER, OTHER = "127.0.0.1", "127.0.0.2"
ACTIVE_MAX = 64
CROWD = 160
"""Of their connections."""
PROBES = ("/livez", "/readyz")

pytestmark = pytest.mark.measured


def never_read(port, target, connections, stop):
    """Runs in a process of its own, so as not to take the time of who measures."""
    whole = request_bytes("GET", target)
    asked = whole * DEPTH + whole[: len(whole) // 2]
    theirs = deque()
    began = time.monotonic()
    opened = 0
    while not stop.wait(0.005):
        while opened < connections * (1 + (time.monotonic() - began) / LIFE_S):
            opened += 1
            if len(theirs) == connections:
                theirs.popleft().close()
            new = socket.socket()
            new.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            new.settimeout(0.2)
            with suppress(OSError):
                new.connect((ATTACKER, port))
                new.send(asked)
            theirs.append(new)


@contextmanager
def attack(service, target, connections):
    context = multiprocessing.get_context("fork")
    stop = context.Event()
    attacker = context.Process(target=never_read, args=(service.port, target, connections, stop))
    attacker.start()
    try:
        yield
    finally:
        stop.set()
        attacker.join()


class Honest:
    """One caller that pays over and over, each time on a connection of its own or on one that it
    keeps, and asks the probes in between."""

    def __init__(self, service, wallet, source):
        self.service, self.wallet, self.source = service, wallet, source
        self.payments, self.probes, self.times = Counter(), Counter(), []

    def ask(self, data):
        try:
            with Connection(self.service.port, 2.0, self.source) as connection:
                connection.send(data)
                return connection.response().status
        except (Closed, OSError) as failure:
            return type(failure).__name__

    def work(self, lasting_s):
        end = time.monotonic() + lasting_s
        while time.monotonic() < end:
            duration, status = timed(lambda: self.ask(hold_bytes(self.wallet, new_key(), 1)))
            self.times.append(duration)
            self.payments[status] += 1
            for path in PROBES:
                self.probes[self.ask(request_bytes("GET", path))] += 1
            time.sleep(0.005)
        return self

    def p99(self):
        return sorted(self.times)[int(len(self.times) * 0.99)]

    def decided(self):
        return self.payments[201] / sum(self.payments.values())

    def __str__(self):
        return (
            f"payments {dict(self.payments)}, p99 {self.p99() * 1000:.2f} ms,"
            f" probes {dict(self.probes)}"
        )


def compare(service, wallet, source, target, connections):
    quiet = Honest(service, wallet, source).work(QUIET_S)
    with attack(service, target, connections):
        time.sleep(LIFE_S)
        hurt = Honest(service, wallet, source).work(HURT_S)
    metrics = service.metrics()
    closed = {
        reason: metrics.value("http_connections_closed_total", reason=reason)
        for reason in ("slow_reader", "crowded", "peer_share")
    }
    print(f"\n   quiet: {quiet}\n   hurt: {hurt}\n   closed: {closed}")
    assert hurt.decided() >= DECIDED_MIN
    assert set(hurt.probes) == {200}
    assert hurt.p99() < max(SLOW_S, SLOWER_THAN_QUIET * quiet.p99())
    return closed


@pytest.mark.parametrize("source", [ATTACKER, OTHER])
def test_readers_of_nothing_take_no_exchange_from_payments(start_service, book, source):
    service = start_service({"HTTP_ACTIVE_MAX": ACTIVE_MAX})

    closed = compare(service, book.wallet(balance=10**9), source, "/info", CROWD)

    assert closed["slow_reader"] > CROWD


def test_one_address_takes_no_connection_from_others(start_service, book):
    """It may hold them all while nobody else asks."""
    service = start_service({"HTTP_ACTIVE_MAX": ACTIVE_MAX, "HTTP_CONN_MAX": 140})

    closed = compare(service, book.wallet(balance=10**9), OTHER, "/info", CROWD)

    assert closed["peer_share"] > 0


def test_readers_of_nothing_take_no_scrape_from_who_reads(start_service):
    """A scrape is larger than what the kernel takes, and there are few buffers for such answers."""
    service = start_service({"HTTP_ACTIVE_MAX": ACTIVE_MAX})
    statuses = Counter()
    with attack(service, "/metrics", 20):
        end = time.monotonic() + HURT_S / 2
        while time.monotonic() < end:
            try:
                statuses[service.call("GET", "/metrics").status] += 1
            except (Closed, OSError) as failure:
                statuses[type(failure).__name__] += 1
            time.sleep(0.02)
    print("  ", dict(statuses))
    assert set(statuses) == {200}
