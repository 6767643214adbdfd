"""OPS_PORT: what operations ask for, apart from the callers' port; and the page that scrapes share."""

import signal
import socket
import time

import pytest

from harness import http
from harness.machine import free_port, in_threads, wait_until
from harness.metrics import Metrics
from harness.service import API_KEY, PATIENT, REGION, SIMULATE, Service, run_command

ROUTES = ("/metrics", "/livez", "/readyz", "/health", "/info")
FRESH_S = 0.25
APART_S = FRESH_S / 2
"""Of two pages. They tell when they were written, which is later than their turn began; that is what is counted."""
OLD_PAGES_MAX = 8


def ask(port, path, method="GET"):
    return http.call(port, method, path)


def page_time(answer):
    return Metrics(answer.text).value("metrics_page_timestamp_seconds")


@pytest.fixture(scope="module")
def split_service(database):
    """As the chart runs it."""
    own = Service(database.url(), {**PATIENT, "METRICS_ON_API_PORT": "0"})
    try:
        yield own.start()
    finally:
        own.stop()


@pytest.mark.parametrize("path", ROUTES)
def test_both_ports_answer_what_operations_ask_for(service, path):
    assert [ask(port, path).status for port in (service.port, service.ops_port)] == [200, 200]


@pytest.mark.parametrize("path", ROUTES)
def test_metrics_can_be_kept_from_callers(split_service, path):
    assert ask(split_service.ops_port, path).status == 200
    assert ask(split_service.port, path).status == (404 if path == "/metrics" else 200)


def test_payments_are_not_answered_on_the_ops_port(service):
    answer = http.call(service.ops_port, "GET", SIMULATE, {"X-API-Key": API_KEY})

    assert answer.status == 404


def test_one_route_on_two_ports_is_one_series(service):
    before = service.metrics().value("http_requests_total", endpoint="/info")
    for port in (service.port, service.ops_port):
        ask(port, "/info")

    assert service.metrics().value("http_requests_total", endpoint="/info") == before + 2


def test_probes_are_answered_on_both_ports_during_the_drains_delay(start_service):
    service = start_service({**PATIENT, "DRAIN_DELAY_MS": "60000"})
    service.signal(signal.SIGTERM)
    for port in (service.port, service.ops_port):
        wait_until(lambda asked=port: ask(asked, "/readyz").status == 503)
        assert ask(port, "/livez").status == 200
        assert ask(port, "/metrics").status == 200

    service.signal(signal.SIGTERM)
    service.wait()


def test_a_drain_ends_both_listeners(start_service):
    service = start_service(PATIENT)
    service.signal(signal.SIGTERM)

    assert service.wait() == 0


def test_free_ports_are_told(start_service):
    service = start_service({**PATIENT, "OPS_PORT": "0"})
    (started,) = service.events("started")

    assert started["ops_port"] not in (0, service.port)
    assert ask(started["ops_port"], "/livez").status == 200


def test_one_port_for_both_is_one_listener(database):
    service = Service(database.url(), PATIENT)
    service.ops_port = service.settings["OPS_PORT"] = service.port
    try:
        service.start()
        assert service.events("started")[0]["ops_port"] == service.port
        assert service.metrics().value("database_up") == 1
    finally:
        service.stop()


def test_ops_port_in_use_is_explained_and_exits_1(service, database):
    done = run_command(
        settings={
            "DATABASE_URL": database.url(),
            "API_SECRET_KEY": API_KEY,
            "REGION": REGION,
            "ENVIRONMENT": "dev",
            "BIND_ADDRESS": "127.0.0.1",
            "PORT": "0",
            "OPS_PORT": service.ops_port,
        }
    )

    assert done.returncode == 1
    assert "BIND_ADDRESS and OPS_PORT" in done.stderr


# the page


def test_scrapes_close_together_share_one_page(service):
    answers = in_threads(20, lambda _: ask(service.ops_port, "/metrics"))

    assert {answer.status for answer in answers} == {200}
    times = sorted({page_time(answer) for answer in answers})
    assert all(later - sooner >= APART_S for sooner, later in zip(times, times[1:]))
    assert len(times) < len(answers)


def test_a_page_is_made_anew_when_it_is_too_old(service):
    first = page_time(ask(service.ops_port, "/metrics"))

    def newer():
        made = page_time(ask(service.ops_port, "/metrics"))
        return made if made > first else None

    later = wait_until(newer)

    assert later - first >= APART_S
    assert later <= time.time()


def test_each_format_has_a_page_of_its_own(service):
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    plain = ask(service.ops_port, "/metrics")
    open_ = http.call(service.ops_port, "GET", "/metrics", accept)
    again = ask(service.ops_port, "/metrics")

    assert open_.text.endswith("# EOF\n")
    assert not plain.text.endswith("# EOF\n")
    assert not again.text.endswith("# EOF\n")


@pytest.fixture
def keeper():
    """keeper(service): a client that asks for more than its socket holds and reads nothing."""
    kept = []

    def keep(service):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        one.connect(("127.0.0.1", service.ops_port))
        one.sendall(http.request_bytes("GET", "/metrics") * 90)
        kept.append(one)
        return kept

    yield keep
    for one in kept:
        one.close()


def writing(service):
    return service.metrics().value("http_connection_states", state="writing")


def test_readers_that_keep_every_page_keep_none_from_others(start_service, keeper):
    """When as many are kept as there may be, others get the last of them: old, but an answer."""
    service = start_service({**PATIENT, "HTTP_WRITE_TIMEOUT_MS": "60000"})
    for number in range(1, OLD_PAGES_MAX + 1):
        keeper(service)
        wait_until(lambda wanted=number: writing(service) == wanted, 10)

    kept = keeper(service)
    wait_until(lambda: time.time() - page_time(ask(service.ops_port, "/metrics")) > 2 * FRESH_S, 10)
    answers = in_threads(8, lambda _: ask(service.ops_port, "/metrics"))

    assert {answer.status for answer in answers} == {200}
    for one in kept:
        one.close()
    wait_until(lambda: writing(service) == 0)
