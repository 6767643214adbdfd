"""The end: readiness goes first, nobody's request is lost, and SIGHUP is not an end."""

import signal
import threading

import pytest

from harness.faults import hold_up, is_held_up
from harness.http import Closed, Connection
from harness.machine import wait_until
from harness.payments import hold_bytes, new_key
from harness.service import API_KEY, PATIENT, SIMULATE


class Caller(threading.Thread):
    """Calls without a pause until connecting is refused; reconnects when told Connection: close."""

    def __init__(self, service, wallet):
        super().__init__(daemon=True)
        self.service = service
        self.wallet = wallet
        self.answered = 0
        self.failures = []

    def run(self):
        while not self.failures:
            try:
                connection = Connection(self.service.port)
            except (ConnectionRefusedError, ConnectionResetError):
                return  # the listener is closed, or was while the kernel shook hands
            with connection:
                self._call_until_told_to_close(connection)

    def _call_until_told_to_close(self, connection):
        try:
            while True:
                if self.answered % 2:
                    answer = connection.request("GET", SIMULATE, {"X-API-Key": API_KEY})
                else:
                    connection.send(hold_bytes(self.wallet, new_key(), 1))
                    answer = connection.response()
                if answer.status not in (200, 201):
                    self.failures.append(answer)
                self.answered += 1
                if answer.closes:
                    return
        except (OSError, Closed) as failure:
            self.failures.append(failure)


def start_callers(service, book, count=8):
    callers = [Caller(service, book.wallet(balance=10**9)) for _ in range(count)]
    for caller in callers:
        caller.start()
    wait_until(lambda: all(caller.answered > 5 for caller in callers), what="load")
    return callers


def test_sigterm_under_load_fails_nobody(start_service, book):
    service = start_service({**PATIENT, "DRAIN_DELAY_MS": "500"})
    callers = start_callers(service, book)

    service.signal(signal.SIGTERM)
    status = service.wait()
    for caller in callers:
        caller.join(10)

    assert sum((caller.failures for caller in callers), []) == []
    assert status == 0


