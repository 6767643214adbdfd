"""Every allocation, system call and libpq call that can fail is made to fail once, at each n.

One run asks every route, another brings a database connection up again, a third starts and ends the
service. In each, the n-th call of one kind fails, for n = 1, 2, 3 .. until a run makes fewer calls.
Whatever failed: no crash, no leak (on the sanitized build), every client gets a whole answer or the
end of its connection, all gauges come back to rest, the next client is served, the ledger adds up.

Sampled unless NTH_FULL=1 says otherwise: a kind's further errors, and allocations of a connect, at
every STRIDE-th call; a start at the calls that `of_start` names.
"""

import base64
import errno
import hashlib
import hmac
import itertools
import os
from collections import Counter

import pytest

from harness.machine import wait_until
from harness.nth import Nth, name_of
from harness.payments import hold_bytes, new_key
from harness.script import Script
from harness.service import SIMULATE, Service

FULL = os.environ.get("NTH_FULL") == "1"
STRIDE = 1 if FULL else 10
FIRST, SPREAD = 3, 2
"""Of a start's calls of one kind, those that fail in a sampled run."""
REFUSED = (1, 78)
"""Exit statuses of a start that failed, told."""
MISSES = 3
"""So many runs in a row without the n-th call: there is none."""
BY_CLOCK = ("epoll_pwait2",)
"""How many calls a run makes is the clock's to say, too: no two runs are alike."""
DEADLINE_MS = "400"
SETTINGS = {
    "REQUEST_BUDGET_MS": "2000",
    "QUEUE_WAIT_MAX_MS": "1500",
    "STATEMENT_TIMEOUT_MS": "1000",
    "LOCK_TIMEOUT_MS": "500",
    "DB_BACKOFF_MAX_MS": "50",
    "DB_PROBE_INTERVAL_MS": "250",
    "HTTP_HEADER_TIMEOUT_MS": DEADLINE_MS,
    "HTTP_BODY_TIMEOUT_MS": DEADLINE_MS,
    "HTTP_WRITE_TIMEOUT_MS": DEADLINE_MS,
    "HTTP_LINGER_TIMEOUT_MS": DEADLINE_MS,
    "LOG_LEVEL": "debug",
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:verify_asan_link_order=0",
}

MEMORY = {"malloc": [errno.ENOMEM], "calloc": [errno.ENOMEM], "realloc": [errno.ENOMEM]}
SOCKETS = {
    "recv": [errno.ECONNRESET, errno.EAGAIN, errno.EINTR],
    "send": [errno.ECONNRESET, errno.EAGAIN, errno.EINTR, errno.ENOBUFS],
    "epoll_ctl": [errno.ENOMEM],
    "epoll_pwait2": [errno.EINTR],
}
OF_ROUTES = SOCKETS | {
    "malloc": [errno.ENOMEM],
    "accept4": [errno.EMFILE, errno.ECONNABORTED, errno.EINTR],
    "write": [errno.EIO, errno.EAGAIN, errno.EINTR],
    "PQsendQueryPrepared": [0],
    "PQconsumeInput": [0],
    "PQgetResult": [0],
}
"""Not PQflush: the statement is sent by then, and all that it could meet is an error of send."""
OF_CONNECT = SOCKETS | {
    "malloc": [errno.ENOMEM],
    "calloc": [errno.ENOMEM],
    "socket": [errno.EMFILE],
    "connect": [errno.ECONNREFUSED, errno.EINTR, errno.EAGAIN],
    "setsockopt": [errno.ENOMEM],
    "PQconninfoParse": [0],
    "PQconnectStartParams": [0],
    "PQconnectPoll": [0],
    "PQsetnonblocking": [0],
    "PQenterPipelineMode": [0],
    "PQexitPipelineMode": [0],
    "PQpipelineSync": [0],
    "PQsendPrepare": [0],
    "PQflush": [0],
    "PQconsumeInput": [0],
    "PQgetResult": [0],
}
OF_START = MEMORY | SOCKETS | {
    "mmap": [errno.ENOMEM],
    "epoll_create1": [errno.EMFILE],
    "signalfd": [errno.EMFILE],
    "socket": [errno.EMFILE],
    "bind": [errno.EADDRINUSE],
    "listen": [errno.EADDRINUSE],
    "connect": [errno.ECONNREFUSED],
    "setsockopt": [errno.ENOMEM],
    "read": [errno.EIO],
    "write": [errno.EIO],
    "PQconninfoParse": [0],
    "PQconnectStartParams": [0],
    "PQconnectPoll": [0],
    "PQsendPrepare": [0],
    "PQsendQueryPrepared": [0],
}
KINDS = sorted(OF_ROUTES | OF_CONNECT | OF_START)

