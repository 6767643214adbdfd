"""Strangers without a key, as fast as they like: what really went wrong is in the log all the same."""

import threading
import time

import pytest

from harness.http import Connection, request_bytes
from harness.machine import free_port, wait_until
from harness.payments import problem
from harness.service import SIMULATE

FLOOD_PER_S = 1500
FLOOD_CONNECTIONS = 4
FLOOD_BATCH = 15
FAILURES = 60
LASTING_S = 3.0


class Flood:
    """Keyless requests from 127.0.0.1, some connections, at a bounded rate."""

    def __init__(self, port):
        self.port = port
        self.statuses = {}
        self.done = threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._run) for _ in range(FLOOD_CONNECTIONS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        for thread in self.threads:
            thread.join()

    def total(self):
        return sum(self.statuses.values())

    def _run(self):
        batch = request_bytes("GET", SIMULATE) * FLOOD_BATCH
        pause_s = FLOOD_BATCH * FLOOD_CONNECTIONS / FLOOD_PER_S
        with Connection(self.port) as connection:
            due = time.monotonic()
            while not self.done.is_set():
                connection.send(batch)
                statuses = [connection.response().status for _ in range(FLOOD_BATCH)]
                with self.lock:
                    for status in statuses:
                        self.statuses[status] = self.statuses.get(status, 0) + 1
                due += pause_s
                self.done.wait(max(0.0, due - time.monotonic()))


def ask_from(service, address, key):
    """(status, request id) of one request that comes from this loopback address."""
    with Connection(service.port, source=address) as connection:
        answer = connection.request("GET", SIMULATE, {"X-API-Key": key})
        return answer.status, answer.header("X-Request-Id")


@pytest.fixture
def lame_service(start_service):
    """Nobody listens at its database: a valid key gets 503."""
    url = f"postgresql://pay_app:none@127.0.0.1:{free_port()}/pay"
    return start_service({"AUTH_FAILURES_PER_S": None}, url=url, ready=False)


def real_failures(service, due):
    """Every second one a wrong key of another address, the others a caller's 503."""
    wrong, failed = [], []
    for number in range(FAILURES):
        if number % 2 == 0:
            status, identity = ask_from(service, f"127.0.1.{1 + number}", "not the key")
            assert status == 403
            wrong.append(identity)
        else:
            answer = service.call("GET", SIMULATE)
            assert answer.status == 503
            failed.append(answer.header("X-Request-Id"))
        time.sleep(max(0.0, due + LASTING_S * (number + 1) / FAILURES - time.monotonic()))
    return wrong, failed


def last_line(service):
    """Waits until the log is written up to now."""
    last = service.call("GET", "/no-such-path").header("X-Request-Id")
    wait_until(lambda: service.events("request", request_id=last), what="the last line")


def told_as(service, body, identities):
    """How many of these requests have such a line."""
    told = {event["request_id"] for event in service.events(body)}
    return sum(identity in told for identity in identities)


def test_a_keyless_flood_hides_no_real_failure(lame_service):
    with Flood(lame_service.port) as flood:
        wait_until(lambda: flood.total() > FLOOD_PER_S / 10, what="the flood")
        wrong, failed = real_failures(lame_service, time.monotonic())
    last_line(lame_service)

    seen = told_as(lame_service, "auth_failure", wrong), told_as(lame_service, "request", failed)
    print(
        f"   {flood.total()} keyless requests {flood.statuses}; in the log {seen[0]} of"
        f" {len(wrong)} wrong keys, {seen[1]} of {len(failed)} failed requests"
    )
    assert seen == (len(wrong), len(failed))


def test_what_a_flood_loses_is_counted_and_told_once_a_second(lame_service):
    with Flood(lame_service.port) as flood:
        wait_until(lambda: flood.total() > FLOOD_PER_S, what="the flood")
    answered = flood.total()

    def told():
        events = lame_service.events("lines_suppressed", reason="address")
        lost = lame_service.metrics().value("access_log_lines_suppressed_total", reason="address")
        return events if lost > 0 and sum(event["count"] for event in events) == lost else None

    events = wait_until(told, 5, "a summary of all that was left out")
    lines = len(lame_service.events("request", network__peer__address="127.0.0.1"))
    lost = sum(event["count"] for event in events)
    print(f"   {answered} keyless requests: {lost} left out, told in {len(events)} lines")
    assert {event["event.category"] for event in events} == {"audit"}
    assert lost + lines >= answered
    assert len(events) < 10


def test_a_throttled_address_is_told_to_wait_and_its_valid_key_is_served(lame_service):
    with Flood(lame_service.port) as flood:
        wait_until(lambda: flood.statuses.get(429, 0) > FLOOD_PER_S / 10, what="429")
        valid = [lame_service.call("GET", SIMULATE).status for _ in range(20)]
        answer = wait_until(
            lambda: (lambda one: one if one.status == 429 else None)(
                lame_service.call("GET", SIMULATE, key="not the key")
            )
        )
    last_line(lame_service)

    assert valid == [503] * 20
    assert (problem(answer), answer.header("Retry-After")) == ("too-many-failures", "1")
    assert lame_service.events("auth_throttled", client__address="127.0.0.1")
    assert lame_service.metrics().value("auth_failures_total", answer="throttled") > 0