def test_every_acknowledged_hold_of_a_drain_is_in_the_ledger(start_service, book):
    service = start_service({**PATIENT, "DRAIN_DELAY_MS": "200"})
    callers = start_callers(service, book, 4)

    service.signal(signal.SIGTERM)
    service.wait()
    for caller in callers:
        caller.join(10)

    held = [book.holds(caller.wallet) for caller in callers]
    assert held == [(caller.answered + 1) // 2 for caller in callers]


def test_readiness_goes_first_while_requests_are_still_served(start_service):
    service = start_service({**PATIENT, "DRAIN_DELAY_MS": "60000"})
    service.signal(signal.SIGTERM)
    wait_until(lambda: service.probe("/readyz") == 503)

    served = service.call("GET", SIMULATE)

    assert (served.status, served.closes) == (200, True)
    assert service.probe("/livez") == 200
    service.signal(signal.SIGTERM)
    service.wait()


def test_second_sigterm_ends_at_once(start_service):
    service = start_service({**PATIENT, "DRAIN_DELAY_MS": "60000"})
    service.signal(signal.SIGTERM)
    wait_until(lambda: service.probe("/readyz") == 503)

    service.signal(signal.SIGTERM)

    assert service.wait(2) == 1


@pytest.mark.parametrize("where", ["memory", "server"])
def test_request_in_flight_is_answered_before_the_end(start_service, book, where):
    service = start_service(PATIENT)
    wallet = book.wallet()
    with book.database.connect() as other, service.connect() as connection:
        hold_up(other, where, wallet)
        connection.send(hold_bytes(wallet, new_key()))
        wait_until(lambda: is_held_up(service, book.database, where))
        service.signal(signal.SIGTERM)
        wait_until(lambda: service.events("drain"))
        other.execute("COMMIT")

        answer = connection.response()

    assert (answer.status, answer.closes) == (201, True)
    assert service.wait() == 0


@pytest.mark.parametrize("where", ["memory", "server"])
def test_drain_is_cut_at_its_limit(start_service, book, where):
    """A request that cannot end does not keep the process; its exit code says so."""
    service = start_service({**PATIENT, "DRAIN_TIMEOUT_MS": "300"})
    wallet = book.wallet()
    with book.database.connect() as other, service.connect() as connection:
        hold_up(other, where, wallet)
        connection.send(hold_bytes(wallet, new_key()))
        wait_until(lambda: is_held_up(service, book.database, where))

        service.signal(signal.SIGTERM)

        assert service.wait(3) == 1


def test_idle_connections_are_closed_by_a_drain(start_service):
    service = start_service(PATIENT)
    with service.connect() as connection:
        connection.request("GET", "/livez")
        service.signal(signal.SIGTERM)

        assert connection.ended()
    assert service.wait() == 0


def test_sigint_drains_too(start_service):
    service = start_service(PATIENT)

    service.signal(signal.SIGINT)

    assert service.wait() == 0


def test_drain_closes_the_database_sessions_in_order(start_service, book):
    service = start_service(PATIENT)

    service.stop()

    assert service.events("drain", state="done")
    assert service.lines[-1].find('"stopped"') > 0


# SIGHUP


def statuses(service, keys):
    return [service.call("GET", SIMULATE, key=key).status for key in keys]


def test_sighup_reads_the_key_files_again(start_service, tmp_path):
    path = tmp_path / "key"
    path.write_text("first-key\n")
    service = start_service(
        {
            **PATIENT,
            "API_SECRET_KEY": None,
            "API_SECRET_KEY_FILE": path,
            "API_SECRET_KEY_PREVIOUS": None,
        }
    )
    assert statuses(service, ["first-key", "second-key"]) == [200, 403]

    path.write_text("second-key\n")
    service.signal(signal.SIGHUP)

    wait_until(lambda: statuses(service, ["first-key", "second-key"]) == [403, 200])


def test_changed_key_file_is_noticed_without_a_signal(start_service, tmp_path):
    path = tmp_path / "key"
    path.write_text("first-key\n")
    service = start_service(
        {
            **PATIENT,
            "API_SECRET_KEY": None,
            "API_SECRET_KEY_FILE": path,
            "API_SECRET_KEY_PREVIOUS": None,
            "SECRETS_WATCH_MS": "50",
        }
    )

    fresh = tmp_path / "fresh"
    fresh.write_text("second-key\n")
    fresh.replace(path)  # as a mounted Secret is: another file behind the same name

    wait_until(lambda: statuses(service, ["first-key", "second-key"]) == [403, 200])


def test_sighup_with_a_bad_file_keeps_the_running_key(start_service, tmp_path):
    path = tmp_path / "key"
    path.write_text("first-key\n")
    service = start_service(
        {
            **PATIENT,
            "API_SECRET_KEY": None,
            "API_SECRET_KEY_FILE": path,
            "API_SECRET_KEY_PREVIOUS": None,
        }
    )

    path.write_text("")
    service.signal(signal.SIGHUP)
    wait_until(lambda: service.events("config_reload", setting="API_SECRET_KEY"))

    assert statuses(service, ["first-key", ""]) == [200, 401]


def test_sighup_replaces_the_database_sessions_without_a_failed_request(
    start_service, database, tmp_path
):
    path = tmp_path / "url"
    path.write_text(database.url() + "?keepalives=1\n")
    service = start_service({**PATIENT, "DATABASE_URL": None, "DATABASE_URL_FILE": path})
    connects = service.metrics().value("pool_connects_total")
    failed = []

    path.write_text(database.url() + "?keepalives=0\n")
    service.signal(signal.SIGHUP)

    def all_replaced():
        status = service.call("GET", SIMULATE).status
        failed.extend([status] if status != 200 else [])
        return service.metrics().value("pool_connects_total") >= connects + 6

    wait_until(all_replaced, 10)
    assert failed == []


def test_sighup_says_what_it_found_of_the_database_url(start_service, database, tmp_path):
    path = tmp_path / "url"
    path.write_text(database.url() + "?keepalives=1\n")
    service = start_service({**PATIENT, "DATABASE_URL": None, "DATABASE_URL_FILE": path})

    def reload(result):
        service.signal(signal.SIGHUP)
        wait_until(lambda: service.events("config_reload", setting="DATABASE_URL", result=result))

    reload("unchanged")
    path.write_text("postgresql:///nowhere\n")
    reload("kept")
    path.write_text(database.url() + "?keepalives=0\n")
    assert not service.events("pg_pool_epoch")
    reload("changed")

    replaced = {event["db.application_name"] for event in service.events("pg_pool_epoch")}
    assert replaced == {"payment-latency-api", "payment-latency-api probe"}
    assert len(service.events("pg_pool_epoch")) == 2
    assert len(service.events("config_reload", setting="DATABASE_URL")) == 3


def test_secrets_are_not_in_the_log_of_a_reload(start_service, tmp_path):
    path = tmp_path / "key"
    path.write_text("first-key\n")
    service = start_service({**PATIENT, "API_SECRET_KEY": None, "API_SECRET_KEY_FILE": path})

    path.write_text("second-key\n")
    service.signal(signal.SIGHUP)
    wait_until(lambda: service.events("config_reload", result="changed"))

    assert not any(key in line for line in service.lines for key in ("first-key", "second-key"))