ROLE = "pay_nth"
PASSWORD = "nth-password"


def scram_verifier(password, rounds):
    """What PostgreSQL keeps of a password (RFC 5803), derived in so many rounds."""
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt, stored, server = (base64.b64encode(text).decode() for text in (salt, stored, server))
    return f"SCRAM-SHA-256${rounds}:{salt}${stored}:{server}"


@pytest.fixture(scope="module")
def login(database):
    """A connection string whose password takes one round: libpq derives it by thousands of
    allocations otherwise, all alike."""
    verifier = scram_verifier(PASSWORD, 1)
    database.run(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{verifier}' IN ROLE pay_app")
    return database.url().replace(
        "pay_app:" + database.cluster.passwords["pay_app"], f"{ROLE}:{PASSWORD}"
    )


@pytest.fixture
def nth(tmp_path):
    return Nth(tmp_path / "nth", KINDS)


@pytest.fixture
def hurt(login, nth):
    """A running service in which calls can be made to fail. Its clean end is part of the test."""
    service = Service(login, {**SETTINGS, **nth.settings()})
    try:
        service.start()
        wait_until(lambda: is_at_rest(service), 10, "a whole pool")
        yield service
    finally:
        service.stop()


def is_at_rest(service, descriptors_max=10**6):
    metrics = service.metrics()
    return (
        metrics.value("http_requests_in_flight") == 0
        and metrics.value("http_connections") == 1
        and metrics.value("db_queue_depth") == 0
        and metrics.value("lane_in_flight") == 0
        and metrics.value("pool_connections", state="idle") == 6
        and metrics.value("pool_connections", state="busy") == 0
        and metrics.value("process_open_fds") <= descriptors_max
    )


def check_recovered(service, wallet, descriptors):
    wait_until(service.ready, 10, "readiness after the failure")
    wait_until(lambda: is_at_rest(service, descriptors), 10, "rest after the failure")
    with service.connect() as client:
        client.send(hold_bytes(wallet, new_key(), 1))
        assert client.response("POST").status == 201


def fail_each(nth, kind, service, run, errors, stride=1):
    """Makes each call of this kind fail that one `run` makes; returns how many there were."""
    descriptors = service.descriptors()
    wallets = itertools.cycle(range(1, 900))
    quiet = min(count_calls(nth, kind, run, next(wallets)) for _ in range(MISSES))
    assert quiet > 0, f"{kind} is not called"
    total = 0
    for place, error in enumerate(errors):
        step, misses, number = (stride if place == 0 else STRIDE), 0, 1
        while misses < (MISSES if step == 1 else 1):
            what = f"{kind}, call {number}, {name_of(error) if error else 'error'}"
            nth.arm(kind, number, error)
            try:
                run(next(wallets))
                nth.disarm(kind)
                failed = nth.failed(kind)
                check_recovered(service, next(wallets), descriptors)
            except (AssertionError, TimeoutError) as failure:  # also a client that waits in vain
                seen = f"{service.errors} {service.lines[-8:]}"
                raise AssertionError(f"{what}: {failure} {seen}") from failure
            total += failed
            misses = 0 if failed else misses + 1
            number += step if failed else 0
        is_whole = number > quiet or step > 1 or kind in BY_CLOCK
        assert is_whole, f"only {number - 1} of {quiet} calls failed"
    return total


def count_calls(nth, kind, run, wallet):
    nth.arm(kind, 0, 0)
    run(wallet)
    return nth.calls(kind)


@pytest.mark.parametrize("kind", OF_ROUTES)
def test_routes_survive_each_failure(hurt, nth, book, kind):
    def run(wallet):
        script = Script(hurt, wallet).run()
        assert script.wrong(is_hurt=nth.failed(kind) > 0) == []

    failed = fail_each(nth, kind, hurt, run, OF_ROUTES[kind])

    print(f"{kind}: {failed} calls of a run of all routes failed")


def pool_of(admin):
    return {
        pid: is_up
        for pid, is_up in admin.execute(
            "SELECT pid, state = 'idle' AND query <> '' FROM pg_stat_activity"
            f" WHERE usename = '{ROLE}' AND NOT application_name LIKE '%probe'"
        ).fetchall()
    }


@pytest.mark.parametrize("kind", OF_CONNECT)
def test_connects_survive_each_failure(hurt, nth, book, database, kind):
    with database.connect() as admin:

        def run(_):
            before = pool_of(admin)
            victim = min(before)
            admin.execute("SELECT pg_terminate_backend(%s)", (victim,))

            def is_replaced():
                now = pool_of(admin)
                return len(now) == 6 and victim not in now and all(now.values())

            wait_until(is_replaced, 10, "another connection")
            wait_until(hurt.alive)  # what the server said is read by then

        failed = fail_each(
            nth, kind, hurt, run, OF_CONNECT[kind], STRIDE if kind == "malloc" else 1
        )

    print(f"{kind}: {failed} calls of a connect failed")


def of_start(calls):
    """Which of a start's calls are made to fail: all, or the first ones and some of the others."""
    if FULL:
        return range(1, calls + 1)
    first = min(calls, FIRST)
    others = (first + (calls - first) * part // SPREAD for part in range(1, SPREAD + 1))
    return sorted({*range(1, first + 1), *others})


def start_and_end(login, nth, kind, number, error):
    """How a start goes on whose call fails: it is ready, serves and ends in order ("up"), ends at once
    and says why ("ended"), or is never ready, refuses honestly and ends in order ("unready")."""
    nth.arm(kind, number, error)
    openssl = nth.path.with_suffix(".leaks")
    openssl.write_text("leak:libcrypto.so\n", encoding="ascii")
    theirs = {
        "LSAN_OPTIONS": f"suppressions={openssl}:print_suppressions=0",
        # libseccomp calls a filter whole that lacks rules for want of memory: then exit is refused.
        "SECCOMP": "0",
    }
    memory = theirs if kind in MEMORY else {}
    service = Service(login, {**SETTINGS, **memory, **nth.settings()})
    try:
        service.start(ready=False)
        outcome = "up" if becomes_ready(service) else "unready"
    except AssertionError:
        outcome = "ended"
    try:
        if outcome == "ended":
            assert service.wait(5) in REFUSED, "a start that fails exits with a status of its own"
            assert service.errors or service.events(severity_text="ERROR"), "a start failed silently"
        elif outcome == "up":
            failed = nth.failed(kind)
            script = Script(service, 1)
            script.payments()
            script.caller.close()
            assert script.wrong(is_hurt=nth.failed(kind) > failed) == []
        else:
            assert service.alive() and service.call("GET", SIMULATE).status == 503
    finally:
        service.stop()
    return outcome


def becomes_ready(service):
    try:
        return wait_until(service.ready, 3)
    except AssertionError:
        assert service.process.poll() is None
        return False


@pytest.mark.parametrize("kind", OF_START)
def test_starts_survive_each_failure(login, nth, book, kind):
    assert start_and_end(login, nth, kind, 0, 0) == "up"
    calls = nth.calls(kind)
    outcomes = Counter()
    for number in of_start(calls):
        try:
            outcome = start_and_end(login, nth, kind, number, OF_START[kind][0])
            # OpenSSL initialises itself once: what it lacked memory for then, it lacks for ever.
            assert outcome != "unready" or kind in MEMORY, "never ready"
        except AssertionError as failure:
            raise AssertionError(f"{kind}, call {number} of {calls}: {failure}") from failure
        outcomes[outcome] += 1

    print(f"{kind}: {calls} calls of a start and its end, of those that failed: {dict(outcomes)}")
